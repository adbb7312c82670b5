#!/usr/bin/env python3
"""weir on a real Kafka broker, from outside: kills of the job and of the broker, partitions that come, transactions of
others, holes, bad records, and all that a broker may refuse.

Usage: tests/kafka.py [--all] [--cycles N] [--seed S] [--history I] [--keep] [--only NAME]...

WEIR_LIBRDKAFKA=FILE: the jobs load this librdkafka in place of the system's; tools/install.sh librdkafka fetches a newer one.
One broker serves all; tools/install.sh kafka fetches it. The histories are those of kills.py with a topic for a log. Each
other case is a function below: it runs the examples as a person would and compares tables with what kafka_tool reads from
the topic. Cases that stop the broker run last, one by one. --all has more cycles, and the cases that take long.
"""
import argparse
import contextlib
import io
import json
import os
import re
import subprocess
import sys
import time
import traceback

import blackbox
import kafka_box
import kills

CASES = {}
HISTORIES = "histories"
CYCLES, CYCLES_ALL = 24, 200
BELIEVED_S = 45  # a broker's no is believed 10 s after it was heard first


def case(alone=False, long=False):
    """alone: it stops the broker; long: for --all."""
    def keep(function):
        CASES[function.__name__] = (function, alone, long)
        return function
    return keep


def watermarks(box):
    return {each["partition"]: each["high"] for each in box.broker.offsets(box.topic)}


# ---- reading ----

@case()
def one_partition_both_modes(box):
    """One channel has nothing to align: at-least-once counts exactly, too, though it is killed."""
    box.create(1)
    box.produce(3000)
    for mode in ("exactly-once", "at-least-once"):
        box.another(mode)
        for _ in range(3):
            process = box.start("--mode", mode, "--parallelism", "1")
            before = blackbox.checkpoints(box.state)
            box.wait_for(lambda: len(set(blackbox.checkpoints(box.state)) - set(before)) > 0, "a checkpoint")
            box.produce(1000)
            box.kill(process)
        box.run(0, "", "--mode", mode, "--parallelism", "1", what=f"{mode}, to its end")
        box.exact(mode)


@case()
def compacted_with_tombstones(box):
    """Holes by compaction, empty partitions, keys, headers, records without a value or with an empty one."""
    box.create(3, "cleanup.policy=compact", "segment.ms=200", "min.cleanable.dirty.ratio=0.01", "delete.retention.ms=600000")
    for _ in range(4):
        box.produce(500, "--partition", 1, "--keys", "--headers", "--apps", 40, "--tombstone-every", 90, "--empty-every", 70)
        time.sleep(0.3)  # so that a segment ends
    box.wait_for(lambda: len(sum(box.read(), [])) < 1500, "compaction", 40)
    records, bad = box.read()
    box.check(any(each.line == b"" for each in bad), "no tombstone is left to be read")
    box.check(max(position for _, position, _ in records) + 1 > len(records) + len(bad), "compaction made no holes")
    box.run(1, rf"topic {box.topic}, partition 1, offset [0-9]+: (not JSON: the record is empty|a tombstone)")
    for job in ("pv", "seen"):
        box.another(job)
        box.run(0, "", "--on-error", "skip", job=job)
        box.exact(f"{job}, bad records skipped", job, skips=True)


@case()
def bad_records(box):
    """Each is named by its place; skipped, each is one dead letter."""
    box.create(2, "max.message.bytes=40000000")
    for text, words in ((b'nonsense', "not JSON"), (b'', "the record is empty"), (b'{"app_id":7}', "app_id"),
                        (b'{"app_id":"\xff"}', "UTF-8"), (b'{"n":1}', "app_id")):
        box.send(b'{"app_id":"good"}\n' * 3 + text + b"\n", "--partition", 1)
        place = box.broker.offsets(box.topic)[1]["high"] - 1
        box.run(1, rf"topic {box.topic}, partition 1, offset {place}: .*{words}", what=text.decode("utf-8", "replace"))
        box.broker.tool("delete-records", box.topic, "--partition", 1, "--offset", place + 1)
        box.another(str(place))
    box.send(b'{"app_id":"big","pad":"' + b"x" * blackbox.RECORD_BYTES_MAX + b'"}\n{"app_id":"after"}\n', "--partition", 1)
    box.run(1, rf"topic {box.topic}, partition 1, offset [0-9]+: .*16", what="a record over 16 MiB")
    box.send(b"\n".join(kills.BAD_LINES) + b"\n")
    for job in ("pv", "seen"):
        box.another(job)
        box.run(0, "", "--on-error", "skip", job=job)
        box.exact(f"{job}, bad records skipped", job, skips=True)


