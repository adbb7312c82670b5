#!/usr/bin/env python3
"""Kills a job with SIGKILL at every named point of its way to the target, on real servers, and compares what is out.

Usage: tests/points.py [--sinks kafka,postgres,mariadb,dir,sqlite] [--only PHASE:POINT] [--all] [--seed S] [--keep]

One job for each sink goes through all of it: tests/points_job.c, which is examples/seen.c (a row for each record, without a
key, so that nothing can heal) with points at which it kills itself. Each start has another parallelism, and the log grows
meanwhile. A point of the commit leaves an epoch waiting, so the start after it is killed within its recovery, and every
second time the one after that too. A point that is not passed has failed. What each left in the target is printed, and
must be what the table below says of it: nothing of the epoch, all, or either.

On every start, before a source reads its first record, the target must hold the records of the restored checkpoint,
neither more nor fewer: that is "commit first", seen from outside. In the end it holds every record once, those of one app
and partition in their order. Rows are read by the server's own client, or a consumer of committed records.

Beside the kills: servers that are killed and started again while the job stands at a point (with --all at all of them);
a target that does not answer, or is away, until the bound of what waits is reached; a checkpoint that fails while epochs
wait; and the job killed in between.
"""
import argparse
import collections
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import blackbox
import kafka_box
import sql_servers

JOB = os.path.join(blackbox.BUILD, "tests", "points_job")
SECONDS = 40  # for what must come
FILES, BURST, TRICKLE = 3, 250, 8  # partitions; lines to each at a start, and in each 20 ms
EPOCHS_WAITING_MAX = 8  # README.md, "Limits"
READERS_HELD_SECONDS_MAX = 10  # docs/guarantees.md

# What a kill at a point leaves of the epoch that is being committed. PART: of a folder's files some have their names.
OUT, IN, ANY, PART = "nothing of it", "all of it", "either", "a part of it"

STAGING = {"dir": ["stage-begun", "staged"]}  # a writer's own work before that
BEFORE_COMMIT = ["before-prepare", "prepared", "before-durable", "renamed", "durable", "notify"]
SQL_COMMIT = {"entered": OUT, "begun": OUT, "marker": OUT, "half": OUT, "rows": OUT, "asked": OUT, "sent": ANY,
              "answered": IN, "returned": IN}
COMMIT = {
    "kafka": SQL_COMMIT, "postgres": SQL_COMMIT, "mariadb": SQL_COMMIT,
    "sqlite": {"entered": OUT, "begun": OUT, "marker": OUT, "half": OUT, "rows": OUT, "asked": OUT, "writing": ANY,
               "written": IN, "synced": IN, "answered": IN, "returned": IN},
    # From the rename of the manifest on the epoch is decided, and its files get their names in the next claim at last.
    "dir": {"entered": OUT, "asked": OUT, "sent": OUT, "answered": OUT, "shown-one": PART, "shown": IN, "returned": IN},
}
SQL_CLAIM = ["entered", "begun", "marker", "asked", "sent", "answered", "returned"]
CLAIM = {"kafka": SQL_CLAIM, "postgres": SQL_CLAIM, "mariadb": SQL_CLAIM,
         "sqlite": ["entered", "begun", "marker", "asked", "written", "synced", "answered", "returned"],
         "dir": ["entered", "asked", "sent", "answered", "returned"]}
DECIDED = ["commit-sent", "commit-answered"]  # of a folder: the next claim finishes it
CLAIM_DECIDED = ["claim-shown-one", "claim-shown"]


# ---- targets: what is in them, by other means than weir's ----

class SqlTarget:
    def __init__(self, kind, folder):
        self.server = sql_servers.make(kind, os.path.join(folder, kind))
        partition, key = ("partition", "bigserial") if kind == "postgres" else ("`partition`", "bigint AUTO_INCREMENT")
        self.server.rows(f"CREATE TABLE seen ({partition} text, position bigint, app_id text, id {key} PRIMARY KEY)")
        self.query = f"SELECT {partition}, position, app_id FROM seen ORDER BY id"
        self.options = ["--sink", f"{self.server.scheme}://weir@127.0.0.1:{self.server.port}/{self.server.database}",
                        "--sink-option", "password-file=" + self.server.password_file]
        self.kill, self.restart, self.close = self.server.kill, self.server.start, self.server.stop

    def count(self):
        return int(self.server.rows("SELECT count(*) FROM seen")[0][0])

    def streams(self):
        """Lists of rows, each in the order in which they came to be."""
        return [[(partition, int(position), app) for partition, position, app in self.server.rows(self.query)]]


