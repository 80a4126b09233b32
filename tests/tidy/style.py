#!/usr/bin/env python3
"""The rules of the code's style, as tests: one test per rule (TAP), every offence as file:line: rule: message.

    tests/tidy/style.py            all rules
    tests/tidy/style.py RULE...    these rules
    tests/tidy/style.py --shape    figures: median file and function, comments, asserts, conditionals

An offence is excused by a line of exceptions.txt: rule, file, a word of the message (or -), and the reason. An exception that
excuses nothing is an offence too.
"""

import os
import re
import statistics
import subprocess
import sys

ROOT = os.environ.get("VARVE_STYLE_ROOT") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EXCEPTIONS = "tests/tidy/exceptions.txt"

FILE_LINES_MAX = 800
LINE_COLUMNS_MAX = 132
FUNCTION_LINES_MAX = 70
FUNCTION_SHARE_MIN = 0.97

# What each engine layer may include, besides itself and the public headers.
LAYERS = {
    "base": [],
    "os": ["base"],
    "kv": ["base", "os"],
    "wal": ["base", "os", "kv"],
    "mem": ["base", "os", "kv"],
    "table": ["base", "os", "kv"],
    "version": ["base", "os", "kv", "table"],
    "compact": ["base", "os", "kv", "wal", "mem", "table", "version"],
    "db": ["base", "os", "kv", "wal", "mem", "table", "version", "compact"],
}

# Where a library's or the system's header may be included. Everything else of the C library is free.
HEADER_HOMES = {
    r"zstd.*\.h|zdict\.h": ["engine/table/"],
    r"xxhash\.h": ["engine/base/", "changelog/"],
    r"librdkafka/.*": ["changelog/", "tests/", "bench/"],
    r"pthread\.h|threads\.h|unistd\.h|fcntl\.h|time\.h|sys/.*|linux/.*|dirent\.h|sched\.h|signal\.h": [
        "engine/os/", "changelog/", "cli/", "bench/", "examples/", "tests/", "fuzz/"],
}

SYSTEM_CALLS = """open openat read write pread pwrite preadv pwritev close lseek mmap munmap mremap msync madvise fsync fdatasync
    sync_file_range fallocate posix_fallocate ftruncate truncate rename unlink remove link mkdir rmdir stat fstat opendir readdir
    flock fcntl syscall sysconf getpid fork clock_gettime gettimeofday time nanosleep usleep sleep sched_yield getenv
    fopen fclose fread fwrite""".split()
PRINTING = "printf fprintf vprintf vfprintf puts fputs putchar perror".split()
ALLOCATION = "malloc calloc realloc reallocarray free strdup strndup aligned_alloc posix_memalign asprintf vasprintf".split()
UNSAFE = "strcpy strcat sprintf vsprintf gets rand srand random strtok atoi atol alloca setjmp longjmp".split()
ENDING = "exit _exit quick_exit abort assert".split()
FENCES = "atomic_thread_fence atomic_signal_fence __sync_synchronize __atomic_thread_fence".split()

# Prose that ties the project to one machine or one registry. Written so that this line does not match itself.
MACHINE_BOUND = re.compile(
    r"https?://[^/\s\"']*(?:regist[r]y|artifactor[y]|nexu[s]|mirro[r]|rep[o]\d*\.)|/roo[t]/|/wor[k]/|/hom[e]/[a-z]")


def run_git(*args):
    done = subprocess.run(("git", "-C", ROOT) + args, capture_output=True, text=True)
    return done.stdout.split("\0") if done.returncode == 0 else None


def list_files():
    """Every file of the project: those that git tracks or would add, or all below the root where there is no git."""
    names = run_git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if names is None:
        names = [os.path.relpath(os.path.join(d, f), ROOT) for d, _, files in os.walk(ROOT) for f in files]
        names = [n for n in names if not n.startswith(("build/", ".git/"))]
    return sorted({n for n in names if n and os.path.isfile(os.path.join(ROOT, n))})


def blank_comments_and_strings(text):
    """The text with comments and the insides of literals replaced by spaces; lines stay where they are."""
    pattern = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)

    def blank(match):
        found = match.group(0)
        if found[0] in "\"'":
            return found[0] + " " * (len(found) - 2) + found[0]
        return re.sub(r"[^\n]", " ", found)

    return pattern.sub(blank, text)


