#!/usr/bin/env python3
"""Bad input, from outside: records, options, folders, targets, sources and disks that are not as they should be.

Usage: tests/bad_input.py [--seed S] [--keep] [CASE...]

Each case is a function below. It runs the examples as a person would, checks the exit code and the sentence, then that
nothing was lost: the cause is mended, the same command is run again, and the table must say what the files say. What a
case cannot do without root (a small disk, another user) it says and leaves out.
"""
import argparse
import collections
import contextlib
import ctypes
import fcntl
import io
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import traceback

import blackbox

CASES = {}
MIB = 1024 * 1024


def case(function):
    CASES[function.__name__] = function
    return function


def lines(count, first=0, apps=7):
    return b"".join(b'{"app_id":"app%d","n":%d}\n' % (i % apps, i) for i in range(first, first + count))


class Box(blackbox.Box):
    """A folder for one case, with a log of partition files."""

    def __init__(self, name, seed, parent=None):
        super().__init__(name, seed, parent)
        os.mkdir(self.source)

    def partition(self, name="p0"):
        return os.path.join(self.source, name + ".ndjson")

    def append(self, text, name="p0"):
        with open(self.partition(name), "ab") as handle:
            handle.write(text)

    # ---- a job with a past ----

    def live(self, job="pv", count=1000, idle_checkpoints=3):
        """A job that has counted `count` records in two goes, made checkpoints after them, and was killed."""
        self.append(lines(count // 2))
        process = self.start(job=job)
        self.wait_for_rows(count // 2, job)
        self.append(lines(count - count // 2, count), "p1")
        self.wait_for_rows(count, job)
        newest = blackbox.checkpoints(self.state)[-1]
        self.wait_for(lambda: blackbox.checkpoints(self.state)[-1] >= newest + idle_checkpoints, "more checkpoints")
        self.kill(process)

    def live_committed_newest(self, job="seen"):
        """A job that was killed when the output of its newest checkpoint was in the table, and no later one was made."""
        count = 500
        self.append(lines(count))
        for _ in range(5):
            process = self.start(job=job, interval="700ms")
            self.wait_for_rows(count, job)
            ids = blackbox.checkpoints(self.state)
            self.wait_for(lambda: blackbox.checkpoints(self.state)[-1] > ids[-1], "a checkpoint")
            self.append(lines(300, count))
            count += 300
            self.wait_for_rows(count, job)
            ids = blackbox.checkpoints(self.state)
            self.kill(process)
            if ids == blackbox.checkpoints(self.state):
                return
        self.check(False, "the machine is too slow to kill a job between two checkpoints")


def flip_bit(path, bit):
    with open(path, "r+b") as handle:
        handle.seek(bit // 8)
        byte = handle.read(1)[0]
        handle.seek(bit // 8)
        handle.write(bytes([byte ^ (1 << bit % 8)]))


def make_newer(path):
    """The same file as a later weir would write it: another version number, and the digest over that."""

    class Digest(ctypes.Structure):
        _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]

    xxhash = ctypes.CDLL("libxxhash.so.0")
    xxhash.XXH3_128bits.restype = Digest
    xxhash.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    with open(path, "rb") as handle:
        data = handle.read()
    data = data[:8] + (int.from_bytes(data[8:12], "little") + 1).to_bytes(4, "little") + data[12:-16]
    digest = xxhash.XXH3_128bits(data, len(data))
    with open(path, "wb") as handle:
        handle.write(data + digest.low.to_bytes(8, "little") + digest.high.to_bytes(8, "little"))


# ---- records ----

BAD_RECORDS = {
    "not JSON": (rb'{"app_id":"a",}', r'not JSON'),
    "cut short": (rb'{"app_id":"a"', r'not JSON'),
    "no JSON at all": (b"app1 17", r'not JSON'),
    "not UTF-8": (b'{"app_id":"\xff\xfe"}', r'not JSON.*UTF-8'),
    "two values": (b'{"app_id":"a"}{"app_id":"b"}', r'not JSON'),
    "not an object": (b'["app_id","a"]', r'not a JSON object'),
    "no app_id": (b'{"app":"a"}', r'app_id'),
    "app_id a number": (b'{"app_id":17}', r'another type.*app_id.*not a string'),
    "app_id null": (b'{"app_id":null}', r'app_id'),
    "app_id an object": (b'{"app_id":{"app_id":"a"}}', r'another type.*app_id.*not a string'),
    "the last app_id a number": (b'{"app_id":"a","app_id":1}', r'another type.*app_id.*not a string'),
    "a control character": (b'{"app_id":"a\x01"}', r'not JSON'),
}


@case
def a_bad_record_fails_the_job_and_is_skipped_on_demand(box):
    for name, (record, sentence) in BAD_RECORDS.items():
        each = Box(box.name, name)
        each.checks = box.checks
        head = lines(3) + b"\n  \n"
        each.append(head + record + b"\n" + lines(2, 3))
        each.append(lines(5, 100), "p1")
        start = re.escape(record.decode("utf-8", "replace")[:8])
        wanted = rf"p0\.ndjson: record 5 \(byte {len(head)}\b.*{sentence}.*{start}"
        each.run(1, wanted, what=name)
        each.run(1, wanted, what=name + ", started again")
        each.run(0, "", "--on-error", "skip", what=name + ", skipped")
        each.exact(name + ", skipped", skips=True)
        each.run(0, "came to its end", "--on-error", "skip", what=name + ", finished")
        each.exact(name + ", finished", skips=True)
        each.close(False)


@case
def a_bad_record_in_a_running_job(box):
    box.append(lines(2000))
    process = box.start(job="seen")
    box.wait_for_rows(2000, "seen")
    box.append(lines(3, 2000) + b'{"app_id":false}\n' + lines(4, 2003))
    box.ends(process, 1, r"p0\.ndjson: record 2003 \(byte \d+.*app_id", "a bad record comes")
    process = box.start("--on-error", "skip", job="seen")
    box.wait_for_rows(2007, "seen")
    box.append(b"[]\n" + lines(1, 3000))
    box.wait_for_rows(2008, "seen")
    box.kill(process)
    box.run(0, "", "--on-error", "skip", job="seen")
    box.exact("skipped from then on", job="seen", skips=True)


@case
def a_record_over_16_mib(box):
    whole = blackbox.RECORD_BYTES_MAX
    for length, is_good in ((whole, True), (whole + 1, False), (whole + 3 * MIB, False)):
        record = b'{"app_id":"big","pad":"'
        record += b"x" * (length - len(record) - 2) + b'"}'
        each = Box(box.name, length)
        each.checks = box.checks
        each.append(lines(2) + record + b"\n" + lines(2, 2))
        if is_good:
            each.run(0, "", what="16 MiB exactly")
        else:
            each.run(1, r'p0\.ndjson: record 2 \(byte \d+.*too long.*\{"app_id":"big"', what=f"{length} bytes")
            each.run(0, "", "--on-error", "skip", what=f"{length} bytes, skipped")
        each.exact(f"{length} bytes", skips=True)
        each.close(False)


@case
def a_dead_letter_file_of_its_own(box):
    letters = box.path("letters.ndjson")
    with open(letters, "w", encoding="utf-8") as handle:
        handle.write('{"from":"somebody else"}\n')
    box.append(b"bad\n" + lines(3))
    box.run(0, "", "--on-error", "skip", "--dead-letter", letters)
    with open(letters, encoding="utf-8") as handle:
        found = [json.loads(line) for line in handle]
    box.check(len(found) == 2 and found[1]["record"] == "bad" and found[1]["position"] == 0 and found[1]["byte"] == 0,
              f"lines of others stay in front: {found}")


@case
def skip_without_a_place_for_dead_letters(box):
    box.append(lines(3) + b"bad\n")
    for sink in ("print", "blackhole"):
        command = [blackbox.program("pv"), "--source", box.source, "--sink", sink, "--bounded", "--on-error", "skip"]
        box.expect(command, 2, r"no folder.*--dead-letter", f"skip to {sink} without a folder", cwd=box.folder)
        box.expect(command + ["--dead-letter", box.path(sink)], 0, "", f"skip to {sink} with --dead-letter")
        wrong = blackbox.compare_dead_letters(box.path(sink), blackbox.read_input(box.source)[1])
        box.check(not wrong, f"{sink}: {wrong}")
    box.check(not os.path.exists(box.path("weir-state")), "a job without a folder left one")
    box.run(4, r"no", "--on-error", "skip", "--dead-letter", box.path("no", "letters"), what="--dead-letter in no folder")
    box.run(4, r"is a folder", "--on-error", "skip", "--dead-letter", box.source, what="--dead-letter is a folder")
    box.run(0, "", "--on-error", "skip", what="--dead-letter mended")
    box.exact("--dead-letter mended", skips=True)


@case
def a_partial_last_line(box):
    """A writer was killed within a line: nothing is read of it until its newline comes; a bounded run takes it as it is."""
    box.append(lines(10) + b'{"app_id":"ap')
    process = box.start(job="seen")
    box.wait_for_rows(10, "seen")
    time.sleep(0.3)
    box.check(process.poll() is None, f"a partial line ended the job: {box.said(process)}")
    box.kill(process)
    process = box.start(job="seen")
    box.append(b'p1","n":1}\n{"app_id":"x')
    box.wait_for_rows(11, "seen")
    box.stop(process)
    box.run(1, r"p0\.ndjson: record 11 \(byte \d+.*not JSON", job="seen", what="bounded, and the last line is cut")
    box.run(0, "", "--on-error", "skip", job="seen", what="skipped")
    box.exact("a cut last line, skipped", job="seen", skips=True)


# ---- options ----

@case
def options_that_do_not_exist_or_have_bad_values(box):
    box.append(lines(3))
    good = {"--source": box.source, "--sink": "sqlite:" + box.database, "--state": box.state}

    def command(*more, without=None):
        kept = [text for name, value in good.items() if name != without for text in (name, value)]
        return [blackbox.program("pv"), *kept, "--bounded", *more]

    wrong = [
        (command("--paralelism", "2"), r"paralelism.*parallelism"), (command("--checkpoint-intervall", "1s"), r"interval"),
        (command("--bound"), r"bounded"), (command("--dead-leter=x"), r"dead-letter"), (command("--qwertyuiop"), r"--help|qwerty"),
        (command("--parallelism", "0"), r"parallelism"), (command("--parallelism", "-1"), r"parallelism"),
        (command("--parallelism", "two"), r"parallelism.*two"), (command("--parallelism", "99999999999999999999"), r"parallelism"),
        (command("--parallelism"), r"parallelism"), (command("--parallelism", ""), r"parallelism"),
        (command("--checkpoint-interval", "0ms"), r"checkpoint-interval"), (command("--checkpoint-interval", "5"), r"checkpoint-interval"),
        (command("--checkpoint-interval", "5 parsecs"), r"checkpoint-interval"), (command("--checkpoint-interval", "-1s"), r"checkpoint-interval"),
        (command("--mode", "maybe-once"), r"mode.*exactly-once"), (command("--on-error", "ignore"), r"on-error.*fail.*skip"),
        (command("--bounded=perhaps"), r"bounded"), (command("file.ndjson"), r"file\.ndjson"),
        (command("--sink", "mysql:x"), r"sqlite:FILE.*mysql"), (command("--sink", "sqlite:"), r"sqlite"),
        (command("--sink", "dir:"), r"dir:PATH"), 
        (command("--sink", "print", "--sink-option", "format=csv"), r"--sink-option.*dir:PATH"),
        (command("--sink-option", "format=csv"), r"the SQLite sink \"pv\" has no option \"format\"; it has path, table-name"),
        (command("--sink-option", "tablename=x"), r"did you mean \"table-name\""),
        (command("--sink-option", "path=other.db"), r"option \"path\" is given twice"),
        (command("--source-option", "scan.watermark.idle=1s"), r"did you mean \"scan.watermark.idle-timeout\""),
        (command("--source-option", "source.monitor-interval=5"), r"whole number and a unit.*not \"5\""),
        (command("--source-option", "format=csv"), r"\"format\" is json, not \"csv\""),
        (command("--source-option", "path=elsewhere"), r"option \"path\" is given twice"),
        (command("--source-option", "format"), r"--source-option is KEY=VALUE, not \"format\""),
        (command("--on-error", "skip", "--source-option", "json.ignore-parse-errors=false"), r"is given twice"),
        (command("--dead-letter", "x", "--source-option", "dead-letter.path=y"), r"is given twice"),
        (command("--sink-option", "password=x"), r"every user of this machine can read.*password-file or password-env"),
        (command("--plain"), r"--plain goes with postgresql:// or mysql://.*kafka://.*or dir:PATH, not with \"sqlite:"),
        (command("--plain", "--sink", "print"), r"--plain goes with .*, not with \"print\""),
        (command("--sink", "dir:out", "--sink-option", "sink.buffer-flush.interval=1s"), r"goes with --plain"),
        (command("--plain", "--sink", "dir:out", "--sink-option", "sink.buffer-flush.interval=0s"), r"from 1 to 3600000 ms"),
        (command("--sink", ""), r"sink"), (command("--source", ""), r"source"), (command("--state", ""), r"state"),
        (command(without="--source"), r"--?source"), (command(without="--sink"), r"--?sink"),
        (command("--accept-loss", "--accept-duplicates"), r"exclude each other"),
        (command("--state", "/" + "x" * 5000), r"longer than"),
    ]
    for each, sentence in wrong:
        box.expect(each, 2, sentence, " ".join(each[-2:])[:80])
    box.check(not os.path.exists(box.state) and not os.path.exists(box.database), "a wrong option left files")
    box.expect([blackbox.program("pv"), "--help"], 0, "", "--help")
    box.expect([blackbox.program("weir"), "chek"], 2, r"check", "weir chek")
    box.expect([blackbox.program("weir"), "check"], 2, r"folder", "weir check without a folder")
    box.expect([blackbox.program("weir"), "check", box.path("nowhere")], 2, r"nowhere", "weir check of nothing")


# ---- the job's folder ----

@case
def a_folder_in_use(box):
    box.append(lines(100))
    first = box.start()
    box.wait_for_rows(100)
    said = box.run(2, r"in use|another process", what="a second process")
    box.check(box.state in said, f"the sentence does not name the folder: {said}")
    first.send_signal(signal.SIGSTOP)
    box.run(2, r"in use|another process", what="a second process, and the first one is frozen")
    first.send_signal(signal.SIGCONT)
    box.expect([blackbox.program("weir"), "check", box.state], 0, "", "weir check beside a running job")
    box.append(lines(50, 100))
    box.wait_for_rows(150)
    box.kill(first)
    box.run(0, "")
    box.exact("after the first process was killed")


@case
def a_folder_of_another_job(box):
    box.live("pv")
    with box.unchanged("seen on the folder of pv"):
        box.run(3, r"belongs to job 'pv'.*'seen'", job="seen")
    os.mkdir(box.path("mine"))
    with open(box.path("mine", "letter.txt"), "w", encoding="utf-8") as handle:
        handle.write("dear diary\n")
    with box.unchanged("a folder with other files"):
        box.run(3, r"mine.*(not|other)", "--state", box.path("mine"), what="a folder with other files")
    box.check(os.listdir(box.path("mine")) == ["letter.txt"], f"a folder with other files has {os.listdir(box.path('mine'))}")
    box.run(3, r"out\.db is a file", "--state", box.database, what="the job's folder is a file")
    box.expect([blackbox.program("weir"), "check", box.path("mine")], 3, r"mine", "weir check of a folder with other files")
    box.run(0, "")
    box.exact("the right job")


@case
def a_newer_version(box):
    box.live()
    shutil.copytree(box.state, box.path("kept"))
    make_newer(os.path.join(box.state, "JOB"))
    with box.unchanged("JOB of a newer weir"):
        box.run(3, r"JOB.*newer weir.*version 2", what="JOB of a newer weir")
    shutil.rmtree(box.state)
    shutil.copytree(box.path("kept"), box.state)
    for id_ in blackbox.checkpoints(box.state):
        make_newer(os.path.join(box.state, f"chk-{id_}"))
    with box.unchanged("checkpoints of a newer weir"):
        box.run(3, r"chk-.*newer weir", what="checkpoints of a newer weir")
        box.expect([blackbox.program("weir"), "check", box.state], 3, r"newer", "weir check")
    shutil.rmtree(box.state)
    shutil.copytree(box.path("kept"), box.state)
    box.run(0, "")
    box.exact("with its own folder again")


@case
def a_damaged_folder(box):
    """One bit of any file, or its end, or the whole of it: found by weir check; and a start either refuses or is exact."""
    # Enough keys that state and epochs lie in files of their own.
    for i in range(2):
        box.append(lines(6000, 6000 * i, apps=5000), f"p{i}")
    process = box.start(job="pv")
    box.wait_for_rows(12000)
    box.append(lines(3000, 20000, apps=5000))
    box.wait_for_rows(15000)
    newest = blackbox.checkpoints(box.state)[-1]
    box.wait_for(lambda: blackbox.checkpoints(box.state)[-1] > newest + 2, "more checkpoints")
    box.kill(process)
    kept, kept_table = box.path("kept"), box.path("kept.db")
    shutil.copytree(box.state, kept)
    with sqlite3.connect(box.database) as table:
        table.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copyfile(box.database, kept_table)
    rows = blackbox.read_rows(box.database, "SELECT * FROM pv")
    counts = {"refused": 0, "exact": 0}
    for name in sorted(os.listdir(kept)):
        size = os.path.getsize(os.path.join(kept, name))
        if size == 0:
            continue
        is_named = None  # by a checkpoint; else it waits for its removal, and its damage is nobody's
        damages = [("gone", 0)] + [("bit", box.rng.randrange(size * 8)) for _ in range(12)] + [("bit", bit) for bit in (3, 67, size * 8 - 1)]
        damages += [("cut", length) for length in (0, 1, size // 2, size - 1)]
        damages.append(("longer", 0))
        for kind, where in damages:
            what = f"{name}: {kind} {where}"
            shutil.rmtree(box.state)
            shutil.copytree(kept, box.state)
            for end in ("", "-wal", "-shm"):
                if os.path.exists(box.database + end):
                    os.remove(box.database + end)
            shutil.copyfile(kept_table, box.database)
            path = os.path.join(box.state, name)
            if kind == "bit":
                flip_bit(path, where)
            elif kind == "cut":
                os.truncate(path, where)
            elif kind == "gone":
                os.remove(path)
            else:
                with open(path, "ab") as handle:
                    handle.write(b"\0")
            code, said = blackbox.run([blackbox.program("weir"), "check", box.state])
            if kind == "gone":
                is_named = code == 3 or name.startswith("chk-")
            else:
                box.check(code == (3 if is_named else 0), f"{what}: weir check: exit code {code}: {said}")
            code, said = blackbox.run(box.command("pv", "--bounded"))
            if code == 3:
                counts["refused"] += 1
                box.check(rows == blackbox.read_rows(box.database, "SELECT * FROM pv"), f"{what}: refused, and the table was changed")
                box.check(re.search(r"pv: .*(damaged|cannot be read|missing|--accept)", said), f"{what}: it said {said}")
            elif box.check(code == 0, f"{what}: exit code {code}: {said}"):
                counts["exact"] += 1
                box.exact(what)
    print(f"  {box.name}: {counts['refused']} damages refused, {counts['exact']} passed over and exact")
    box.check(counts["refused"] > 0 and counts["exact"] > 0, f"not both kinds of answers: {counts}")


@case
def all_checkpoints_damaged(box):
    box.live()
    for id_ in blackbox.checkpoints(box.state):
        flip_bit(os.path.join(box.state, f"chk-{id_}"), 400)
    with box.unchanged("all checkpoints are damaged"):
        box.run(3, r"no checkpoint in .* can be read.*--fresh", what="all checkpoints are damaged")
    said = box.run(0, r"moved|aside|old", "--fresh", what="--fresh")
    box.check([name for name in os.listdir(box.folder) if name.startswith("state.old")], f"the old folder is not kept: {said}")
    box.exact("begun anew with --fresh")


@case
def checkpoints_without_identity(box):
    box.live()
    os.remove(os.path.join(box.state, "JOB"))
    with box.unchanged("JOB is gone"):
        box.run(3, r"JOB", what="JOB is gone")
    box.run(0, "", "--fresh", what="--fresh")
    box.exact("begun anew")


@case
def the_newest_checkpoint_damaged(box):
    """Nothing newer was committed: an older one is taken. Output of it was committed: refused, with the options."""
    box.live("seen")
    flip_bit(box.newest(), 777)
    box.run(0, r"passed over", job="seen", what="the newest is damaged, nothing newer was committed")
    box.exact("fallen back", job="seen")


@case
def the_newest_checkpoint_damaged_and_committed(box):
    for option, doubled in ((None, 0), ("--accept-duplicates", None), ("--accept-loss", None)):
        each = Box(box.name, option)
        each.checks = box.checks
        each.live_committed_newest("seen")
        shutil.copyfile(each.newest(), each.path("kept"))
        newest = each.newest()
        flip_bit(newest, 1234)
        with each.unchanged("the newest is damaged, its output is committed"):
            each.run(3, r"holds output up to checkpoint.*--accept-duplicates or --accept-loss", job="seen",
                     what="the newest is damaged, its output is out")
        if option is None:
            shutil.copyfile(each.path("kept"), newest)
            each.run(0, "", job="seen", what="the checkpoint was put back")
            each.exact("the checkpoint was put back", job="seen")
        else:
            each.run(0, option, option, job="seen", what=option)
            wanted, found = set(blackbox.read_input(each.source)[0]), blackbox.read_rows(each.database, "SELECT * FROM seen")
            each.check(set(found) == wanted, f"{option}: rows lost")
            print(f"  {each.name}: {option}: {len(found)} rows of {len(wanted)} records")
            each.run(0, "came to its end", job="seen", what=option + ", run again")
        each.close(False)


@case
def the_newest_data_file_damaged(box):
    """As damaged metadata: refused where its output is out; where it is not, the checkpoint before it is taken."""
    count, kept = 0, box.path("kept.db")
    for _ in range(5):  # enough keys that state lies in files, and one checkpoint alone with all of the second half
        box.append(lines(6000, count, apps=5000))
        process = box.start(interval="700ms")
        box.wait_for_rows(count + 6000)
        newest = blackbox.checkpoints(box.state)[-1]
        box.wait_for(lambda: blackbox.checkpoints(box.state)[-1] > newest, "a checkpoint")
        with sqlite3.connect(box.database) as table, sqlite3.connect(kept) as copy:
            table.backup(copy)
        ids, names = blackbox.checkpoints(box.state), set(os.listdir(box.state))
        box.append(lines(3000, count + 6000, apps=5000))
        box.wait_for_rows(count + 9000)
        box.kill(process)
        count += 9000
        if [id_ for id_ in blackbox.checkpoints(box.state) if id_ > ids[-1]] == [ids[-1] + 1]:
            break
    else:
        box.check(False, "the machine is too slow to kill a job between two checkpoints")
    made = sorted(name for name in set(os.listdir(box.state)) - names if name.startswith("d-"))
    box.check(made, "the newest checkpoint has no file of its own")
    for name in made:
        path = os.path.join(box.state, name)
        flip_bit(path, box.rng.randrange(os.path.getsize(path) * 8))
    with box.unchanged("a data file of the newest is damaged, its output is committed"):
        box.run(3, r"holds output up to checkpoint.*--accept-duplicates or --accept-loss",
                what="a data file of the newest is damaged, its output is out")
    for end in ("", "-wal", "-shm"):
        if os.path.exists(box.database + end):
            os.remove(box.database + end)
    shutil.copyfile(kept, box.database)
    box.run(0, r"passed over.*damaged", what="a data file of the newest is damaged, nothing newer was committed")
    box.exact("fallen back from a damaged data file")


@case
def a_copy_of_the_folder_that_runs_too(box):
    """Two processes on two copies of a folder and one table: the later one takes over, the earlier one ends."""
    box.append(lines(500))
    first = box.start(job="seen")
    box.wait_for_rows(500, "seen")
    first.send_signal(signal.SIGSTOP)
    mine, copy = box.state, box.path("copy")
    shutil.copytree(mine, copy)
    box.state = copy
    second = box.start(job="seen")
    box.wait_for_words(second, "restored checkpoint|begins from")
    first.send_signal(signal.SIGCONT)
    box.append(lines(500, 500))
    box.ends(first, 3, r"start 2 of job .seen. has taken over", "the earlier process")
    box.wait_for_rows(1000, "seen")
    box.stop(second)
    box.state = mine
    with box.unchanged("the earlier folder"):
        box.run(3, r"later one than this folder knows|holds output up to", job="seen", what="the earlier folder, started again")
    box.state = copy
    box.run(0, "", job="seen", what="the folder that took over")
    box.exact("the folder that took over", job="seen")


# ---- the sink ----

@case
def a_table_that_is_older_or_empty(box):
    """The target was put back to an older copy, or is new: it lacks what was committed."""
    for kind in ("older", "empty", "another", "gone"):
        each = Box(box.name, kind)
        each.checks = box.checks
        each.append(lines(400))
        process = each.start(job="seen")
        each.wait_for_rows(400, "seen")
        each.kill(process)
        with sqlite3.connect(each.database) as source, sqlite3.connect(each.path("older.db")) as copy:
            source.backup(copy)
        each.append(lines(300, 400))
        process = each.start(job="seen")
        each.wait_for_rows(700, "seen")
        newest = blackbox.checkpoints(each.state)[-1]
        each.wait_for(lambda: blackbox.checkpoints(each.state)[-1] > newest + 2, "more checkpoints")
        each.kill(process)
        with sqlite3.connect(each.database) as source, sqlite3.connect(each.path("newer.db")) as copy:
            source.backup(copy)
        for end in ("", "-wal", "-shm"):
            if os.path.exists(each.database + end):
                os.remove(each.database + end)
        if kind == "older":
            shutil.copyfile(each.path("older.db"), each.database)
        elif kind == "empty":
            open(each.database, "w", encoding="utf-8").close()
        elif kind == "another":
            with sqlite3.connect(each.database) as other:
                other.execute("CREATE TABLE other(a)")
        with contextlib.nullcontext() if kind == "gone" else each.unchanged(kind):
            each.run(3, r"replaced or has lost data.*--accept-duplicates.*--accept-loss", job="seen", what=kind)
        shutil.copyfile(each.path("newer.db"), each.database)
        each.run(0, "", job="seen", what=kind + ", put back")
        each.exact(kind + ", put back", job="seen")
        each.close(False)


@case
def a_table_that_is_older_accepted(box):
    """--accept-duplicates and --accept-loss go on with an older table: what came after the checkpoint is there once."""
    for option in ("--accept-duplicates", "--accept-loss"):
        each = Box(box.name, option)
        each.checks = box.checks
        each.live("seen", count=600)
        os.remove(each.database)
        each.append(lines(200, 5000), "p2")
        each.run(0, option, option, job="seen", what=option)
        found = blackbox.read_rows(each.database, "SELECT partition, position, app_id FROM seen")
        new = [record for record in blackbox.read_input(each.source)[0] if record[0] == "p2.ndjson"]
        each.check(sorted(row for row in found if row[0] == "p2.ndjson") == sorted(new), f"{option}: new records: {len(found)}")
        each.check(len(found) == len(set(found)), f"{option}: doubled rows in a table that was empty")
        each.close(False)


@case
def a_table_replaced_while_the_job_runs(box):
    box.append(lines(300))
    process = box.start(job="seen")
    box.wait_for_rows(300, "seen")
    os.rename(box.database, box.path("kept.db"))
    for end in ("-wal", "-shm"):
        if os.path.exists(box.database + end):
            os.rename(box.database + end, box.path("kept.db" + end))
    open(box.database, "w", encoding="utf-8").close()
    box.append(lines(100, 300))
    box.ends(process, 3, r"out\.db was replaced while the job runs", "an empty file in its place")
    os.replace(box.path("kept.db"), box.database)
    for end in ("-wal", "-shm"):
        if os.path.exists(box.path("kept.db" + end)):
            os.replace(box.path("kept.db" + end), box.database + end)
    box.run(0, "", job="seen", what="put back")
    box.exact("put back", job="seen")


@case
def a_new_folder_onto_a_table_with_rows(box):
    box.live("pv")
    os.rename(box.state, box.path("lost"))
    before = blackbox.dump(box.database)
    box.run(3, r"earlier run of job 'pv'.*new folder.*--fresh", what="a new folder onto a table with rows")
    box.check(before == blackbox.dump(box.database), "refused, and the table was changed")
    box.run(3, r"--fresh", what="again")
    box.run(0, "", "--fresh", what="--fresh")
    box.exact("counted anew with --fresh")


@case
def fresh_deletes_nothing_in_a_table(box):
    box.append(lines(100))
    box.run(0, "", job="seen")
    box.run(0, "came to its end", job="seen")
    box.run(0, "", "--fresh", job="seen", what="--fresh")
    found = blackbox.read_rows(box.database, "SELECT count(*), count(DISTINCT position) FROM seen")[0]
    box.check(found == (200, 100), f"--fresh onto a table without a key: {found}")
    box.run(0, "came to its end", job="seen", what="again, without --fresh")


@case
def a_copy_of_the_folder_that_is_older(box):
    """The job's folder is put back to an older copy; the table is ahead of it."""
    box.append(lines(400))
    process = box.start(job="seen")
    box.wait_for_rows(400, "seen")
    box.kill(process)
    shutil.copytree(box.state, box.path("kept"))
    box.append(lines(400, 400))
    process = box.start(job="seen")
    box.wait_for_rows(800, "seen")
    box.kill(process)
    shutil.rmtree(box.state)
    shutil.copytree(box.path("kept"), box.state)
    with box.unchanged("an older copy of the folder"):
        box.run(3, r"holds output up to checkpoint|later one than this folder", job="seen", what="an older copy of the folder")


@case
def a_sink_that_cannot_be_opened(box):
    box.append(lines(10))

    def to(path):
        return [blackbox.program("pv"), "--source", box.source, "--sink", "sqlite:" + path, "--state", box.state, "--bounded"]

    box.expect(to(box.path("no", "out.db")), 4, r"no folder .*no", "the sink's folder is missing")
    box.expect(to(box.folder), 4, r"is a folder", "the sink is a folder")
    with open(box.path("text.db"), "w", encoding="utf-8") as handle:
        handle.write("this is no database, whatever its name says; it is a text of more than a hundred characters.\n" * 50)
    before = blackbox.fingerprint(box.path("text.db"))
    box.expect(to(box.path("text.db")), 4, r"text\.db is not an SQLite database", "no database")
    box.check(before == blackbox.fingerprint(box.path("text.db")), "a file that is no database was changed")
    for number, (table, mended) in enumerate([
            ("CREATE TABLE pv(app_id TEXT PRIMARY KEY)", "ALTER TABLE pv ADD COLUMN pv INTEGER"),
            ("CREATE TABLE pv(app_id TEXT, pv INTEGER)", "CREATE UNIQUE INDEX pv_app ON pv(app_id)"),
            ("CREATE TABLE pv(a, b, c)", "DROP TABLE pv"),
            ("CREATE VIEW pv AS SELECT 1 AS app_id, 2 AS pv", "DROP VIEW pv"),
            ("CREATE TABLE pv(app_id TEXT PRIMARY KEY, pv INTEGER, more TEXT NOT NULL)", "ALTER TABLE pv DROP COLUMN more")]):
        box.database, box.state = box.path(f"table{number}.db"), box.path(f"state{number}")
        with sqlite3.connect(box.database) as database:
            database.execute(table)
        box.run(4, r"pv", what=table)
        with sqlite3.connect(box.database) as database:
            database.execute(mended)
        box.run(0, "", what=mended)
        box.exact(mended)


@case
def a_constraint_of_the_table(box):
    """A table of the user's own with a rule that a row breaks: permanent, by name; nothing half written."""
    with sqlite3.connect(box.database) as database:
        database.execute("CREATE TABLE pv(app_id TEXT PRIMARY KEY, pv INTEGER CHECK(pv < 1000))")
    box.append(lines(900, apps=1))
    process = box.start()
    box.wait_for_rows(900)
    box.append(lines(900, 900, apps=1))
    box.ends(process, 4, r"out\.db.*CHECK", "a row breaks a rule of the table")
    with sqlite3.connect(box.database) as database:
        database.executescript("ALTER TABLE pv RENAME TO old; CREATE TABLE pv(app_id TEXT PRIMARY KEY, pv INTEGER);"
                               "INSERT INTO pv SELECT * FROM old; DROP TABLE old")
    box.run(0, "", what="without the rule")
    box.exact("without the rule")


@case
def a_locked_table(box):
    """Somebody holds the database: the job waits, says so, and goes on."""
    box.append(lines(100))
    process = box.start(job="seen")
    box.wait_for_rows(100, "seen")
    holder = sqlite3.connect(box.database, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    box.append(lines(100, 100))
    box.wait_for_words(process, r"WARN.*(locked|busy)")
    box.check(process.poll() is None, "a locked database ended the job")
    holder.execute("ROLLBACK")
    holder.close()
    box.wait_for_rows(200, "seen")
    box.kill(process)
    box.run(0, "", job="seen")
    box.exact("after a lock", job="seen")


# ---- the source ----

@case
def a_partition_that_shrank_vanished_or_was_replaced(box):
    def shrink(path):
        os.truncate(path, 300)

    def empty(path):
        os.truncate(path, 0)

    def vanish(path):
        os.rename(path, box.path("away"))

    def replace(path):
        os.rename(path, box.path("away"))
        with open(path, "wb") as handle:
            handle.write(lines(5000, 77777))

    def rename(path):
        os.rename(path, path.replace("p0", "p7"))

    def rewrite(path):
        with open(path, "r+b") as handle:
            handle.write(b'{"app_id":"appX"')

    changes = [(shrink, r"p0\.ndjson.*(shrank|bytes)"), (empty, r"p0\.ndjson"), (vanish, r"p0\.ndjson vanished"),
               (replace, r"p0\.ndjson.*(replaced|another)"), (rename, r"p0\.ndjson was renamed to p7\.ndjson"),
               (rewrite, r"p0\.ndjson")]
    for running in (False, True):
        for change, sentence in changes:
            what = f"{change.__name__}, {'running' if running else 'stopped'}"
            each = Box(box.name, what)
            each.checks = box.checks
            each.append(lines(600))
            each.append(lines(200, 600), "p1")
            process = each.start(job="seen")
            each.wait_for_rows(800, "seen")
            if not running:
                each.stop(process)
            shutil.copyfile(each.partition(), each.path("kept"))
            inode = each.path("inode")
            os.link(each.partition(), inode)
            change(each.partition())
            each.append(lines(50, 900), "p1")
            if running:
                each.ends(process, 4, sentence, what)
            else:
                rows = blackbox.read_rows(each.database, "SELECT * FROM seen")
                each.run(4, sentence, job="seen", what=what)
                each.check(rows == blackbox.read_rows(each.database, "SELECT * FROM seen"), what + ": the table was changed")
            for name in os.listdir(each.source):
                if name not in ("p1.ndjson",):
                    os.remove(os.path.join(each.source, name))
            if change in (vanish, rename, replace):
                os.link(inode, each.partition())
            else:
                shutil.copyfile(each.path("kept"), each.partition())
            each.run(0, "", job="seen", what=what + ", put back")
            each.exact(what + ", put back", job="seen")
            each.close(False)
            if os.path.exists(box.path("away")):
                os.remove(box.path("away"))


@case
def a_source_that_is_missing(box):
    def of(path):
        return [blackbox.program("pv"), "--source", path, "--sink", "sqlite:" + box.database, "--state", box.state, "--bounded"]

    box.expect(of(box.path("nowhere")), 4, r"nowhere", "the source's folder is missing")
    with open(box.path("file"), "w", encoding="utf-8") as handle:
        handle.write("x\n")
    box.expect(of(box.path("file")), 4, r"file", "the source's folder is a file")
    os.mkdir(os.path.join(box.source, "folder.ndjson"))
    box.append(lines(10))
    os.mkfifo(os.path.join(box.source, "pipe.ndjson"))
    with open(os.path.join(box.source, "notes.txt"), "w", encoding="utf-8") as handle:
        handle.write("not a partition\n")
    box.expect(of(box.source), 0, r"folder\.ndjson.*notes\.txt.*pipe\.ndjson", "what is not read is named", timeout=20)
    box.exact("what is not read")


@case
def names_of_partitions(box):
    names = ["a b", "\u00e9\u4e2d", "quo'te\"", "-x", "percent%s%n", "back\\slash", "x" * 240, "new\nline", "."]
    for number, name in enumerate(names):
        box.append(lines(10, number) + b"bad\n" + lines(3), name)
    process = box.start("--on-error", "skip", job="seen")
    box.wait_for_rows(13 * len(names), "seen")
    box.kill(process)
    box.run(0, "", "--on-error", "skip", job="seen")
    box.exact("names of partitions", job="seen", skips=True)


@case
def an_empty_source(box):
    box.run(0, "", what="no partitions at all")
    box.run(0, "came to its end", what="again")


def another_user(box):
    """The start of a command as another user, who can read the programs; None without root."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        print(f"  {box.name}: left out: it needs root and setpriv")
        return None
    programs = box.path("programs")
    os.mkdir(programs)
    for name in ("pv", "seen"):
        shutil.copy(blackbox.program(name), programs)
    os.chmod(box.folder, 0o777)
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", os.path.join(programs, "pv")]


@case
def no_rights(box):
    start = another_user(box)
    if start is None:
        return
    box.append(lines(20))

    def command(**other):
        given = {"source": box.source, "sink": "sqlite:" + box.database, "state": box.state, **other}
        return start + [text for name, value in given.items() for text in ("--" + name, value)] + ["--bounded"]

    os.chmod(box.source, 0o000)
    box.expect(command(), 4, r"log.*(denied|rights|read)", "a folder that cannot be read")
    os.chmod(box.source, 0o755)
    os.chmod(box.partition(), 0o000)
    box.expect(command(), 4, r"p0\.ndjson.*(denied|rights|read)", "a partition that cannot be read")
    os.chmod(box.partition(), 0o644)
    os.mkdir(box.path("closed"), 0o755)
    box.expect(command(state=box.path("closed", "state")), 4, r"closed", "a job's folder that cannot be made")
    box.expect(command(sink="sqlite:" + box.path("closed", "out.db")), 4, r"cannot be made", "a database that cannot be made", timeout=20)
    with sqlite3.connect(box.path("closed", "there.db")) as database:
        database.execute("CREATE TABLE t(a)")
    box.expect(command(sink="sqlite:" + box.path("closed", "there.db")), 4, r"there\.db", "a database that cannot be written")
    box.expect(command(), 0, "", "with rights")
    box.exact("with rights")


# ---- the disk ----

@contextlib.contextmanager
def small_disk(box, size):
    """A disk of its own of `size` bytes; None where it cannot be made."""
    path = box.path("disk")
    os.mkdir(path)
    made = os.geteuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path],
                                                capture_output=True, check=False).returncode == 0
    if not made:
        print(f"  {box.name}: left out: it needs root, and rights to mount")
    try:
        yield path if made else None
    finally:
        if made:
            for process in box.processes:
                if process.returncode is None:
                    box.kill(process)
            subprocess.run(["umount", path], check=False)


def fill(path):
    """Takes all room that is left; the file to remove."""
    name = os.path.join(path, "filler")
    with open(name, "wb", buffering=0) as handle, contextlib.suppress(OSError):
        size = 65536
        while size >= 1:
            try:
                handle.write(b"\0" * size)
            except OSError:
                size //= 2
    return name


@case
def a_full_disk_under_the_jobs_folder(box):
    """Checkpoints fail and are told of, the job goes on; when there is room again all comes right. Then the same ended by
    a kill while the disk was full."""
    for ending in ("room", "kill"):
        each = Box(box.name, ending)
        each.checks = box.checks
        with small_disk(each, 8 * MIB) as disk:
            if disk is None:
                return
            each.state = os.path.join(disk, "state")
            each.append(lines(5000, apps=4000))
            process = each.start(job="seen")
            each.wait_for_rows(5000, "seen")
            filler = fill(disk)
            each.append(lines(5000, 5000, apps=4000))
            each.wait_for_words(process, r"WARN.*(no space|No space|full|room)")
            time.sleep(1.0)
            each.check(process.poll() is None, f"a full disk ended the job: {each.said(process)[-600:]}")
            if ending == "kill":
                each.kill(process)
                code, said = blackbox.run(each.command("seen", "--bounded"), timeout=3)
                each.check(code in (None, 0, 4), f"started on a full disk: exit code {code}: {said}")
            os.remove(filler)
            if ending == "room":
                each.wait_for_rows(10000, "seen", 40)
                each.stop(process)
            each.run(0, "", job="seen", what="room again")
            each.exact("room again", job="seen")
        each.close(False)


@case
def a_full_disk_under_checkpoints(box):
    """No rows wait, only checkpoints are to be written: they fail, the job goes on and says so."""
    with small_disk(box, 2 * MIB) as disk:
        if disk is None:
            return
        box.state = os.path.join(disk, "state")
        box.append(lines(1000))
        process = box.start(job="pv")
        box.wait_for_rows(1000)
        filler = fill(disk)
        box.wait_for_words(process, r"WARN.*checkpoint \d+ failed: .*No space left.*the job goes on")
        box.wait_for_words(process, r"ERROR.*checkpoints in a row have failed.*No space left")
        box.check(process.poll() is None, f"a full disk ended the job: {box.said(process)[-600:]}")
        code, said = blackbox.run([blackbox.program("weir"), "check", box.state])
        box.check(code == 0, f"weir check while the disk is full: exit code {code}: {said}")
        os.remove(filler)
        box.append(lines(500, 1000))
        box.wait_for_rows(1500)
        box.stop(process)
        box.run(0, "")
        box.exact("room again")


@case
def a_full_disk_under_the_table(box):
    with small_disk(box, 4 * MIB) as disk:
        if disk is None:
            return
        box.database = os.path.join(disk, "out.db")
        box.append(lines(1000))
        process = box.start(job="seen")
        box.wait_for_rows(1000, "seen")
        filler = fill(disk)
        box.append(lines(20000, 1000))
        box.wait_for_words(process, r"WARN.*(no space|No space|full|room)")
        time.sleep(0.5)
        box.check(process.poll() is None, f"a full disk ended the job: {box.said(process)[-600:]}")
        os.remove(filler)
        box.wait_for_rows(21000, "seen", 60)
        box.stop(process)
        box.run(0, "", job="seen")
        box.exact("room again", job="seen")


@case
def a_full_disk_under_the_dead_letters(box):
    with small_disk(box, MIB) as disk:
        if disk is None:
            return
        letters = os.path.join(disk, "letters.ndjson")
        skip = ["--on-error", "skip", "--dead-letter", letters]
        box.append(lines(10) + b"bad\n")
        process = box.start(*skip, job="seen")
        box.wait_for(lambda: os.path.exists(letters) and os.path.getsize(letters) > 0, "a dead letter")
        filler = fill(disk)
        box.append(b"bad again\n" * 2000 + lines(10, 10))
        box.wait_for_words(process, r"WARN.*(no space|No space|full|room)")
        box.check(process.poll() is None, f"a full disk ended the job: {box.said(process)[-600:]}")
        os.remove(filler)
        box.wait_for(lambda: blackbox.compare_dead_letters(letters, blackbox.read_input(box.source)[1]) is None,
                     "the dead letters to be exact", 40)
        box.stop(process)
        box.run(0, "", *skip, job="seen")
        box.exact("room again", job="seen", skips=True, letters=letters)


# ---- dead letters that were changed ----

@case
def a_dead_letter_file_that_was_changed(box):
    box.append(lines(10) + b"bad\n" * 50)
    process = box.start("--on-error", "skip", job="seen")
    box.wait_for(lambda: os.path.exists(box.letters) and len(blackbox.fingerprint(box.letters).splitlines()) == 50, "50 letters")
    box.wait_for_rows(10, "seen")
    newest = blackbox.checkpoints(box.state)[-1]
    box.wait_for(lambda: blackbox.checkpoints(box.state)[-1] > newest + 2, "more checkpoints")
    box.kill(process)
    kept = blackbox.fingerprint(box.letters)
    for what, change in (("cut", lambda: os.truncate(box.letters, 100)), ("removed", lambda: os.remove(box.letters))):
        change()
        with box.unchanged(what):
            box.run(3, r"dead-letter", "--on-error", "skip", job="seen", what="the dead-letter file was " + what)
        with open(box.letters, "wb") as handle:
            handle.write(kept)
    box.run(0, "", "--on-error", "skip", job="seen", what="put back")
    box.exact("put back", job="seen", skips=True)


# ---- all of it ----

def live(name, seed, keep):
    box = Box(name, seed)
    begin = time.monotonic()
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        try:
            CASES[name](box)
        except Exception:  # a case that breaks is a failed check; the others go on
            box.check(False, "the test itself: " + traceback.format_exc(limit=3))
        box.close(keep)
        if box.checks.failures:
            print(f"  its folder: {box.folder}\n  again: tests/bad_input.py --seed {seed} {name}")
    print(f"{name}: {box.checks.passed} passed, {len(box.checks.failures)} failed ({time.monotonic() - begin:.1f} s)\n"
          + said.getvalue(), end="", flush=True)
    return box.checks.passed, len(box.checks.failures)


# ---- the folder sink ----

def to_files(box, *options, job="seen"):
    return [blackbox.program(job), "--source", box.source, "--sink", "dir:" + box.path("out"), "--state", box.state,
            "--parallelism", "2", "--checkpoint-interval", "50ms", *options]


def read_files_of(box, sink):
    """The rows of the files of one sink."""
    rows = []
    for name in sorted(os.listdir(box.path("out"))):
        if name.startswith(f"part-{sink}-"):
            with open(box.path("out", name), encoding="utf-8") as handle:
                rows += [json.loads(line) for line in handle]
    return rows


def exact_files(box, what, job="seen"):
    compare = blackbox.compare_seen if job == "seen" else blackbox.compare_pv
    try:
        wrong = compare([box.path("out"), box.path("taken")], blackbox.read_input(box.source)[0])
    except AssertionError as error:
        wrong = str(error)
    box.check(not wrong, f"{what}: {wrong}")


@case
def a_folder_of_files_that_is_not_there_or_no_folder(box):
    box.append(lines(30))
    box.expect(to_files(box, "--bounded"), 4, r"out: it is not there; make it: mkdir -p '.*out'", "no folder")
    open(box.path("out"), "w", encoding="utf-8").close()
    box.expect(to_files(box, "--bounded"), 4, r"out: it is not a folder", "a file in its place")
    os.remove(box.path("out"))
    os.mkdir(box.path("out"))
    if os.getuid() != 0:
        os.chmod(box.path("out"), 0o500)
        box.expect(to_files(box, "--bounded"), 4, r"out.*Permission denied", "no rights")
        os.chmod(box.path("out"), 0o700)
    box.expect(to_files(box, "--bounded"), 0, "", "made")
    exact_files(box, "made")
    box.expect(to_files(box, "--bounded", "--sink-option", "format=xml"), 2, r"format.*json or csv", "a wrong format")
    box.expect(to_files(box, "--bounded", "--sink-option", "formt=csv"), 2, r"did you mean \"format\"", "a wrong option")


@case
def two_jobs_into_one_folder_of_files(box):
    """Of one name: the second is refused, and by --fresh takes over. Of two names: each has files of its own."""
    os.mkdir(box.path("out"))
    box.append(lines(500))

    def is_out():
        return os.path.isdir(box.path("out")) and any(name.startswith("part-seen-") for name in os.listdir(box.path("out")))

    first = box.start(command=to_files(box))
    box.wait_for(is_out, "files of the first job")
    second = [word.replace(box.state, box.path("state-2")) for word in to_files(box, "--bounded")]
    box.expect(second, 3, r"the target of sink 'seen' holds output of an earlier run of job 'seen'.*--fresh",
               "a second job of the same name")
    box.check(not blackbox.checkpoints(box.path("state-2")), "the second job took a checkpoint all the same")
    box.expect([word.replace(box.state, box.path("state-3")) for word in to_files(box, "--bounded", job="pv")], 0, "",
               "a job of another name")
    box.append(lines(500, 500))
    box.wait_for(lambda: len(read_files_of(box, "seen")) == 1000, "the first job goes on")
    box.check(sum({row["app_id"]: row["pv"] for row in read_files_of(box, "pv")}.values()) == 500, "the rows of pv")
    box.expect(second + ["--fresh"], 0, "", "the second job by --fresh")
    box.append(lines(10, 1000))
    box.ends(first, 3, r"sink \"seen\": start \d+ of job \"seen\" has taken over .*out.*only one run of a job can write to it",
             "the first job, whose folder was taken over")
    found = collections.Counter(row["position"] for row in read_files_of(box, "seen"))
    box.check(len(found) == 1000 and set(found.values()) == {2}, f"two runs, each once: {len(found)} places")


@case
def a_folder_of_files_on_a_full_disk(box):
    """A small file system of its own, where this may be mounted; else nothing is tried."""
    os.mkdir(box.path("out"))
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", box.path("out")], stderr=subprocess.DEVNULL,
                      check=False).returncode != 0:
        return
    try:
        box.append(lines(3000))
        process = box.start(command=to_files(box))
        box.wait_for_words(process, r"is full; the sink takes no more rows until there is room")
        subprocess.run(["mount", "-o", "remount,size=64m", box.path("out")], check=True)
        box.wait_for_words(process, "the disk has room again; the sink goes on")
        box.stop(process)
        box.expect(to_files(box, "--bounded"), 0, "", "the disk has room again")
        exact_files(box, "the disk has room again")
    finally:
        subprocess.run(["umount", box.path("out")], check=False)


@case
def a_marker_of_files_that_is_older_gone_or_damaged(box):
    for kind in ("older", "gone", "damaged", "another folder"):
        each = Box(box.name, kind)
        each.checks = box.checks
        os.mkdir(each.path("out"))
        each.append(lines(300))
        process = each.start(command=to_files(each))
        each.wait_for(lambda: len(blackbox.read_files([each.path("out")])) == 300, "the files")
        each.kill(process)
        hidden = each.path("out", ".weir")
        marker = os.path.join(hidden, next(name for name in os.listdir(hidden) if name.endswith(".marker")))
        shutil.copyfile(marker, each.path("older"))
        each.append(lines(200, 300))
        process = each.start(command=to_files(each))
        each.wait_for(lambda: len(blackbox.read_files([each.path("out")])) == 500, "more files")
        newest = blackbox.checkpoints(each.state)[-1]
        each.wait_for(lambda: blackbox.checkpoints(each.state)[-1] > newest + 2, "more checkpoints")
        each.kill(process)
        shutil.copyfile(marker, each.path("newer"))
        sentence = r"replaced or has lost data.*--accept-duplicates.*--accept-loss"
        if kind == "older":
            shutil.copyfile(each.path("older"), marker)
        elif kind == "gone":
            os.remove(marker)
        elif kind == "damaged":
            flip_bit(marker, 300)
            sentence = r"\.marker is damaged"
        else:
            os.rename(each.path("out"), each.path("kept"))
            os.mkdir(each.path("out"))
        each.expect(to_files(each, "--bounded"), 3, sentence, kind)
        if kind == "another folder":
            shutil.rmtree(each.path("out"))
            os.rename(each.path("kept"), each.path("out"))
        else:
            shutil.copyfile(each.path("newer"), marker)
        each.expect(to_files(each, "--bounded"), 0, "", kind + ", put back")
        exact_files(each, kind + ", put back")
        each.close(False)


@case
def a_folder_of_files_replaced_while_the_job_runs(box):
    os.mkdir(box.path("out"))
    box.append(lines(100))
    process = box.start(command=to_files(box))
    box.wait_for(lambda: len(blackbox.read_files([box.path("out")])) == 100, "the files")
    os.rename(box.path("out"), box.path("kept"))
    os.mkdir(box.path("out"))
    box.append(lines(50, 100))
    box.ends(process, 3, r"\.weir was removed while the job runs; put it back", "an empty folder in its place")
    shutil.rmtree(box.path("out"))
    os.rename(box.path("kept"), box.path("out"))
    box.expect(to_files(box, "--bounded"), 0, "", "put back")
    exact_files(box, "put back")


def killed_while_epochs_wait(box):
    """A job that could not commit for a while: its folder's staged files that the newest checkpoint carries."""
    os.mkdir(box.path("out"))
    box.append(lines(100))
    process = box.start(command=to_files(box))
    box.wait_for(lambda: len(blackbox.read_files([box.path("out")])) == 100, "the files")
    hidden = box.path("out", ".weir")
    with open(os.path.join(hidden, next(name for name in os.listdir(hidden) if name.endswith(".lock"))), "rb") as lock:
        box.wait_for(lambda: is_locked(lock), "the lock")
        for count in (1, 2, 3):
            box.append(lines(100, 100 * count))
            box.wait_for(lambda: len(blackbox.staged_files(box.path("out"))) >= count, "staged files")
            newest = blackbox.checkpoints(box.state)[-1]
            box.wait_for(lambda: blackbox.checkpoints(box.state)[-1] > newest + 1, "more checkpoints")
        box.kill(process)
    return blackbox.staged_files(box.path("out"))


def is_locked(file):
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@case
def a_staged_file_that_was_removed(box):
    """Its rows are committed nowhere: nothing goes on before somebody has decided."""
    for option in (None, "--accept-duplicates", "--accept-loss"):
        each = Box(box.name, option or "put back")
        each.checks = box.checks
        staged = killed_while_epochs_wait(each)
        gone = each.path("out", ".weir", staged[0])
        rows = len(open(gone, encoding="utf-8").readlines())
        waiting = 300 if option == "--accept-loss" else rows
        os.rename(gone, each.path("gone"))
        each.expect(to_files(each, "--bounded"), 3, r"part-seen-\S* is gone, and the rows of checkpoint \d+ in it were not "
                    r"committed yet; put it back, or go on without it with --accept-duplicates.*--accept-loss", "removed")
        each.check(blackbox.staged_files(each.path("out")) == staged[1:], "a refusal changed what is staged")
        if option is None:
            os.rename(each.path("gone"), gone)
            each.expect(to_files(each, "--bounded"), 0, "", "put back")
            exact_files(each, "put back")
        else:
            each.expect(to_files(each, "--bounded", option), 0, "what is gone is left out" if waiting == rows else "", option)
            places = blackbox.read_seen([each.path("out")])
            each.check(len(places) == len(set(places)) == 400 - waiting, f"{option}: {len(places)} rows, not {400 - waiting}")
        each.check(not blackbox.staged_files(each.path("out")), "something is staged in the end")
        each.close(False)


@case
def finished_files_taken_away(box):
    """Anybody may take finished files away, also all of them, also while the job is down."""
    os.mkdir(box.path("out"))
    for start in range(3):
        box.append(lines(200, 200 * start))
        process = box.start(command=to_files(box))
        folders = [box.path("out"), box.path("taken")]
        box.wait_for(lambda: len(blackbox.read_files(folders)) == 200 * (start + 1), "the files")
        (box.kill if start != 1 else box.stop)(process)
        box.check(start != 1 or not blackbox.staged_files(box.path("out")), "a clean stop left something staged")
        box.check(not blackbox.take_files(*folders), "a file came again")
    box.expect(to_files(box, "--bounded"), 0, "", "the end")
    exact_files(box, "taken away")
    box.check(not blackbox.staged_files(box.path("out")), "a finished job left something staged")
    found = blackbox.fingerprint(box.path("out"))
    box.expect(to_files(box, "--bounded"), 0, "came to its end", "a finished job")
    box.check(found == blackbox.fingerprint(box.path("out")), "a finished job changed the folder")


@case
def fresh_deletes_no_files(box):
    os.mkdir(box.path("out"))
    box.append(lines(100))
    box.expect(to_files(box, "--bounded"), 0, "", "the first run")
    os.rename(box.state, box.path("lost"))
    box.expect(to_files(box, "--bounded"), 3, r"earlier run of job 'seen'.*new folder.*--fresh", "a new folder onto files")
    box.expect(to_files(box, "--bounded", "--fresh"), 0, "", "--fresh")
    rows = blackbox.read_seen([box.path("out")])
    box.check(len(rows) == 200 and len(set(rows)) == 100, f"--fresh onto files: {len(rows)} rows, {len(set(rows))} places")


def main():
    parser = argparse.ArgumentParser(description="bad input, from outside")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("WEIR_TEST_SEED", 0)) or time.time_ns() % 10**9)
    parser.add_argument("--keep", action="store_true", help="keep all folders")
    parser.add_argument("cases", nargs="*", help="some of: " + ", ".join(CASES))
    options = parser.parse_args()
    unknown = [name for name in options.cases if name not in CASES]
    if unknown:
        parser.error(f"there is no case {unknown[0]}")
    print(f"WEIR_TEST_SEED={options.seed}", flush=True)
    blackbox.end_on_sigterm()
    with blackbox.Pool(max(2, os.cpu_count() or 2)) as pool:
        lives = [pool.submit(live, name, options.seed, options.keep) for name in options.cases or CASES]
        counts = [each.result() for each in lives]
    passed, failed = (sum(column) for column in zip(*counts))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