class KafkaTarget:
    def __init__(self, kind, folder):
        del kind, folder
        self.broker = kafka_box.Broker.start_new()
        self.broker.tool("create-topic", "seen", "--partitions", 3)
        self.options = ["--sink", self.broker.source("seen")]
        self.close = self.broker.remove

    def kill(self):
        self.broker.server("kill")

    def restart(self):
        self.broker.server("restart")

    def count(self):
        return self.broker.tool("consume", "seen").count(b"\n")

    def ends(self, isolation):
        """Of each partition, where a reader of this isolation comes to."""
        said = self.broker.tool("offsets", "seen", "-X", f"isolation.level={isolation}")
        return [json.loads(line)["high"] for line in said.splitlines()]

    def streams(self):
        found = collections.defaultdict(list)
        for line in self.broker.tool("consume", "seen").splitlines():
            record = json.loads(line)
            row = json.loads(record["value"])
            assert record["key"] == row["app_id"], record
            found[record["partition"]].append((record["offset"], row["partition"], row["position"], row["app_id"]))
        return [[row[1:] for row in sorted(rows)] for rows in found.values()]


class FolderTarget:
    """Somebody takes its finished files away whenever it is looked into."""
    kill = None

    def __init__(self, kind, folder):
        del kind
        self.path, self.taken = os.path.join(folder, "out"), os.path.join(folder, "taken")
        os.mkdir(self.path)
        self.options = ["--sink", "dir:" + self.path, "--sink-option", "sink.rolling-policy.file-size=10kb"]

    def count(self):
        again = blackbox.take_files(self.path, self.taken)
        assert again is None, f"{again} was taken away and came again"
        return len(blackbox.read_files([self.path, self.taken]))

    def streams(self):
        return [blackbox.read_seen([self.path, self.taken])]

    def close(self):
        pass


class SqliteTarget(FolderTarget):
    def __init__(self, kind, folder):
        super().__init__(kind, folder)
        self.database = os.path.join(self.path, "seen.db")
        self.options = ["--sink", "sqlite:" + self.database]

    def count(self):
        return (blackbox.read_rows(self.database, "SELECT count(*) FROM seen") or [(0,)])[0][0]

    def streams(self):
        return [blackbox.read_rows(self.database, "SELECT partition, position, app_id FROM seen ORDER BY rowid")]


TARGETS = {"kafka": KafkaTarget, "postgres": SqlTarget, "mariadb": SqlTarget, "dir": FolderTarget, "sqlite": SqliteTarget}


# ---- the log and the job ----

class Log(threading.Thread):
    """Partition files that grow slowly while a job reads them, until it is told to stop; add() is for more at once."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        os.mkdir(folder)
        self.folder, self.lines, self.lock = folder, 0, threading.Lock()
        self.stopped, self.grows = threading.Event(), threading.Event()
        self.files = [open(os.path.join(folder, f"p{i}.ndjson"), "ab", buffering=0) for i in range(FILES)]

    def add(self, lines):
        with self.lock:
            for file in self.files:
                file.write(b"".join(b'{"app_id":"app%d-%s"}\n' % ((self.lines + i) % 7, b"x" * 60) for i in range(lines)))
                self.lines += lines

    def run(self):
        while not self.stopped.wait(0.02):
            if self.grows.is_set():
                self.add(TRICKLE)

    def finish(self):
        self.stopped.set()
        self.join()


class Job:
    """One start. What it says is kept, with what follows from it."""

    def __init__(self, command, log):
        self.log = log
        with open(log, "wb") as said:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True,
                                            bufsize=1)
        self.lines, self.changed = [], threading.Condition()
        self.done, self.done_rows, self.open_epoch, self.open_rows, self.waiting_most = 0, 0, None, 0, 0
        self.begun = collections.Counter()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            with self.changed:
                words = line.split()
                self.lines.append(words)
                if words[0] == "begin":
                    self.open_epoch, self.open_rows = words[1], int(words[2])
                    self.begun[words[1]] += 1
                elif words[0] in ("done", "already"):  # an answer that got lost was this start's
                    self.done += 1
                    self.done_rows += int(words[2]) if words[0] == "done" or self.begun[words[1]] > 1 else 0
                    self.open_epoch, self.open_rows = None, 0
                elif words[0] == "status":
                    self.waiting_most = max(self.waiting_most, int(words[1]))
                self.changed.notify_all()
        with self.changed:
            self.lines.append(["end"])
            self.changed.notify_all()

    def tell(self, word):
        try:
            self.process.stdin.write(word + "\n")
        except BrokenPipeError:
            pass

    def wait(self, *words, after=0):
        """The next line that begins with one of these words, or ["end"], or None after SECONDS; and its place."""
        end = time.monotonic() + SECONDS
        with self.changed:
            while True:
                for place in range(after, len(self.lines)):
                    if self.lines[place][0] in words or self.lines[place][0] == "end":
                        return self.lines[place], place + 1
                if not self.changed.wait(max(0, end - time.monotonic())):
                    return None, after

    def status(self):
        """waiting, failed, completed, records"""
        after = len(self.lines)
        self.tell("look")
        line, _ = self.wait("status", after=after)
        return [int(word) for word in line[1:]] if line and line[0] == "status" else [0, 0, 0, 0]

    def until(self, condition):
        """The first status of which `condition` is true; None: there was none."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            status = self.status()
            if condition(*status):
                return status
            time.sleep(0.05)
        return None

    def kill(self):
        self.process.kill()
        self.end()

    def end(self):
        self.process.wait()
        self.reader.join()

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as said:
            return said.read()[-1500:]