class Function:
    """A function definition: its name, first line, number of lines, and whether it is static."""

    def __init__(self, name, line, length, static):
        self.name, self.line, self.length, self.static = name, line, length, static


class Source:
    """A C or C++ file: its lines, its lines without comments and literals, its function definitions."""

    def __init__(self, path):
        self.path = path
        self.text = read(path)
        self.lines = self.text.splitlines()
        self.code_text = blank_comments_and_strings(self.text)
        self.code = self.code_text.splitlines()
        self.functions = list(self.find_functions())

    def find_functions(self):
        """Definitions begin in the first column, and end with a brace there."""
        head, start = "", 0
        i = 0
        while i < len(self.code):
            line = self.code[i]
            if line[:1] in (" ", "\t") and not head:
                i += 1
                continue
            if line.startswith(("#", "}", "{")) or not line.strip():
                head = ""
                i += 1
                continue
            if not head:
                start = i
            head += " " + line.strip()
            i += 1
            if head.rstrip().endswith(";"):
                head = ""
            elif head.rstrip().endswith("{"):
                head = re.sub(r"__attribute__\s*\(\(.*?\)\)(?=[\s;{])|\bVR_[A-Z_]+\s*\([^()]*\)", " ", head)
                end = i
                while end < len(self.code) and not self.code[end].startswith("}"):
                    end += 1
                match = re.match(r"[^=]*?\b(\w+)\s*\(", head)
                other = re.match(r"\s*(typedef|struct \w+ \{|enum|union|extern \")", head) or "=" in head.split("(")[0]
                if match and not other:
                    yield Function(match.group(1), start + 1, end - start + 1, bool(re.match(r"\s*(static|Test|Theory)", head)))
                head = ""
                i = end + 1

    def includes(self):
        """(line number, name, quoted?) of each include."""
        for number, line in enumerate(self.lines, 1):
            match = re.match(r"\s*#\s*include\s*([<\"])([^>\"]+)[>\"]", line)
            if match:
                yield number, match.group(2), match.group(1) == '"'


def read(path):
    with open(os.path.join(ROOT, path), errors="replace", newline="") as file:
        return file.read()


class Tree:
    def __init__(self):
        self.files = list_files()
        self.sources = [Source(p) for p in self.files if p.endswith((".c", ".h", ".cc", ".cpp", ".hpp"))]

    def below(self, *prefixes):
        return [s for s in self.sources if s.path.startswith(prefixes)]

    def texts(self):
        """(path, lines) of every text file."""
        for path in self.files:
            try:
                with open(os.path.join(ROOT, path), encoding="utf-8", newline="") as file:
                    text = file.read()
            except UnicodeDecodeError:
                continue
            if "\0" not in text and not path.startswith("fuzz/corpus/"):
                yield path, text.split("\n")


# ---- the rules: each yields (path, line, message) ----

def rule_layers(tree):
    """An engine layer includes only the layers below it."""
    for source in tree.below("engine/"):
        layer = source.path.split("/")[1]
        if layer not in LAYERS:
            yield source.path, 1, "%s is no layer of the engine" % layer
            continue
        for line, name, quoted in source.includes():
            if not quoted:
                if name in ("varve/changelog.h",):
                    yield source.path, line, "the engine knows nothing of the changelog: <%s>" % name
                continue
            target = name.split("/")[0] if "/" in name else None
            if target is None:
                yield source.path, line, "say the layer: \"%s/%s\"" % (layer, name)
            elif target != layer and target not in LAYERS[layer]:
                yield source.path, line, "%s may not include \"%s\"" % (layer, name)


def rule_public_headers_only(tree):
    """changelog, cli, bench and examples see the public headers and their own, never the engine's."""
    own = {d: {os.path.basename(s.path) for s in tree.below(d + "/")} for d in ("changelog", "cli", "bench", "examples")}
    for directory, names in own.items():
        for source in tree.below(directory + "/"):
            for line, name, quoted in source.includes():
                if quoted and os.path.basename(name) not in names or name.startswith(tuple(l + "/" for l in LAYERS)):
                    yield source.path, line, "%s may not include \"%s\"" % (directory, name)
    for source in tree.below("include/"):
        for line, name, quoted in source.includes():
            if quoted or not re.match(r"(varve/\w+|std\w+|string)\.h$", name):
                yield source.path, line, "a public header includes only <varve/...> and plain C headers, not %s" % name


