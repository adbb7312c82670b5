#!/usr/bin/env python3
"""Real jobs side by side for a long time under random faults: nothing lost, nothing doubled, and nothing that grows.

Usage: tests/soak.py [--minutes N] [--seed S] [--report FILE]

Four jobs: pv and seen, each from a Kafka topic and from partition files, into SQLite. Producers append steadily, over a
fixed set of keys. In the first 60 % of the time a fault comes every few seconds: a job is killed, frozen, or stopped, and
started again with another parallelism and checkpoint interval; the broker is killed or started anew; a partition is added
(files are added by the writer of kills.py). One of the topic's producers writes transactions, of which some are aborted.
The rest of the time is calm: what a process leaks while it lives is seen there. Then the jobs are stopped, run to the end
with --bounded, and each table is compared with the log.

Flat means, of the calm time, in which each job is one process at one parallelism: the median of the last quarter of the
samples is at most 1.05 times that of the second quarter, plus a constant (some pages that malloc keeps; no descriptor).
The seed decides the faults, not the timing. Folders of a run that failed are kept and named.
"""
import argparse
import collections
import contextlib
import os
import platform
import random
import shutil
import signal
import statistics
import sys
import time

import blackbox
import kafka_box
import kills

APPS, RECORDS_PER_SECOND, PARTITIONS_MAX = 500, 300, 8
FAULTS_SHARE, SAMPLE_SECONDS = 0.6, 1
FACTOR = 1.05
MEASURES = {"memory": ("resident memory, KiB", 1024), "descriptors": ("open file descriptors", 0),
            "state": ("state folder, KiB", 64)}  # what it is, the constant
FAULTS = {"job killed": 8, "job frozen": 3, "job stopped by SIGTERM": 3, "broker killed": 1, "broker restarted": 1,
          "partition added": 1}  # and how often, beside each other


