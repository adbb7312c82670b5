#!/usr/bin/env python3
"""Checks the rules of this code base that a tool can check. Usage: tools/tidy.py [ROOT]

Prints "file:line: rule: sentence" per finding and, last, "N passed, N failed", counting files. A line is excused by a
comment on it, /* tidy: RULE: reason */ (for the length of a function on the line where it begins, for a rule about a
whole file on its first line). An excuse that excuses nothing is itself a finding.

Calls are found in the text without comments and strings; a name that a file defines as its own function, or calls
through a pointer (files->open(...)), is not the C library's.
"""
import os
import re
import sys

ROOTS = ["include", "src", "sim", "tests", "bench", "fuzz", "examples"]
SUFFIXES = (".c", ".h", ".cpp")
LINE_MAX, FUNCTION_LINES_MAX, FILE_LINES_MAX = 120, 70, 1500

# A folder of src/ includes itself, the folders of smaller number, and what SIDEWAYS adds: the commands show the
# simulated world too.
LAYERS = {"base": 0, "os": 1, "data": 2, "expr": 3, "store": 4, "state": 5, "checkpoint": 6, "runtime": 7,
          "operators": 8, "formats": 8, "connectors": 8, "api": 9, "sql": 10, "server": 11, "cli": 12}
SIDEWAYS = {"connectors": {"formats", "operators"}, "cli": {"sim"}}

BANNED_ALWAYS = "strcpy strcat sprintf vsprintf strtok atoi atol atoll atof gets alloca".split()
MEMORY_CALLS = ("malloc calloc realloc reallocarray free aligned_alloc posix_memalign strdup strndup asprintf "
                "vasprintf").split()
SYSTEM_CALLS = ("open openat creat close read pread write pwrite fsync fdatasync ftruncate truncate rename unlink "
                "remove mkdir rmdir opendir readdir flock fopen freopen fdopen tmpfile "
                "time clock clock_gettime gettimeofday nanosleep usleep sleep "
                "rand srand random srandom rand_r getrandom getentropy arc4random").split()
STDOUT_CALLS = "printf vprintf puts putchar".split()
MARKERS = ("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")

RULES = {"include", "call", "memory", "stdout", "unsafe", "line", "function", "file", "opening", "marker", "readme",
         "blank", "tab", "test", "global", "waiver"}

WAIVER = re.compile(r"/\*\s*tidy:\s*([a-z]+)\s*:\s*(\S.*?)\s*\*/")
TOKENS = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
NOT_A_TYPE = {"return", "else", "do", "case", "goto", "sizeof", "while", "if"}


def call_pattern(names):
    return re.compile(r"(?<![\w.])(?<!->)(" + "|".join(names) + r")\s*\(")


CALLS_ALWAYS = call_pattern(BANNED_ALWAYS)
CALLS_MEMORY = call_pattern(MEMORY_CALLS)
CALLS_SYSTEM = call_pattern(SYSTEM_CALLS + [r"pthread_\w+"])
CALLS_STDOUT = call_pattern(STDOUT_CALLS)


def strip_comments(text):
    """The text with comments and the insides of strings blanked, line for line."""
    def blank(match):
        token = match.group(0)
        if token[0] in "\"'":
            return token[0] + " " * (len(token) - 2) + token[0]
        return re.sub(r"[^\n]", " ", token)
    return TOKENS.sub(blank, text)


class File:
    """One source file: its text, where it stands, and its findings."""

    def __init__(self, root, path):
        self.path = path
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as handle:
            self.text = handle.read()
        self.lines = self.text.split("\n")
        if self.lines[-1] == "":
            self.lines.pop()
        self.code = strip_comments(self.text).split("\n")[:len(self.lines)]
        parts = path.split("/")
        self.top = parts[0]
        self.folder = parts[1] if self.top == "src" and len(parts) > 2 else ""
        self.is_test = parts[-1].startswith("test_") or self.top == "tests" or path == "src/base/test.h"
        self.is_free = self.is_test or self.top in ("sim", "bench", "fuzz", "examples")
        self.findings = []
        self.waivers = {}
        for number, line in enumerate(self.lines, 1):
            for match in WAIVER.finditer(line):
                self.waivers[(number, match.group(1))] = False

    def find(self, number, rule, sentence):
        if (number, rule) in self.waivers:
            self.waivers[(number, rule)] = True
        else:
            self.findings.append((number, rule, sentence))


