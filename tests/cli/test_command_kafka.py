#!/usr/bin/env python3
"""The command with a changelog on a real Kafka: ship, restore, verify, kill, takeover, wrong topics, an outage (TAP).

Takes the broker at VARVE_KAFKA_BOOTSTRAP, or starts one; exits with 77 when there is none to be had.
"""

import glob
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from harness import (SOURCE, Skip, bin_record, content, expect, expect_done, expect_failure, random_pairs, run_tests, start, varve)

BROKER = {"bootstrap": os.environ.get("VARVE_KAFKA_BOOTSTRAP"), "directory": None}


def kafka(topic, *more):
    return ["--brokers", BROKER["bootstrap"], "--topic", topic, *more]


def new_topic(name):
    return "varve-cli-%s-%d-%d" % (name, os.getpid(), int(time.time()))


def load_pairs(directory, pairs, topic):
    data = b"".join(bin_record(k, v) for k, v in pairs.items())
    return expect_done(varve("load", directory, "--format", "bin", *kafka(topic), stdin=data))


def test_ship_verify_restore(d):
    topic, pairs = new_topic("main"), random_pairs(11, 5000)
    result = load_pairs(d + "/db", pairs, topic)
    expect(b"shipped 5000 records" in result.out and b"Kafka has acknowledged all" in result.out, "%r" % result.out)
    expect_done(varve("put", d + "/db", "another", "one", *kafka(topic)))
    expect_done(varve("delete", d + "/db", "--hex", list(pairs)[7].hex(), *kafka(topic)))
    expect(b"equal: 5000 live keys compared, 0 differ, 5002 records" in expect_done(varve("verify", d + "/db", *kafka(topic))).out,
           "equal")
    expect(not glob.glob(d + "/db.verify-*"), "the scratch directory is gone")
    result = expect_done(varve("restore", d + "/back", *kafka(topic)))
    expect(b"restored 5002 records" in result.out, "%r" % result.out)
    expect(content(d + "/back") == content(d + "/db"), "what came back is what was there")
    expect_done(varve("verify", d + "/back", *kafka(topic)))


def test_differences_are_named_and_1(d):
    topic = new_topic("differ")
    expect_done(varve("load", d + "/db", *kafka(topic), stdin=b"a\t1\nb\t2\nc\t3\n"))
    for number in range(30):  # without the changelog: only the store has them
        expect_done(varve("put", d + "/db", "only here %02d" % number, "x"))
    expect_done(varve("put", d + "/db", "a", "other"))
    expect_done(varve("delete", d + "/db", "c"))
    result = varve("verify", d + "/db", *kafka(topic))
    text = result.out.decode()
    expect(result.code == 1, "ended with %d: %s" % (result.code, result.err))
    expect("differs: a: the store has 5 bytes, the changelog 1" in text and "differs: c: in the changelog only" in text, text)
    expect("differs: only here 00: in the store only" in text and text.count("differs: ") == 20, text)
    expect("different: 33 live keys compared, 32 differ" in text, text)
    # The WAL is the outbox: with its changelog opened again the store ships what it has more, and they are equal.
    expect_done(varve("load", d + "/db", "/dev/null", *kafka(topic)))
    expect_done(varve("verify", d + "/db", *kafka(topic)))


def test_kill_with_changelog_ships_the_rest_later(d):
    topic = new_topic("kill")
    process = start("load", d + "/db", "--batch", "100", "--quiet", *kafka(topic))
    for i in range(0, 20000, 1000):
        process.stdin.write(b"".join(b"key:%08d\tvalue %d\n" % (k, k) for k in range(i, i + 1000)))
        process.stdin.flush()
        time.sleep(0.04)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    expect(process.returncode == -signal.SIGKILL, "it was still at work")
    there = content(d + "/db")
    expect(list(there) == [b"key:%08d" % i for i in range(len(there))] and len(there) > 0, "the first %d are there" % len(there))
    expect_done(varve("put", d + "/db", "last", "one", *kafka(topic)))
    expect_done(varve("verify", d + "/db", *kafka(topic)))
    expect_done(varve("restore", d + "/back", *kafka(topic)))
    there[b"last"] = b"one"
    expect(content(d + "/back") == there, "nothing lost")


