#!/usr/bin/env python3
"""Each rule of style.py finds the offence it is there for, and nothing in a tree without offences. One test per rule (TAP)."""

import os
import subprocess
import sys
import tempfile

STYLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "style.py")

CLEAN = {
    "include/varve/a.h": "/* It. */\nVARVE_API int varve_a(void);\n",
    "engine/base/b.h": "#include <stdint.h>\n",
    "engine/base/b.c": '#include "base/b.h"\n\nint vr_b(void) {\n    return 1; /* malloc( and TAB in comments are fine */\n}\n',
    "engine/db/c.c": '#include "base/b.h"\n#include <varve/a.h>\n\n'
                     'static int helper(fs *f) {\n    return f->open(f, "printf(");\n}\n\n'
                     "int varve_a(void) {\n    return helper(0);\n}\n",
    "changelog/d.c": "#include <varve/a.h>\n#include <librdkafka/rdkafka.h>\n\nint vcl_d(void) {\n    return 1;\n}\n",
    "fuzz/fuzz_e.c":
        "int LLVMFuzzerTestOneInput(const unsigned char *data, unsigned long size);\n",
    "fuzz/corpus/fuzz_e/seed": "x",
    "tests/db/f.c": "Test(db, works) {\n}\n",
    "doc/format.md": "Everything is fine.\n",
}

LONG_FUNCTION = "int vr_long(void) {\n" + "    call();\n" * 75 + "}\n"

# Rule, then files with an offence against it.
OFFENCES = [
    ("layers", {"engine/base/x.c": '#include "kv/y.h"\n'}),
    ("layers", {"engine/mem/x.c": '#include "table/y.h"\n'}),
    ("layers", {"engine/db/x.c": "#include <varve/changelog.h>\n"}),
    ("layers", {"engine/extra/x.c": "int vr_x;\n"}),
    ("public-headers-only", {"cli/x.c": '#include "db/db.h"\n'}),
    ("public-headers-only", {"changelog/x.c": '#include "base/b.h"\n'}),
    ("public-headers-only", {"include/varve/x.h": "#include <pthread.h>\n"}),
    ("header-homes", {"engine/db/x.c": "#include <librdkafka/rdkafka.h>\n"}),
    ("header-homes", {"engine/kv/x.c": "#include <unistd.h>\n"}),
    ("banned-calls", {"engine/kv/x.c": "int vr_x(void) {\n    return fsync(3);\n}\n"}),
    ("banned-calls", {"engine/kv/x.c": "int vr_x(void) {\n    return pthread_mutex_lock(m);\n}\n"}),
    ("banned-calls", {"engine/wal/x.c": "void *vr_x(void) {\n    return malloc(3);\n}\n"}),
    ("banned-calls", {"changelog/x.c": "void vcl_x(char *a, char *b) {\n    strcpy(a, b);\n}\n"}),
    ("banned-calls", {"engine/kv/x.c": "volatile int vr_flag;\n"}),
    ("file-size", {"engine/kv/x.c": "int vr_x;\n" * 801}),
    ("function-length", {"engine/kv/x.c": LONG_FUNCTION}),
    ("lines", {"engine/kv/x.c": "int\tvr_x;\n"}),
    ("lines", {"engine/kv/x.c": "int vr_x; /* %s */\n" % ("x" * 130)}),
    ("lines", {"engine/kv/x.c": "int vr_x; \n"}),
    ("lines", {"engine/kv/x.c": "int vr_x;"}),
    ("file-names", {"engine/kv/b.c": "int vr_x;\n"}),
    ("names", {"engine/kv/x.c": "int unprefixed(void) {\n    return 1;\n}\n"}),
    ("names", {"changelog/x.c": "int vr_x(void) {\n    return 1;\n}\n"}),
    ("public-documented", {"include/varve/x.h": "\nVARVE_API int varve_x(void);\n"}),
    ("fuzz-corpora", {"fuzz/fuzz_x.c": "int LLVMFuzzerTestOneInput(const unsigned char *data, unsigned long size);\n"}),
    ("tests-registered", {"tests/db/deep/x.c": "Test(db, deep) {\n}\n"}),
    ("tests-registered", {"tests/db/x.sh": "#!/bin/sh\n"}),
    ("open-ends", {"engine/kv/x.c": "/* " + "TO" + "DO: later */\n"}),
    ("prose", {"doc/x.md": "Files are in " + "/ro" + "ot/cache.\n"}),
    ("constants", {"include/varve/x.h": "#define VARVE_LIMIT 12\n", "doc/x.md": "`VARVE_LIMIT` = 13\n"}),
    ("exceptions", {"tests/tidy/exceptions.txt": "lines engine/base/b.c - it never was one\n"}),
]


def run_style(files):
    """The names of the rules that fail on a tree of these files, and the output."""
    with tempfile.TemporaryDirectory(prefix="varve-style-") as root:
        for path, text in files.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w") as file:
                file.write(text)
        done = subprocess.run([sys.executable, STYLE], capture_output=True, text=True,
                              env={**os.environ, "VARVE_STYLE_ROOT": root, "GIT_CEILING_DIRECTORIES": os.path.dirname(root)})
    lines = done.stdout.splitlines()
    return {line.split()[3] for line in lines if line.startswith("not ok - ")}, done.stdout + done.stderr


def main():
    failures = 0
    failed, output = run_style(CLEAN)
    if failed or "ok - layers" not in output:
        failures += 1
        print(output)
    print("%s - clean" % ("not ok" if failures else "ok"))
    for number, (rule, files) in enumerate(OFFENCES):
        failed, output = run_style({**CLEAN, **files})
        ok = rule in failed
        failures += not ok
        if not ok:
            print("%s\n%s" % (files, output))
        print("%s - %s-%d" % ("ok" if ok else "not ok", rule, number))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
