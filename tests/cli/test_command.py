#!/usr/bin/env python3
"""The command on the engine alone: options, formats, ranges, exit codes, bad input, kill, full disk, locks (TAP)."""

import json
import os
import pty
import signal
import subprocess
import sys
import time

from harness import (VARVE, Skip, bin_record, content, expect, expect_done, expect_failure, random_pairs, run_tests, start, varve)

COMMANDS = {"load": "DIR [FILE]", "put": "DIR KEY VALUE", "get": "DIR KEY", "delete": "DIR KEY", "scan": "DIR", "restore": "DIR",
            "verify": "DIR", "stats": "DIR", "dump": "FILE", "checkpoint": "DIR TARGET"}


def test_help_has_usage_options_and_examples(_):
    for name, arguments in COMMANDS.items():
        for words in ([name, "--help"], [name, "-h"], ["help", name]):
            result = expect_done(varve(*words))
            text = result.out.decode()
            expect("usage: varve %s %s" % (name, arguments) in text, "usage of %s" % name)
            examples = text.split("Examples:\n")[1]
            expect(examples.count("varve " + name) + examples.count("varve dump") >= 2, "two examples of %s" % name)
            expect("--help" in text and result.err == "", "options of %s" % name)
    general = expect_done(varve("--help")).out.decode()
    expect(all("  %s %s" % item in general for item in COMMANDS.items()), "all commands in the general help")
    expect("Exit codes: 0 done, 1 not found or different, 2 usage" in general, "exit codes")
    expect(expect_done(varve("--version")).out.startswith(b"varve "), "version")


def test_usage_errors_are_one_line_and_2(d):
    db = d + "/db"
    for words, expected in [
            (["frobnicate"], "unknown command 'frobnicate'"),
            (["load", db, "--frob"], "unknown option --frob; see 'varve load --help'"),
            (["load", db, "--frob=1"], "unknown option --frob;"),
            (["get", db, "k", "--skip-bad"], "unknown option --skip-bad"),
            (["get", db, "k", "-x"], "unknown option -x"),
            (["scan", db, "--limit"], "--limit needs a value: --limit N"),
            (["scan", db, "--limit", "ten"], "--limit is 'ten', allowed is a number"),
            (["scan", db, "--limit", "-1"], "--limit is '-1'"),
            (["scan", db, "--limit", "99999999999999999999"], "--limit"),
            (["scan", db, "--reverse=yes"], "--reverse takes no value"),
            (["scan", db, "--format", "xml"], "--format is 'xml', allowed is tsv, jsonl, hex, bin"),
            (["scan", db, "--store", "a", "--store", "b"], "--store is given twice"),
            (["scan", db, "--store="], "--store is empty"),
            (["scan", db, "--hex", "--from", "0g"], "--from, byte 2: expected hex digits"),
            (["put", db, "--hex", "0", "00"], "KEY, byte 2: expected hex digits"),
            (["load", db, "--batch", "0"], "--batch is '0', allowed is 1 to 1000000"),
            (["load", db, "--compression", "99"], "allowed is -7 to 19, or none"),
            (["load", db, "--wal-mode", "fast"], "allowed is mapped, pwrite"),
            (["load", db, "--memory", "12X"], "with K, M, G or T"),
            (["load", db, "--brokers", "b:1"], "--topic is missing"),
            (["load", db, "--topic", "t"], "--brokers is missing"),
            (["put", db, "a", "b", "--brokers", "b:1", "--topic", "t", "--kafka", "acks"], "expected NAME=VALUE"),
            (["put", db, "a"], "usage: varve put DIR KEY VALUE"),
            (["put", db, "a", "b", "c"], "unexpected argument 'c'"),
            (["restore", db], "--brokers and --topic are needed"),
    ]:
        expect_failure(varve(*words), 2, expected)
        expect(not os.path.exists(db), "%s left a database" % words)
    expect(varve().code == 2, "without a command")
    # Out of the library's own range: refused by it, with the unit and the range.
    expect_failure(varve("put", db, "a", "b", "--memory", "1M"), 2, "memory")


