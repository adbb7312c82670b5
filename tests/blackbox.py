"""What the black-box tests share: running the examples, reading their input by other means than weir's, and their
output. Nothing here knows how weir works inside; it knows files, processes and SQLite only."""
import collections
import concurrent.futures
import contextlib
import csv
import io
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("WEIR_BUILD", os.path.join(ROOT, "build", "release"))
WHITE_SPACE = b" \t\r"
RECORD_BYTES_MAX = 16 * 1024 * 1024

Bad = collections.namedtuple("Bad", "partition position byte line")  # byte None: it is not compared


def program(name):
    return os.path.join(BUILD, name) if name == "weir" else os.path.join(BUILD, "examples", name)


# ---- the end of a script ----

ENDED = []  # not empty: SIGTERM came


def children():
    """Of this process, but for those of a Pool."""
    found = set()
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError):
            with open(f"/proc/self/task/{task}/children", encoding="ascii") as handle:
                found |= set(map(int, handle.read().split()))
    return found - {child.pid for child in multiprocessing.active_children()}


def end_by_signal(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ENDED.append(True)
    for pid in children():
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    sys.exit(1)


def end_on_sigterm():
    """From here on SIGTERM kills the jobs of this process and ends it as an exception does, so that servers are stopped by
    what stands in `finally`. A second one changes nothing."""
    signal.signal(signal.SIGTERM, end_by_signal)


def begin_part(function, *arguments):
    return sys.exit(1) if ENDED else function(*arguments)


class Pool(concurrent.futures.ProcessPoolExecutor):
    """Processes for the parts of a script. When it is ended, so are they, by the same way, and it waits for them; what was
    not begun is not begun any more."""

    def __init__(self, count):
        super().__init__(count, initializer=end_on_sigterm)

    def submit(self, function, *arguments):
        return super().submit(begin_part, function, *arguments)

    def __exit__(self, kind, *rest):
        if kind is not None:
            for child in multiprocessing.active_children():
                child.terminate()
            self.shutdown(cancel_futures=True)
        return super().__exit__(kind, *rest)


class Checks:
    """Counts what held and what did not; prints what did not."""

    def __init__(self):
        self.passed, self.failures = 0, []

    def check(self, holds, sentence):
        if holds:
            self.passed += 1
        else:
            self.failures.append(sentence)
            print("FAILED: " + sentence, flush=True)
        return holds

    def verdict(self):
        print(f"{self.passed} passed, {len(self.failures)} failed", flush=True)
        return 1 if self.failures else 0


def read_record(line):
    """The app_id of a line; None: a bad record. Only bytes that both Python and RFC 8259 judge alike are used in tests."""
    if len(line) > RECORD_BYTES_MAX:
        return None
    try:
        value = json.loads(line.decode("utf-8"))
    except ValueError:
        return None
    app = value.get("app_id") if isinstance(value, dict) else None
    return app if isinstance(app, str) else None


def read_input(folder, bounded=True):
    """All records of the partition files in `folder` as [(partition, position, app_id)], and the bad ones. A last line
    without newline is a record of a bounded run only."""
    records, bad = [], []
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".ndjson") or not os.path.isfile(os.path.join(folder, name)):
            continue
        with open(os.path.join(folder, name), "rb") as handle:
            lines = handle.read().split(b"\n")
        if not lines[-1] or not bounded:
            lines.pop()
        byte = 0
        for position, line in enumerate(lines):
            if line.strip(WHITE_SPACE):
                app = read_record(line)
                if app is None:
                    bad.append(Bad(name, position, byte, line))
                else:
                    records.append((name, position, app))
            byte += len(line) + 1
    return records, bad


def read_rows(database, query):
    """Rows of a query; [] where the table or the file is not there yet. `database` is the path of an SQLite file, or a
    function that knows another one."""
    if callable(database):
        return database(query)
    if not os.path.exists(database):
        return []
    connection = sqlite3.connect(f"file:{database}?mode=rw", uri=True, timeout=30)
    try:
        return connection.execute(query).fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return []
        raise
    finally:
        connection.close()


def take_files(folder, taken):
    """Takes the finished files of a folder sink away; the name of one that came again, or None."""
    os.makedirs(taken, exist_ok=True)
    for name in sorted(os.listdir(folder)):
        if not name.startswith("part-"):
            continue
        if os.path.exists(os.path.join(taken, name)):
            return name
        os.rename(os.path.join(folder, name), os.path.join(taken, name))
    return None


def staged_files(folder):
    """What a folder sink has staged and not renamed."""
    hidden = os.path.join(folder, ".weir")
    return sorted(name for name in os.listdir(hidden) if name.startswith("part-")) if os.path.isdir(hidden) else []


def read_files(folders):
    """The rows of all finished files in these folders, in the order in which they were committed."""
    paths = {}
    for folder in folders:
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            if name.startswith("part-"):
                assert name not in paths, f"{name} was taken away and came again"
                paths[name] = os.path.join(folder, name)
    rows = []
    for name in sorted(paths):
        with open(paths[name], "rb") as handle:
            text = handle.read()
        assert text.endswith(b"\n"), f"{name} is not whole"
        if name.endswith(".csv"):
            rows += read_csv(text.decode("utf-8"))
        else:
            rows += [json.loads(line) for line in text.split(b"\n")[:-1]]
    return rows


