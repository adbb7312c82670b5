#!/usr/bin/env python3
"""Runs the benchmarks and prints one table: what was measured, beside what it should be.

usage: tools/bench.py FOLDER [PROGRAM...]     FOLDER holds the programs of bench/; all of them unless some are named

A target is what the project means to reach in the end; a quarter of it must be met now. What is better when it is
lower must stay under four times the target. The last column is the share of a ceiling that was measured in the same
run: the bare loop over the same keys, or simdjson's first stage alone.
"""
import subprocess
import sys

PROGRAMS = ["keyed_count", "pv_files", "large_state", "channel", "json"]

# name: (target, whether higher is better, name of the ceiling)
TARGETS = {
    "count_bigint_1k_p1": (None, True, "bare_bigint_1k"),
    "count_bigint_1k_p2": (None, True, "bare_bigint_1k"),
    "count_bigint_100k_p1": (20, True, "bare_bigint_100k"),
    "count_bigint_100k_p2": (20, True, "bare_bigint_100k"),
    "count_bigint_10m_p1": (None, True, "bare_bigint_10m"),
    "count_bigint_10m_p2": (None, True, "bare_bigint_10m"),
    "count_string_1k_p1": (None, True, "bare_string_1k"),
    "count_string_1k_p2": (None, True, "bare_string_1k"),
    "count_string_100k_p1": (8, True, "bare_string_100k"),
    "count_string_100k_p2": (8, True, "bare_string_100k"),
    "count_string_10m_p1": (None, True, "bare_string_10m"),
    "count_string_10m_p2": (None, True, "bare_string_10m"),
    "count_bytes_per_key": (64, False, None),
    "count_resident_per_key": (64, False, None),
    "pv_json_decode": (None, True, "pv_json_index"),
    "pv_blackhole_p1": (2, True, "pv_json_decode"),
    "pv_blackhole_p2": (2, True, "pv_json_decode"),
    "pv_sqlite_p2": (None, True, "pv_json_decode"),
    "checkpoint_cost": (5, False, None),
    "snapshot_stall": (10, False, None),
    "recovery_warm": (1, False, None),
}


def read_rows(text):
    """The lines `name value unit # remark` of a program's output."""
    rows = []
    for line in text.splitlines():
        words, _, remark = line.partition("#")
        words = words.split()
        if len(words) == 3:
            rows.append((words[0], float(words[1]), words[2], remark.strip()))
    return rows


def verdict(value, target, is_higher_better):
    least = target / 4 if is_higher_better else target * 4
    if (value >= target) if is_higher_better else (value <= target):
        return least, "reached"
    met = value >= least if is_higher_better else value <= least
    return least, "met" if met else "MISSED"


def table_row(row, values):
    name, value, unit, remark = row
    target, is_higher_better, ceiling = TARGETS.get(name, (None, True, None))
    target_text = least_text = state = share = ""
    if target is not None:
        least, state = verdict(value, target, is_higher_better)
        target_text, least_text = f"{target:g}", f"{least:g}"
    if values.get(ceiling):
        share = f"{100 * value / values[ceiling]:.0f} % of {ceiling}"
    spread = remark.partition("spread ")[2]
    return [name, f"{value:.4g}", unit, spread, target_text, least_text, state, share]


def print_table(rows):
    values = {row[0]: row[1] for row in rows}
    lines = [["figure", "value", "unit", "spread", "target", "now", "", "ceiling"]]
    lines += [table_row(row, values) for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    lines.insert(1, ["-" * width for width in widths])
    for line in lines:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |")


def main():
    if len(sys.argv) < 2:
        print(__doc__.strip())
        return 2
    rows, machines, failed = [], [], []
    for program in sys.argv[2:] or PROGRAMS:
        print(f"running {program} ...", file=sys.stderr, flush=True)
        done = subprocess.run([f"{sys.argv[1]}/{program}"], capture_output=True, text=True, check=False)
        rows += read_rows(done.stdout)
        machines += [line[2:] for line in done.stdout.splitlines() if line.startswith("# machine")]
        if done.returncode != 0:
            print(done.stderr, file=sys.stderr)
            failed.append(program)
    for machine in (machines[0], machines[-1]) if machines else ():
        print(machine)
    print()
    print_table(rows)
    for program in failed:
        print(f"{program} failed", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
