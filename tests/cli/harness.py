"""What the tests of the command share: running it, temporary directories, tests by name, TAP output."""

import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import traceback

SOURCE = os.environ.get("VARVE_SOURCE_DIR") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.environ.get("VARVE_BINARY_DIR") or os.path.join(SOURCE, "build/release")
VARVE = os.path.join(BINARY, "varve")
TIMEOUT_S = 60


class Skip(Exception):
    """A test that cannot run here; says why."""


class Result:
    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr.decode(errors="replace")


def varve(*arguments, stdin=b"", timeout=TIMEOUT_S, **more):
    """Runs the command; its output is bytes, its errors text."""
    done = subprocess.run([VARVE, *arguments], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, **more)
    return Result(done)


def start(*arguments, **more):
    """Starts the command without waiting for it."""
    return subprocess.Popen([VARVE, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)


def expect(holds, what):
    if not holds:
        raise AssertionError(what)


def expect_done(result):
    expect(result.code == 0, "ended with %d: %s" % (result.code, result.err))
    return result


def expect_failure(result, code, *words):
    """The exit code, exactly one line on standard error, and every word in it."""
    lines = [line for line in result.err.splitlines() if " records/s" not in line]
    expect(result.code == code, "ended with %d, not %d: %s" % (result.code, code, result.err))
    expect(len(lines) == 1 and lines[0].startswith("varve: "), "not one line: %r" % result.err)
    for word in words:
        expect(word in lines[0], "no '%s' in: %s" % (word, lines[0]))
    return result


def bin_record(key, value):
    head = struct.pack("<I", len(key)) + key
    return head + (struct.pack("<I", 0xffffffff) if value is None else struct.pack("<I", len(value)) + value)


def bin_pairs(data):
    """The pairs of what scan --format bin prints."""
    at = 0
    while at < len(data):
        key_size, = struct.unpack_from("<I", data, at)
        key = data[at + 4:at + 4 + key_size]
        at += 4 + key_size
        value_size, = struct.unpack_from("<I", data, at)
        yield key, data[at + 4:at + 4 + value_size]
        at += 4 + value_size


def random_pairs(seed, count, value_size=60):
    """Distinct keys with values, of bytes that are awkward in every format as often as not; in random order."""
    source = random.Random(seed)
    awkward = [b"\t", b"\n", b"\r", b"\\", b"\0", b"\xff", b"\"", "é😀".encode(), b"\xc3", b"{", b"a"]

    def some(most):
        if source.random() < 0.5:
            return b"".join(source.choices(awkward, k=source.randint(0, most)))
        return source.randbytes(source.randint(0, most))

    pairs = {}
    while len(pairs) < count:
        pairs[some(20) + b"%d" % source.randint(0, 999999)] = some(value_size)
    return pairs


def content(directory, *arguments):
    """The store as a dict, in the order of the scan."""
    return dict(bin_pairs(expect_done(varve("scan", directory, "--format", "bin", *arguments)).out))


def run_tests(tests):
    """Runs each function in a new directory of its own. Returns the exit code."""
    if not os.access(VARVE, os.X_OK):
        print("not ok - %s was not built" % VARVE)
        return 1
    wanted = sys.argv[1:]
    failures = 0
    for test in tests:
        name = test.__name__.replace("test_", "", 1)
        if wanted and name not in wanted:
            continue
        directory = tempfile.mkdtemp(prefix="varve-cli-")
        try:
            test(directory)
            print("ok - %s" % name)
        except Skip as reason:
            print("ok - %s # SKIP %s" % (name, reason))
        except Exception as problem:
            failures += 1
            if not isinstance(problem, AssertionError):
                traceback.print_exc(file=sys.stdout)
            print("not ok - %s %s" % (name, str(problem).replace("\n", " ")))
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        sys.stdout.flush()
    return 1 if failures else 0