@case()
def transactions_of_others(box):
    """Only what was committed counts, unless it is asked for otherwise."""
    box.create(2)
    box.produce(2000, "--transaction", 10, "--abort-every", 3)
    box.run(0, "", job="seen")
    box.exact("read_committed is the default", "seen")
    box.another("uncommitted")
    box.run(0, "", "--kafka", "isolation.level=read_uncommitted", job="seen")
    box.check(box.rows("seen") == 2000, f"read_uncommitted: {box.rows('seen')} rows of 2000")


# ---- bounded ----

@case()
def bounded_ends_at_its_first_start(box):
    """Killed and started again it still ends where the first start saw the end."""
    box.create(2)
    box.produce(100)
    for turn in range(6):
        box.produce(300000)
        box.another(str(turn))
        stops = watermarks(box)
        process = box.start("--bounded", job="seen", interval="20ms")
        box.wait_for(lambda: blackbox.checkpoints(box.state) or process.poll() is not None, "a checkpoint")
        box.kill(process)
        box.produce(1000)
        box.run(0, "", job="seen")
        if process.returncode != 0:  # else it had ended before it could be killed
            break
    records, _ = box.broker.read(box.topic, stops)
    wrong = blackbox.compare_seen(box.database, records)
    box.check(not wrong, f"to the end that the first start saw: {wrong}")
    with box.unchanged("a finished job"):
        box.run(0, "came to its end in an earlier run", job="seen", what="again")


@case()
def bounded_ends_behind_an_aborted_tail(box):
    """The last records never count, and there is nothing behind them; then those of a transaction that nobody ends."""
    box.create(1)
    box.produce(1000)
    box.produce(50, "--transaction", 10, "--abort-every", 1)
    box.run(0, "", job="seen", what="an aborted tail")
    box.exact("an aborted tail", "seen")
    high = watermarks(box)[0]
    said = box.path("check.txt")
    with open(said, "wb") as out:
        subprocess.run([blackbox.program("weir"), "check", box.state], stdout=out, check=False)
    with open(said, encoding="utf-8", errors="replace") as text:
        box.check(re.search(rf"topic={box.topic} partition=0 position={high} stop={high} ended", text.read()),
                  f"weir check does not show position {high}, stop {high}; see {said}")
    process = box.start_producer("--count", 10, "--transaction", 10, "--transactional-id", "left", "--leave-open", "-X",
                                 "transaction.timeout.ms=4000")
    process.stdout.readline()
    process.kill()
    box.another("open")
    box.run(0, "", job="seen", what="an open transaction at the end")
    box.exact("an open transaction at the end", "seen")


# ---- offsets and groups ----

@case()
def offsets_are_shown_and_not_asked(box):
    """The group sees the offsets of completed checkpoints; what others do to the group moves nothing."""
    box.create(2)
    box.produce(1000)

    def shown(group):
        offsets = box.broker.offsets(box.topic, "--group", group)
        return all(each["committed"] == each["high"] for each in offsets)

    process = box.start()
    box.wait_for_rows(1000)
    box.wait_for(lambda: shown("weir-pv"), "the offsets of group weir-pv")
    box.stop(process)
    box.run(2, "", "--kafka", "group.id", what="a setting without a value")
    box.produce(500)
    process = box.start("--kafka", "group.id=mine")
    box.wait_for_rows(1500)
    box.wait_for(lambda: shown("mine"), "the offsets of group mine")
    box.kill(process)
    for partition in (0, 1):
        box.broker.tool("commit", box.topic, "--group", "mine", "--partition", partition, "--offset", 1)
    box.produce(100)
    process = box.start("--kafka", "group.id=mine")
    box.wait_for_rows(1600)
    box.kill(process)
    box.broker.tool("delete-group", "--group", "mine")
    box.produce(100)
    box.run(0, "", "--kafka", "group.id=mine")
    box.exact("after the group's offsets were moved, and gone")
    code, said = blackbox.run([blackbox.program("weir"), "check", box.state])
    box.check(code == 0, f"weir check: exit code {code}: {said}")


