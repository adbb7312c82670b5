#!/usr/bin/env python3
"""Compiles the examples in the documentation. Usage: tools/check_examples.py [ROOT]

An example is a ```c block in a comment of a public header or in a Markdown file. One that declares something at its left
margin (a function, an #include) is compiled as a file, any other as the inside of a function that has the handles its
page speaks of. Each public header is also compiled alone, in C and in C++. Prints "file:line: ..." per example that does
not compile and, last, "N passed, N failed".
"""
import glob
import os
import re
import subprocess
import sys

PRELUDE = """#include "weir/weir.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
"""
INSIDE = """
int example(struct weir_job_builder *builder, struct weir_options *options, struct weir_job *job,
            const struct weir_batch *batch, struct weir_operator *op, struct weir_stream *stream,
            struct weir_error *error);
int example(struct weir_job_builder *builder, struct weir_options *options, struct weir_job *job,
            const struct weir_batch *batch, struct weir_operator *op, struct weir_stream *stream,
            struct weir_error *error) {
  (void)builder, (void)options, (void)job, (void)batch, (void)op, (void)stream, (void)error;
  {
%s
  }
  return 0;
}
"""
FILE_START = re.compile(r"\s*(#include|static [^;]*\(|enum weir_code \w+\(|int main\()", re.M)
FLAGS = ["-std=c17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-Wno-unused", "-fsyntax-only", "-x", "c", "-"]


def blocks(path):
    """(line, text) of each ```c block; in a header without the comment's stars."""
    is_header = path.endswith(".h")
    start, kept = 0, []
    with open(path, encoding="utf-8") as handle:
        for number, line in enumerate(handle, 1):
            line = line.rstrip("\n")
            if is_header:
                line = re.sub(r"^\s*\* ?", "", line)
            if start and line.strip() == "```":
                yield start, "\n".join(kept)
                start, kept = 0, []
            elif start:
                kept.append(line)
            elif line.strip() == "```c":
                start = number


def is_file(text):
    return any(FILE_START.match(line) for line in text.split("\n") if not line.startswith(" "))


def compile_block(root, path, number, text):
    marked = f'#line {number + 1} "{path}"\n{text}'
    source = PRELUDE + (marked if is_file(text) else INSIDE % marked)
    result = subprocess.run([os.environ.get("CC", "gcc"), "-I" + os.path.join(root, "include"), *FLAGS], input=source,
                            capture_output=True, text=True, check=False)
    return result.returncode == 0, result.stderr


def main():
    root = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), ".."))
    paths = sorted(glob.glob(os.path.join(root, "include/weir/*.h")) + glob.glob(os.path.join(root, "*.md")) +
                   glob.glob(os.path.join(root, "docs/**/*.md"), recursive=True))
    passed = failed = 0
    for path in paths:
        name = os.path.relpath(path, root)
        for number, text in blocks(path):
            good, report = compile_block(root, name, number, text)
            if good:
                passed += 1
            else:
                failed += 1
                print(f"{name}:{number}: the example does not compile\n{report}")
    for header in sorted(glob.glob(os.path.join(root, "include/weir/*.h"))):
        # Each header alone, in C and in C++.
        for compiler, language in (("gcc", "c"), ("g++", "c++")):
            command = [compiler, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I" + os.path.join(root, "include"),
                       "-std=" + ("c17" if language == "c" else "c++17"), "-fsyntax-only", "-x", language, "-"]
            text = f'#include "weir/{os.path.basename(header)}"\n'
            result = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
            passed, failed = passed + (result.returncode == 0), failed + (result.returncode != 0)
            if result.returncode != 0:
                print(f"{os.path.relpath(header, root)}: does not compile alone as {language}\n{result.stderr}")
    if passed < 10:
        print("too few examples were found: the search is broken")
        failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