def test_takeover_fences_the_former_writer_and_is_8(d):
    topic = new_topic("fence")
    first = start("load", d + "/first", "--batch", "1", "--quiet", *kafka(topic))
    first.stdin.write(b"a\tfirst\n")
    first.stdin.flush()
    end = time.monotonic() + 120 # a busy machine takes its time to open the first changelog
    while time.monotonic() < end: # until its first change is in the topic
        if varve("restore", d + "/peek", *kafka(topic)).code == 0 and content(d + "/peek"):
            break
        time.sleep(0.2)
    expect(content(d + "/peek") == {b"a": b"first"}, "the first writer's change has not reached the topic")
    expect_done(varve("put", d + "/second", "b", "second", *kafka(topic)))
    first.stdin.write(b"c\tzombie\n")
    out, err = first.communicate(timeout=60)
    expect(first.returncode == 8, "ended with %d: %s" % (first.returncode, err.decode()))
    expect_done(varve("restore", d + "/back", *kafka(topic)))
    expect(content(d + "/back") == {b"a": b"first", b"b": b"second"}, "the zombie's change is not in the topic")
    # Opened again, the first one gives its change up and follows.
    result = expect_done(varve("put", d + "/first", "d", "again", *kafka(topic)))
    expect("rolled 1 changes back" in result.err, result.err)
    expect(content(d + "/first") == {b"a": b"first", b"b": b"second", b"d": b"again"}, str(content(d + "/first")))


def test_foreign_history_is_8(d):
    topic = new_topic("foreign")
    expect_done(varve("load", d + "/one", *kafka(topic), stdin=b"a\t1\n"))
    expect_done(varve("load", d + "/two", *kafka(new_topic("foreign-two")), stdin=b"b\t2\n"))
    expect_failure(varve("put", d + "/two", "k", "v", *kafka(topic)), 8)
    expect(content(d + "/two") == {b"b": b"2"}, "nothing is changed")


def test_topics_that_do_not_fit(d):
    expect_done(varve("put", d + "/db", "a", "b"))
    missing = new_topic("missing")
    expect_failure(varve("restore", d + "/new", *kafka(missing)), 4, missing)
    expect(varve("verify", d + "/db", *kafka(missing)).code == 4, "verify creates no topic")
    topic = new_topic("partitions")
    expect_done(varve("put", d + "/db", "a", "b", *kafka(topic)))
    expect_failure(varve("put", d + "/db2", "a", "b", *kafka(topic, "--partitions", "7")), 2, "7")
    expect(varve("put", d + "/db3", "a", "b", *kafka(topic, "--partition", "5")).code in (2, 4), "a partition that is not there")


def test_wrong_cleanup_policy_is_2(d):
    jars = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "varve/kafka-3.9.1/libs/*")
    if not glob.glob(jars) or not shutil.which("java"):
        raise Skip("changing a topic's configuration needs Kafka's own tool")
    topic = new_topic("delete-policy")
    expect_done(varve("put", d + "/db", "a", "b", *kafka(topic)))
    subprocess.run(["java", "-cp", jars, "kafka.admin.ConfigCommand", "--bootstrap-server", BROKER["bootstrap"], "--alter",
                    "--entity-type", "topics", "--entity-name", topic, "--add-config", "cleanup.policy=delete"],
                   check=True, capture_output=True, timeout=60)
    expect_failure(varve("put", d + "/db", "a", "b", *kafka(topic)), 2, "cleanup.policy", "compact")


def test_outage_keeps_changes_for_later(d):
    if not BROKER["directory"]:
        raise Skip("the broker is not this test's to stop")
    topic = new_topic("outage")
    process = start("load", d + "/db", "--batch", "1", "--quiet", *kafka(topic, "--timeout", "3000"))
    process.stdin.write(b"a\t1\n")
    process.stdin.flush()
    time.sleep(2)
    subprocess.run([SOURCE + "/scripts/kafka-stop", "--kill", BROKER["directory"]], check=True)
    try:
        out, err = process.communicate(b"b\t2\n", timeout=60)
        expect(process.returncode == 7, "ended with %d: %s" % (process.returncode, err.decode()))
        expect(b"stays in the WAL" in err, err.decode())
        expect(content(d + "/db") == {b"a": b"1", b"b": b"2"}, "local writes go on")
    finally:
        start_broker()
    expect_done(varve("load", d + "/db", "/dev/null", *kafka(topic)))
    expect_done(varve("verify", d + "/db", *kafka(topic)))


def start_broker():
    started = subprocess.run([SOURCE + "/scripts/kafka-start", BROKER["directory"]], capture_output=True, text=True)
    if started.returncode != 0:
        print((started.stderr.strip().splitlines() or ["no reason given"])[-1])
        sys.exit(77 if started.returncode == 77 else 1)
    BROKER["bootstrap"] = started.stdout.strip()


def main():
    tests = [value for name, value in list(globals().items()) if name.startswith("test_")]
    if BROKER["bootstrap"]:
        return run_tests(tests)
    BROKER["directory"] = tempfile.mkdtemp(prefix="varve-cli-kafka-")
    try:
        start_broker()
        return run_tests(tests)
    finally:
        subprocess.run([SOURCE + "/scripts/kafka-stop", "--kill", BROKER["directory"]])
        shutil.rmtree(BROKER["directory"], ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