def test_put_get_delete(d):
    db = d + "/db"
    expect_done(varve("put", db, "ada", "1815"))
    expect(expect_done(varve("get", db, "ada")).out == b"1815\n", "value and newline")
    expect(expect_done(varve("get", db, "ada", "--raw")).out == b"1815", "the value alone")
    expect_done(varve("put", db, "ada", "", "--sync"))
    expect(expect_done(varve("get", db, "ada")).out == b"\n", "an empty value is not a delete")
    expect_done(varve("delete", db, "ada"))
    result = varve("get", db, "ada")
    expect(result.code == 1 and not result.out and not result.err, "not found: 1 and silence")
    expect_done(varve("delete", db, "ada"))
    expect_done(varve("put", db, "--hex", "00ff", "0102"))
    expect(expect_done(varve("get", db, "--hex", "00FF", "--raw")).out == b"\1\2", "hex on the command line")
    expect_done(varve("put", db, "--", "--store", "-v"))
    expect(expect_done(varve("get", db, "--", "--store")).out == b"-v\n", "-- ends the options")
    expect_done(varve("put", db, "", "of the empty key"))
    expect(expect_done(varve("get", db, "")).out == b"of the empty key\n", "the empty key")
    expect_done(varve("put", db, "--store=other", "ada", "2", "--compression", "none", "--wal-mode=pwrite"))
    expect(varve("get", db, "ada").code == 1, "stores are apart")
    expect(expect_done(varve("get", db, "ada", "--store", "other")).out == b"2\n", "another store")


def test_what_is_not_there_is_4_and_not_created(d):
    db = d + "/db"
    for words in (["get", db, "k"], ["delete", db, "k"], ["scan", db], ["verify", db], ["stats", db], ["checkpoint", db, d + "/c"]):
        expect_failure(varve(*words), 4)
        expect(not os.path.exists(db), "%s made a directory" % words[0])
    expect_failure(varve("load", db, d + "/no.tsv"), 4, d + "/no.tsv: No such file")
    expect_failure(varve("load", db, d), 4, "Is a directory")
    expect(not os.path.exists(db), "a wrong input made a database")
    expect_failure(varve("dump", d + "/0000000001.wal"), 4, "0000000001.wal")
    expect_failure(varve("dump", d + "/no"), 2, "MANIFEST")
    expect_done(varve("put", db, "a", "b"))
    expect_failure(varve("get", db, "a", "--store", "none"), 4, "none")
    expect_failure(varve("delete", db, "a", "--store", "none"), 4, "none")


def test_every_format_there_and_back(d):
    pairs = random_pairs(1, 3000)
    data = b"".join(bin_record(k, v) for k, v in pairs.items())
    out = expect_done(varve("load", d + "/first", "--format", "bin", stdin=data)).out
    expect(b"loaded 3000 records" in out, "the report: %r" % out)
    expect(list(content(d + "/first").items()) == sorted(pairs.items()), "what was loaded is there, in order")
    for form in ("tsv", "jsonl", "hex", "bin"):
        text = expect_done(varve("scan", d + "/first", "--format", form)).out
        with open(d + "/text", "wb") as file:
            file.write(text)
        expect_done(varve("load", d + "/" + form, d + "/text", "--format", form, "--batch", "7"))
        expect(content(d + "/" + form) == pairs, "back from " + form)
        # In reverse it is still the same content.
        text = expect_done(varve("scan", d + "/first", "--format", form, "--reverse")).out
        expect_done(varve("load", d + "/" + form, "-", "--store", "reverse", "--format", form, stdin=text))
        expect(content(d + "/" + form, "--store", "reverse") == pairs, "back from %s in reverse" % form)
    for line in expect_done(varve("scan", d + "/first", "--format", "jsonl")).out.splitlines():
        json.loads(line.decode())


def test_deletes_in_every_format(d):
    for form, text in [("tsv", b"a\t1\nb\t2\na\n"), ("hex", b"61\t31\n62\t32\n61\n"),
                       ("jsonl", b'{"key":"a","value":"1"}\n{"key":"b","value":"2"}\n{"key":"a","value":null}\n'),
                       ("bin", bin_record(b"a", b"1") + bin_record(b"b", b"2") + bin_record(b"a", None))]:
        out = expect_done(varve("load", d + "/" + form, "--format", form, stdin=text)).out
        expect(b"of them 1 deletes" in out, "%s: %r" % (form, out))
        expect(content(d + "/" + form) == {b"b": b"2"}, form)
    expect_done(varve("load", d + "/tsv", stdin=b"b\t\nlast\tno newline"))
    expect(content(d + "/tsv") == {b"b": b"", b"last": b"no newline"}, "an empty value, and no newline at the end")


