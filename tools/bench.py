#!/usr/bin/env python3
"""Runs the benchmarks and prints one table: what was measured, beside what it should be.

usage: tools/bench.py [--record FILE] [--keep FILE] FOLDER [PROGRAM...]

FOLDER holds the programs of bench/; all of the usual ones are run unless some are named. --record puts the table into
FILE between its lines <!-- table --> and <!-- end of table -->, and nothing else; --keep writes the lines of the
programs as they came.

"reach" is what the project means to reach; the line says "reached", or "beyond" where it reaches the further mark too,
or "MISSED"; "FAR OFF" is what misses even a quarter of it (what is better when it is lower: four times). "ceiling" is
the same thing done with nothing around it, measured in the same run: rates are a share of it, times a multiple.

pv_kafka gets a Kafka broker of its own and a topic that is filled for it; where Kafka is not installed its rows are left
out, and the output says so.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile

PROGRAMS = ["keyed_count", "pv_files", "pv_kafka", "large_state", "latency", "visible", "start", "channel", "json"]
TOPIC = "views"  # of pv_kafka
BEGIN, END = "<!-- table -->", "<!-- end of table -->"


class Line:
    """What is known of a figure before it is measured."""

    def __init__(self, reach=None, beyond=None, ceiling=None, lower=False, share=None):
        self.reach, self.beyond, self.ceiling = reach, beyond, ceiling
        self.lower = lower  # is better
        self.share = share  # of the ceiling, that must be reached too

    def verdict(self, value, ceiling):
        if self.reach is None:
            return ""
        missed = value > self.reach if self.lower else value < self.reach
        if self.share and ceiling and value / ceiling < self.share:
            missed = True
        far = value > 4 * self.reach if self.lower else value < self.reach / 4
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
    "latency_p50": time_line(ceiling="latency_bare_p50"),
    "latency_p99": time_line(ceiling="latency_bare_p99"),
    "latency_p999": time_line(ceiling="latency_bare_p999"),
    "latency_p9999": time_line(10, None, "latency_bare_p9999"),
    "visible_100ms_p99": time_line(200, 100, "visible_100ms_bare_p99"),
    "visible_sparse_p99": time_line(200, 100, "visible_100ms_bare_p99"),
    "visible_100ms_checkpoint": time_line(ceiling="visible_bare_publish"),
    "visible_1s_checkpoint": time_line(ceiling="visible_bare_publish"),
    "program_size": time_line(10),
    "first_row": time_line(20, None, "bare_start"),
    "stateless_resident": time_line(20),
    "idle_cpu": time_line(1),
    "threads_idle": time_line(1),
}
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
    reach = "" if line.reach is None else f"{line.reach:g}"
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
              if name in LINES and LINES[name].reach is not None]
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


def kafka_lacks(folder):
    """What keeps pv_kafka from having a broker of its own, as a sentence; None: nothing."""
    cache = os.environ.get("WEIR_CACHE") or os.path.expanduser("~/.cache/weir")
    if not os.path.exists(os.path.join(folder, "pv_kafka")) or not os.path.exists(kafka_tool(folder)):
        return "it was built without librdkafka; tools/install.sh build installs what is missing"
    if not os.path.isdir(os.path.join(cache, "kafka-4.4.0", "lib")) or shutil.which("java") is None:
        return "there is no Kafka here; tools/install.sh kafka installs it"
    return None


def kafka_tool(folder):
    return os.path.join(folder, "..", "tests", "kafka_tool")


def fill_topic(folder, servers):
    """The topic of pv_kafka, with two partitions and all its records."""
    tool = kafka_tool(folder)
    subprocess.run([tool, "create-topic", servers, TOPIC, "--partitions", "2"], check=True)
    with subprocess.Popen([os.path.join(folder, "pv_kafka"), "--records"], stdout=subprocess.PIPE) as records:
        subprocess.run([tool, "produce", servers, TOPIC], stdin=records.stdout, stdout=subprocess.DEVNULL, check=True)


def run_with_kafka(command, folder):
    """Runs the command beside a broker of its own."""
    home = tempfile.mkdtemp(prefix="weir-bench-kafka-")
    starter = os.path.join(os.path.dirname(os.path.abspath(__file__)), "servers", "kafka.sh")
    try:
        subprocess.run([starter, "start", home], check=True)
        with open(os.path.join(home, "port"), encoding="utf-8") as file:
            servers = "127.0.0.1:" + file.read().strip()
        fill_topic(folder, servers)
        return subprocess.run([*command, "--servers", servers, "--topic", TOPIC], capture_output=True, text=True,
                              check=False)
    except subprocess.CalledProcessError as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))
    finally:
        subprocess.run([starter, "kill", home], check=False)
        shutil.rmtree(home, ignore_errors=True)


def run(folder, program):
    """The program's output, and whether it went well."""
    command = [os.path.join(folder, program)]
    if program == "pv_kafka":
        lack = kafka_lacks(folder)
        if lack is not None:
            print(f"{program} is left out: {lack}", file=sys.stderr, flush=True)
            return f"# {program} is left out: {lack}\n", True
    print(f"running {program} ...", file=sys.stderr, flush=True)
    if program == "pv_kafka":
        done = run_with_kafka(command, folder)
    else:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr)
        print(f"{program} failed (exit code {done.returncode}); its figures are left out", file=sys.stderr)
    return done.stdout, done.returncode == 0


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