def rule_header_homes(tree):
    """Libraries and the operating system are included only where they belong."""
    for source in tree.below("engine/", "changelog/", "cli/", "bench/", "examples/"):
        for line, name, quoted in source.includes():
            for pattern, homes in HEADER_HOMES.items():
                if not quoted and re.fullmatch(pattern, name) and not source.path.startswith(tuple(homes)):
                    yield source.path, line, "<%s> belongs in %s" % (name, " ".join(homes[:2]))


def banned_here(path):
    """The calls that a file may not make."""
    if path.startswith("engine/"):
        banned = UNSAFE + ENDING + PRINTING + FENCES
        if not path.startswith("engine/os/"):
            banned = banned + SYSTEM_CALLS
        if not path.startswith("engine/base/"):
            banned = banned + ALLOCATION
        return banned
    if path.startswith("changelog/"):
        return UNSAFE + ENDING + PRINTING + FENCES
    if path.startswith("cli/"):
        return UNSAFE
    return []


def rule_banned_calls(tree):
    """The engine reaches the system, threads and memory through os/ and base/; nobody calls what cannot be used safely."""
    for source in tree.sources:
        banned = banned_here(source.path)
        if not banned:
            continue
        call = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(banned))
        thread = source.path.startswith("engine/") and not source.path.startswith("engine/os/")
        for number, line in enumerate(source.code, 1):
            for match in call.finditer(line):
                yield source.path, number, "%s()" % match.group(1)
            if thread and re.search(r"(?<!\w)pthread_\w+\s*\(", line):
                yield source.path, number, "pthread_*()"
            if source.path.startswith(("engine/", "changelog/")) and re.search(r"\bvolatile\b", line) and "asm" not in line:
                yield source.path, number, "volatile is not synchronisation"


def rule_file_size(tree):
    """No file over 800 lines."""
    for source in tree.sources:
        if len(source.lines) > FILE_LINES_MAX:
            yield source.path, len(source.lines), "%d lines, at most %d" % (len(source.lines), FILE_LINES_MAX)


def rule_function_length(tree):
    """97 of 100 functions have 70 lines or fewer."""
    functions = [(s, f) for s in tree.below("engine/", "changelog/", "cli/", "bench/", "examples/", "fuzz/") for f in s.functions]
    long = [(s, f) for s, f in functions if f.length > FUNCTION_LINES_MAX]
    if functions and 1 - len(long) / len(functions) < FUNCTION_SHARE_MIN:
        for source, function in long:
            yield source.path, function.line, "%s has %d lines (%d of %d functions over %d)" % (
                function.name, function.length, len(long), len(functions), FUNCTION_LINES_MAX)


def rule_lines(tree):
    """No tabs, no trailing blanks, no line over 132 columns, a newline at the end."""
    for path, lines in tree.texts():
        code = path.endswith((".c", ".h", ".cc", ".py", ".sh", ".txt", ".cmake", ".json")) or path.startswith("scripts/")
        if not code or path.startswith(("tests/golden/", "tests/cli/data")):
            continue
        if lines[-1] != "":
            yield path, len(lines), "no newline at the end"
        for number, line in enumerate(lines, 1):
            if "\t" in line:
                yield path, number, "tab"
            if line.endswith((" ", "\r")):
                yield path, number, "blank at the end of the line"
            if len(line) > LINE_COLUMNS_MAX:
                yield path, number, "%d columns, at most %d" % (len(line), LINE_COLUMNS_MAX)


def rule_file_names(tree):
    """A file name is used once in the repository."""
    seen = {}
    for path in tree.files:
        name = os.path.basename(path)
        if name in ("CMakeLists.txt", "README.md") or path.startswith(("fuzz/corpus/", "tests/golden/")):
            continue
        if name in seen:
            yield path, 1, "there is %s already" % seen[name]
        seen.setdefault(name, path)