def test_ranges(d):
    pairs = dict(sorted(random_pairs(2, 500, 5).items()))
    pairs.update({b"user:%d" % i: b"%d" % i for i in range(40)})
    pairs = dict(sorted(pairs.items()))
    expect_done(varve("load", d + "/db", "--format", "bin", stdin=b"".join(bin_record(k, v) for k, v in pairs.items())))
    keys = list(pairs)
    for start_key, end_key, prefix, limit in [
            (None, None, b"user:", None), (None, None, b"user:3", 4), (b"user:2", b"user:30", None, None),
            (keys[100], keys[400], None, None), (keys[100], None, None, 10), (None, keys[30], None, None),
            (keys[400], keys[100], None, None), (b"user:2", None, b"user:", None), (None, None, None, 0)]:
        wanted = [k for k in keys if (start_key is None or k >= start_key) and (end_key is None or k < end_key) and
                  (prefix is None or k.startswith(prefix))]
        words = ["--hex"]
        for name, value in (("--from", start_key), ("--to", end_key), ("--prefix", prefix)):
            words += [name, value.hex()] if value is not None else []
        words += ["--limit", str(limit)] if limit is not None else []
        found = list(content(d + "/db", *words).items())
        expect(found == [(k, pairs[k]) for k in wanted[:limit]], "%s: %d found" % (words, len(found)))
        found = list(content(d + "/db", *words, "--reverse").items())
        expect(found == [(k, pairs[k]) for k in wanted[::-1][:limit]], "%s in reverse" % words)


BAD_LINES = [
    ("tsv", b"", "byte 1: expected a key"),
    ("tsv", b"k\tv\tw", "byte 4: expected \\t for a tab inside the value"),
    ("tsv", b"k\\q\tv", "byte 3: expected t, n, r or \\ after a backslash, found 'q'"),
    ("tsv", b"k\tv\r", "byte 4: expected \\r for a carriage return"),
    ("tsv", b"k" * 65536 + b"\tv", "expected a key of at most 65535 bytes, found 65536"),
    ("hex", b"0g", "byte 2: expected hex digits"),
    ("jsonl", b"{}", "byte 2: expected the name of a field"),
    ("jsonl", b"not json", "byte 1: expected an object"),
    ("jsonl", b'{"key":"k"}', "byte 11: expected a field \"value\""),
    ("jsonl", b'{"key":"k","value":7}', "byte 20: expected a string or null"),
    ("jsonl", b'{"key":"k","value":"v","more":"w"}', "byte 24: expected one of the fields"),
    ("jsonl", b'{"key":"\xff","value":"v"}', "byte 9: expected UTF-8"),
]


def test_malformed_lines_name_their_place(d):
    good = {"tsv": b"%s\tv", "hex": b"%s\t76", "jsonl": b'{"key":"%s","value":"v"}'}
    for number, (form, line, expected) in enumerate(BAD_LINES):
        db = "%s/%d" % (d, number)
        names = [b"aa", b"bb", b"cc", b"dd"]
        lines = [good[form] % names[0], good[form] % names[1], line, good[form] % names[2], line, good[form] % names[3]]
        text = b"\n".join(lines) + b"\n"
        expect_failure(varve("load", db, "--format", form, stdin=text), 3, "standard input: line 3, ", expected,
                       "the 2 records before it are loaded")
        expect(len(content(db)) == 2, "what is before the line is loaded")
        result = expect_done(varve("load", db, "--format", form, "--skip-bad", stdin=text))
        expect(b"passed over 2 malformed lines" in result.out, "%r" % result.out)
        expect("line 3, " in result.err and "line 5, " in result.err, result.err)
        expect(len(content(db)) == 4, "everything else is loaded")


