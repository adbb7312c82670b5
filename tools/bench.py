#!/usr/bin/env python3
"""Runs the benchmarks and prints one table: what was measured, beside what it should be.

usage: tools/bench.py [--record FILE] [--keep FILE] FOLDER [PROGRAM...]

FOLDER holds the programs of bench/; all of the usual ones are run unless some are named. --record puts the table into
FILE between its lines <!-- table --> and <!-- end of table -->, and nothing else; --keep writes the lines of the
programs as they came.

"reach" is what the project means to reach; the line says "reached", or "beyond" where it reaches the further mark too,
or "MISSED"; "FAR OFF" is what misses even a quarter of it (what is better when it is lower: four times). "ceiling" is
the same thing done with nothing around it, measured in the same run: rates are a share of it, times a multiple.

Programs that want servers get some of their own, with the topics that they read or write. Rows of a server that is not
installed are left out, and the output says so.
"""
import argparse
import glob
import os
import shutil
import subprocess
import sys
import tempfile

PROGRAMS = ["keyed_count", "pv_files", "pv_kafka", "sinks", "large_state", "latency", "visible", "start", "channel",
            "json"]
SERVERS = {"pv_kafka": ["kafka"], "sinks": ["kafka", "postgres", "mariadb"], "visible": ["kafka", "postgres"]}
TOPICS = {"pv_kafka": ["views"], "sinks": ["plain", "seen"],
          "visible": ["pv_100ms_1", "pv_100ms_2", "pv_100ms_3", "pv_1s", "pv_10s"]}
PASSWORDS = {"postgres": "PGPASSWORD", "mariadb": "MYSQL_PWD"}  # variables of the clients
BEGIN, END = "<!-- table -->", "<!-- end of table -->"


class Line:
    """What is known of a figure before it is measured."""

    def __init__(self, reach=None, beyond=None, ceiling=None, lower=False, share=None):
        self.reach, self.beyond, self.ceiling = reach, beyond, ceiling
        self.lower = lower  # is better
        self.share = share  # of the ceiling, that must be reached too

    def has_reach(self):
        return self.reach is not None or self.share is not None

    def verdict(self, value, ceiling):
        if not self.has_reach() or (self.reach is None and not ceiling):
            return ""
        missed = far = False
        if self.reach is not None:
            missed = value > self.reach if self.lower else value < self.reach
            far = value > 4 * self.reach if self.lower else value < self.reach / 4
        if self.share and ceiling and value / ceiling < self.share:
            missed = True
            far = far or (self.reach is None and value / ceiling < self.share / 4)
        if far:
            return "FAR OFF"
        if missed:
            return "MISSED"
        if self.beyond is None:
            return "reached"
        beyond = value <= self.beyond if self.lower else value >= self.beyond
        return "beyond" if beyond else "reached"


def time_line(reach=None, beyond=None, ceiling=None):
    return Line(reach, beyond, ceiling, lower=True)


LINES = {
    "pv_json_decode": Line(ceiling="pv_json_index"),
    "pv_blackhole_p1": Line(2, None, "pv_json_decode"),
    "pv_blackhole_p2": Line(2, None, "pv_json_decode"),
    "pv_sqlite_p2": Line(ceiling="pv_json_decode"),
    "pv_kafka_p1": Line(1, None, "pv_kafka_plain"),
    "pv_kafka_p2": Line(1, None, "pv_kafka_plain"),
    "count_bytes_per_key": time_line(64, 40),
    "count_resident_per_key": time_line(64, 40),
    "checkpoint_cost": time_line(5, 2, "bare_checkpoint_cost"),
    "checkpoint_duration": time_line(ceiling="bare_write_fsync"),
    "snapshot_stall": time_line(10, 1),
    "recovery_warm": time_line(1, 0.5, "bare_read_warm"),
    "recovery_cold": time_line(ceiling="bare_read_cold"),
    "latency_p50": time_line(ceiling="latency_floor_p50"),
    "latency_p99": time_line(ceiling="latency_floor_p99"),
    "latency_p999": time_line(ceiling="latency_floor_p999"),
    "latency_p9999": time_line(10, None, "latency_floor_p9999"),
    "visible_100ms_p99": time_line(200, 100, "visible_100ms_bare_p99"),
    "visible_kafka_100ms_p99": time_line(200, 100, "visible_100ms_bare_p99"),
    "visible_postgres_100ms_p99": time_line(200, 100, "visible_100ms_bare_p99"),
    "visible_sparse_p99": time_line(200, 100, "visible_100ms_bare_p99"),
    "visible_100ms_checkpoint": time_line(ceiling="visible_bare_publish"),
    "visible_1s_checkpoint": time_line(ceiling="visible_bare_publish"),
    "program_size": time_line(10),
    "first_row": time_line(20, None, "bare_start"),
    "stateless_resident": time_line(20),
    "idle_cpu": time_line(1),
    "threads_idle": time_line(1),
}
for target in ("folder", "sqlite", "kafka", "postgres", "mariadb"):
    LINES[f"sink_{target}"] = Line(ceiling=f"sink_{target}_plain", share=0.7)
    LINES[f"sink_{target}_cpu"] = Line(ceiling=f"sink_{target}_plain_cpu")