# ---- what a broker may refuse ----

SASL = ["--kafka", "security.protocol=sasl_plaintext", "--kafka", "sasl.username=weir"]
TLS = ["--kafka", "security.protocol=ssl"]


def wrong_password(box):
    with open(box.path("wrong"), "w", encoding="ascii") as handle:
        handle.write("wrong\n")
    return ["--kafka", "sasl.password-file=" + box.path("wrong")]


@case()
def passwords(box):
    """A password is in a file or in the environment; nothing shows it, and the command line must not have it."""
    box.create(1)
    box.produce(100)
    broker, way = box.broker, [*SASL, "--kafka", "sasl.mechanism=PLAIN"]
    box.source = broker.source(box.topic, "port-sasl")
    by_variable = [*way, "--source-option", "properties.sasl.password-env=WEIR_TEST_PASSWORD"]
    os.environ["WEIR_TEST_PASSWORD"] = broker.password()
    box.run(0, "", *by_variable, what="by the environment")
    box.exact("by the environment")
    del os.environ["WEIR_TEST_PASSWORD"]
    box.another("none")
    box.run(4, "no variable WEIR_TEST_PASSWORD, the setting sasl.password-env", *by_variable, what="no such variable")
    box.run(4, "setting sasl.password-file.*/nowhere/pw", *way, "--kafka", "sasl.password-file=/nowhere/pw", what="no such file")
    box.run(2, 'did you mean "sasl.password-file"', *way, "--kafka", "sasl.pasword-file=/pw", what="a word for it that is wrong")
    box.run(2, "sasl.password-(file|env) and sasl.password-(file|env) are given both", *way, "--kafka", "sasl.password-file=/pw",
            "--kafka", "sasl.password-env=PW", what="both")
    for option in ("--kafka", "--source-option"):
        said = box.run(2, "every user of this machine can read.*sasl.password-file or .*sasl.password-env", *way, option,
                       ("" if option == "--kafka" else "properties.") + "sasl.password=" + broker.password(), what="in sight")
        box.check(broker.password() not in said, "a password in sight is told")
    box.another("file")
    process = box.start(*way, "--kafka", "sasl.password-file=" + broker.file("password"))
    box.wait_for_rows(100)
    shown = subprocess.run(["ps", "-ewwo", "args"], capture_output=True, check=True).stdout.decode("utf-8", "replace")
    box.check(box.state in shown and broker.password() not in shown, "ps does not show the job, or shows the password")
    box.stop(process)
    kept = subprocess.run(["grep", "-rl", broker.password(), box.folder], capture_output=True, check=False)
    box.check(kept.stdout == b"", f"the password is in {kept.stdout}")


@case()
def password_of_a_key(box):
    """The private key of the client's certificate is locked, its password in a file."""
    box.create(1)
    box.produce(10)
    box.source = box.broker.source(box.topic, "port-tls")
    with open(box.path("word"), "w", encoding="ascii") as handle:
        handle.write("open sesame\n")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-passout", "file:" + box.path("word"), "-subj", "/CN=me",
                    "-keyout", box.path("key.pem"), "-out", box.path("me.pem")], check=True, capture_output=True)
    way = [*TLS, "--kafka", f"ssl.ca.location={box.broker.file('tls', 'ca.pem')}", "--kafka",
           "ssl.certificate.location=" + box.path("me.pem"), "--kafka", "ssl.key.location=" + box.path("key.pem")]
    box.run(0, "", *way, "--kafka", "ssl.key.password-file=" + box.path("word"), what="the right one")
    box.exact("a key that was unlocked")
    box.another("wrong")
    with open(box.path("other"), "w", encoding="ascii") as handle:
        handle.write("simsalabim\n")
    said = box.run(2, "librdkafka refuses its settings", *way, "--kafka", "ssl.key.password-file=" + box.path("other"),
                   what="a wrong one")
    box.check("simsalabim" not in said, "the password of a key is told")
    box.run(2, "every user of this machine", *way, "--kafka", "ssl.key.password=x", what="in sight")