def test_malformed_bin(d):
    good = bin_record(b"a", b"1")
    torn = good + bin_record(b"b", b"22")[:-1]
    expect_failure(varve("load", d + "/1", "--format", "bin", stdin=torn), 3, "record 2, byte 11: expected 1 more bytes")
    expect(content(d + "/1") == {b"a": b"1"}, "what is before it")
    long_key = bin_record(b"k" * 65536, b"v")
    expect_failure(varve("load", d + "/2", "--format", "bin", stdin=good + long_key), 3, "record 2, byte 1: expected a key length")
    mixed = long_key + good + long_key + bin_record(b"z", b"")
    result = expect_done(varve("load", d + "/2", "--format", "bin", "--skip-bad", stdin=mixed))
    expect(b"passed over 2 malformed records" in result.out, "%r" % result.out)
    expect(content(d + "/2") == {b"a": b"1", b"z": b""}, "the lengths lead on")
    long_value = b"\1\0\0\0k" + (128 * 1024 * 1024 + 1).to_bytes(4, "little")
    expect_failure(varve("load", d + "/3", "--format", "bin", stdin=long_value + b"xxx"), 3, "a value length of at most 134217728")


def test_many_bad_lines_are_counted_not_listed(d):
    result = expect_done(varve("load", d + "/db", "--skip-bad", stdin=b"\\x\n" * 1000 + b"k\tv\n"))
    expect(b"passed over 1000 malformed lines" in result.out and len(result.err.splitlines()) == 20, result.err[-200:])


def test_limits_on_the_command_line(d):
    key = "k" * 65535
    expect_done(varve("put", d + "/db", key, "v"))
    expect(expect_done(varve("get", d + "/db", key)).out == b"v\n", "the longest key")
    expect_failure(varve("put", d + "/new", key + "k", "v"), 3, "a key of at most 65535 bytes, found 65536")
    expect(not os.path.exists(d + "/new"), "nothing is created for it")


def test_long_lines(d):
    value = bytes(range(32, 92)) * (12 << 20 >> 6)
    line = b"big\t" + value.replace(b"\\", b"\\\\") + b"\nsmall\t1\n"
    expect_done(varve("load", d + "/db", stdin=line))
    expect(expect_done(varve("get", d + "/db", "big", "--raw")).out == value, "a value of %d bytes" % len(value))
    expect(varve("get", d + "/db", "small").out == b"1\n", "and what is after it")


def feed_until(process, records, seconds=20):
    """Feeds numbered pairs for as long as the process lives, or until so many are fed; returns how many."""
    count, end = 0, time.monotonic() + seconds
    try:
        while count < records and time.monotonic() < end:
            process.stdin.write(b"".join(b"key:%08d\t%s\n" % (i, b"v" * 100) for i in range(count, count + 500)))
            process.stdin.flush()
            count += 500
    except BrokenPipeError:
        pass
    return count


def expect_first_keys(db, batch, least, most):
    found = content(db)
    expect(least <= len(found) <= most, "%d records are there, of %d" % (len(found), most))
    expect(list(found) == [b"key:%08d" % i for i in range(len(found))], "they are the first ones")
    expect(len(found) % batch == 0, "%d is no number of whole batches of %d" % (len(found), batch))
    return len(found)


def test_kill_during_load_keeps_whole_batches(d):
    db = d + "/db"
    previous = 0
    for round_number in range(4):
        process = start("load", db, "--batch", "70", "--quiet")
        fed = feed_until(process, 20000 + 30000 * round_number)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        expect(process.returncode == -signal.SIGKILL, "it was still at work")
        # The pipe holds 64 KiB, a block that is being loaded as much again: all the rest has been written.
        previous = expect_first_keys(db, 70 if round_number == 0 else 1, max(previous, fed - 1500), fed)
        expect_done(varve("verify", db))


def test_interrupt_stops_between_batches(d):
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        db = "%s/%d" % (d, number)
        process = start("load", db, "--batch", "70")
        fed = feed_until(process, 5000)
        time.sleep(0.3)
        process.send_signal(number)
        process.wait(20)  # with its input still open: its end would be as good a reason to end
        out, err = process.communicate()
        expect(process.returncode == code, "ended with %d" % process.returncode)
        expect(b"interrupted; the first %d records are loaded" % fed in err, err.decode())
        expect(b"loaded %d records" % fed in out, out.decode())
        expect_first_keys(db, 1, fed, fed)


