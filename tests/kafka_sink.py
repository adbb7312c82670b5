#!/usr/bin/env python3
"""The Kafka sink against a real broker: jobs and broker killed again and again, and targets that are no good.

Usage: tests/kafka_sink.py [--cycles N] [--seed S] [--history I] [--part kills|bad] [--keep]

Starts a broker of its own (tools/servers/kafka.sh). Histories are those of kills.py: pv and seen over a growing log of
files, each start with another parallelism, killed with SIGKILL at random moments; here they write into topics, and the
broker is killed and restarted meanwhile. In the end a reader of committed records must find: of pv the right count of
every app, and each app's counts only growing; of seen every record's place once, and the places of one app in one file
in their order. Every message must have the key of its row.

Of the plain sink (--plain): what it sent after its checkpoint comes twice after a kill, and nothing else does.

The bad targets: no such topic, a message limit below a row, a password that is wrong, a marker that others have written,
one that the brokers forgot after a clean stop or after a kill. WEIR_LIBRDKAFKA names another librdkafka (kafka.py).
"""
import argparse
import collections
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import blackbox
import kafka_box
import kills

TOOL = os.path.join(blackbox.BUILD, "tests", "kafka_tool")
SERVER = os.path.join(blackbox.ROOT, "tools", "servers", "kafka.sh")