LINES["sink_folder_plain"] = Line(ceiling="sink_folder_write")
for kind in ("bigint_1k", "bigint_100k", "bigint_10m", "string_1k", "string_100k", "string_10m"):
    for subtasks in ("p1", "p2"):
        LINES[f"count_{kind}_{subtasks}"] = Line(ceiling=f"bare_{kind}")
for subtasks in ("p1", "p2"):
    # 20 million, and a fifth of the bare loop; beyond it is half of the bare loop (some 90 million).
    LINES[f"count_bigint_100k_{subtasks}"] = Line(20, 90, "bare_bigint_100k", share=0.2)
    LINES[f"count_string_100k_{subtasks}"] = Line(8, 15, "bare_string_100k")


def read_rows(text):
    """The lines `name value unit # remark` of a program's output."""
    rows = []
    for line in text.splitlines():
        words, _, remark = line.partition("#")
        words = words.split()
        if len(words) == 3:
            rows.append((words[0], float(words[1]), words[2], remark.strip()))
    return rows


def share_of(line, value, ceiling):
    if not ceiling:
        return ""
    if line.lower:
        return f"{value / ceiling:.1f} times {line.ceiling}"
    return f"{100 * value / ceiling:.0f} % of {line.ceiling}"


def table_row(row, values):
    name, value, unit, remark = row
    line = LINES.get(name, Line())
    ceiling = values.get(line.ceiling)
    reach = f"{line.reach:g}" if line.reach is not None else f"{100 * line.share:g} %" if line.share else ""
    spread = remark.partition("spread ")[2]
    return [name, f"{value:.4g}", unit, spread, reach, line.verdict(value, ceiling), share_of(line, value, ceiling)]


def table_of(rows):
    values = {row[0]: row[1] for row in rows}
    lines = [["figure", "value", "unit", "spread", "reach", "", "ceiling"]]
    lines += [table_row(row, values) for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    lines.insert(1, ["-" * width for width in widths])
    return ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines]


def misses_of(rows):
    """A sentence about the lines that have a reach."""
    values = {row[0]: row[1] for row in rows}
    judged = [(name, LINES[name].verdict(value, values.get(LINES[name].ceiling))) for name, value, _, _ in rows
              if name in LINES and LINES[name].has_reach()]
    missed = [name for name, verdict in judged if verdict.isupper()]
    text = f"{len(judged) - len(missed)} of {len(judged)} lines with a reach are reached"
    return text + (f"; missed: {', '.join(missed)}" if missed else "")


def record(path, lines):
    with open(path, encoding="utf-8") as file:
        before, begin, rest = file.read().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"{path} has no lines {BEGIN} and {END} to put the table between")
    with open(path, "w", encoding="utf-8") as file:
        file.write(before + BEGIN + "\n" + "\n".join(lines) + "\n" + END + after)


# ---- servers ----

STARTERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "servers")


class Server:
    """A server of a program's own, in a folder that goes away with it."""

    def __init__(self, kind):
        self.starter = os.path.join(STARTERS, kind + ".sh")
        self.home = tempfile.mkdtemp(prefix=f"weir-bench-{kind}-")
        os.chmod(self.home, 0o755)  # started by root it is somebody else
        subprocess.run([self.starter, "start", self.home], check=True)
        self.port = self.read("port")

    def read(self, name):
        with open(os.path.join(self.home, name), encoding="utf-8") as file:
            return file.read().strip()

    def end(self):
        subprocess.run([self.starter, "kill", self.home], check=False)
        shutil.rmtree(self.home, ignore_errors=True)


