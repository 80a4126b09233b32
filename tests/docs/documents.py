#!/usr/bin/env python3
"""Checks the documents against the tree. Prints one TAP line per rule and document.

links        every relative link resolves, its anchor too
paths        every path in backquotes exists: from the root, beside the document, or in engine/ for engine/README.md
tests        every test in backquotes exists: `suite::name` is a Criterion test, `file.py::name` a function of that script;
             "the suite `name`" is one that has tests
identifiers  every varve_, vr_, vcl_ and VARVE_ name in backquotes is in the code
options      every option of a `varve COMMAND` line is one of cli/arguments.c, every command one of cli/main.c
program      the first C program of README.md is examples/quickstart.c
index        doc/README.md links every document in doc/

Hex examples have tests of their own. The last lines are the checks' own: each rule finds what it is there for.
"""

import glob
import os
import re
import sys

ROOT = os.environ.get("VARVE_SOURCE_DIR") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Documents whose every mention is checked; of the others in doc/, and CONTRIBUTING.md, the links.
CHECKED = ["README.md", "engine/README.md", "changelog/README.md", "doc/durability.md"]

PATH = re.compile(r"[\w.*-]+(/[\w.*-]+)+/?|[\w*-]+\.(?:c|h|cc|py|md|txt|sh|cmake)|[\w-]+/")
TEST = re.compile(r"([\w-]+(?:\.py)?)::(\w+)")
IDENTIFIER = re.compile(r"(varve|vr|vcl)_\w+|(VARVE|VR|VCL)_[A-Z0-9_]+")

# What a build or a run makes: named, but not in the tree.
MADE = ("build/",)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def sources(*patterns):
    return [p for pattern in patterns for p in glob.glob(os.path.join(ROOT, pattern), recursive=True)]


class Tree:
    """What documents may refer to; read once."""

    def __init__(self):
        self.criterion, self.scripts, self.suites = set(), set(), set()
        for path in sources("tests/*/*.c"):
            text = read(os.path.relpath(path, ROOT))
            found = set(re.findall(r"^(?:Test|ParameterizedTest)\(\s*(\w+),\s*(\w+)", text, re.M))
            contract = re.findall(r"^FS_TEST\((\w+)\)", text, re.M)
            found |= {(suite, name) for suite in ("fs_posix", "fs_memory", "fs_fault_injector") for name in contract}
            self.criterion |= found
        self.suites = {suite for suite, _ in self.criterion}
        for path in sources("tests/*/*.py"):
            text = read(os.path.relpath(path, ROOT))
            self.scripts |= {(os.path.basename(path), name) for name in re.findall(r"^def (?:test|check)_(\w+)", text, re.M)}
        self.words = set()
        for path in sources("include/**/*.h", "engine/**/*.[ch]", "changelog/*.[ch]", "cli/*.[ch]", "bench/**/*.c*",
                            "tests/**/*.[ch]", "examples/*.c", "cmake/*"):
            if os.path.isfile(path):
                self.words |= set(re.findall(r"\w+", read(os.path.relpath(path, ROOT))))
        self.options = set(re.findall(r'\{(?:\.name = )?"([a-z-]+)",', read("cli/arguments.c")))
        self.commands = set(re.findall(r'\{(?:\.name = )?"(\w+)",\s+(?:\.arguments = )?"', read("cli/main.c")))


def without_code_blocks(text):
    """Fenced and indented code is not prose; its lines stay, empty, so that line numbers do."""
    lines, fenced = [], False
    for line in text.split("\n"):
        if line.startswith("```"):
            fenced = not fenced
            line = ""
        lines.append("" if fenced or line.startswith("    ") else line)
    return "\n".join(lines)


def mentions(text):
    """(line, what) of everything in backquotes."""
    for number, line in enumerate(without_code_blocks(text).split("\n"), 1):
        for what in re.findall(r"`([^`]+)`", line):
            yield number, what


def anchors(text):
    titles = re.findall(r"^#+ +(.*)$", without_code_blocks(text), re.M)
    return {re.sub(r"[^\w\- ]", "", t.replace("`", "").lower()).strip().replace(" ", "-") for t in titles}


def rule_links(tree, path, text):
    for number, line in enumerate(without_code_blocks(text).split("\n"), 1):
        for target in re.findall(r"\]\(([^)\s]+)\)", line):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            where = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
            if not os.path.exists(os.path.join(ROOT, where)):
                yield number, "the link to %s leads nowhere" % target
            elif anchor and where.endswith(".md") and anchor not in anchors(text if where == path else read(where)):
                yield number, "%s has no heading %s" % (where, anchor)