class Broker:
    """A broker in a folder of its own."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="weir-broker-")
        try:
            self.server("start", "--sasl")
        except BaseException:
            blackbox.run([SERVER, "kill", self.folder])
            raise
        self.address = "127.0.0.1:" + self.read("port")
        self.sasl_address = "127.0.0.1:" + self.read("port-sasl")

    def read(self, name):
        with open(os.path.join(self.folder, name), encoding="utf-8") as handle:
            return handle.read().strip()

    def server(self, word, *options):
        subprocess.run([SERVER, word, self.folder, *options], check=True, timeout=120)

    def tool(self, *words):
        done = subprocess.run([TOOL, words[0], self.address, *words[1:]], check=True, timeout=120, stdout=subprocess.PIPE)
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith(b"{")]

    def make_topic(self, topic, partitions, *configs):
        words = [word for config in configs for word in ("--config", config)]
        self.tool("create-topic", topic, "--partitions", str(partitions), *words)

    def count(self, topic):
        """How many records, with the markers of transactions: what grows when something is committed."""
        return sum(place["high"] for place in self.tool("offsets", topic, "-X", "isolation.level=read_committed"))

    def messages(self, topic):
        """All that readers of committed records see, as (partition, key, value), partition after partition."""
        found = []
        for record in sorted(self.tool("consume", topic), key=lambda record: (record["partition"], record["offset"])):
            value = record["value"]
            found.append((record["partition"], record["key"], None if value is None else json.loads(value)))
        return found


class Breaker(threading.Thread):
    """Kills the broker, and starts it again, until it is told to stop."""

    def __init__(self, broker, rng):
        super().__init__(daemon=True)
        self.broker, self.rng, self.count = broker, rng, 0
        self.stopped = threading.Event()

    def run(self):
        while not self.stopped.wait(2 + self.rng.random() * 8):
            self.broker.server("kill")
            self.count += 1
            self.stopped.wait(self.rng.random() * 3)
            self.broker.server("restart")

    def end(self):
        self.stopped.set()
        self.join()


def compare_pv(messages, records):
    """None, or what is wrong."""
    wanted = collections.Counter(app for _, _, app in records)
    found, places = {}, {}
    for partition, key, value in messages:
        if value is None or value["app_id"] != key:
            return f"a message with key {key!r} is {value}"
        if value["pv"] <= found.get(key, 0) or places.setdefault(key, partition) != partition:
            return f"{key!r} went from {found.get(key)} in partition {places[key]} to {value['pv']} in {partition}"
        found[key] = value["pv"]
    wrong = [app for app in wanted.keys() | found.keys() if wanted.get(app) != found.get(app)]
    return (f"{len(wrong)} apps of {len(wanted)} are wrong; {min(wrong)!r} is {found.get(min(wrong))} and should be "
            f"{wanted.get(min(wrong))}") if wrong else None


def compare_seen(messages, records):
    """None, or what is wrong."""
    found, last = collections.Counter(), {}
    for partition, key, value in messages:
        if value is None or value["app_id"] != key:
            return f"a message with key {key!r} is {value}"
        place = (partition, key, value["partition"])
        if last.get(place, -1) >= value["position"]:
            return f"{key!r} of {value['partition']}: {value['position']} came after {last[place]}"
        last[place] = value["position"]
        found[(value["partition"], value["position"], key)] += 1
    lost, doubled = collections.Counter(records) - found, found - collections.Counter(records)
    return f"{sum(lost.values())} rows lost, {sum(doubled.values())} doubled or wrong" if lost or doubled else None


class History(kills.History):
    """One job that writes into a topic."""
    stop_codes = (0, 4)

    again = "tests/kafka_sink.py"
    broker = None  # of all histories

    def __init__(self, seed, index, cycles, sink=None):
        super().__init__(seed, index, cycles, "sqlite")
        self.topic = f"{self.job}-{seed}-{index}"
        self.broker.make_topic(self.topic, self.rng.randint(1, 5))
        sink_at = self.command.index("--sink") + 1
        self.command[sink_at] = f"kafka://{self.broker.address}/{self.topic}"
        self.command += kafka_box.library_options()

    def moment(self):
        """A start takes longer here: the broker is asked, and may be away."""
        return super().moment() + self.rng.choice([0, 0.5, 2]) * self.rng.random()

    def rows_now(self):
        return 0

    def compare(self):
        records, bad = self.read_log()
        messages = self.broker.messages(self.topic)
        self.counts["records"] += len(records)
        self.counts["messages"] += len(messages)
        wrong = (compare_pv if self.job == "pv" else compare_seen)(messages, records)
        if not wrong and self.skips:
            wrong = blackbox.compare_dead_letters(self.letters, bad)
        return not wrong or self.fail(wrong)

    def run_again(self):
        """A finished job says so, and writes nothing."""
        self.append_after_the_end()
        before = self.broker.messages(self.topic)
        process = self.start()
        if self.pause(process, 60):
            return self.fail("a finished job that was started again did not end")
        if process.returncode != 0 or "came to its end in an earlier run" not in self.said():
            return self.fail(f"finished, started again: exit code {process.returncode}: {self.said()}")
        return before == self.broker.messages(self.topic) or self.fail("finished, started again: it wrote something")


def kill_all(broker, options):
    History.broker = broker
    breaker = Breaker(broker, random.Random(f"{options.seed}/breaker"))
    breaker.start()
    try:
        checks = kills.live_all(History, options.seed, options.cycles, options.keep, options.history)
    finally:
        breaker.end()
    print(f"  broker killed {breaker.count} times")
    return checks


# ---- targets that are no good ----

class Box(blackbox.Box):
    """A job over a small log into a topic."""

    def __init__(self, name, seed, broker, topic, *options):
        super().__init__(name, seed)
        os.mkdir(self.source)
        self.broker, self.topic, self.options = broker, topic, options
        self.write_log("p0.ndjson", [f'{{"app_id":"app{i % 50}"}}' for i in range(5000)])

    def write_log(self, name, lines):
        with open(os.path.join(self.source, name), "a", encoding="utf-8") as log:
            log.write("".join(line + "\n" for line in lines))

    def command(self, job="pv", *options):
        address = self.broker.sasl_address if "security.protocol=sasl_plaintext" in self.options else self.broker.address
        return [blackbox.program(job), "--source", self.source, "--sink", f"kafka://{address}/{self.topic}", "--state",
                self.state, "--parallelism", "2", *kafka_box.library_options(), *self.options, *options]

    def exact_topic(self, what, job="seen"):
        compare = compare_pv if job == "pv" else compare_seen
        wrong = compare(self.broker.messages(self.topic), self.read()[0])
        self.check(not wrong, f"{what}: {wrong}")


def missing_topic(broker, seed):
    box = Box("missing-topic", seed, broker, "nowhere")
    box.run(4, "there is no topic nowhere at .*make it first")
    return box


def wrong_password(broker, seed):
    settings = ["security.protocol=sasl_plaintext", "sasl.mechanism=PLAIN", "sasl.username=weir"]
    broker.make_topic("secret", 1)
    box = Box("wrong-password", seed, broker, "secret", *[word for each in settings for word in ("--kafka", each)])
    with open(box.path("password"), "w", encoding="ascii") as handle:
        handle.write("no such word\n")
    box.options = [*box.options, "--sink-option", "properties.sasl.password-file=" + box.path("password")]
    said = box.run(4, "does not let us write to topic secret: .*uthentication")
    box.check("no such word" not in said, "the password was told")
    shutil.copy(os.path.join(broker.folder, "password"), box.path("password"))
    said = box.run(0, "", job="seen")
    box.check(broker.read("password") not in said, "the password was told")
    box.exact_topic("with the right password")
    box.options[-1] = "properties.sasl.password=" + broker.read("password")
    said = box.run(2, "every user of this machine can read.*properties.sasl.password-file", job="seen")
    box.check(broker.read("password") not in said, "the password in sight was told")
    return box


def small_messages(broker, seed):
    """A topic that takes messages of 2,000 bytes: batches stay below that, and one row does not."""
    broker.make_topic("small", 2, "max.message.bytes=2000")
    box = Box("small-messages", seed, broker, "small")
    box.run(0, "", job="seen")
    box.exact_topic("rows that are small enough")
    first = box
    broker.make_topic("smaller", 2, "max.message.bytes=2000")
    box = Box("small-messages-2", seed, broker, "smaller")
    box.write_log("p1.ndjson", ['{"app_id":"%s"}' % ("x" * 1500)])
    box.run(4, "the message with key xxx.*max.message.bytes is 2000")
    box.run(4, "a message whose value has 1520 bytes is refused: Broker", "--kafka", "message.max.bytes=100000")
    box.check(not broker.messages("smaller"), "something of an epoch that was refused is in the topic")
    return join([first, box])


def marker_of_others(broker, seed):
    broker.make_topic("taken", 1)
    broker.tool("commit", "taken", "--group", "weir-pv-pv", "--offset", "7")
    box = Box("marker-of-others", seed, broker, "taken")
    box.run(4, "the committed offset of group weir-pv-pv .*was not written by weir")
    broker.tool("delete-group", "--group", "weir-pv-pv")
    return box


def forgotten_marker(broker, seed):
    """After a clean stop the job goes on; after a kill it does not. The prefix names the group."""
    broker.make_topic("forgotten", 3)
    box = Box("forgotten", seed, broker, "forgotten", "--sink-option", "sink.transactional-id-prefix=own")

    def has_marker():
        return any(each["committed"] >= 0 for each in broker.tool("offsets", "forgotten", "--group", "own-seen-seen"))

    for end in (box.stop, box.kill):
        process = box.start(job="seen")
        box.wait_for(lambda: len(blackbox.checkpoints(box.state)) > 1 and len(broker.messages("forgotten")) >= 5000
                     and has_marker(), "rows in the topic, and the marker", 40)
        end(process)
        broker.tool("delete-group", "--group", "own-seen-seen")
    box.run(3, "knows nothing of this job.*offsets.retention.minutes", job="seen")
    box.check("has forgotten the job's marker" in box.said(box.processes[1]), "the second start did not say so")
    box.exact_topic("a marker forgotten after a stop")
    return box


def mistakes(broker, seed):
    box = Box("mistakes", seed, broker, "any")
    for words, sentence in ((["--kafka", "acks=1"], "setting acks is not a user's to set"),
                            (["--kafka", "transactional.id=x"], "setting transactional.id is not a user's"),
                            (["--kafka", "batch.sise=1"], "did you mean \"batch.size\""),
                            (["--sink-option", "key.fields=app_id"], "leave key.fields out"),
                            (["--sink-option", "sink.prefix=x"], "sink.prefix")):
        box.run(2, sentence, *words)
    return box


def broker_away(broker, seed):
    """When the job starts, and when an epoch is to be committed: it is waited for, and nothing is lost or doubled."""
    broker.make_topic("away", 2)
    box = Box("away", seed, broker, "away", "--sink-option", "properties.transaction.timeout.ms=5000")
    broker.server("kill")
    process = box.start(job="seen")
    box.wait_for_words(process, r"WARN .*127\.0\.0\.1:\d+.*the job restarts in \d+ ms", 40)
    broker.server("restart")
    box.wait_for(lambda: len(broker.messages("away")) == 5000, "rows after the broker came", 60)
    broker.server("kill")
    box.write_log("p0.ndjson", ['{"app_id":"later"}'] * 10)
    box.wait_for_words(process, r"WARN sink seen: epoch \d+ could not be committed, it is tried again", 80)
    broker.server("restart")
    box.wait_for(lambda: len(broker.messages("away")) == 5010, "rows after the broker came again", 60)
    box.stop(process)
    box.exact_topic("a broker that was away twice")
    return box


def two_jobs(broker, seed):
    """Of one name on one topic: the second is refused, and the first goes on; by --fresh it takes over."""
    broker.make_topic("shared", 2)
    box = Box("two-jobs", seed, broker, "shared")
    first = box.start(job="seen")
    box.wait_for(lambda: broker.count("shared") > 0, "rows of the first job", 40)
    other = ["--state", box.path("state-2")]
    box.run(3, "the target of sink 'seen' holds output of an earlier run of job 'seen'.*--fresh", *other, job="seen")
    box.write_log("p0.ndjson", ['{"app_id":"later"}'] * 10)
    box.wait_for(lambda: len(broker.messages("shared")) == 5010, "the first job goes on", 40)
    box.exact_topic("the first of two jobs")
    box.run(0, "", "--fresh", *other, job="seen")
    box.write_log("p0.ndjson", ['{"app_id":"last"}'] * 10)
    box.ends(first, 3, "sink \"seen\": start \\d+ of job \"seen\" has taken over topic shared at .*only one run of a job can write",
             "the first job, whose topic was taken over")
    found = collections.Counter((value["position"]) for _, _, value in broker.messages("shared"))
    box.check(len(found) == 5010 and set(found.values()) == {2}, "two runs, each once")
    return box


def names_with_dashes(broker, seed):
    """Job a-b with sink c, and job a with sink b-c, have transactional ids and markers of their own."""
    broker.make_topic("dashes", 1)
    box = Box("dashes", seed, broker, "dashes")
    for turn, names in enumerate([("a-b", "c"), ("a", "b-c")] * 2):
        command = [word for word in box.command(os.path.join("..", "tests", "notes_job")) if word != "--bounded"]
        command[command.index("--state") + 1] = box.path("state-" + names[0])
        environment = dict(os.environ, NOTES_JOB=names[0], NOTES_SINK=names[1])
        box.write_log("p0.ndjson", ['{"note":"n"}'])
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        box.processes.append(process)
        process.log = os.devnull
        came = box.wait_for(lambda: len(broker.messages("dashes")) >= [5001, 10003, 10005, 10007][turn], "the rows", 40)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=40)[1].decode("utf-8", "replace")
        box.check(came and process.returncode == 0, f"job {names[0]}, sink {names[1]}: exit code {process.returncode}: {said}")
    found = collections.Counter(value["position"] for _, _, value in broker.messages("dashes"))
    box.check(len(found) == 5004 and sum(found.values()) == 10007, f"two jobs: {len(found)} places, {sum(found.values())} rows")
    return box


def plain(broker, seed):
    """The plain sink beside the exact one, each killed some commits after its checkpoint."""
    boxes = []
    for is_plain in (True, False):
        topic = "plain" if is_plain else "exact"
        broker.make_topic(topic, 2)
        box = Box(topic, seed, broker, topic)
        kills.seen_once_killed(box, is_plain, lambda box=box: broker.count(box.topic),
                               lambda box=box: [(value["partition"], value["position"])
                                                for _, _, value in broker.messages(box.topic)])
        boxes.append(box)
    return join(boxes)


def join(boxes):
    """The last box, with the checks of all; the others are closed."""
    for box in boxes[:-1]:
        box.close(False)
        boxes[-1].checks.passed += box.checks.passed
        boxes[-1].checks.failures += box.checks.failures
    return boxes[-1]


def bad_targets(broker, options):
    checks = blackbox.Checks()
    for case in (mistakes, missing_topic, wrong_password, small_messages, marker_of_others, forgotten_marker,
                 broker_away, two_jobs, names_with_dashes, plain):
        begin = time.monotonic()
        box = case(broker, options.seed)
        box.close(options.keep)
        checks.passed += box.checks.passed
        checks.failures += box.checks.failures
        print(f"  {case.__name__}: {time.monotonic() - begin:.1f} s", flush=True)
    return checks


def main():
    parser = argparse.ArgumentParser(description="the Kafka sink against a broker that is killed")
    parser.add_argument("--cycles", type=int, default=12, help="kills after a completed checkpoint, half of them of seen")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("WEIR_TEST_SEED", 0)) or time.time_ns() % 10**9)
    parser.add_argument("--history", type=int, help="only this one")
    parser.add_argument("--part", choices=["kills", "bad"], help="only this part")
    parser.add_argument("--keep", action="store_true", help="keep all folders")
    options = parser.parse_args()
    print(f"WEIR_TEST_SEED={options.seed}", flush=True)
    blackbox.end_on_sigterm()
    broker = Broker()
    try:
        both = [part(broker, options) for name, part in (("bad", bad_targets), ("kills", kill_all))
                if options.part in (None, name)]
    finally:
        broker.server("stop")
        if not options.keep:
            shutil.rmtree(broker.folder, ignore_errors=True)
    total = blackbox.Checks()
    total.passed = sum(checks.passed for checks in both)
    total.failures = [failure for checks in both for failure in checks.failures]
    return total.verdict()


if __name__ == "__main__":
    sys.exit(main())