@case()
def doors(box):
    """TLS and passwords that fit are let in."""
    box.create(1)
    box.produce(100)
    broker = box.broker
    word = ["--kafka", "sasl.password-file=" + broker.file("password")]
    ways = {"tls": ("port-tls", [*TLS, "--kafka", f"ssl.ca.location={broker.file('tls', 'ca.pem')}"]),
            "plain": ("port-sasl", [*SASL, *word, "--kafka", "sasl.mechanism=PLAIN"]),
            "both": ("port-sasl-tls", ["--kafka", "security.protocol=sasl_ssl", "--kafka", "sasl.mechanism=PLAIN", "--kafka",
                                       "sasl.username=weir", *word, "--kafka",
                                       f"ssl.ca.location={broker.file('tls', 'ca.pem')}"])}
    for name, (port, options) in ways.items():
        box.another(name)
        box.source = broker.source(box.topic, port)
        box.run(0, "", *options, what=name)
        box.exact(name)
        box.check(broker.password() not in box.said(box.start("--bounded", *options)), f"{name}: the password is told")


@case()
def scram(box):
    """By the system's library where it is new enough, else refused with the way out of it; by the newer one where it is."""
    box.create(1)
    box.produce(100)
    box.source = box.broker.source(box.topic, "port-sasl")
    password = ["--kafka", "sasl.password-file=" + box.broker.file("password")]
    system, newer = ["--kafka", "weir.librdkafka=librdkafka.so.1"], ["--kafka", "weir.librdkafka=" + kafka_box.NEWER]
    is_old, is_here, refused = kafka_box.library_version() < (2, 6, 1), os.path.exists(kafka_box.NEWER), []
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
        way = [*SASL, "--kafka", "sasl.mechanism=" + mechanism]
        box.another(mechanism + "-system")
        if is_old:
            refused.append((mechanism, True, box.start(*way, *password, *system)))
        else:
            box.run(0, "", *way, *password, *system, what=mechanism)
            box.exact(mechanism)
        if is_here:
            box.another(mechanism + "-wrong")
            refused.append((mechanism, False, box.start(*way, *wrong_password(box), *newer)))
    version = ".".join(map(str, kafka_box.library_version()))
    for mechanism, blamed, process in refused:
        remark = (f"librdkafka {version} cannot log in to Kafka 4 by SCRAM, 2.6.1 or newer can: the setting "
                  "weir.librdkafka=FILE names one: .*") if blamed else ""
        box.ends(process, 4, remark + "(?i:authenticat)", f"{mechanism}, {'an old library' if blamed else 'a wrong password'}",
                 BELIEVED_S)
        box.check(blamed or "weir.librdkafka" not in box.said(process), "the library is blamed for a wrong password")
    if not is_here:
        print("  left out: SCRAM by a newer librdkafka; tools/install.sh librdkafka fetches one")
        return
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
        box.another(mechanism + ("-system" if is_old else "-newer"))  # with the folder of the job that was refused
        box.run(0, "", *SASL, "--kafka", "sasl.mechanism=" + mechanism, *password, *newer, what=f"{mechanism}, newer")
        box.exact(mechanism)


