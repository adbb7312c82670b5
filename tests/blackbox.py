"""What the black-box tests share: running the examples, reading their input by other means than weir's, and their
output. Nothing here knows how weir works inside; it knows files, processes and SQLite only."""
import collections
import json
import os
import re
import sqlite3
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("WEIR_BUILD", os.path.join(ROOT, "build", "release"))
WHITE_SPACE = b" \t\r"
RECORD_BYTES_MAX = 16 * 1024 * 1024

Bad = collections.namedtuple("Bad", "partition position byte line")


def program(name):
    return os.path.join(BUILD, name) if name == "weir" else os.path.join(BUILD, "examples", name)


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
        rows += [json.loads(line) for line in text.split(b"\n")[:-1]]
    return rows


def read_pv(target):
    """[(app_id, pv)] of a database, or of a list of folders: the newest line of an app holds."""
    if isinstance(target, str):
        return read_rows(target, "SELECT app_id, pv FROM pv")
    return list({row["app_id"]: row["pv"] for row in read_files(target)}.items())


def read_seen(target):
    """[(partition, position, app_id)] of a database, or of a list of folders."""
    if isinstance(target, str):
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
        found[(letter["partition"], letter["position"], letter["byte"])] += 1
        record = starts.get((letter["partition"], letter["position"]), b"")
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