def find_large_file(folders, limit):
    """None, or a sentence about a file of a folder sink that is larger than the limit and has more than one row."""
    for folder in folders:
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            path = os.path.join(folder, name)
            if not name.startswith("part-") or os.path.getsize(path) <= limit:
                continue
            with open(path, "rb") as handle:
                rows = handle.read().count(b"\n") - name.endswith(".csv")
            if rows > 1:
                return f"{name} has {os.path.getsize(path)} bytes in {rows} rows; the limit is {limit}"
    return None


def read_csv(text):
    """The rows of a file that begins with the names of its columns."""
    return [{**row, **{name: int(row[name]) for name in ("pv", "position") if name in row}}
            for row in csv.DictReader(io.StringIO(text, newline=""), strict=True)]


def read_pv(target):
    """[(app_id, pv)] of a database (read_rows), or of a list of folders: the newest line of an app holds."""
    if isinstance(target, str) or callable(target):
        return read_rows(target, "SELECT app_id, pv FROM pv")
    return list({row["app_id"]: row["pv"] for row in read_files(target)}.items())


def read_seen(target):
    """[(partition, position, app_id)] of a database (read_rows), or of a list of folders."""
    if isinstance(target, str) or callable(target):
        return read_rows(target, "SELECT partition, position, app_id FROM seen")
    return [(row["partition"], row["position"], row["app_id"]) for row in read_files(target)]


def compare_pv(target, records):
    """None when the table pv, or the files, say what a straight count over the records says; else what is wrong, in a sentence."""
    wanted = collections.Counter(app for _, _, app in records)
    found = dict(read_pv(target))
    wrong = [app for app in wanted.keys() | found.keys() if wanted.get(app) != found.get(app)]
    if not wrong:
        return None
    lost = sum(max(0, wanted.get(app, 0) - found.get(app, 0)) for app in wrong)
    doubled = sum(max(0, found.get(app, 0) - wanted.get(app, 0)) for app in wrong)
    app = sorted(wrong)[0]
    return (f"{len(wrong)} apps of {len(wanted)} are wrong: {lost} views lost, {doubled} doubled; "
            f"{app!r} is {found.get(app)} and should be {wanted.get(app)}")


def compare_seen(target, records):
    """The same for the table seen, or the files: every record's place once."""
    wanted = collections.Counter(records)
    found = collections.Counter(read_seen(target))
    lost, doubled = wanted - found, found - wanted
    if not lost and not doubled:
        return None
    return (f"{sum(lost.values())} rows lost, {sum(doubled.values())} doubled or wrong; the first: "
            f"{min(lost) if lost else min(doubled)}")


def compare_dead_letters(path, bad):
    """The same for the dead-letter file: every bad record once."""
    wanted = collections.Counter((each.partition, each.position, each.byte) for each in bad)
    without_byte = {(each.partition, each.position) for each in bad if each.byte is None}
    found = collections.Counter()
    text = b""
    if os.path.exists(path):
        with open(path, "rb") as handle:
            text = handle.read()
    if text and not text.endswith(b"\n"):
        return "the last line of the dead-letter file is cut short"
    starts = {(each.partition, each.position): each.line for each in bad}
    for line in text.splitlines():
        letter = json.loads(line)
        place = letter["partition"], letter["position"]
        found[(*place, None if place in without_byte else letter["byte"])] += 1
        record = starts.get(place, b"")
        if not letter["error"] or letter["record"][:20] != record[:200].decode("utf-8", "replace")[:20]:
            return f"the dead letter of {letter['partition']} {letter['position']} says {letter}"
    if wanted == found:
        return None
    lost, doubled = wanted - found, found - wanted
    return f"dead letters: {sum(lost.values())} lost, {sum(doubled.values())} doubled or wrong: {lost or doubled}"


def dump(database):
    """Everything in a database, as SQL; None where there is no file. What lies in its write-ahead log counts: a start that
    only looks may fold it in, as every reader does."""
    if not os.path.exists(database):
        return None
    connection = sqlite3.connect(database, timeout=30)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def checkpoints(state):
    """Ids of the completed checkpoints in a job's folder."""
    if not os.path.isdir(state):
        return []
    return sorted(int(name[4:]) for name in os.listdir(state) if re.fullmatch(r"chk-[0-9]+", name))


def fingerprint(path):
    """Every name below `path` with its bytes, to see that nothing was changed; of a file, its bytes."""
    if os.path.isfile(path):
        with open(path, "rb") as handle:
            return handle.read()
    found = {}
    for folder, _, names in os.walk(path):
        for name in names:
            with open(os.path.join(folder, name), "rb") as handle:
                found[os.path.relpath(os.path.join(folder, name), path)] = handle.read()
    return found