@case()
def refusals(box):
    """A no that stays: exit 4 with the reason; with what was wrong mended, the same folder goes on. A broker that does not
    answer is waited for."""
    box.create(1)
    box.produce(10)
    broker, jobs = box.broker, {}
    mended = {}

    def begin(name, source, code, words, *options, then=None):
        box.another(name)
        box.source = source
        jobs[name] = (box.start(*options), code, words)
        mended[name] = (source, then)

    begin("a wrong password", broker.source(box.topic, "port-sasl"), 4, "(?i)authenticat", *SASL,
          *wrong_password(box), "--kafka", "sasl.mechanism=PLAIN",
          then=[*SASL, "--kafka", "sasl.password-file=" + broker.file("password"), "--kafka", "sasl.mechanism=PLAIN"])
    begin("a CA that is not the server's", broker.source(box.topic, "port-tls"), 4, "(?i)certificate", *TLS, "--kafka",
          f"ssl.ca.location={broker.file('tls', 'wrong-ca.pem')}",
          then=[*TLS, "--kafka", f"ssl.ca.location={broker.file('tls', 'ca.pem')}"])
    begin("plain words to a port of TLS", broker.source(box.topic, "port-tls"), 0, "no answer about topic")
    begin("no such topic", broker.source("no-such-topic"), 4, 'no topic "no-such-topic"')
    begin("nobody there", "kafka://127.0.0.1:1/views", 0, "no answer about topic views")
    begin("a name of no machine", "kafka://nobody.invalid:9092/views", 0, "no answer about topic views")
    for name, (process, code, words) in jobs.items():
        if code != 0:
            box.ends(process, code, words, name, BELIEVED_S)
        else:
            box.wait_for_words(process, words, BELIEVED_S)
            box.stop(process)
    for name, (source, then) in mended.items():
        if then is None:
            continue
        box.another(name)
        box.source = source
        box.run(0, "", *then, what=f"{name}, mended")
        box.exact(f"{name}, mended")


@case()
def debug_lines(box):
    """librdkafka's own lines come where they are asked for, and no password among them."""
    box.create(1)
    box.produce(10)
    box.source = box.broker.source(box.topic, "port-sasl")
    way = [*SASL, "--kafka", "sasl.password-file=" + box.broker.file("password"), "--kafka", "sasl.mechanism=PLAIN"]
    process = box.start("--bounded", *way, "--kafka", "debug=all")
    box.ends(process, 0, r"%7\|.*\|weir#consumer-[0-9]+\|.*FETCH", "debug=all")
    box.check(box.broker.password() not in box.said(process), "the password is among librdkafka's lines")
    box.another("without")
    said = box.run(0, "", *way, what="without debug")
    box.check("weir#consumer" not in said, f"librdkafka's lines come without being asked for: {said[-800:]}")


@case()
def options(box):
    """Settings and addresses that cannot be: exit 2 at once, and what was meant."""
    box.create(1)
    ask = [("security.protocl=ssl", 'no setting "security.protocl"; did you mean "security.protocol"'),
           ("isolation.level=sometimes", "isolation.level"), ("enable.auto.commit=true", "enable.auto.commit"),
           ("auto.offset.reset=latest", "auto.offset.reset"), ("=3", "KEY=VALUE"), ("acks=1", "a message counts when"),
           ("session.timeout.ms=9000", "no member of its group"), ("group.protocol=consumer", "no member of its group"),
           ("group.instance.id=me", "no member of its group"), ("statistics.interval.ms=1000", "the job's metrics"),
           ("transactional.id=mine", "the sink has its own"), ("ssl.key.pem=x", "ssl.key.location"),
           ("bootstrap.servers=x:1", "properties.bootstrap.servers. is given twice"), ("debug=everything", "debug"),
           ("weir.librdkafka=/nowhere/librdkafka.so", "/nowhere/librdkafka.so"),
           ("weir.librdkafka=libm.so.6", "has no function rd_kafka_")]
    for setting, words in ask:
        box.run(2, words, "--kafka", setting, what=setting)
    for option, words in (("scan.startup.mode=latest-offset", "is earliest-offset, not .latest-offset"),
                          ("scan.startup.mod=x", 'did you mean "scan.startup.mode"'), ("topic=x", "is given twice"),
                          ("scan.topic-partition-discovery.interval=0s", "from 1 to"),
                          ("properties.security.protocl=ssl", 'did you mean "security.protocol"')):
        box.run(2, words, "--source-option", option, what=option)
    for source in ("kafka://127.0.0.1:9092", "kafka://127.0.0.1:9092/", "kafka:views", "kafka:///views",
                   "kafka://127.0.0.1:9092/a b"):
        box.source = source
        box.run(2, "", what=source)
    box.source = box.broker.source(box.topic)
    box.run(2, "ssl.ca.location", *TLS, "--kafka", "ssl.ca.location=/nowhere/ca.pem", what="no such CA file")
    box.produce(10)
    box.run(0, "")
    box.exact("after all of them")