def kafka_tool(folder, *arguments, **options):
    subprocess.run([os.path.join(folder, "..", "tests", "kafka_tool"), *arguments], check=True, **options)


def make_topics(folder, address, program):
    """The topics that a program wants, of two partitions; that of pv_kafka with all its records."""
    for topic in TOPICS[program]:
        kafka_tool(folder, "create-topic", address, topic, "--partitions", "2")
    if program == "pv_kafka":
        with subprocess.Popen([os.path.join(folder, program), "--records"], stdout=subprocess.PIPE) as records:
            kafka_tool(folder, "produce", address, *TOPICS[program], stdin=records.stdout, stdout=subprocess.DEVNULL)


def server_lacks(folder, kind):
    """What keeps a program from having such a server of its own, as a sentence; None: nothing."""
    cache = os.environ.get("WEIR_CACHE") or os.path.expanduser("~/.cache/weir")
    if kind == "kafka" and not os.path.exists(os.path.join(folder, "..", "tests", "kafka_tool")):
        return "it was built without librdkafka; tools/install.sh build installs what is missing"
    there = {"kafka": os.path.isdir(os.path.join(cache, "kafka-4.4.0", "lib")) and shutil.which("java"),
             "postgres": glob.glob("/usr/lib/postgresql/*/bin/postgres"),
             "mariadb": shutil.which("mariadbd")}
    return None if there[kind] else f"there is no server here; tools/install.sh {kind} installs it"


def run_with_servers(command, folder, program, kinds):
    """Runs the command beside servers of its own, whose places are its arguments."""
    servers, environment = [], dict(os.environ)
    try:
        for kind in kinds:
            servers.append(Server(kind))
            if kind == "kafka":
                address = "127.0.0.1:" + servers[-1].port
                make_topics(folder, address, program)
                command += ["--kafka", address]
            else:
                environment[PASSWORDS[kind]] = servers[-1].read("password")
                command += ["--" + kind, servers[-1].port]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    except subprocess.CalledProcessError as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))
    finally:
        for server in servers:
            server.end()


def run(folder, program):
    """The program's output, and whether it went well."""
    command = [os.path.join(folder, program)]
    kinds, notes = [], ""
    for kind in SERVERS.get(program, []):
        lack = server_lacks(folder, kind)
        if lack is None:
            kinds.append(kind)
        else:
            notes += f"# {program} with {kind} is left out: {lack}\n"
    print(notes + f"running {program} ...", file=sys.stderr, flush=True)
    if not os.path.exists(command[0]):
        return f"# {program} is left out: it was built without librdkafka\n", True
    done = run_with_servers(command, folder, program, kinds)
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr)
        print(f"{program} failed (exit code {done.returncode}); its figures are left out", file=sys.stderr)
    return notes + done.stdout, done.returncode == 0


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n")[0],
                                     description=__doc__.split("\n\n", 2)[2],
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", metavar="FILE")
    parser.add_argument("--keep", metavar="FILE")
    parser.add_argument("folder")
    parser.add_argument("programs", nargs="*")
    arguments = parser.parse_args()
    text, failed = "", []
    for program in arguments.programs or PROGRAMS:
        output, went_well = run(arguments.folder, program)
        if went_well:
            text += output
        else:
            failed.append(program)
    machines = [line[2:] for line in text.splitlines() if line.startswith("# machine")]
    rows = read_rows(text)
    ends = [machines[0]] + ([f"at the end: {machines[-1]}"] if len(machines) > 1 else []) if machines else []
    left_out = [line[2:] + "." for line in text.splitlines() if " is left out: " in line]
    lines = ["", *table_of(rows), "", misses_of(rows) + ".", *left_out]
    print("\n".join(ends + lines))
    if arguments.keep:
        with open(arguments.keep, "w", encoding="utf-8") as file:
            file.write(text)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
        return 1
    if arguments.record:
        record(arguments.record, ["  \n".join(ends), *lines])
    return 0


if __name__ == "__main__":
    sys.exit(main())
