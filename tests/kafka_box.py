"""What the black-box tests of Kafka share: a real broker, what lies in its topics, and histories whose log is a topic.

Nothing here knows how weir reads a topic: topics are made, filled and read back by tests/kafka_tool.c, over librdkafka.
"""
import contextlib
import ctypes
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import threading

import blackbox
import kills

SERVER = os.path.join(blackbox.ROOT, "tools", "servers", "kafka.sh")
TOOL = os.path.join(blackbox.BUILD, "tests", "kafka_tool")
CACHE = os.environ.get("WEIR_CACHE") or os.path.expanduser("~/.cache/weir")
NEWER = os.path.join(CACHE, "librdkafka-2.16.0", "librdkafka.so.1")  # by tools/install.sh librdkafka


def library_options():
    """What makes a job load another librdkafka than the system's: WEIR_LIBRDKAFKA names its file."""
    path = os.environ.get("WEIR_LIBRDKAFKA")
    return ["--kafka", "weir.librdkafka=" + path] if path else []


def library_version(path="librdkafka.so.1"):
    """Of the library, as (2, 6, 1)."""
    number = ctypes.CDLL(path).rd_kafka_version()
    return number >> 24, number >> 16 & 255, number >> 8 & 255


class Broker:
    """The broker of a folder. A process that did not start it may use it by the folder's name."""

    def __init__(self, folder):
        self.folder = folder

    @classmethod
    def start_new(cls, *options):
        code, said = blackbox.run([os.path.join(blackbox.ROOT, "tools", "install.sh"), "kafka"], 600)
        if code != 0:
            raise RuntimeError(f"tools/install.sh kafka: exit code {code}: {said}")
        broker = cls(tempfile.mkdtemp(prefix="weir-kafka-"))
        try:
            broker.server("start", *options)
        except BaseException:
            blackbox.run([SERVER, "kill", broker.folder])
            raise
        return broker

    def server(self, verb, *options):
        code, said = blackbox.run([SERVER, verb, self.folder, *options])
        if code != 0:
            raise RuntimeError(f"kafka.sh {verb}: exit code {code}: {said}")

    def remove(self):
        self.server("kill")
        shutil.rmtree(self.folder)

    def file(self, *names):
        return os.path.join(self.folder, *names)

    def address(self, port="port"):
        with open(self.file(port), encoding="ascii") as handle:
            return "127.0.0.1:" + handle.read().strip()

    def source(self, topic, port="port"):
        return f"kafka://{self.address(port)}/{topic}"

    def password(self):
        with open(self.file("password"), encoding="ascii") as handle:
            return handle.read().strip()

    # ---- kafka_tool ----

    def tool(self, command, *arguments, stdin=b"", port="port", timeout=120):
        """Its standard output."""
        done = subprocess.run([TOOL, command, self.address(port), *map(str, arguments)], input=stdin, timeout=timeout,
                              capture_output=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"kafka_tool {command} {arguments}: exit code {done.returncode}: {done.stderr.decode()}")
        return done.stdout

    def producer(self, topic, *arguments):
        """A producer in the background, which ends cleanly on SIGTERM."""
        return subprocess.Popen([TOOL, "produce", self.address(), topic, *map(str, arguments)], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    @staticmethod
    def end_producer(process):
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=120)
        if process.returncode != 0:
            raise RuntimeError(f"a producer failed: {err.decode()}")
        done = json.loads(out)
        if done["sent"] != done["delivered"]:
            raise RuntimeError(f"a producer lost records of its own: {done}")
        return done["sent"]

    def offsets(self, topic, *arguments):
        """[{partition, low, high, committed}]"""
        return [json.loads(line) for line in self.tool("offsets", topic, *arguments).splitlines()]

    def read(self, topic, below=None):
        """What blackbox.read_input says of a folder: the committed records, and the bad ones; at most those whose offset
        is below the one that `below` has for their partition."""
        records, bad = [], []
        for text in self.tool("consume", topic).split(b"\n"):
            if not text:
                continue
            record = json.loads(text.decode("utf-8", "surrogateescape"))
            partition, offset, value = record["partition"], record["offset"], record["value"]
            if below is not None and offset >= below.get(partition, 0):
                continue
            line = b"" if value is None else value.encode("utf-8", "surrogateescape")
            app = None if value is None else blackbox.read_record(line)
            if app is None:
                bad.append(blackbox.Bad(str(partition), offset, None, line))
            else:
                records.append((str(partition), offset, app))
        return records, bad