@case()
def topic_made_again(box):
    """With fewer records than were read: the job does not go on as if nothing had been."""
    box.create(1)
    box.produce(1000)
    process = box.start()
    box.wait_for_rows(1000)
    box.stop(process)
    box.broker.tool("delete-topic", box.topic)
    box.create(1)
    box.produce(10)
    box.ends(box.start(), 4, "ends at offset 10, but was read up to offset 1000", "a topic that was made again", BELIEVED_S)
    box.check(box.rows() == 1000, f"a topic that was made again: {box.rows()} rows in the table")


@case()
def topic_made_again_under_a_job(box):
    """The same while the job runs. The brokers' offsets say so as soon as the new topic is asked for the next record."""
    box.create(1)
    box.produce(1000)
    process = box.start("--kafka", "topic.metadata.refresh.interval.ms=500")
    box.wait_for_rows(1000)
    box.wait_for(lambda: blackbox.checkpoints(box.state), "a checkpoint")
    box.broker.tool("delete-topic", box.topic)
    box.create(1)
    box.produce(10)
    box.ends(process, 4, "ends at offset 10, but was read up to offset 1000", "a topic that was made again under a job",
             BELIEVED_S)
    box.check(box.rows() == 1000, f"a topic that was made again under a job: {box.rows()} rows in the table")


@case()
def topic_deleted_under_a_job(box):
    box.create(2)
    box.produce(1000)
    process = box.start("--kafka", "topic.metadata.refresh.interval.ms=500")
    box.wait_for_rows(1000)
    box.broker.tool("delete-topic", box.topic)
    box.ends(process, 4, f'no topic "{box.topic}"', "a topic that is deleted under a job", BELIEVED_S)


@case()
def removed_by_retention(box):
    """Records went before they were read: the range that is left is named."""
    box.create(1)
    box.produce(500)
    process = box.start(job="seen")
    box.wait_for_rows(500, "seen")
    box.stop(process)
    box.produce(500)
    box.broker.tool("delete-records", box.topic, "--offset", 700)
    box.ends(box.start(job="seen"), 4, "begins at offset 700 and ends at 1000, but was read only up to offset 500",
             "records gone by retention", BELIEVED_S)
    box.check(box.rows("seen") == 500, f"records gone by retention: {box.rows('seen')} rows in the table")
    box.another("again")
    box.run(0, "", job="seen", what="a new job begins at what is left")
    box.exact("what is left", "seen")


# ---- the broker itself ----

@case(alone=True)
def broker_away_at_the_start(box):
    box.create(1)
    box.produce(1000)
    box.broker.server("stop")
    process = box.start()
    box.wait_for_words(process, f"no answer about topic {box.topic}", 30)
    box.broker.server("start")
    box.wait_for_rows(1000, seconds=30)
    box.stop(process)
    box.exact("the broker came later")


@case(alone=True, long=True)
def broker_away_for_a_minute(box):
    """Nothing is lost, and the job says once in a while why it waits."""
    box.create(2)
    box.produce(1000)
    process = box.start()
    box.wait_for_rows(1000)
    box.broker.server("kill")
    time.sleep(60)
    box.check(process.poll() is None, f"the job ended when the broker was away: {box.said(process)[-800:]}")
    box.wait_for_words(process, f"topic {box.topic}: .*(refused|down|failed)", 1)
    lines = len(box.said(process).splitlines())
    box.check(lines < 40, f"{lines} lines were said about a broker that was away for a minute")
    box.broker.server("start")
    box.produce(500)
    box.wait_for_rows(1500, seconds=40)
    box.stop(process)
    box.exact("the broker was away for a minute")