def check_includes(file):
    for number, line in enumerate(file.lines, 1):
        match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if not match:
            continue
        name = match.group(1)
        target = name.split("/")[0] if "/" in name else ""
        if target == "weir" or file.is_test and target:
            continue
        if file.top == "include":
            file.find(number, "include", f'a public header includes only weir/ headers, not "{name}"')
        elif file.top == "examples":
            file.find(number, "include", f'an example uses the public interface, weir/, and not "{name}"')
        elif not target:
            file.find(number, "include", f'"{name}" is written from the root: folder/{name}')
        elif file.top == "src":
            check_layer(file, number, name, target)


def check_layer(file, number, name, target):
    if target == file.folder or target in SIDEWAYS.get(file.folder, ()):
        return
    if target not in LAYERS:
        file.find(number, "include", f'"{name}": {target}/ is no folder that src/ may include')
    elif LAYERS.get(file.folder, -1) <= LAYERS[target]:
        file.find(number, "include", f'"{name}": {file.folder} does not stand above {target}')


def own_functions(file):
    """Names that the file defines or declares as functions of its own: at the left margin, after a type."""
    names = set()
    for line in file.code:
        match = re.match(r"(?!#)([A-Za-z_][\w\s*]*?[\s*])(\w+)\s*\(", line)
        if match and match.group(1).split()[0] not in NOT_A_TYPE:
            names.add(match.group(2))
    return names


def check_calls(file):
    own = own_functions(file)
    in_os = file.folder == "os"
    for number, line in enumerate(file.code, 1):
        def each(pattern, rule, sentence):
            for match in pattern.finditer(line):
                if match.group(1) not in own:
                    file.find(number, rule, sentence.format(match.group(1)))
        each(CALLS_ALWAYS, "unsafe", "{} is never used: it cannot be told how much room there is, or that it failed")
        if file.is_free:
            continue
        if not in_os and file.path != "src/base/memory.c":
            each(CALLS_MEMORY, "memory", "{}: memory comes from struct wr_memory (base/memory.h)")
        if not in_os:
            each(CALLS_SYSTEM, "call", "{}: the system is reached through the seams (os/seams.h) only")
        if file.folder != "cli" and not file.path.startswith("src/connectors/print"):
            each(CALLS_STDOUT, "stdout", "{}: only the commands and the print connector write to standard output")
            if re.search(r"(?<![\w.])stdout\b", line):
                file.find(number, "stdout", "only the commands and the print connector write to standard output")


def check_globals(file):
    """Variables that live as long as the process: at the left margin, or static within a function."""
    if file.is_free or file.top != "src":
        return
    for number, line in enumerate(file.code, 1):
        match = re.match(r"\s*(static\s.*)|^((?:struct|enum|int|bool|char|size_t|u?int\d+_t|_Atomic)\s[^(]*?(?:=|;).*)",
                         line)
        if not match or line.startswith("}"):
            continue
        declaration = re.split(r"=", match.group(1) or match.group(2))[0]
        if "const" in declaration or re.search(r"\w\s*\(", declaration) or "inline" in declaration:
            continue
        if match.group(2) and (re.match(r"(struct|enum)\s+\w+\s*;", declaration) or "{" in declaration):
            continue
        if declaration.rstrip().endswith(("static", "struct {")) or not re.search(r"[;={\]]", line):
            continue
        file.find(number, "global", "a variable outside of every struct: several engines live in one process")