def run(command, timeout=120, **more):
    """Runs a command to its end; (exit code, standard error). A run that hangs is killed, and its code is None."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        return None, err.decode("utf-8", "replace")
    return process.returncode, err.decode("utf-8", "replace")


class Box:
    """A folder for one case: the log, the job's folder, the table; and how to run jobs on them."""

    def __init__(self, name, seed, parent=None):
        self.name, self.rng = name, random.Random(f"{seed}/{name}")
        self.checks = Checks()
        self.folder = tempfile.mkdtemp(prefix=f"weir-{name}-", dir=parent)
        self.source, self.state = os.path.join(self.folder, "log"), os.path.join(self.folder, "state")
        self.database = os.path.join(self.folder, "out.db")
        self.letters = os.path.join(self.state, "dead-letter.ndjson")
        self.processes = []

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def check(self, holds, sentence):
        return self.checks.check(holds, f"{self.name}: {sentence}")

    def tell(self, what, code, said):
        """The sentence that a person gets, without the test's own folder."""
        if said.strip() and code != 0:
            sentence = said.strip().splitlines()[-1].replace(self.folder + "/", "")
            print(f"  {what}: exit code {code}: {sentence[:400]}")

    # ---- running ----

    def command(self, job="pv", *options):
        return [program(job), "--source", self.source, "--sink", "sqlite:" + self.database, "--state",
                self.state, "--parallelism", "2", *options]

    def expect(self, command, code, sentence, what, **more):
        """Runs a command to its end: its exit code, and what it says."""
        found, said = run(command, **more)
        self.tell(what, found, said)
        self.check(found == code and re.search(sentence, said, re.S),
                   f"{what}: exit code {found}, expected {code} and /{sentence}/; it said:\n    "
                   + said[-1500:].replace("\n", "\n    "))
        return said

    def run(self, code, sentence, *options, job="pv", what=""):
        """A bounded run, to its end."""
        return self.expect(self.command(job, "--bounded", *options), code, sentence, what or f"{job} {' '.join(options)}")

    def start(self, *options, job="pv", interval="50ms", command=None):
        """A run without an end, in the background; what it says goes to process.log."""
        log = self.path(f"said-{len(self.processes)}.txt")
        with open(log, "wb") as handle:
            process = subprocess.Popen(command or self.command(job, "--checkpoint-interval", interval, *options),
                                       stdin=subprocess.DEVNULL, stdout=handle, stderr=handle)
        process.log = log
        self.processes.append(process)
        return process

    def said(self, process):
        with open(process.log, encoding="utf-8", errors="replace") as handle:
            return handle.read()

    def wait_for(self, condition, what, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition():
                return True
            time.sleep(0.01)
        said = "; ".join(self.said(process)[-800:] for process in self.processes[-1:])
        return self.check(False, f"waited {seconds} s for: {what}; the job said: {said}")

    def wait_for_words(self, process, words, seconds=20):
        came = self.wait_for(lambda: re.search(words, self.said(process)), f"/{words}/ in what it says", seconds)
        for line in self.said(process).splitlines():
            if came and re.search(words, line):
                print("  " + line.replace(self.folder + "/", "")[:400])
                break
        return came

    def wait_for_rows(self, count, job="pv", seconds=20):
        """Until so many records are counted in the table."""
        query = "SELECT sum(pv) FROM pv" if job == "pv" else "SELECT count(*) FROM seen"
        return self.wait_for(lambda: (read_rows(self.database, query) or [(0,)])[0][0] == count,
                             f"{count} records in the table of {job}", seconds)

    def kill(self, process):
        process.kill()
        process.wait()

    def stop(self, process, seconds=40):
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        self.check(process.returncode == 0, f"SIGTERM: exit code {process.returncode}: {self.said(process)[-800:]}")

    def ends(self, process, code, sentence, what, seconds=30):
        """A run in the background fails by itself."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        said = self.said(process)
        self.tell(what, process.returncode, said)
        return self.check(process.returncode == code and re.search(sentence, said, re.S),
                          f"{what}: exit code {process.returncode}, expected {code} and /{sentence}/; it said:\n    "
                          + said[-1500:].replace("\n", "\n    "))

    # ---- looking ----

    def read(self):
        """What the log holds: the records, and the bad ones."""
        return read_input(self.source)

    def exact(self, what, job="pv", skips=False, letters=None):
        records, bad = self.read()
        compare = compare_pv if job == "pv" else compare_seen
        wrong = compare(self.database, records)
        if not wrong and skips:
            wrong = compare_dead_letters(letters or self.letters, bad)
        return self.check(not wrong, f"{what}: {wrong}")

    @contextlib.contextmanager
    def unchanged(self, what):
        """Whatever is done inside changes neither folder nor target."""
        before = fingerprint(self.state), dump(self.database)
        yield
        after = fingerprint(self.state), dump(self.database)
        for name, old, new in zip(("folder", "target"), before, after):
            self.check(old == new, f"{what}: the {name} was changed")

    def newest(self):
        return os.path.join(self.state, f"chk-{checkpoints(self.state)[-1]}")

    def close(self, keep):
        for process in self.processes:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGCONT)
                self.kill(process)
        if not keep and not self.checks.failures:
            shutil.rmtree(self.folder, ignore_errors=True)
