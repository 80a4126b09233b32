#!/usr/bin/env python3
"""The Debian package index as input of the demo.

    package_index.py make ROUND1 ROUND2 [LIMIT]      writes both rounds as tsv; prints records, updates, deletes and the source
    package_index.py trickle ROUND2 SECONDS HALF     prints it line by line over that time; makes the file HALF in the middle
    package_index.py survivors ROUND1 ROUND2 SCAN    how many changes of round 2 are in SCAN: fails unless they are the first
                                                     ones, all of them, on top of exactly round 1
    package_index.py live ROUND1 ROUND2              prints, in key order, what is there after both

Round 1: name/version as key, the whole stanza as value. Round 2: of every ten packages three are updated and one is deleted,
each at most once.
"""

import itertools
import os
import subprocess
import sys
import time

STATUS = "/var/lib/dpkg/status"


def read_index():
    """(stanzas as bytes, what they are from): apt's lists, or where there are none the packages that are installed."""
    try:
        text = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        text = b""
    stanzas = [s.strip(b"\n") for s in text.split(b"\n\n") if s.strip()]
    with open(STATUS, "rb") as file:
        installed = [s.strip(b"\n") for s in file.read().split(b"\n\n") if s.strip()]
    # Without lists apt-cache tells of the installed packages only.
    if len(stanzas) > len(installed):
        return stanzas, "apt's package index"
    return installed, "dpkg's status file (apt's lists are absent)"


def key_of(stanza):
    fields = {}
    for line in stanza.split(b"\n"):
        name, colon, value = line.partition(b": ")
        if colon and name in (b"Package", b"Version"):
            fields.setdefault(name, value.strip())
    if len(fields) < 2:
        return None
    return fields[b"Package"] + b"/" + fields[b"Version"]


def escape(data):
    return data.replace(b"\\", b"\\\\").replace(b"\t", b"\\t").replace(b"\n", b"\\n").replace(b"\r", b"\\r")


def make(round1, round2, limit=None):
    stanzas, source = read_index()
    packages = {}
    for stanza in stanzas:
        key = key_of(stanza)
        if key is not None:
            packages[key] = stanza
    chosen = list(itertools.islice(packages.items(), int(limit) if limit else None))
    updates = deletes = 0
    with open(round1, "wb") as first, open(round2, "wb") as second:
        for number, (key, stanza) in enumerate(chosen):
            first.write(escape(key) + b"\t" + escape(stanza) + b"\n")
            if number % 10 in (2, 5, 8):
                second.write(escape(key) + b"\t" + escape(stanza + b"\nX-Round: 2") + b"\n")
                updates += 1
            elif number % 10 == 9:
                second.write(escape(key) + b"\n")
                deletes += 1
    print(len(chosen), updates, deletes, source)


def trickle(path, seconds, half):
    with open(path, "rb") as file:
        lines = file.readlines()
    steps = 100
    out = sys.stdout.buffer
    try:
        for step in range(steps):
            out.write(b"".join(lines[len(lines) * step // steps:len(lines) * (step + 1) // steps]))
            out.flush()
            if step == steps // 2:
                open(half, "w").close()
            time.sleep(float(seconds) / steps)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())  # the reader was killed: that is the purpose


def read_pairs(path):
    """(key, value, or None for a delete) of each line, escaped as they are."""
    with open(path, "rb") as file:
        for line in file:
            key, tab, value = line.rstrip(b"\n").partition(b"\t")
            yield key, value if tab else None


def apply(state, changes):
    for key, value in changes:
        if value is None:
            state.pop(key, None)
        else:
            state[key] = value


def survivors(round1, round2, scan):
    state, found = dict(read_pairs(round1)), dict(read_pairs(scan))
    changes = list(read_pairs(round2))
    count = 0
    while count < len(changes) and found.get(changes[count][0]) == changes[count][1]:
        count += 1
    apply(state, changes[:count])
    if state != found:
        wrong = [k for k in state.keys() | found.keys() if state.get(k) != found.get(k)]
        sys.exit("the store is not round 1 and the first %d changes of round 2: %d keys are wrong" % (count, len(wrong)))
    print(count)


def live(round1, round2):
    state = dict(read_pairs(round1))
    apply(state, read_pairs(round2))
    for key in sorted(state):
        sys.stdout.buffer.write(key + b"\t" + state[key] + b"\n")


if __name__ == "__main__":
    {"make": make, "trickle": trickle, "survivors": survivors, "live": live}[sys.argv[1]](*sys.argv[2:])
