#!/usr/bin/env python3
"""Tests of tools/tidy.py: each rule finds its seeded violation, at its line, and leaves what is right alone."""
import os
import re
import subprocess
import sys
import tempfile

TIDY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tidy.py")
OPEN = "/* A file. */\n"

# name, path, text, expected findings as "line: rule"
CASES = [
    ("clean", "src/data/a.c", OPEN + '#include "base/b.h"\n#include "data/a.h"\n#include "weir/t.h"\nint f(void);\n',
     []),
    ("layer above", "src/data/a.c", OPEN + '#include "runtime/task.h"\n', ["2: include"]),
    ("layer beside", "src/formats/a.c", OPEN + '#include "connectors/a.h"\n', ["2: include"]),
    ("sideways allowed", "src/connectors/file/a.c", OPEN + '#include "formats/a.h"\n#include "operators/o.h"\n', []),
    ("base below os", "src/base/a.c", OPEN + '#include "os/seams.h"\n', ["2: include"]),
    ("src includes sim", "src/runtime/a.c", OPEN + '#include "sim/sim.h"\n', ["2: include"]),
    ("a command shows sim", "src/cli/a.c", OPEN + '#include "sim/sim.h"\n', []),
    ("not from the root", "src/data/a.c", OPEN + '#include "a.h"\n', ["2: include"]),
    ("tests are free", "src/data/test_a.c", OPEN + '#include "api/a.h"\n#include "sim/s.h"\nTEST_MAIN()\n', []),
    ("example", "examples/a.c", OPEN + '#include "weir/job.h"\n#include "data/a.h"\n', ["3: include"]),
    ("public header", "include/weir/a.h", OPEN + '#include "weir/b.h"\n#include "base/b.h"\n', ["3: include"]),
    ("malloc", "src/data/a.c", OPEN + "void f(void) {\n  g(malloc(1));\n}\n", ["3: memory"]),
    ("malloc in its place", "src/base/memory.c", OPEN + "void f(void) {\n  g(malloc(1));\n}\n", []),
    ("malloc in words", "src/data/a.c", OPEN + 'void f(void) {\n  g("malloc(1)"); /* free(x) */ // free(x)\n}\n', []),
    ("system call", "src/store/a.c", OPEN + "int f(int d) {\n  return fsync(d);\n}\n", ["3: call"]),
    ("system call in os", "src/os/a.c", OPEN + "int f(int d) {\n  return fsync(d);\n}\n", []),
    ("through a table", "src/store/a.c", OPEN + "int f(void) {\n  return files->open(x) + t.read(y);\n}\n", []),
    ("a static of that name", "src/store/a.c", OPEN + "static int read(int a) {\n  return a;\n}\nint f(void) {\n"
     "  return read(1);\n}\n", []),
    ("pthread", "src/runtime/a.c", OPEN + "void f(void) {\n  pthread_mutex_lock(x);\n}\n", ["3: call"]),
    ("clock", "src/checkpoint/a.c", OPEN + "long f(void) {\n  return time(NULL);\n}\n", ["3: call"]),
    ("printf", "src/runtime/a.c", OPEN + 'void f(void) {\n  printf("x");\n  fputs("x", stdout);\n}\n',
     ["3: stdout", "4: stdout"]),
    ("printf in a command", "src/cli/a.c", OPEN + 'void f(void) {\n  printf("x");\n}\n', []),
    ("snprintf", "src/data/a.c", OPEN + 'void f(void) {\n  snprintf(b, 1, "x");\n}\n', []),
    ("unsafe", "tests/test_a.c", OPEN + "void f(void) {\n  strcpy(a, b);\n}\nint main(void) {}\n", ["3: unsafe"]),
    ("line of 120", "src/data/a.c", OPEN + "/* " + "x" * 114 + " */\n", []),
    ("line of 121", "src/data/a.c", OPEN + "/* " + "x" * 115 + " */\n", ["2: line"]),
    ("function of 70", "src/data/a.c", OPEN + "int x(void);\nvoid f(int a,\n       int b) {\n" + "  g();\n" * 67 +
     "}\n", []),
    ("function of 71", "src/data/a.c", OPEN + "int x(void);\nvoid f(int a,\n       int b) {\n" + "  g();\n" * 68 +
     "}\n", ["3: function"]),
    ("test function of 71", "src/data/test_a.c", OPEN + "TEST(a) {\n" + "  g();\n" * 69 +
     "}\nTEST_MAIN(TEST_CASE(a))\n", ["2: function"]),
    ("a long table is no function", "src/data/a.c", OPEN + "static const int f[] = {\n" + "  1,\n" * 90 + "};\n", []),
    ("a long struct is no function", "src/data/a.h", OPEN + "struct a {\n" + "  int (*f)(int);\n" * 90 + "};\n", []),
    ("file of 1501", "src/data/a.c", OPEN + "int x(void);\n" * 1500, ["1: file"]),
    ("no opening", "src/data/a.c", "int x(void);\n", ["1: opening"]),
    ("marker", "src/data/a.c", OPEN + "/* TO" + "DO: more */\n", ["2: marker"]),
    ("mkstemp's pattern", "tests/a.c", OPEN + '/* "/tmp/a-XXXXXX" */\n', []),
    ("tab", "src/data/a.c", OPEN + "\tint x;\n", ["2: tab"]),
    ("blanks", "src/data/a.c", OPEN + "int x(void); \n", ["2: blank"]),
    ("no line end", "src/data/a.c", OPEN + "int x(void);", ["2: blank"]),
    ("no TEST_MAIN", "src/data/test_a.c", OPEN + "int x(void);\n", ["1: test"]),
    ("forgotten test", "src/data/test_a.c", OPEN + "TEST(a) {\n}\nTEST(b) {\n}\nTEST_MAIN(TEST_CASE(a))\n",
     ["4: test"]),
    ("globals", "src/data/a.c", OPEN + "static int count;\nint other = 1;\nvoid f(void) {\n  static char b[9];\n}\n",
     ["2: global", "3: global", "5: global"]),
    ("constants", "src/data/a.c", OPEN + "static const int a[] = {1};\nstatic int f(void);\nstruct s;\n"
     "static const struct s *const t = 0;\nenum { A = 1 };\nint g(int a,\n      int b);\n", []),
    ("excused", "src/data/a.c", OPEN + "void f(void) {\n  free(x); /* tidy: memory: the C library gave it */\n}\n", []),
    ("excused without need", "src/data/a.c", OPEN + "int f(void); /* tidy: memory: why not */\n", ["2: waiver"]),
    ("excused without reason", "src/data/a.c", OPEN + "int f(void); /* tidy: memory */\n", ["2: waiver"]),
    ("unknown rule", "src/data/a.c", OPEN + "int f(void); /* tidy: taste: mine */\n", ["2: waiver"]),
]


