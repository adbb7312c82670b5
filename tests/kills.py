#!/usr/bin/env python3
"""Kills real jobs with SIGKILL, again and again, and compares what they wrote with a straight count over their input.

Usage: tests/kills.py [--cycles N] [--seed S] [--history I] [--sink sqlite|dir] [--keep]

A history is one job (pv or seen, in turn) with its folders: a log of 2 to 5 partitions that grows while the job runs,
with lines that come in pieces, blank lines, CRLF, new files, and in some histories bad records that are skipped. The job
is started by the same command, each time with another parallelism and checkpoint interval, and killed at a random
moment, until enough kills have fallen after a completed checkpoint; sometimes it is stopped by SIGTERM, or frozen for a
while. Half of the histories write into a table, the others into a folder of files, which somebody takes away as soon as
they are there. The last runs have --bounded. Then the table (the files) and the dead letters must say exactly what the files say, and a
further run must change nothing.

Half of the histories into files have CSV, and files are rolled by size and by time within a checkpoint. Last, the plain
sink into a folder beside the exact one: killed some commits after its checkpoint, it doubles just what those brought.

A kill counts as a cycle when a completed checkpoint was in the job's folder. The seed decides everything but the timing;
--history repeats one history of a run. Folders of a history that failed are kept and named.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import blackbox

CYCLES_PER_HISTORY = 6
STOP_SECONDS = 40
BAD_LINES = [b"{", b"nonsense", b'{"app_id":7}', b'{"app":"a"}', b'{"app_id":null}', b'["app_id"]', b'{"app_id":"a"',
             b'{"app_id":"\xff\xfe"}', b'{"app_id":"a"}}', b'"app_id"', b'{"app_id":{"app_id":"a"}}', b"{'app_id':'a'}"]
PHASES = ["before the first checkpoint", "while starting", "running, no checkpoint of its own yet",
          "running, after a checkpoint of its own"]


class Writer(threading.Thread):
    """Appends to the partitions until it is told to stop."""

    def __init__(self, rng, folder, with_bad, apps=None, lines_per_second=None):
        super().__init__(daemon=True)
        self.rng, self.folder, self.with_bad = rng, folder, with_bad
        self.stopped = threading.Event()
        self.apps = [b"app%d" % i for i in range(apps or rng.choice([3, 500, 20000]))] + ["\u00e9\u4e2d".encode(), b"\\u00e9", b""]
        self.lines_per_second = lines_per_second or rng.choice([2000, 20000, 60000])
        self.files = [self.make_file(i) for i in range(rng.randint(2, 5))]
        self.count = 0
        self.append_to_all(rng.choice([0, 1000, 60000]))

    def make_file(self, number):
        return open(os.path.join(self.folder, f"p{number}.ndjson"), "ab", buffering=0)

    def line(self):
        self.count += 1
        draw = self.rng.random()
        if draw < 0.01:
            return self.rng.choice([b"", b"  \t", b"\r", b" "])
        if self.with_bad and draw < 0.03:
            return self.rng.choice(BAD_LINES)
        app = self.apps[int(len(self.apps) * self.rng.random() ** 3)]
        if draw < 0.04:
            return b'{"app_id":"other","n":%d,"app_id":"%s"}\r' % (self.count, app)
        if draw < 0.0401:
            return b'{"pad":"%s","app_id":"%s"}' % (b"x" * self.rng.randint(1, 300000), app)
        return b'{"app_id":"%s","n":%d}' % (app, self.count)

    def append_to_all(self, lines):
        for each in self.files:
            self.write(each, b"".join(self.line() + b"\n" for _ in range(lines // len(self.files))))

    @staticmethod
    def write(handle, text):
        while text:
            text = text[handle.write(text):]

    def append(self):
        """Some lines to one file; at times in two pieces, cut anywhere."""
        handle = self.rng.choice(self.files)
        text = b"".join(self.line() + b"\n" for _ in range(max(1, self.lines_per_second // 50)))
        cut = self.rng.randrange(len(text)) if self.rng.random() < 0.3 else len(text)
        self.write(handle, text[:cut])
        if cut < len(text):
            self.stopped.wait(self.rng.random() * 0.15)
            self.write(handle, text[cut:])

    def run(self):
        while not self.stopped.is_set():
            begin = time.monotonic()
            self.append()
            if self.rng.random() < 0.01 and len(self.files) < 9:
                self.files.append(self.make_file(len(self.files)))
            self.stopped.wait(max(0.0, 0.02 - (time.monotonic() - begin)))

    def finish(self):
        """Ends; in some histories a file's last record has no newline."""
        self.stopped.set()
        self.join()
        if self.rng.random() < 0.5:
            self.write(self.rng.choice(self.files), b'{"app_id":"last, without a newline"}')
        for each in self.files:
            each.close()