def metrics_of(path):
    """What the file says of the Kafka source's tasks: their numbers added up, and its partitions by their number."""
    with contextlib.suppress(OSError), open(path, encoding="utf-8") as handle:
        tasks = [task for task in json.load(handle)["tasks"] if "partitions" in task]
        sums = {name: sum(task[name] for task in tasks) for name in ("pendingRecords", "commitsSucceeded", "commitsFailed")}
        return sums, {each["partition"]: each for task in tasks for each in task["partitions"]}
    return {}, {}


@case()
def metrics(box):
    """Offsets and lag, with Flink's names, against what the broker says."""
    box.create(2)
    box.produce(200000)
    path, highs, behind = box.path("metrics.json"), watermarks(box), []

    def is_read():
        sums, partitions = metrics_of(path)
        if sums.get("pendingRecords"):
            behind.append((sums, partitions))
        return len(partitions) == 2 and all(
            each["currentOffset"] == highs[number] - 1 and each["committedOffset"] == highs[number] and each["recordsLag"] == 0
            and each["topic"] == box.topic for number, each in partitions.items())

    process = box.start("--metrics-file", path, "--kafka", f"group.id={box.topic}")
    box.wait_for(is_read, f"the metrics of a topic that was read; they are {metrics_of(path)}")
    sums, _ = metrics_of(path)
    box.check(sums["pendingRecords"] == 0 and sums["commitsSucceeded"] > 0 and sums["commitsFailed"] == 0, f"{sums}")
    shown = {each["partition"]: each["committed"] for each in box.broker.offsets(box.topic, "--group", box.topic)}
    box.check(shown == highs, f"the group has {shown}, the topic ends at {highs}")
    box.check(behind, "no lag was seen while records were read")
    for sums, partitions in behind:
        lags = [each["recordsLag"] or 0 for each in partitions.values()]
        box.check(0 < sums["pendingRecords"] <= sum(highs.values()), f"{sums} of {highs}")
        box.check(all(0 <= lag <= highs[number] for number, lag in zip(partitions, lags)), f"{partitions} of {highs}")
    box.stop(process)
    os.remove(path)
    process = box.start("--metrics-file", path, "--kafka", f"group.id={box.topic}")  # it goes on there
    box.wait_for(lambda: all(each["currentOffset"] == highs[number] - 1 for number, each in metrics_of(path)[1].items())
                 and len(metrics_of(path)[1]) == 2, "the metrics of a job that goes on")
    box.stop(process)


@case()
def group_of_others(box):
    """A group with members takes no offsets from anybody else: that is counted and told, and no reason to stop; when the
    members are gone the newest are shown."""
    box.create(1)
    box.produce(1000)
    path = box.path("metrics.json")
    process = box.start("--metrics-file", path, "--kafka", f"group.id={box.topic}")
    box.wait_for(lambda: metrics_of(path)[0].get("commitsSucceeded"), "a commit")
    member = box.join(box.topic, "-X", "session.timeout.ms=6000")
    box.wait_for(lambda: metrics_of(path)[0].get("commitsFailed"), "a commit that failed")
    box.wait_for_words(process, "offsets could not be shown to group .*; the job does not need them", 5)
    box.produce(500)
    box.wait_for_rows(1500)
    sums, partitions = metrics_of(path)
    box.check(partitions[0]["committedOffset"] == 1000, f"{sums}, {partitions} while the group has members")
    box.kill(member)
    box.wait_for(lambda: metrics_of(path)[1][0]["committedOffset"] == 1500, "the newest offset in the metrics", 40)
    shown = [each["committed"] for each in box.broker.offsets(box.topic, "--group", box.topic)]
    box.check(shown == [1500], f"the group has {shown}")
    box.stop(process)
    box.exact("a group of others")