class Writer:
    """Producers that append to a topic until they are told to stop: a plain one, and often one with transactions, of which
    some are aborted. A partition may be added meanwhile."""

    def __init__(self, rng, broker, topic, partitions, with_bad):
        self.broker, self.topic, self.partitions = broker, topic, partitions
        self.processes, self.adder = [], None
        apps, rate = rng.choice([3, 500, 20000]), rng.choice([1000, 5000, 20000])
        common = ["--count", 10**12, "--apps", apps, *rng.choice([[], ["--keys"], ["--keys", "--headers"]])]
        if with_bad:
            common += ["--tombstone-every", 301, "--empty-every", 203]
        self.producers = [[*common, "--rate", rate, "--seed", rng.randrange(10**9)]]
        if rng.random() < 0.7:
            self.producers.append([*common, "--rate", rate // 2 + 1, "--seed", rng.randrange(10**9), "--transaction",
                                   rng.choice([1, 20, 500]), "--abort-every", rng.choice([2, 5]), "--transactional-id", topic])
        self.bad_lines = b"\n".join(kills.BAD_LINES) + b"\n" if with_bad else b""
        self.add_after_s = rng.random() * 3 if rng.random() < 0.6 else None

    def start(self):
        self.processes += [self.broker.producer(self.topic, *arguments) for arguments in self.producers]
        if self.bad_lines:
            self.broker.tool("produce", self.topic, stdin=self.bad_lines)
        if self.add_after_s is not None:
            self.adder = threading.Timer(self.add_after_s, self.broker.tool,
                                         ("add-partitions", self.topic, "--partitions", self.partitions + 1))
            self.adder.start()

    def finish(self):
        if self.adder is not None:
            self.adder.join()
        for process in self.processes:
            self.broker.end_producer(process)


class History(kills.History):
    """A history of kills.py, whose log is a topic of 1, 2 or 5 partitions. WEIR_KAFKA_DIR is the broker's folder."""

    again = "tests/kafka.py --only histories"

    def __init__(self, seed, index, cycles, sink=None):
        self.broker = Broker(os.environ["WEIR_KAFKA_DIR"])
        self.partitions = [1, 2, 5][index // 2 % 3]
        super().__init__(seed, index, cycles, sink)
        self.command += ["--kafka", "topic.metadata.refresh.interval.ms=300", "--kafka", f"group.id=history-{index}",
                         *library_options()]

    def make_log(self):
        self.topic = f"history-{self.index}"
        with contextlib.suppress(RuntimeError):  # of an earlier turn
            self.broker.tool("delete-topic", self.topic)
        self.broker.tool("create-topic", self.topic, "--partitions", self.partitions)
        return self.broker.source(self.topic)

    def make_writer(self):
        self.writer = Writer(random.Random(f"{self.seed}/{self.index}/writer"), self.broker, self.topic, self.partitions,
                             self.skips)
        return self.writer

    def read_log(self):
        self.counts["partitions added"] += self.writer.adder is not None
        self.counts["with transactions"] += len(self.writer.producers) > 1
        return self.broker.read(self.topic)

    def append_after_the_end(self):
        self.broker.tool("produce", self.topic, "--count", 10)

    def close(self):
        super().close()
        for process in self.writer.processes:
            if process.poll() is None:
                process.kill()
                process.wait()


class Box(blackbox.Box):
    """A folder for one case, whose log is a topic of the same name."""

    def __init__(self, name, seed, broker):
        super().__init__(name, seed)
        self.broker, self.topic, self.producers = broker, name, []
        self.source = broker.source(self.topic)

    def command(self, job="pv", *options):
        own = [] if any(str(option).startswith("weir.librdkafka=") for option in options) else library_options()
        return super().command(job, *own, *options)

    def create(self, partitions=1, *configs, topic=None):
        pairs = [word for config in configs for word in ("--config", config)]
        self.broker.tool("create-topic", topic or self.topic, "--partitions", partitions, *pairs)

    def produce(self, count, *arguments, topic=None):
        """Page views, another seed each time."""
        self.broker.tool("produce", topic or self.topic, "--count", count, "--seed", self.rng.randrange(10**9), *arguments)

    def send(self, text, *arguments):
        """A record for each line."""
        self.broker.tool("produce", self.topic, *arguments, stdin=text)

    def start_producer(self, *arguments):
        process = self.broker.producer(self.topic, *arguments)
        self.producers.append(process)
        return process

    def join(self, group, *arguments):
        """A member of a consumer group, until it is killed."""
        process = subprocess.Popen([TOOL, "join", self.broker.address(), self.topic, "--group", group, *arguments],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.producers.append(process)
        self.check(process.stdout.readline() == b"joined\n", f"nobody joined group {group}")
        return process

    def read(self):
        return self.broker.read(self.topic)

    def rows(self, job="pv"):
        query = "SELECT coalesce(sum(pv), 0) FROM pv" if job == "pv" else "SELECT count(*) FROM seen"
        return (blackbox.read_rows(self.database, query) or [(0,)])[0][0]

    def another(self, name):
        """The job's folder and table are new ones from now on."""
        self.state, self.database = self.path("state-" + name), self.path(name + ".db")
        self.letters = os.path.join(self.state, "dead-letter.ndjson")

    def close(self, keep):
        for process in self.producers:
            if process.poll() is None:
                process.kill()
                process.communicate()
        super().close(keep)