def test_directory_of_another_process_is_6(d):
    db = d + "/db"
    process = start("load", db, "--batch", "1")
    process.stdin.write(b"a\t1\n")
    process.stdin.flush()
    end = time.monotonic() + 10
    while not os.path.exists(db + "/LOCK") and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(0.2)
    for words in (["get", db, "a"], ["put", db, "a", "2"], ["stats", db], ["verify", db], ["load", db, "/dev/null"]):
        expect_failure(varve(*words), 6, db)
    process.communicate()
    expect(process.returncode == 0 and varve("get", db, "a").out == b"1\n", "the owner is not disturbed")


def test_full_disk_is_4_and_loses_nothing(d):
    if os.geteuid() != 0:
        raise Skip("mounting a small tmpfs needs root")
    small = d + "/small"
    os.mkdir(small)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=56m", "tmpfs", small], capture_output=True).returncode != 0:
        raise Skip("a tmpfs cannot be mounted here")
    try:
        db = small + "/db"
        text = b"".join(b"key:%08d\t%s\n" % (i, os.urandom(500).hex().encode()) for i in range(120000))
        result = expect_failure(varve("load", db, "--memory", "32M", "--quiet", stdin=text), 4)
        expect("space" in result.err.lower(), result.err)
        expect(b"loaded " in result.out, "it says how many")
        loaded = int(result.out.split(b"loaded ")[1].split()[0])
        expect(loaded > 1000, "some were loaded: %d" % loaded)
        held = content(db, "--memory", "32M")
        expect(len(held) >= loaded and list(held)[:loaded] == [b"key:%08d" % i for i in range(loaded)], "all of those are there")
        expect(subprocess.run(["mount", "-o", "remount,size=512m", small], capture_output=True).returncode == 0, "more space")
        expect_done(varve("load", db, "--memory", "32M", "--quiet", stdin=text))
        expect(len(content(db, "--memory", "32M")) == 120000, "with more space it goes on")
        expect_done(varve("verify", db))
    finally:
        subprocess.run(["umount", small], check=True)


def test_foreign_and_damaged_files_are_5(d):
    db = d + "/db"
    os.mkdir(db)
    with open(db + "/MANIFEST", "wb") as file:
        file.write(b"this is no manifest of ours\n" * 400)
    expect_failure(varve("get", db, "k"), 5, "MANIFEST")
    expect_failure(varve("put", db, "k", "v"), 5, "MANIFEST")
    expect_failure(varve("dump", db + "/MANIFEST"), 5, "MANIFEST")
    with open(db + "/MANIFEST", "rb") as file:
        expect(file.read() == b"this is no manifest of ours\n" * 400, "nothing was changed")
    with open(d + "/plain", "wb") as file:
        file.write(b"x")
    expect(varve("put", d + "/plain", "k", "v").code in (2, 4), "a plain file is no directory")


def test_verify_finds_a_flipped_bit(d):
    db = d + "/db"
    text = b"".join(b"key:%08d\t%s\n" % (i, os.urandom(200).hex().encode()) for i in range(60000))
    expect_done(varve("load", db, "--memory", "32M", "--quiet", stdin=text))
    expect(expect_done(varve("verify", db)).out.startswith(b"checksums are right"), "whole")
    tables = sorted(f for f in os.listdir(db) if not f.endswith(".wal") and f not in ("LOCK", "MANIFEST"))
    expect(tables, "there are tables: %s" % os.listdir(db))
    with open(os.path.join(db, tables[0]), "r+b") as file:
        file.seek(20000)
        byte = file.read(1)
        file.seek(20000)
        file.write(bytes([byte[0] ^ 16]))
    expect_failure(varve("verify", db), 5, tables[0])


def test_dump_shows_wal_manifest_and_table(d):
    db = d + "/db"
    text = b"".join(b"key:%08d\t%s\n" % (i, os.urandom(200).hex().encode()) for i in range(40000))
    expect_done(varve("load", db, "--memory", "32M", "--quiet", stdin=text))
    for name in sorted(os.listdir(db)):
        if name != "LOCK" and not name.startswith("spare-"):  # a segment that is yet to be used holds nothing
            result = varve("dump", os.path.join(db, name))
            expect(result.code == 0 and len(result.out.splitlines()) >= 1, "%s: %d %s" % (name, result.code, result.err))