def broker_killed(box, turns, job):
    """The broker is killed under the job and its producers; at times the job is killed while there is none."""
    box.create(3)
    settings = ["--kafka", f"group.id={box.topic}"]
    writers = [box.start_producer("--count", 10**12, "--rate", 3000, "--seed", box.rng.randrange(10**9)),
               box.start_producer("--count", 10**12, "--rate", 1000, "--transaction", 50, "--abort-every", 4, "--keys",
                                  "--transactional-id", box.topic)]
    process = box.start(*settings, job=job)
    box.wait_for(lambda: box.rows(job) > 1000, "rows")
    for turn in range(turns):
        time.sleep(box.rng.random())
        box.broker.server("kill")
        time.sleep(box.rng.random() * 2)
        if turn % 2 == 1:
            box.kill(process)
            process = box.start(*settings, "--parallelism", str(box.rng.randint(1, 3)), job=job)
            time.sleep(box.rng.random())
        box.check(process.poll() is None, f"the job ended when the broker did: {box.said(process)[-800:]}")
        box.broker.server("start")
        before = box.rows(job)
        box.wait_for(lambda: box.rows(job) > before + 100, "rows after the broker came back", 40)
    for each in writers:
        box.broker.end_producer(each)
    box.kill(process)
    box.run(0, "", *settings, job=job)
    box.exact(f"{job}, broker killed {turns} times", job)


@case(alone=True)
def broker_killed_under_pv(box):
    broker_killed(box, 2, "pv")


@case(alone=True)
def broker_killed_under_seen(box):
    broker_killed(box, 2, "seen")


@case(alone=True, long=True)
def broker_killed_often(box):
    broker_killed(box, 12, "seen")


# ---- running ----

def live(name, seed, keep):
    """One case; (passed, failed). It prints as a whole, for others run at the same time."""
    out, begin = io.StringIO(), time.monotonic()
    with contextlib.redirect_stdout(out):
        box = kafka_box.Box(name, seed, kafka_box.Broker(os.environ["WEIR_KAFKA_DIR"]))
        try:
            CASES[name][0](box)
        except Exception:
            box.check(False, traceback.format_exc())
        box.close(keep)
        if box.checks.failures:
            print(f"  its folder: {box.folder}\n  again: tests/kafka.py --seed {seed} --only {name}")
    passed, failed = box.checks.passed, len(box.checks.failures)
    print(f"{name}: {passed} passed, {failed} failed ({time.monotonic() - begin:.1f} s)\n{out.getvalue()}", end="", flush=True)
    return passed, failed


def live_all(options, chosen):
    counts = []
    if HISTORIES in chosen:
        checks = kills.live_all(kafka_box.History, options.seed, options.cycles, options.keep, options.history)
        counts.append((checks.passed, len(checks.failures)))
    together = [name for name in chosen if name in CASES and not CASES[name][1]]
    with blackbox.Pool(4) as pool:  # most of them wait most of the time
        counts += [each.result() for each in [pool.submit(live, name, options.seed, options.keep) for name in together]]
    counts += [live(name, options.seed, options.keep) for name in chosen if name in CASES and CASES[name][1]]
    return counts


def main():
    parser = argparse.ArgumentParser(description="weir on a real Kafka broker")
    parser.add_argument("--all", action="store_true", help="more cycles, and the cases that take long")
    parser.add_argument("--cycles", type=int, help=f"kills after a completed checkpoint ({CYCLES}; with --all {CYCLES_ALL})")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("WEIR_TEST_SEED", 0)) or time.time_ns() % 10**9)
    parser.add_argument("--history", type=int, help="only this one of the histories")
    parser.add_argument("--keep", action="store_true", help="keep all folders")
    parser.add_argument("--only", action="append", metavar="NAME", help="only this: histories, " + ", ".join(CASES))
    options = parser.parse_args()
    for name in options.only or []:
        if name != HISTORIES and name not in CASES:
            parser.error(f"there is no case {name}")
    options.cycles = options.cycles or (CYCLES_ALL if options.all else CYCLES)
    print(f"WEIR_TEST_SEED={options.seed}", flush=True)
    blackbox.end_on_sigterm()
    broker = kafka_box.Broker.start_new("--tls", "--sasl")
    os.environ["WEIR_KAFKA_DIR"] = broker.folder
    try:
        counts = live_all(options, options.only or [HISTORIES] + [name for name, (_, _, long) in CASES.items()
                                                                  if options.all or not long])
    finally:
        broker.remove()
    passed, failed = (sum(column) for column in zip(*counts))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
