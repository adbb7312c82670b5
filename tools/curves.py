#!/usr/bin/env python3
"""Draws the curves of the benchmarks as SVG, with the figures beside them as TSV. Needs nothing but Python.

usage: tools/curves.py [--from FILE] FOLDER OUT

FOLDER holds the programs of bench/: keyed_count and large_state are run with --curve (more than 7 minutes). With --from their
output is read from FILE instead. Into the folder OUT go curve-keys.svg, curve-checkpoints.svg and a .tsv of each.
"""
import argparse
import math
import os
import subprocess
import sys

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 80, 30, 60, 90  # margins around the plot

STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #333 }
  .title { font-size: 16px; font-weight: 600 } .note { font-size: 11px; fill: #666 }
  .grid { stroke: #ddd } .axis { stroke: #666 } path { fill: none; stroke-width: 2 }
  .s0 { stroke: #0072b2; fill: #0072b2 } .s1 { stroke: #d55e00; fill: #d55e00 } .s2 { stroke: #008060; fill: #008060 }
  path.s0, path.s1, path.s2 { fill: none } text.s0, text.s1, text.s2 { stroke: none }
  .paper { fill: #fff }
  @media (prefers-color-scheme: dark) {
    text { fill: #ddd } .note { fill: #aaa } .grid { stroke: #3a3a3a } .axis { stroke: #999 } .paper { fill: #161616 }
    .s0 { stroke: #56b4e9; fill: #56b4e9 } .s1 { stroke: #e69f00; fill: #e69f00 } .s2 { stroke: #2fc99a; fill: #2fc99a }
  }
"""


def escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class Chart:
    """A line chart with a logarithmic axis to the right, and up a logarithmic one or one from zero."""

    def __init__(self, title, note, across, up, ticks_across, is_log_up):
        self.title, self.note, self.across, self.up = title, note, across, up
        self.ticks_across = ticks_across  # (value, text)
        self.is_log_up = is_log_up
        self.series = []  # (name, [(x, y)])
        self.columns = []  # the same, only for the table

    def draw(self):
        values = [y for _, points in self.series for _, y in points]
        low, high, ticks = self.range_up(values)
        first, last = self.ticks_across[0][0], self.ticks_across[-1][0]

        def place_x(x):
            share = (math.log(x) - math.log(first)) / (math.log(last) - math.log(first))
            return LEFT + share * (WIDTH - LEFT - RIGHT)

        def place_y(y):
            share = math.log(y / low) / math.log(high / low) if self.is_log_up else (y - low) / (high - low)
            return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

        out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
               f"<title>{escape(self.title)}</title><style>{STYLE}</style>",
               f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>',
               f'<text class="title" x="{LEFT}" y="28">{escape(self.title)}</text>']
        for value in ticks:
            y = place_y(value)
            out.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            out.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
        for value, text in self.ticks_across:
            x = place_x(value)
            out.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
            out.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{text}</text>')
        out += self.draw_axes()
        out += self.draw_series(place_x, place_y)
        return "\n".join(out + ["</svg>", ""])

    def range_up(self, values):
        """Lowest and highest value of the axis, and its ticks."""
        if self.is_log_up:
            ticks = [m * 10 ** e for e in range(-3, 7) for m in (1, 2, 5)]
            low = max(t for t in ticks if t <= min(values))
            high = min(t for t in ticks if t >= max(values))
            return low, high, [t for t in ticks if low <= t <= high]
        spread = max(max(values), 1) - min(min(values), 0)
        step = next(m * 10 ** e for e in range(-3, 7) for m in (1, 2, 5) if m * 10 ** e * 7 >= spread)
        low, high = math.floor(min(min(values), 0) / step), math.ceil(max(values) / step)
        return low * step, high * step, [i * step for i in range(low, high + 1)]

    def draw_axes(self):
        middle = (TOP + HEIGHT - BOTTOM) / 2
        return [f'<path class="axis" style="stroke-width:1" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>',
                f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - BOTTOM + 42}" text-anchor="middle">'
                f"{escape(self.across)}</text>",
                f'<text transform="translate(22 {middle}) rotate(-90)" text-anchor="middle">{escape(self.up)}</text>',
                f'<text class="note" x="{LEFT}" y="{HEIGHT - 12}">{escape(self.note)}</text>']

    def draw_series(self, place_x, place_y):
        out = []
        for number, (name, points) in enumerate(self.series):
            line = "L".join(f"{place_x(x):.1f} {place_y(y):.1f}" for x, y in points)
            out.append(f'<path class="s{number}" d="M{line}"/>')
            out += [f'<circle class="s{number}" r="3.5" cx="{place_x(x):.1f}" cy="{place_y(y):.1f}"/>'
                    for x, y in points]
            out.append(f'<text class="s{number}" x="{LEFT + number * 200}" y="50">● {escape(name)}</text>')
        return out


def read_values(text):
    """The rows by name, and where it was measured."""
    values, machine = {}, ""
    for line in text.splitlines():
        if line.startswith("# machine: ") and not machine:
            machine = line[len("# machine: "):]
        words = line.partition("#")[0].split()
        if len(words) == 3:
            values[words[0]] = float(words[1])
    return values, machine


def points_of(values, names):
    return [(x, values[name]) for x, name in names if name in values]


def chart_of_keys(values, machine):
    sizes = [(1e3, "1k"), (1e4, "10k"), (1e5, "100k"), (1e6, "1m"), (1e7, "10m"), (5e7, "50m")]
    chart = Chart("Count per key over the number of keys", machine, "BIGINT keys", "million rows per CPU second",
                  [(x, text.upper().replace("K", " k").replace("M", " M")) for x, text in sizes], True)
    for name, pattern in (("bare loop", "bare_bigint_{}"), ("weir, 1 subtask", "count_bigint_{}_p1"),
                          ("weir, 2 subtasks", "count_bigint_{}_p2")):
        chart.series.append((name, points_of(values, [(x, pattern.format(text)) for x, text in sizes])))
    return chart


def chart_of_checkpoints(values, machine):
    percents = [1, 2, 5, 10, 20, 50, 100]
    chart = Chart("What a checkpoint every second costs, 2 M rows of 100 B", machine,
                  "rows that change between two checkpoints, %", "% of throughput",
                  [(p, str(p)) for p in percents], False)
    for where, name, pattern in ((chart.series, "cost, % of throughput", "curve_cost_{}"),
                                 (chart.columns, "written for one checkpoint, MB", "curve_bytes_{}")):
        where.append((name, points_of(values, [(p, pattern.format(p)) for p in percents])))
    return chart


def table_of(chart):
    columns = chart.series + chart.columns
    lines = ["\t".join([chart.across] + [name for name, _ in columns])]
    for i, (x, _) in enumerate(columns[0][1]):
        lines.append("\t".join([f"{x:g}"] + [f"{points[i][1]:g}" for _, points in columns]))
    return "\n".join(lines + [f"# {chart.note}", ""])


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n")[0],
                                     description=__doc__.split("\n\n", 2)[2])
    parser.add_argument("--from", dest="source", metavar="FILE")
    parser.add_argument("folder")
    parser.add_argument("out")
    arguments = parser.parse_args()
    text = ""
    if arguments.source:
        with open(arguments.source, encoding="utf-8") as file:
            text = file.read()
    for program in () if arguments.source else ("keyed_count", "large_state"):
        print(f"running {program} --curve ...", file=sys.stderr, flush=True)
        text += subprocess.run([os.path.join(arguments.folder, program), "--curve"], stdout=subprocess.PIPE, text=True,
                               check=True).stdout
    values, machine = read_values(text)
    for name, chart in (("curve-keys", chart_of_keys(values, machine)),
                        ("curve-checkpoints", chart_of_checkpoints(values, machine))):
        lengths = {len(points) for _, points in chart.series + chart.columns}
        if len(lengths) != 1 or lengths == {0}:
            sys.exit(f"figures for {name} are missing")
        for suffix, content in (("svg", chart.draw()), ("tsv", table_of(chart))):
            with open(os.path.join(arguments.out, f"{name}.{suffix}"), "w", encoding="utf-8") as file:
                file.write(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