def test_stats(d):
    expect_done(varve("load", d + "/db", stdin=b"a\t1\nb\t2\n"))
    expect_done(varve("put", d + "/db", "--store", "quo\"te\n", "a", "b"))
    stats = json.loads(expect_done(varve("stats", d + "/db", "--json")).out)
    expect(stats["sequence"] == 3 and stats["stores"] == 2 and stats["recovered_records"] == 3, str(stats))
    expect(sorted(stats["store_names"]) == ["default", "quo\"te\n"] and len(stats["level_tables"]) == 8, str(stats))
    lines = expect_done(varve("stats", d + "/db")).out.decode().splitlines()
    expect(any(line.split()[:2] == ["sequence", "3"] for line in lines), "\n".join(lines))


def test_checkpoint(d):
    pairs = random_pairs(3, 1000)
    expect_done(varve("load", d + "/db", "--format", "bin", stdin=b"".join(bin_record(k, v) for k, v in pairs.items())))
    expect_done(varve("checkpoint", d + "/db", d + "/copy"))
    expect_done(varve("put", d + "/db", "after", "it"))
    expect(content(d + "/copy") == pairs, "the copy is as of then")
    expect_done(varve("verify", d + "/copy"))
    expect_failure(varve("checkpoint", d + "/db", d + "/copy"), 4, "copy")
    expect(content(d + "/copy") == pairs, "and is left alone")


def test_a_reader_that_goes_away_is_no_failure(d):
    expect_done(varve("load", d + "/db", stdin=b"".join(b"%08d\t%s\n" % (i, b"x" * 100) for i in range(50000))))
    process = start("scan", d + "/db")
    expect(process.stdout.readline().startswith(b"00000000\t"), "the first line")
    process.stdout.close()
    expect(process.wait(20) == 0 and process.stderr.read() == b"", "quiet")
    with open("/dev/full", "wb") as full:
        done = subprocess.run([VARVE, "scan", d + "/db"], stdout=full, stderr=subprocess.PIPE)
    expect(done.returncode == 4 and b"standard output: No space" in done.stderr, done.stderr.decode())


def test_progress_is_a_bar_on_a_terminal_only(d):
    with open(d + "/in", "wb") as file:
        file.writelines(b"%08d\t%s\n" % (i, b"x" * 200) for i in range(400000))
    ours, theirs = pty.openpty()
    process = subprocess.Popen([VARVE, "load", d + "/db", d + "/in", "--batch", "50"], stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # how a terminal ends
            break
        if not piece:
            break
        shown += piece
    expect(process.wait(20) == 0, "done")
    os.close(ours)
    expect(b"\r" in shown and b"loading [" in shown and b" %, " in shown and b"records/s" in shown, "a bar: %r" % shown[:200])
    expect(varve("load", d + "/db2", d + "/in", "--quiet").err == "", "none with --quiet")


def test_unreachable_broker_is_7(d):
    kafka = ["--brokers", "127.0.0.1:1", "--topic", "t", "--timeout", "1500"]
    for words in (["put", d + "/db", "k", "v"], ["load", d + "/db", "/dev/null"], ["restore", d + "/db"], ["verify", d + "/db"]):
        if words[0] == "verify":
            expect_done(varve("put", d + "/db", "k", "v"))
        began = time.monotonic()
        result = varve(*words, *kafka)
        expect(result.code == 7 and "127.0.0.1:1" in result.err, "%s: %d %s" % (words[0], result.code, result.err))
        expect(time.monotonic() - began < 15, "%s took %.0f s" % (words[0], time.monotonic() - began))


def test_kafka_settings_of_varves_own_are_2(d):
    kafka = ["--brokers", "127.0.0.1:1", "--topic", "t"]
    for setting in ("enable.idempotence=false", "transactional.id=x", "enable.auto.commit=true"):
        expect_failure(varve("put", d + "/db", "k", "v", *kafka, "--kafka", setting), 2, setting.split("=")[0])
    expect_failure(varve("put", d + "/db", "k", "v", *kafka, "--kafka", "no.such.setting=1"), 2, "no.such.setting")
    expect_failure(varve("put", d + "/db", "k", "v", "--brokers", "127.0.0.1:1", "--topic", "not a topic"), 2, "not a topic")


if __name__ == "__main__":
    sys.exit(run_tests([value for name, value in list(globals().items()) if name.startswith("test_")]))