def check_functions(file):
    start, signature = 0, ""
    in_function = False
    for number, line in enumerate(file.code, 1):
        if in_function:
            if line.startswith("}"):
                length = number - start + 1
                if length > FUNCTION_LINES_MAX:
                    file.find(start, "function", f"a function of {length} lines; the limit is {FUNCTION_LINES_MAX}")
                in_function, signature = False, ""
            continue
        if not line.strip() or line.startswith(("#", "}")):
            signature = ""
            continue
        if not line[0].isspace() and line[0] != "{" and (not signature or signature.rstrip().endswith(")")):
            start, signature = number, ""  # also after a macro or an attribute on a line of its own
        elif not signature:
            continue
        signature += line + " "
        end = line.rstrip()
        if end.endswith("{"):
            head = signature.split("{")[0]
            in_function = "(" in head and "=" not in head
            if not in_function:
                signature = ""
        elif end.endswith((";", "}")):
            signature = ""


def check_text(file):
    markers = re.compile(r"\b(" + "|".join(MARKERS) + r")\b")
    for number, line in enumerate(file.lines, 1):
        if len(line) > LINE_MAX:
            file.find(number, "line", f"{len(line)} characters; the limit is {LINE_MAX}")
        if "\t" in line:
            file.find(number, "tab", "a tab; the indent is two spaces")
        if line != line.rstrip():
            file.find(number, "blank", "blanks at the end of the line")
        match = markers.search(line)
        if match:
            file.find(number, "marker", f"{match.group(1)}: finish it or leave it out")
    if not file.text.startswith(("/*", "//")):
        file.find(1, "opening", "the file does not open with a comment that says what it is")
    if len(file.lines) > FILE_LINES_MAX:
        file.find(1, "file", f"{len(file.lines)} lines; the limit is {FILE_LINES_MAX}")
    if file.text and not file.text.endswith("\n"):
        file.find(len(file.lines), "blank", "no line end at the end of the file")


def check_test(file):
    name = file.path.split("/")[-1]
    if not (name.startswith("test_") and name.endswith(".c")):
        return
    main = r"^TEST_MAIN\(|^int main\(" if file.top == "tests" else r"^TEST_MAIN\("
    code = "\n".join(file.code)
    if not re.search(main, code, re.M):
        file.find(1, "test", "a test program ends with TEST_MAIN (base/test.h)")
    for match in re.finditer(r"^TEST\((\w+)\)", code, re.M):
        if not re.search(r"TEST_CASE\(\s*" + match.group(1) + r"\s*\)", code):
            number = code.count("\n", 0, match.start()) + 1
            file.find(number, "test", f"the test {match.group(1)} is not in TEST_MAIN and never runs")


def check_waivers(file):
    for (number, rule), used in sorted(file.waivers.items()):
        if rule not in RULES:
            file.find(number, "waiver", f"there is no rule {rule}")
        elif not used:
            file.find(number, "waiver", f"nothing here breaks the rule {rule}: take the comment out")
    for number, line in enumerate(file.lines, 1):
        if re.search(r"/\*\s*tidy:", line) and not WAIVER.search(line):
            file.find(number, "waiver", "an excuse is /* tidy: RULE: reason */")


def source_paths(root):
    for top in ROOTS:
        for folder, folders, names in os.walk(os.path.join(root, top)):
            folders.sort()
            for name in sorted(names):
                if name.endswith(SUFFIXES):
                    yield os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/")


def missing_readmes(root, paths):
    """Folders with code that neither they nor a folder above them (below the root) says a word about."""
    for folder in sorted({os.path.dirname(path) for path in paths}):
        area = folder
        # The README of src/ itself says nothing about what is below it.
        while area not in ("", "src") and not os.path.exists(os.path.join(root, area, "README.md")):
            area = os.path.dirname(area)
        if area in ("", "src"):
            yield folder + "/README.md"


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    paths = list(source_paths(root))
    passed = failed = 0
    for path in paths:
        file = File(root, path)
        for check in (check_includes, check_calls, check_globals, check_functions, check_text, check_test,
                      check_waivers):
            check(file)
        for number, rule, sentence in sorted(file.findings):
            print(f"{path}:{number}: {rule}: {sentence}")
        passed, failed = passed + (not file.findings), failed + bool(file.findings)
    for path in missing_readmes(root, paths):
        print(f"{path}:1: readme: a folder with code says in README.md what lives there and what may not")
        failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