# ---- all that one sink goes through ----

class Chain:
    def __init__(self, kind, seed, everything, only):
        self.kind, self.everything, self.only = kind, everything, only
        self.rng = random.Random(f"{seed}/{kind}")
        self.folder = tempfile.mkdtemp(prefix=f"weir-points-{kind}-")
        self.checks = blackbox.Checks()
        self.target = TARGETS[kind](kind, self.folder)
        self.log = Log(os.path.join(self.folder, "log"))
        self.parallelism = itertools.cycle(self.rng.sample([1, 2, 3, 4], 4))
        self.starts, self.base, self.job = 0, 0, None
        self.kills = collections.Counter()

    def check(self, holds, sentence):
        if not holds and self.job:
            sentence += f"; start {self.starts} said: {self.job.said()}"
        return self.checks.check(holds, f"{self.kind}, {sentence}")

    def tell(self, what, words):
        print(f"  {self.kind:9}{what:64}{words}", flush=True)

    # ---- one start ----

    def start(self, at=None, *more):
        """Starts the job, and gives it something to do."""
        self.starts += 1
        self.log.add(BURST)
        self.log.grows.set()
        command = [JOB, "--source", self.log.folder, "--state", os.path.join(self.folder, "state"), "--parallelism",
                   str(next(self.parallelism)), "--checkpoint-interval", f"{self.rng.randint(30, 80)}ms",
                   *self.target.options, *(["--at", at] if at else []), *more]
        self.job = Job(command, os.path.join(self.folder, f"log-{self.starts}.txt"))
        return self.job

    def wait_for_count(self, wanted):
        """What is in the target. A broker may take a moment to show what it has taken."""
        end = time.monotonic() + (5 if self.kind == "kafka" else 0)
        while (found := self.target.count()) not in wanted and time.monotonic() < end:
            time.sleep(0.1)
        return found

    def begin(self, at=None, *more):
        """To the moment before the first record is read: what was restored is out, all of it and nothing else."""
        job = self.start(at, *more)
        line, _ = job.wait("sources")
        if not self.check(line and line[0] == "sources", f"{at}: the sources were not begun with"):
            job.kill()
            return None
        restored, found = int(line[1]), self.wait_for_count([int(line[1])])
        self.check(found == restored, f"before the sources of start {self.starts} ({at}): the restored checkpoint has "
                   f"{restored} records, and {found} are in the target")
        self.base = found - job.done_rows
        job.tell("go")
        return job

    # ---- kills of the job ----

    def kill_at(self, phase, point, nth=1):
        """Starts the job, which kills itself there; true when it did."""
        name = f"{phase}:{point}"
        job = self.begin(f"{name}:{nth}") if phase == "run" else self.start(f"{name}:{nth}")
        if job is None:
            return False
        line, _ = job.wait("at", *([] if phase == "run" else ["sources"]))
        if not self.check(line and line[0] == "at", f"{name}: it was not passed"):
            job.kill()
            return False
        job.end()
        self.log.grows.clear()
        self.kills[phase] += 1
        self.look(name, point)
        return True

    def either(self, before, whole):
        """Nothing or all of an epoch whose commit was cut off anywhere; of a folder's files some may have their names."""
        return range(before, whole + 1) if self.kind == "dir" else [before, whole]

    def look(self, name, point):
        """What the kill left in the target."""
        job = self.job
        before, whole = self.base + job.done_rows, self.base + job.done_rows + job.open_rows
        left = COMMIT[self.kind][point[7:]] if point.startswith("commit-") else PART if point in CLAIM_DECIDED else ANY
        if left == IN and job.open_epoch is None:
            whole = before
        wanted = {OUT: [before], IN: [whole], ANY: self.either(before, whole), PART: range(before, whole + 1)}[left]
        if name.startswith("recovery:claim"):
            wanted = range(before, before + 10**9) if point in CLAIM_DECIDED else [before] if self.kind != "dir" else wanted
        found = self.wait_for_count(wanted)
        if self.kind == "dir" and point.startswith("claim-"):  # it has finished what an earlier start had decided
            wanted = range(before, found + 1)
        self.check(found in wanted, f"{name}: {found} rows in the target, not {wanted}")
        epoch = f"epoch {job.open_epoch} of {job.open_rows} rows: " if job.open_epoch else ""
        state = "all of it" if found == whole else "nothing of it" if found == before else f"{found - before} rows of it"
        self.tell(name, f"killed; {epoch}{state + ' is in the target' if epoch else f'{found} rows in the target'}")
        self.base = found

    def chosen(self, name):
        return self.only in (None, name)

    def kill_everywhere(self):
        """Each point of a run, and of a recovery behind one that leaves an epoch waiting."""
        commit = {f"commit-{point}": left for point, left in COMMIT[self.kind].items()}
        before = STAGING.get(self.kind, []) + BEFORE_COMMIT
        run = [point for point in before + list(commit) if self.chosen(f"run:{point}")]
        recovery = [f"claim-{point}" for point in CLAIM[self.kind]] + list(commit) + ["sources"]
        recovery = [point for point in recovery if self.chosen(f"recovery:{point}")]
        if self.kind == "kafka" and not self.everything and self.only is None:  # a start takes two seconds
            recovery = self.rng.sample(recovery, len(recovery) // 2)
        waits = [point for point, left in commit.items() if left == OUT and not (self.kind == "dir" and point in DECIDED)]
        self.rng.shuffle(run)
        self.rng.shuffle(recovery)
        is_twice = False
        while run or recovery:
            point = run.pop() if run else self.rng.choice(waits)
            if not self.kill_at("run", point, self.rng.choice([1, 2, 3] if point in before else [1, 2])):
                return
            is_twice = is_twice != (point in waits)
            for _ in range(1 + is_twice):  # in the recovery, and in the recovery of that
                if not recovery or not (point in waits or point.startswith("claim-")):
                    break
                point = recovery.pop()
                if not self.kill_at("recovery", point):
                    return
        for point in CLAIM_DECIDED if self.kind == "dir" else []:
            if self.chosen(f"recovery:{point}") and self.kill_at("run", self.rng.choice(DECIDED)):
                self.kill_at("recovery", point)

    # ---- commit first ----

    def hold_recovery(self):
        """While the commit of what was restored stands still, nothing is read and no checkpoint is taken."""
        name = "recovery:commit-entered, held there"
        if not self.kill_at("run", "commit-entered"):
            return
        job = self.start("recovery:commit-entered:1:stop")
        line, _ = job.wait("at", "sources")
        time.sleep(1)
        _, _, completed, _ = job.status()
        early = [words for words in job.lines if words[0] in ("sources", "done")]
        self.check(line and line[0] == "at" and not early and completed == 0,
                   f"{name}: {line}, then {early}, {completed} checkpoints")
        job.tell("go")
        line, _ = job.wait("sources")
        if not self.check(line and line[0] == "sources" and job.done > 0, f"{name}: the sources were not begun with"):
            job.kill()
            return
        found = self.wait_for_count([int(line[1])])
        self.check(found == int(line[1]), f"{name}: {found} rows in the target, {line[1]} records restored")
        self.tell(name, f"no source and no checkpoint began meanwhile; then {job.done} epoch(s) committed, and the sources")
        job.kill()
        self.base = found

    # ---- readers of a topic ----

    def free_readers(self):
        """A transaction that a kill left open holds readers of committed records back, and the next start ends it."""
        name = "a transaction left open"
        if not self.kill_at("run", "commit-asked"):
            return
        ends, stable = self.target.ends("read_uncommitted"), self.target.ends("read_committed")
        self.check(any(a > b for a, b in zip(ends, stable)), f"{name}: no reader is held back, {stable} of {ends}")
        begin = time.monotonic()
        job = self.begin()
        if job is None:
            return
        while any(a > b for a, b in zip(ends, self.target.ends("read_committed"))) and time.monotonic() < begin + 2 * SECONDS:
            time.sleep(0.1)
        seconds = time.monotonic() - begin
        self.check(seconds < READERS_HELD_SECONDS_MAX, f"{name}: readers were held back for {seconds:.1f} s of the next start")
        self.tell(name, f"readers were free {seconds:.1f} s after the next start")
        self.settle(name)

    # ---- a target that is away, checkpoints that fail ----

    def settle(self, name):
        """Until all that waited is out, and more; then the job is killed, and what it says is out is there."""
        job, before = self.job, self.job.done
        came = job.until(lambda *_: job.done > before + EPOCHS_WAITING_MAX + 1)
        self.check(came, f"{name}: it did not catch up")
        job.kill()
        self.log.grows.clear()
        wanted = self.either(self.base + job.done_rows, self.base + job.done_rows + job.open_rows)
        found = self.wait_for_count(wanted)
        self.check(found in wanted, f"{name}: {found} rows in the target, not {wanted}")
        self.tell(name, f"caught up; {found - self.base} rows more in the target")
        self.base = found

    @staticmethod
    def held(job):
        """The status when the job has stopped to read a log that grows on; None: it never does."""
        before, end = None, time.monotonic() + SECONDS
        while time.monotonic() < end:
            after = job.status()
            if before and after[3] == before[3]:
                return after
            before = after
            time.sleep(0.5)
        return None

    def hold_back(self, is_killed, fails):
        """The target takes nothing: what waits grows to its bound, and the job reads no further. On the way there a
        checkpoint may fail. Then the target is back, or the job is killed with all that waiting."""
        name = "a target that is away" if self.target.kill else "a target that does not answer"
        name += ", a checkpoint that fails" * fails + ", killed" * is_killed
        job = self.begin(None if self.target.kill else "run:commit-entered:1:stop")
        if job is None:
            return
        if self.target.kill:
            self.target.kill()
        else:
            job.wait("at")
        if fails:
            self.check(job.until(lambda waiting, *_: waiting >= 2), f"{name}: nothing waits")
            job.tell("fail")
            self.check(job.until(lambda waiting, failed, *_: failed >= 1), f"{name}: no checkpoint failed")
        full = job.until(lambda waiting, *_: waiting > EPOCHS_WAITING_MAX)
        self.check(full, f"{name}: the bound was not reached, {job.waiting_most} epochs wait")
        after = self.held(job)
        self.check(after and after[0] <= EPOCHS_WAITING_MAX + 2, f"{name}: it read on, or more waits: {job.status()}")
        if is_killed:
            job.kill()
        self.log.grows.clear()
        if self.target.kill:
            self.target.restart()
        if is_killed:
            job = self.begin()
        else:
            self.log.grows.set()
            job.tell("go")
        if after:
            self.tell(name, f"{after[0]} epochs waited, {after[1]} checkpoints failed, held back at {after[3]} records")
        if job:
            self.settle(name)

    # ---- kills of the server ----

    def kill_server_at(self, phase, point):
        """The server is killed and started again while the job stands there, and goes on."""
        name = f"{phase}:{point}, the server killed"
        at = f"{phase}:{point}:1:stop"
        job = self.begin(at) if phase == "run" else self.start(at)
        if job is None:
            return
        line, place = job.wait("at", *([] if phase == "run" else ["sources"]))
        if not self.check(line and line[0] == "at", f"{name}: it was not passed"):
            job.kill()
            return
        self.log.grows.clear()
        self.target.kill()
        self.target.restart()
        self.log.grows.set()
        job.tell("go")
        if phase == "recovery":
            line, _ = job.wait("sources", after=place)
            found = self.wait_for_count([int(line[1])]) if line and line[0] == "sources" else None
            self.check(found is not None and found == int(line[1]), f"{name}: {line}, {found} rows in the target")
            if found is None:
                job.kill()
                return
            self.base = found - job.done_rows
            job.tell("go")
        self.kills["server"] += 1
        self.settle(name)

    def kill_servers(self):
        commit = [f"commit-{point}" for point in COMMIT[self.kind]]
        run = [("run", point) for point in commit]
        recovery = [("recovery", point) for point in commit + [f"claim-{point}" for point in CLAIM[self.kind]]]
        if not self.everything:
            run = [("run", self.rng.choice(["commit-sent", "commit-answered"]))]
            recovery = self.rng.sample(recovery, 0 if self.kind == "kafka" else 1)
        for phase, point in run + recovery:
            if phase == "recovery" and not self.kill_at("run", "commit-entered"):
                return
            self.kill_server_at(phase, point)

    # ---- the end ----

    def compare(self):
        """A bounded run to its end; then every record is out once, and in order."""
        self.log.finish()
        job = self.begin(None, "--bounded")
        if job is None:
            return
        line, _ = job.wait("end")
        job.end()
        self.check(line and job.process.returncode == 0, f"the bounded run ended with {job.process.returncode}")
        records, _ = blackbox.read_input(self.log.folder)
        wanted, found, last, disordered = collections.Counter(records), collections.Counter(), {}, 0
        for number, stream in enumerate(self.target.streams()):
            for partition, position, app in stream:
                found[partition, position, app] += 1
                place = number, partition, app
                disordered += last.get(place, -1) >= position
                last[place] = position
        lost, doubled = sum((wanted - found).values()), sum((found - wanted).values())
        self.check(not lost and not doubled and not disordered,
                   f"in the end: {lost} rows lost, {doubled} doubled, {disordered} out of order")
        self.tell("in the end", f"{len(records)} records, {self.starts} starts, killed " + ", ".join(
            f"{count} x {what}" for what, count in self.kills.items()) + f"; {lost} lost, {doubled} doubled, "
            f"{disordered} out of order")

    def live(self):
        self.log.start()
        self.kill_everywhere()
        if self.only is None:
            self.hold_recovery()
            if self.kind == "kafka":
                self.free_readers()
            turns = list(itertools.product([False, True], [False, True]))
            if self.target.kill and not self.everything:
                turns = [(True, True)] if self.kind == "kafka" else [(False, True), (True, False)]
            for is_killed, fails in turns:
                self.hold_back(is_killed, fails)
            if self.target.kill:
                self.kill_servers()
        self.compare()


def live_on(kind, options):
    begin = time.monotonic()
    chain = Chain(kind, options.seed, options.all, options.only)
    try:
        chain.live()
    except (AssertionError, OSError, RuntimeError, subprocess.SubprocessError) as error:
        chain.check(False, f"the test broke off: {error!r}")
    finally:
        if chain.job and chain.job.process.poll() is None:
            chain.job.kill()
        chain.target.close()
    if chain.checks.failures:
        print(f"  {kind}: its folder is {chain.folder}", flush=True)
    elif not options.keep:
        shutil.rmtree(chain.folder)
    print(f"  {kind}: {time.monotonic() - begin:.0f} s", flush=True)
    return chain.checks


def main():
    parser = argparse.ArgumentParser(description="kills a job at named points, and compares its target with its log")
    parser.add_argument("--sinks", default=",".join(TARGETS))
    parser.add_argument("--only", metavar="PHASE:POINT", help="only this kill")
    parser.add_argument("--all", action="store_true", help="servers too are killed at all points")
    parser.add_argument("--keep", action="store_true", help="keep all folders")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("WEIR_TEST_SEED", 0)) or time.time_ns() % 10**9)
    options = parser.parse_args()
    print(f"WEIR_TEST_SEED={options.seed}", flush=True)
    blackbox.end_on_sigterm()
    total = blackbox.Checks()
    with blackbox.Pool(len(TARGETS)) as pool:
        for future in [pool.submit(live_on, kind, options) for kind in options.sinks.split(",")]:
            checks = future.result()
            total.passed += checks.passed
            total.failures += checks.failures
    return total.verdict()


if __name__ == "__main__":
    sys.exit(main())