class Job(kills.History):
    """One of the four, on a log that others write."""

    interval_ms = 200, 2000

    def __init__(self, seed, index, broker, topic, folder):
        self.broker, self.topic, self.log_folder = broker, topic, folder
        super().__init__(seed, index, 0, "sqlite")
        self.name = f"{self.job} from {'Kafka' if broker else 'files'}"
        if broker:
            self.command += ["--kafka", "topic.metadata.refresh.interval.ms=300", "--kafka", f"group.id=soak-{index}"]
        self.samples = collections.defaultdict(list)  # of the calm time
        self.most = collections.Counter()  # of all the time
        self.lost_and_doubled = "not compared"

    def make_log(self):
        return self.broker.source(self.topic) if self.broker else self.log_folder

    def read_log(self):
        return self.broker.read(self.topic) if self.broker else blackbox.read_input(self.log_folder)

    def process(self):
        return self.processes[-1]

    def sample(self, is_calm):
        """A process that ends meanwhile has no sample."""
        seen = {"state": folder_bytes(self.state) // 1024}
        with contextlib.suppress(OSError, StopIteration):
            proc = f"/proc/{self.process().pid}"
            with open(proc + "/status", encoding="ascii") as status:
                memory = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
            descriptors = len(os.listdir(proc + "/fd"))
            seen.update(memory=memory, descriptors=descriptors)
        for measure, value in seen.items():
            self.most[measure] = max(self.most[measure], value)
            if is_calm:
                self.samples[measure].append(value)

    def goes_on(self):
        code = self.process().poll()
        return code is None or self.fail(f"ended by itself, exit code {code}: {self.said()}")

    def fault(self, kind):
        if kind == "job frozen":
            self.process().send_signal(signal.SIGSTOP)
            time.sleep(0.5 + self.rng.random() * 3)
            self.process().send_signal(signal.SIGCONT)
            return
        if kind == "job killed":
            self.kill(self.process())
        else:
            self.stop(self.process())
        if not self.failure and self.look():
            self.start()

    def finish(self):
        """To the end of the log; the table, and the folder."""
        if not (self.stop(self.process()) and self.run_bounded()):
            return False
        fine = self.compare()
        self.lost_and_doubled = "0 lost, 0 doubled" if fine else self.failure
        code, said = blackbox.run([blackbox.program("weir"), "check", self.state])
        return (code == 0 or self.fail(f"weir check: exit code {code}: {said}")) and fine

    def quarters(self, measure):
        """The medians of the four quarters of the samples."""
        samples = self.samples[measure]
        cuts = [len(samples) * i // 4 for i in range(5)]
        return [statistics.median(samples[a:b] or [0]) for a, b in zip(cuts, cuts[1:])]

    def is_flat(self, measure):
        medians = self.quarters(measure)
        return len(self.samples[measure]) >= 8 and medians[3] <= FACTOR * medians[1] + MEASURES[measure][1]


def folder_bytes(path):
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # checkpoints come and go
                total += os.lstat(os.path.join(folder, name)).st_size
    return total


class TopicWriter:
    """A plain producer and one with transactions. One that gave up while the broker was away is started again: what counts
    is what the topic holds."""

    def __init__(self, rng, broker, topic):
        common = ["--count", 10**12, "--apps", APPS, "--keys"]
        self.rng, self.broker, self.topic, self.again = rng, broker, topic, 0
        self.arguments = [[*common, "--rate", RECORDS_PER_SECOND * 2 // 3],
                          [*common, "--rate", RECORDS_PER_SECOND // 3, "--transaction", 20, "--abort-every", 5]]
        self.processes = []

    def start(self):
        self.processes = [self.start_one(each) for each in self.arguments]

    def start_one(self, arguments):
        return self.broker.producer(self.topic, *arguments, "--seed", self.rng.randrange(10**9))

    def keep_up(self):
        for i, process in enumerate(self.processes):
            if process.poll() is not None:
                print("  a producer ended: " + process.communicate()[1].decode().strip(), flush=True)
                self.again += 1
                self.processes[i] = self.start_one(self.arguments[i])

    def finish(self):
        self.keep_up()
        for process in self.processes:
            self.broker.end_producer(process)

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()


class Soak:
    def __init__(self, seed, broker, folder):
        self.rng, self.broker, self.folder, self.topic = random.Random(f"{seed}/faults"), broker, folder, "soak"
        self.partitions, self.faults, self.aborted = 2, collections.Counter(), 0
        broker.tool("create-topic", self.topic, "--partitions", self.partitions)
        self.topic_writer = TopicWriter(random.Random(f"{seed}/topic"), broker, self.topic)
        self.file_writer = kills.Writer(random.Random(f"{seed}/files"), folder, False, APPS, RECORDS_PER_SECOND)
        self.files_at_first = len(self.file_writer.files)
        self.jobs = [Job(seed, i, broker if i < 2 else None, self.topic, folder) for i in range(4)]

    def fault(self):
        kind = self.rng.choices(list(FAULTS), FAULTS.values())[0]
        if kind == "partition added" and self.partitions == PARTITIONS_MAX:
            kind = "job killed"
        self.faults[kind] += 1
        if kind == "broker killed":
            self.broker.server("kill")
            time.sleep(self.rng.random() * 4)
            self.broker.server("restart")
        elif kind == "broker restarted":
            self.broker.server("restart")
        elif kind == "partition added":
            self.partitions += 1
            self.broker.tool("add-partitions", self.topic, "--partitions", self.partitions)
        else:
            self.rng.choice(self.jobs).fault(kind)

    def live(self, seconds):
        begin = next_fault = time.monotonic()
        self.topic_writer.start()
        self.file_writer.start()
        for job in self.jobs:
            job.start()
        while time.monotonic() < begin + seconds and all(job.goes_on() for job in self.jobs):
            time.sleep(SAMPLE_SECONDS)
            is_calm = time.monotonic() > begin + seconds * FAULTS_SHARE
            for job in self.jobs:
                job.sample(is_calm)
            self.topic_writer.keep_up()
            if next_fault < time.monotonic() and not is_calm:
                self.fault()
                next_fault = time.monotonic() + self.rng.random() * 6
        self.file_writer.finish()
        self.topic_writer.finish()
        all_of_it, committed = (len(self.broker.tool("consume", self.topic, "-X", f"isolation.level=read_{which}").splitlines())
                                for which in ("uncommitted", "committed"))
        self.aborted = all_of_it - committed
        return time.monotonic() - begin

    def judge(self, checks):
        for job in self.jobs:
            fine = not job.failure and job.finish()
            checks.check(fine, f"{job.name}: {job.failure}; its folder: {job.folder}")
            for measure, (what, _) in MEASURES.items():
                checks.check(job.is_flat(measure), f"{job.name}: {what} grows, medians of the quarters: {job.quarters(measure)}")

    def close(self, keep):
        self.file_writer.stopped.set()
        self.topic_writer.close()
        for job in self.jobs:
            job.close()
            if not keep:
                shutil.rmtree(job.folder)

    # ---- the report ----

    def rows(self):
        yield from ((f"fault: {kind}", self.faults[kind]) for kind in FAULTS)
        yield "files added by their writer", len(self.file_writer.files) - self.files_at_first
        yield "records of transactions that were aborted, in the topic", self.aborted
        yield "topic producers that gave up and were started again", self.topic_writer.again

    def report(self, seed, seconds, checks):
        lines = [f"# Soak of {time.strftime('%Y-%m-%d')}", "",
                 f"It ran {seconds / 60:.1f} minutes, with faults in the first {FAULTS_SHARE:.0%} of them; seed {seed}. Machine: "
                 f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}.", "",
                 f"**{checks.passed} passed, {len(checks.failures)} failed**", "", "| what was done | times |", "|---|---|"]
        lines += [f"| {name} | {count} |" for name, count in self.rows()]
        lines += ["", "A kill of a running job after a completed checkpoint makes what it read since that checkpoint be read again;",
                  "kills on the way to the end, in runs with `--bounded`, are among them. Each start draws another parallelism (1 to",
                  "3) and checkpoint interval.", "",
                  "| job | starts | kills | of them while running, after a checkpoint | records in the log | table against log |",
                  "|---|---|---|---|---|---|"]
        for job in self.jobs:
            again = job.kills[kills.PHASES[2]] + job.kills[kills.PHASES[3]]
            lines.append(f"| {job.name} | {job.starts} | {sum(job.kills.values())} | {again} | {job.counts['records']} | "
                         f"{job.lost_and_doubled.splitlines()[0]} |")
        lines += ["", "A sample was taken about every second. Flat, of the calm time after the faults: the median of the last quarter is at",
                  f"most {FACTOR} times that of the second, plus a constant.", "",
                  "| job | what | medians of the calm quarters | most, of all the time | constant | flat |",
                  "|---|---|---|---|---|---|"]
        for job in self.jobs:
            for measure, (what, constant) in MEASURES.items():
                lines.append(f"| {job.name} | {what} | {', '.join(f'{each:.0f}' for each in job.quarters(measure))} | "
                             f"{job.most[measure]} | {constant} | {'yes' if job.is_flat(measure) else 'NO'} |")
        if checks.failures:
            lines += ["", "What failed:", ""] + ["- " + each.splitlines()[0] for each in checks.failures]
        return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description="real jobs under random faults for a long time")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("WEIR_TEST_SEED", 0)) or time.time_ns() % 10**9)
    parser.add_argument("--report", default=os.path.join(blackbox.ROOT, "docs", "reliability", time.strftime("soak-%Y-%m-%d.md")))
    options = parser.parse_args()
    print(f"WEIR_TEST_SEED={options.seed}", flush=True)
    blackbox.end_on_sigterm()
    checks = blackbox.Checks()
    broker = kafka_box.Broker.start_new()
    soak, is_judged = None, False
    try:
        log = os.path.join(broker.folder, "partition-files")
        os.mkdir(log)
        soak = Soak(options.seed, broker, log)
        seconds = soak.live(options.minutes * 60)
        soak.judge(checks)
        is_judged = True
        with open(options.report, "w", encoding="utf-8") as handle:
            handle.write(soak.report(options.seed, seconds, checks))
        print(f"the report: {options.report}")
    finally:
        if soak:
            soak.close(keep=not is_judged or bool(checks.failures))
        broker.remove()
    return checks.verdict()


if __name__ == "__main__":
    sys.exit(main())