def rule_names(tree):
    """Functions with external linkage: varve_ or vr_ in the engine, varve_ or vcl_ in the changelog; public ones varve_ only."""
    prefixes = {"engine/": ("varve_", "vr_"), "changelog/": ("varve_", "vcl_")}
    for directory, allowed in prefixes.items():
        for source in tree.below(directory):
            if not source.path.endswith(".c"):
                continue
            for function in source.functions:
                if not function.static and not function.name.startswith(allowed):
                    yield source.path, function.line, "%s is neither static nor %s*" % (function.name, "* nor ".join(allowed))


def rule_public_documented(tree):
    """Every public function and type says what it does: a comment above it, on its line, or above its group."""
    for source in tree.below("include/"):
        for number, line in enumerate(source.code, 1):
            if not re.match(r"(VARVE_API |static inline |typedef (?!struct \w+ \w+;))", line):
                continue
            above = number - 2
            while above >= 0 and re.match(r"(VARVE_API |static inline |typedef | {8,})", source.code[above]) and \
                    not source.lines[above].lstrip().startswith(("*", "/*")):
                above -= 1
            same_line = "/*" in source.lines[number - 1]
            if not same_line and not (above >= 0 and source.lines[above].rstrip().endswith("*/")):
                name = re.search(r"(\w+)\s*\(", line) or re.search(r"(\w+)", line)
                yield source.path, number, "%s has no comment" % name.group(1)


def rule_fuzz_corpora(tree):
    """Every fuzz target has seeds."""
    for source in tree.below("fuzz/"):
        name = os.path.splitext(os.path.basename(source.path))[0]
        if name == "replay_main" or source.path.count("/") > 1 or not source.path.endswith(".c"):
            continue
        if "LLVMFuzzerTestOneInput" not in source.text:
            yield source.path, 1, "defines no LLVMFuzzerTestOneInput"
        if not any(f.startswith("fuzz/corpus/%s/" % name) for f in tree.files):
            yield source.path, 1, "fuzz/corpus/%s is empty" % name


def rule_tests_registered(tree):
    """Every test is one that runs: C files in a suite, scripts executable, every source in a directory that is built."""
    for path in tree.files:
        parts = path.split("/")
        if parts[0] == "tests" and path.endswith(".c"):
            if len(parts) != 3:
                yield path, 1, "only tests/<suite>/*.c are built"
            elif parts[1] not in ("support", "install") and not re.search(r"\b(Parameterized)?Test\s*\(", read(path)):
                if not any(re.search(r"\bTest\s*\(", s.text) for s in tree.below("/".join(parts[:2]) + "/")):
                    yield path, 1, "no Test() in this suite"
        if parts[0] == "tests" and len(parts) == 3 and path.endswith((".sh", ".py")):
            if not os.access(os.path.join(ROOT, path), os.X_OK) and read(path).startswith("#!"):
                yield path, 1, "is not executable, so it is not run"
        if path.endswith(".c") and parts[0] == "engine" and len(parts) != 3:
            yield path, 1, "only engine/<layer>/*.c are built"
        if path.endswith(".c") and parts[0] in ("changelog", "cli", "fuzz") and len(parts) != 2:
            yield path, 1, "only %s/*.c are built" % parts[0]


def rule_open_ends(tree):
    """Work left to do is written down with a number, as in TODO(#12)."""
    for path, lines in tree.texts():
        if path.startswith("tests/tidy/"):
            continue
        for number, line in enumerate(lines, 1):
            if re.search(r"\b(TODO|FIXME|XXX|HACK)\b(?!\(#\d+\))", line) and path != "LICENSE":
                yield path, number, "write TODO(#number)"


def rule_prose(tree):
    """Nothing names a registry's address or a path of one machine."""
    for path, lines in tree.texts():
        for number, line in enumerate(lines, 1):
            found = MACHINE_BOUND.search(line)
            if found:
                yield path, number, "names '%s'" % found.group(0)