def run_tidy(files):
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as handle:
                handle.write(text)
        run = subprocess.run([sys.executable, TIDY, root], capture_output=True, text=True, check=False)
    lines = run.stdout.splitlines()
    found = [re.match(r"(\S+?):(\d+: \w+): .", line) for line in lines[:-1]]
    return [(match.group(1), match.group(2)) for match in found], lines[-1], run.returncode


def main():
    passed = failed = 0

    def check(name, actual, expected):
        nonlocal passed, failed
        if actual == expected:
            passed += 1
        else:
            failed += 1
            print(f"{name}: found {actual}, expected {expected}")

    for name, path, text, expected in CASES:
        readme = os.path.dirname(path) + "/README.md"
        found, last, code = run_tidy({path: text, readme: "Words.\n"})
        verdict = "0 passed, 1 failed" if expected else "1 passed, 0 failed"
        check(name, ([what for _, what in found], last, code), (expected, verdict, int(bool(expected))))
    found, last, code = run_tidy({"src/a/b/c.c": OPEN, "src/README.md": "Words.\n", "sim/a.c": OPEN,
                                "sim/README.md": "Words.\n"})
    check("missing readme", (found, last, code), ([("src/a/b/README.md", "1: readme")], "2 passed, 1 failed", 1))
    found, _, _ = run_tidy({"src/data/b/c.c": OPEN, "src/data/README.md": "Words.\n"})
    check("readme of the area", found, [])
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