class Taker(threading.Thread):
    """Takes finished files away while the job runs, until it is told to stop."""

    def __init__(self, folder, taken, seconds):
        super().__init__(daemon=True)
        self.folder, self.taken, self.seconds = folder, taken, seconds
        self.stopped = threading.Event()
        self.came_again = None

    def run(self):
        while not self.came_again and not self.stopped.wait(self.seconds):
            self.came_again = blackbox.take_files(self.folder, self.taken)


class History:
    """One job, and what is done to it."""

    again = "tests/kills.py"
    stop_codes = (0,)  # 4 too where the target's server may be away: nothing is lost, and the next start goes on
    interval_ms = 50, 200  # between checkpoints, drawn for each start

    def __init__(self, seed, index, cycles, sink=None):
        self.seed, self.index, self.cycles_wanted = seed, index, cycles
        self.rng = random.Random(f"{seed}/{index}")
        self.job = "pv" if index % 2 == 0 else "seen"
        self.folder = tempfile.mkdtemp(prefix=f"weir-kills-{index}-")
        self.state = os.path.join(self.folder, "state")
        self.to_files = sink == "dir" or (sink is None and index % 4 >= 2)
        self.out = os.path.join(self.folder, "out" if self.to_files else "out.db")
        self.taken = os.path.join(self.folder, "taken")
        self.target = [self.out, self.taken] if self.to_files else self.out
        self.taker = Taker(self.out, self.taken, self.rng.choice([0.005, 0.05, 1]))
        self.source = self.make_log()
        if self.to_files:
            os.mkdir(self.out)
        self.skips = self.rng.random() < 0.5
        own_letters = self.rng.random() < 0.5
        self.letters = os.path.join(self.folder if own_letters else self.state, "dead-letter.ndjson")
        self.command = [blackbox.program(self.job), "--source", self.source, "--sink", ("dir:" if self.to_files else "sqlite:") + self.out,
                        "--state", self.state]
        if self.to_files:
            self.command += self.rolling()
        if self.skips:
            self.command += ["--on-error", "skip"] + (["--dead-letter", self.letters] if own_letters else [])
        self.kills = collections.Counter()
        self.counts = collections.Counter()
        self.starts, self.rows_before, self.processes = 0, 0, []
        self.failure = None

    def rolling(self):
        """Options of files that are small, and of a format."""
        self.file_bytes = self.rng.choice([1024, 20000, 128 * 1024 * 1024])
        pairs = [f"sink.rolling-policy.file-size={self.file_bytes}",
                 "sink.rolling-policy.rollover-interval=" + self.rng.choice(["5ms", "30ms", "30min"])]
        if self.rng.random() < 0.5:
            pairs += ["format=csv", "csv.header=true"]
        return [word for pair in pairs for word in ("--sink-option", pair)]

    def fail(self, sentence):
        self.failure = self.failure or f"history {self.index} ({self.job}{' to files' if self.to_files else ''}), start {self.starts}: {sentence}"
        return False

    # ---- the log: a folder here ----

    def make_log(self):
        folder = os.path.join(self.folder, "log")
        os.mkdir(folder)
        return folder

    def make_writer(self):
        """What makes the log grow: has start() and finish()."""
        return Writer(random.Random(f"{self.seed}/{self.index}/writer"), self.source, self.skips)

    def read_log(self):
        return blackbox.read_input(self.source)

    def append_after_the_end(self):
        with open(os.path.join(self.source, "p0.ndjson"), "ab") as log:
            log.write(b'\n{"app_id":"after the end"}\n')

    # ---- one start ----

    def start(self, *more):
        self.starts += 1
        self.log = os.path.join(self.folder, f"log-{self.starts}.txt")
        command = self.command + ["--parallelism", str(self.rng.randint(1, 3)), "--checkpoint-interval",
                                  f"{self.rng.randint(*self.interval_ms)}ms", *more]
        with open(self.log, "wb") as log:
            log.write((" ".join(command) + "\n").encode())
            log.flush()
            self.newest = max(blackbox.checkpoints(self.state), default=0)
            self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
            return self.processes[-1]

    def said(self):
        with open(self.log, "rb") as log:
            return log.read().decode("utf-8", "replace")

    def pause(self, process, seconds):
        """Waits, unless the job ends before: true when it is running still."""
        try:
            process.wait(seconds)
            return False
        except subprocess.TimeoutExpired:
            return True

    def moment(self):
        draw = self.rng.random()
        if draw < 0.3:
            return self.rng.random() * 0.08
        return self.rng.random() * (0.6 if draw < 0.8 else 1.5)

    def kill(self, process):
        if self.rng.random() < 0.15:
            process.send_signal(signal.SIGSTOP)
            time.sleep(self.rng.random() * 0.3)
            self.counts["frozen"] += 1
            if self.rng.random() < 0.5:
                process.send_signal(signal.SIGCONT)
                self.pause(process, self.rng.random() * 0.2)
        process.kill()
        process.wait()
        newest = max(blackbox.checkpoints(self.state), default=0)
        if newest == 0:
            phase = PHASES[0]
        elif " INFO job " not in self.said():
            phase = PHASES[1]
        else:
            phase = PHASES[3] if newest > self.newest else PHASES[2]
        self.kills[phase] += 1

    def cycles(self):
        return sum(self.kills.values()) - self.kills[PHASES[0]]

    def stop(self, process):
        process.send_signal(signal.SIGTERM)
        self.counts["stopped"] += 1
        if self.pause(process, STOP_SECONDS):
            process.kill()
            process.wait()
            return self.fail(f"did not stop within {STOP_SECONDS} s of SIGTERM")
        if process.returncode == -signal.SIGTERM and " INFO " not in self.said():
            return True  # it came before the program had looked at signals at all
        return process.returncode in self.stop_codes or self.fail(f"SIGTERM: exit code {process.returncode}: {self.said()}")

    # ---- looks in between ----

    def look(self):
        """Between two runs: the folder is sound, and the table never goes back."""
        if "Sanitizer" in self.said():
            return self.fail(self.said())
        if os.path.exists(os.path.join(self.state, "JOB")) and self.rng.random() < 0.4:
            self.counts["weir check"] += 1
            code, said = blackbox.run([blackbox.program("weir"), "check", self.state])
            if code != 0:
                return self.fail(f"weir check: exit code {code}: {said}")
        if self.rng.random() < 0.3:
            rows = self.rows_now()
            if rows < self.rows_before:
                return self.fail(f"the table went back from {self.rows_before} to {rows}")
            self.rows_before = rows
        return True

    def rows_now(self):
        if self.to_files:  # counted by name: the files are on the move
            names = {name for folder in self.target if os.path.isdir(folder) for name in os.listdir(folder)}
            return sum(name.startswith("part-") for name in names)
        query = "SELECT coalesce(sum(pv), 0) FROM pv" if self.job == "pv" else "SELECT count(*) FROM seen"
        return (blackbox.read_rows(self.out, query) or [(0,)])[0][0]

    # ---- the whole ----

    def close(self):
        """Ends what may be left of a history that failed."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()

    def run_unbounded(self):
        process = self.start()
        if not self.pause(process, self.moment()):
            return self.fail(f"ended by itself, exit code {process.returncode}: {self.said()}")
        if self.rng.random() < 0.12:
            return self.stop(process) and self.look()
        self.kill(process)
        return self.look()

    def run_bounded(self):
        """To the end; at times killed on the way there."""
        for _ in range(self.rng.choice([0, 0, 1, 2])):
            process = self.start("--bounded")
            if self.pause(process, self.rng.random() * 0.4):
                self.kill(process)
            elif process.returncode != 0:
                break
        process = self.start("--bounded")
        if self.pause(process, 100):
            process.kill()
            process.wait()
            return self.fail("a bounded run did not end within 100 s")
        return process.returncode == 0 or self.fail(f"bounded: exit code {process.returncode}: {self.said()}")

    def compare(self):
        records, bad = self.read_log()
        self.counts["records"] += len(records)
        self.counts["bad records"] += len(bad)
        compare = blackbox.compare_pv if self.job == "pv" else blackbox.compare_seen
        wrong = compare(self.target, records)
        if not wrong and self.skips:
            wrong = blackbox.compare_dead_letters(self.letters, bad)
        if not wrong and self.to_files:
            wrong = blackbox.find_large_file(self.target, self.file_bytes)
        if not wrong and self.to_files and blackbox.staged_files(self.out):
            wrong = f"finished, and staged is still {blackbox.staged_files(self.out)[0]}"
        return not wrong or self.fail(wrong)

    def run_again(self):
        """A finished job: says so and changes nothing, even when the log has grown."""
        self.append_after_the_end()
        before = [blackbox.fingerprint(path) for path in (self.state, self.out)]
        process = self.start(*self.rng.choice([[], ["--bounded"]]))
        if self.pause(process, 20):
            process.kill()
            process.wait()
            return self.fail("a finished job that was started again did not end")
        after = [blackbox.fingerprint(path) for path in (self.state, self.out)]
        if process.returncode != 0 or "came to its end in an earlier run" not in self.said():
            return self.fail(f"finished, started again: exit code {process.returncode}: {self.said()}")
        return before == after or self.fail("finished, started again: it changed its folder or the table")

    def end_taker(self):
        if not self.to_files:
            return True
        self.taker.stopped.set()
        self.taker.join()
        if self.taker.came_again:
            return self.fail(f"{self.taker.came_again} was taken away and came again")
        self.counts["files taken away"] += len(os.listdir(self.taken)) if os.path.isdir(self.taken) else 0
        return True

    def live(self):
        writer = self.make_writer()
        writer.start()
        if self.to_files:
            self.counts["histories to files"] += 1
            self.taker.start()
        goes_on = True
        while goes_on and self.cycles() < self.cycles_wanted:
            goes_on = self.run_unbounded()
        writer.finish()
        goes_on = goes_on and self.run_bounded() and self.end_taker() and self.compare() and self.run_again()
        if goes_on:
            code, said = blackbox.run([blackbox.program("weir"), "check", self.state])
            goes_on = code == 0 or self.fail(f"weir check at the end: exit code {code}: {said}")
        return goes_on


# ---- the plain sink beside the exact one ----

def seen_once_killed(box, is_plain, rows_now, places):
    """seen over a log that grows, killed some commits after its newest checkpoint, then run to its end. Plain: what was
    committed after the checkpoint comes twice, and nothing else does; else nothing does. In both nothing is lost.
    `rows_now()` is how many rows are out, `places()` the (partition, position) of each."""
    name = "plain" if is_plain else "exactly-once"
    options = ["--plain", "--sink-option", "sink.buffer-flush.interval=100ms"] if is_plain else []
    box.log = os.path.join(box.source, "p0.ndjson")
    process = box.start(*options, job="seen", interval="3s" if is_plain else "300ms")
    stored, commits, rows, deadline = None, 0, 0, time.monotonic() + 60
    while commits < 4 and process.poll() is None and time.monotonic() < deadline:
        with open(box.log, "a", encoding="ascii") as log:
            log.write('{"app_id":"app1"}\n' * 10)
        time.sleep(0.02)
        newest = blackbox.checkpoints(box.state)[-1:]
        before, rows = rows, rows_now()
        if newest != stored and is_plain:
            stored, commits = newest, 0
        elif newest and newest[-1] > 1 and rows > before:
            commits += 1
    box.kill(process)
    box.check(commits == 4, f"{name}: {commits} commits after the checkpoint: {box.said(process)[-800:]}")
    out = rows_now()
    said = box.run(0, "rows can come twice" if is_plain else "", *options, job="seen")
    box.check(("rows can come twice" in said) == is_plain, f"{name}: what the log says: {said[-800:]}")
    restored = re.search(r"restored checkpoint \d+ \((\d+) records before it\)", said)
    found, records = collections.Counter(places()), len(box.read()[0])
    doubled = sum(found.values()) - len(found)
    wanted = out - int(restored[1]) if is_plain and restored else 0
    box.check(restored and len(found) == records and doubled == wanted and (doubled > 0) == is_plain,
              f"{name}: {records} records, {sum(found.values())} rows, {len(found)} different; {wanted} of {out} were out "
              f"after the checkpoint: {said[-800:]}")
    print(f"  {name}: {records} records, rows lost {records - len(found)}, rows doubled {doubled}", flush=True)


class FilesBox(blackbox.Box):
    """A job over one partition into a folder of files."""

    def __init__(self, name, seed):
        super().__init__(name, seed)
        self.out = self.path("out")
        os.mkdir(self.source)
        os.mkdir(self.out)

    def command(self, job="pv", *options):
        return [blackbox.program(job), "--source", self.source, "--sink", "dir:" + self.out, "--state", self.state,
                "--parallelism", "1", *options]

    def rows(self):
        """Whole lines: the plain sink shows files that are being written."""
        found = []
        for name in os.listdir(self.out):
            if name.startswith("part-"):
                with open(os.path.join(self.out, name), "rb") as handle:
                    found += [json.loads(line) for line in handle.read().split(b"\n")[:-1]]
        return found


def plain_files(seed, keep):
    """The pair of them, into a folder."""
    checks = blackbox.Checks()
    for is_plain in (True, False):
        box = FilesBox("plain" if is_plain else "exact", seed)
        seen_once_killed(box, is_plain, lambda: len(box.rows()),
                         lambda: [(row["partition"], row["position"]) for row in box.rows()])
        box.check(os.path.isdir(os.path.join(box.out, ".weir")) != is_plain, "whether there is a folder of markers")
        box.close(keep)
        checks.passed += box.checks.passed
        checks.failures += box.checks.failures
    return checks


def live(kind, seed, index, cycles, sink, keep):
    """One history of the class `kind`, from its beginning to its end."""
    history = kind(seed, index, cycles, sink)
    try:
        fine = history.live()
    except Exception as error:  # what is told is the history, not the test's stack
        fine = history.fail(f"{type(error).__name__}: {error}")
    history.close()
    if fine and not keep:
        shutil.rmtree(history.folder)
    return history.job, fine, history.failure, history.folder, history.kills, history.counts


def report(kills, counts, seconds):
    cycles = {job: sum(kills[job][phase] for phase in PHASES[1:]) for job in kills}
    for phase in PHASES:
        print(f"  killed {phase}: " + ", ".join(f"{job} {kills[job][phase]}" for job in sorted(kills)))
    print("  " + ", ".join(f"{name} {counts[name]}" for name in sorted(counts)))
    print(f"  cycles after a completed checkpoint: {sum(cycles.values())} "
          f"({', '.join(f'{job} {cycles[job]}' for job in sorted(cycles))}), in {seconds:.0f} s")
    return cycles


def live_all(kind, seed, cycles, keep, chosen=None, sink=None):
    """Histories of the class `kind` until there were so many cycles; the checks, and whether pv and seen had their share."""
    begin = time.monotonic()
    per_history = max(1, min(CYCLES_PER_HISTORY, (cycles + 1) // 2))
    count = 2 * -(-cycles // (2 * per_history))
    checks = blackbox.Checks()
    kills, counts = collections.defaultdict(collections.Counter), collections.Counter()
    with blackbox.Pool(max(2, os.cpu_count() or 2)) as pool:
        lives = {pool.submit(live, kind, seed, index, per_history, sink, keep): index
                 for index in (range(count) if chosen is None else [chosen])}
        for future in concurrent.futures.as_completed(lives):
            job, fine, failure, folder, killed, counted = future.result()
            kills[job].update(killed)
            counts.update(counted)
            checks.check(fine, f"{failure}\n  its folder: {folder}\n  again: {kind.again} --cycles {cycles} "
                               f"--seed {seed} --history {lives[future]}")
    found = report(kills, counts, time.monotonic() - begin)
    if chosen is None:
        for job in ("pv", "seen"):
            checks.check(found.get(job, 0) >= cycles // 2, f"only {found.get(job, 0)} cycles of {job}")
    return checks


def main():
    parser = argparse.ArgumentParser(description="kills real jobs, and compares their tables with their input")
    parser.add_argument("--cycles", type=int, default=60, help="kills after a completed checkpoint, half of them of seen")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("WEIR_TEST_SEED", 0)) or time.time_ns() % 10**9)
    parser.add_argument("--history", type=int, help="only this one")
    parser.add_argument("--sink", choices=["sqlite", "dir"], help="only with this sink")
    parser.add_argument("--keep", action="store_true", help="keep all folders")
    options = parser.parse_args()
    print(f"WEIR_TEST_SEED={options.seed}", flush=True)
    blackbox.end_on_sigterm()
    checks = live_all(History, options.seed, options.cycles, options.keep, options.history, options.sink)
    if options.history is None and options.sink != "sqlite":
        pair = plain_files(options.seed, options.keep)
        checks.passed += pair.passed
        checks.failures += pair.failures
    return checks.verdict()


if __name__ == "__main__":
    sys.exit(main())