def rule_constants(tree):
    """A VARVE_ or VR_ constant that a document states as `NAME` = value has that value in the code."""
    values = {}
    for source in tree.below("include/", "engine/", "changelog/"):
        for match in re.finditer(r"^\s*#define\s+(V\w+)\s+\(?(0x[0-9a-fA-F]+|\d+)[uUlL]*\)?\s*$|^\s*(V[A-Z0-9_]+)\s*=\s*"
                                 r"(0x[0-9a-fA-F]+|-?\d+)[uUlL]*\s*,?\s*$", source.code_text, re.M):
            name, value = (match.group(1), match.group(2)) if match.group(1) else (match.group(3), match.group(4))
            values[name] = int(value, 0)
    for path, lines in tree.texts():
        if not path.endswith(".md"):
            continue
        for number, line in enumerate(lines, 1):
            for name, stated in re.findall(r"`(V[A-Z0-9_]{4,})`\s*(?:=|is)\s*`?(0x[0-9a-fA-F]+|-?\d+)\b", line):
                if name not in values and any(name in s.text for s in tree.below("include/", "engine/", "changelog/")):
                    continue
                if name not in values:
                    yield path, number, "%s is not in the code" % name
                elif values[name] != int(stated, 0):
                    yield path, number, "%s is %d in the code, %s here" % (name, values[name], stated)


RULES = {name[5:].replace("_", "-"): function for name, function in sorted(globals().items()) if name.startswith("rule_")}


def load_exceptions():
    """(rule, path, word, line) of each exception, and the offences of the list itself."""
    exceptions, offences = [], []
    if not os.path.exists(os.path.join(ROOT, EXCEPTIONS)):
        return exceptions, offences
    for number, line in enumerate(read(EXCEPTIONS).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split(None, 3)
        if len(fields) < 4 or fields[0] not in RULES:
            offences.append((EXCEPTIONS, number, "write: rule file word-or-dash reason"))
        else:
            exceptions.append((fields[0], fields[1], fields[2], number))
    return exceptions, offences


def print_shape(tree):
    """The figures that the style's table compares with other trees."""
    ours = [s for s in tree.below("engine/", "changelog/", "cli/", "include/")]
    if not ours:
        return
    lines = sum(len(s.lines) for s in ours) or 1
    comments = sum(1 for s in ours for raw, code in zip(s.lines, s.code) if raw.strip() and not code.strip())
    lengths = [f.length for s in ours for f in s.functions] or [0]
    engine = tree.below("engine/")
    engine_lines = sum(len(s.lines) for s in engine) or 1
    asserts = sum(len(re.findall(r"\bVR_(?:ASSERT|CHECK)\s*\(", s.code_text)) for s in engine)
    conditionals = sum(len(re.findall(r"^\s*#\s*if(?!ndef V\w+_H\b)", s.code_text, re.M)) for s in ours)
    tests = sum(len(s.lines) for s in tree.below("tests/", "fuzz/"))
    print("# files: %d, median %d lines, largest %d" % (
        len(ours), statistics.median(len(s.lines) for s in ours), max(len(s.lines) for s in ours)))
    print("# functions: %d, median %d lines, %.1f %% of %d or fewer" % (
        len(lengths), statistics.median(lengths), 100 * sum(n <= FUNCTION_LINES_MAX for n in lengths) / len(lengths),
        FUNCTION_LINES_MAX))
    print("# comment lines: %.0f %%; asserts in the engine: %.1f per 1000 lines; #if: %.1f per 1000 lines" % (
        100 * comments / lines, 1000 * asserts / engine_lines, 1000 * conditionals / lines))
    print("# tests: %.2f lines per line of code" % (tests / lines))


def main():
    tree = Tree()
    wanted = [a for a in sys.argv[1:] if not a.startswith("-")] or list(RULES)
    print_shape(tree)
    if "--shape" in sys.argv:
        return 0
    exceptions, list_offences = load_exceptions()
    used, failures = set(), 0
    for rule in wanted:
        offences = []
        for path, line, message in RULES[rule](tree):
            excuse = [e for e in exceptions if e[0] == rule and e[1] == path and (e[2] == "-" or e[2] in message)]
            used.update(excuse)
            if not excuse:
                offences.append("%s:%d: %s: %s" % (path, line, rule, message))
        failures += bool(offences)
        print("\n".join(offences + ["not ok - %s (%d)" % (rule, len(offences)) if offences else "ok - " + rule]))
    stale = [(EXCEPTIONS, e[3], "excuses nothing any more") for e in exceptions if e[0] in wanted and e not in used] + list_offences
    for path, line, message in stale:
        print("%s:%d: exceptions: %s" % (path, line, message))
    print("%s - exceptions" % ("not ok" if stale else "ok"))
    return 1 if failures or stale else 0


if __name__ == "__main__":
    sys.exit(main())