def rule_paths(tree, path, text):
    bases = ["", os.path.dirname(path), "include"]
    for number, what in mentions(text):
        if not PATH.fullmatch(what) or what.startswith(MADE):
            continue
        if not any(glob.glob(os.path.join(ROOT, base, what)) for base in bases):
            yield number, "%s does not exist" % what


def rule_tests(tree, path, text):
    for number, what in mentions(text):
        match = TEST.fullmatch(what)
        if match and match.groups() not in tree.criterion | tree.scripts and not what.startswith("varve::"):
            yield number, "there is no test %s" % what
    prose = without_code_blocks(text)
    for match in re.finditer(r"\bthe suites? ((?:`\w+`(?:, | and )?)+)", prose):
        for suite in re.findall(r"\w+", match.group(1).replace(" and ", " ")):
            if suite not in tree.suites:
                yield prose.count("\n", 0, match.start()) + 1, "there is no suite %s" % suite


def rule_identifiers(tree, path, text):
    for number, what in mentions(text):
        for match in IDENTIFIER.finditer(what):
            before = what[match.start() - 1:match.start()]
            if before in ("/", ".", "-") or TEST.fullmatch(what) or PATH.fullmatch(what) or match.group(0).endswith("_"):
                continue
            if match.group(0) not in tree.words:
                yield number, "%s is not in the code" % match.group(0)


def rule_options(tree, path, text):
    for number, line in enumerate(text.split("\n"), 1):
        for match in re.finditer(r"(?:^ {4}|`|\| )varve ([a-z]+)([^`#|]*)", line):
            if match.group(1) not in tree.commands:
                yield number, "varve has no command %s" % match.group(1)
            for option in re.findall(r"\s--([a-z-]+)", match.group(2)):
                if option not in tree.options:
                    yield number, "varve has no option --%s" % option


def rule_program(tree, path, text):
    blocks = re.findall(r"^```c\n(.*?)^```", text, re.S | re.M)
    example = read("examples/quickstart.c").split("\n", 1)[1]
    if not blocks or blocks[0] != example:
        yield 1, "its first program is not examples/quickstart.c without the first line"


def rule_index(tree, path, text):
    for name in sorted(os.listdir(os.path.join(ROOT, "doc"))):
        if name != "README.md" and name.endswith(".md") and "](%s)" % name not in text:
            yield 1, "%s is not linked" % name


MENTION_RULES = [rule_links, rule_paths, rule_tests, rule_identifiers, rule_options]

# A rule, and what it must find fault with or must not.
SELF_CHECKS = [
    (rule_links, "[a](nowhere.md)", True), (rule_links, "[a](doc/README.md)", False), (rule_links, "[a](README.md#no-such)", True),
    (rule_links, "    [a](nowhere.md)", False),
    (rule_paths, "`engine/db/none.c`", True), (rule_paths, "`engine/db/write.c`", False), (rule_paths, "`none.c`", True),
    (rule_tests, "`wal_damage::no_such_test`", True), (rule_tests, "`wal_damage::every_cut`", False),
    (rule_tests, "the suite `no_such_suite`", True), (rule_tests, "`test_command.py::no_such_test`", True),
    (rule_identifiers, "`varve_no_such_call()`", True), (rule_identifiers, "`varve_put()`", False),
    (rule_options, "    varve scan state --no-such-option", True), (rule_options, "    varve frobnicate", True),
    (rule_options, "    varve scan state --limit 3", False),
    (rule_program, "```c\nint main(void) {}\n```\n", True), (rule_index, "nothing", True),
]


def main():
    tree = Tree()
    failed = 0

    def report(name, faults):
        nonlocal failed
        for fault in faults:
            print(fault)
        failed += bool(faults)
        print("%s - %s" % ("not ok" if faults else "ok", name))

    linked = [os.path.relpath(p, ROOT) for p in sources("doc/*.md", "*.md")]
    for path in CHECKED + sorted(set(linked) - set(CHECKED)):
        if not os.path.exists(os.path.join(ROOT, path)):
            report("exists %s" % path, ["%s is missing" % path])
            continue
        rules = list(MENTION_RULES) if path in CHECKED else [rule_links]
        rules += {"README.md": [rule_program], "doc/README.md": [rule_index]}.get(path, [])
        text = read(path)
        for rule in rules:
            faults = ["%s:%d: %s" % (path, number, message) for number, message in rule(tree, path, text)]
            report("%s %s" % (rule.__name__[5:], path), faults)
    for number, (rule, text, expected) in enumerate(SELF_CHECKS):
        found = list(rule(tree, "README.md", text))
        report("finds-%s-%d" % (rule.__name__[5:], number), [] if bool(found) == expected else ["%r: found %s" % (text, found)])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
