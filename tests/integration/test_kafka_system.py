#!/usr/bin/env python3
"""Stores and their changelogs on a real Kafka, end to end (TAP): a writer killed at random moments, zombies, a topic whose
tombstones are gone, the topic as other clients read and write it, and a newer Kafka.

Takes the broker at VARVE_KAFKA_BOOTSTRAP, or starts one; exits with 77 when there is none to be had. The moments are random:
VARVE_TEST_SEED repeats the choice of them, as far as the machine does.
"""

import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time

from kafka_tools import (WRITER, Broker, Record, confluent_python, expect_equal, state_of, wait_for)
from harness import Skip, bin_record, content, expect, expect_done, expect_failure, run_tests, start, varve

BROKER = Broker(os.environ.get("VARVE_KAFKA_BOOTSTRAP"))
SEED = int(os.environ.get("VARVE_TEST_SEED") or time.time())
KILL_ROUNDS, KILL_ROUNDS_ON_NEWER, ZOMBIE_ROUNDS = 15, 4, 3
NEWER_KAFKA = "4.3.0"

# The mark of doc/changelog-protocol.md.
MARK = struct.Struct("<BBHIII16s16sQQ")


def note(text):
    print("# " + text, flush=True)


# ---- A writer that is killed ----


def ledger_batch(number):
    """What ledger_writer.c writes as batch number: (key, value) pairs in its order, None for a delete."""
    text = b"%d" % number
    records = [(b"group/%d" % i, text) for i in range(5)]
    for j in range(number % 7 + 1):
        records.append((b"once/%08d/%d" % (number, j), b"%d:%d:" % (number, j) + b"x" * ((number * 37 + j * 101) % 300)))
    records.append((b"gone/%08d" % number, text))
    if number > 50:
        records.append((b"gone/%08d" % (number - 50), None))
    return records + [(b"last", text)]


class Ledger:
    """The writer's directory, what it ought to hold, and what of the topic was read so far."""

    def __init__(self, broker, directory, topic, source):
        self.broker, self.directory, self.topic, self.source = broker, directory, topic, source
        self.newest, self.state = 0, {}
        self.written = self.acknowledged = 0
        self.records, self.opening_s = [], []
        self.opened = self.killed_while_opening = self.reshipped = 0

    def round(self, output):
        """Runs the writer, and kills it at some moment: while it opens, or among writes, flushes and transactions."""
        with open(output, "wb") as out:
            writer = subprocess.Popen([WRITER, self.directory, self.broker.bootstrap, self.topic], stdout=out,
                                      stderr=subprocess.PIPE)
        began = time.monotonic()
        if self.source.random() < 0.3:
            time.sleep(self.source.uniform(0.0, 0.3))
        else:
            wait_for("the changelog is open", lambda: writer.poll() is not None or os.path.getsize(output))
            self.opening_s.append(time.monotonic() - began)
            time.sleep(self.source.uniform(0.0, 1.2))
        writer.send_signal(signal.SIGKILL)
        errors = writer.communicate()[1].decode()
        expect(writer.returncode == -signal.SIGKILL, "the writer ended by itself with %d: %s" % (writer.returncode, errors))
        self.listen(output)

    def listen(self, output):
        """Takes in what the writer said."""
        with open(output) as lines:
            said = [line.split() for line in lines if line.endswith("\n")]
        opened = [words for words in said if words[0] == "opened"]
        self.opened += len(opened)
        self.killed_while_opening += not opened
        for words in opened:
            expect(int(words[1]) >= self.written, "the store was at %s, but %d had been written" % (words[1], self.written))
            expect(words[2] == "0", "nobody else wrote, and yet %s changes were rolled back" % words[2])
        self.reshipped += sum(int(words[1]) for words in said if words[0] == "reshipped")
        self.written = max([self.written] + [int(words[1]) for words in said if words[0] in ("written", "opened")])
        self.acknowledged = max([self.acknowledged] + [int(words[1]) for words in said if words[0] == "acknowledged"])
        expect(self.acknowledged <= self.written, "acknowledged what was not written")

    def expect_store(self):
        """Exactly batches 1 to some number, whole, and at least what was written."""
        there = content(self.directory)
        newest = int(there.get(b"last", b"0"))
        expect(newest >= self.written, "the store is at batch %d, but %d had been written" % (newest, self.written))
        expect(newest >= self.newest, "the store went back from batch %d to %d" % (self.newest, newest))
        while self.newest < newest:
            self.newest += 1
            for key, value in ledger_batch(self.newest):
                if value is None:
                    del self.state[key]
                else:
                    self.state[key] = value
        expect_same(there, self.state, "the store at batch %d" % newest)

    def expect_topic(self):
        """Batches 1 to some number, record by record and nothing else, at least what was acknowledged; groups end with a batch."""
        if self.acknowledged == 0:
            return
        self.records += self.broker.read(self.topic, self.records[-1].offset + 1 if self.records else "beginning")
        expected, number = [], 0
        while len(expected) < len(self.records):
            number += 1
            expected += ledger_batch(number)
        for record, (key, value) in zip(self.records, expected):
            expect(record.key == key and record.value == value, "offset %d is %r, not %r" % (record.offset, record.key, key))
            expect(record.mark is None or key == b"last", "offset %d, %r, ends a group" % (record.offset, key))
        expect(len(expected) == len(self.records), "the topic ends within batch %d" % number)
        expect(self.records[-1].mark is not None, "the newest record ends no group")
        expect(number >= self.acknowledged, "the topic ends with batch %d, acknowledged was %d" % (number, self.acknowledged))
        expect(number <= max(self.newest, self.written), "the topic is ahead of the store")


def expect_same(there, wanted, what):
    if there == wanted:
        return
    missing, more = wanted.keys() - there.keys(), there.keys() - wanted.keys()
    other = [key for key in there if key in wanted and there[key] != wanted[key]]
    raise AssertionError("%s: %d keys missing, %d too many, %d with another value, such as %r" %
                         (what, len(missing), len(more), len(other), (sorted(missing) + sorted(more) + other)[0]))


def kill_and_go_on(broker, d, rounds):
    """The writer is killed so often, goes on, and everything is there; the disk is lost, and everything comes back."""
    ledger = Ledger(broker, d + "/db", broker.new_topic("kill"), random.Random(SEED))
    for number in range(rounds):
        ledger.round(d + "/said-%d" % number)
        # Not always: else no kill would be followed by an open with a changelog.
        if ledger.opened and ledger.source.random() < 0.4:
            ledger.expect_store()
        ledger.expect_topic()
    done = subprocess.run([WRITER, ledger.directory, broker.bootstrap, ledger.topic, "50"], capture_output=True, text=True,
                          timeout=60)
    expect(done.returncode == 0, "the last writer ended with %d: %s" % (done.returncode, done.stderr))
    with open(d + "/said-last", "w") as out:
        out.write(done.stdout)
    ledger.listen(d + "/said-last")
    ledger.expect_store()
    ledger.expect_topic()
    expect(ledger.newest == ledger.written == ledger.acknowledged, "all is written, all is acknowledged")
    expect(len(ledger.records) == sum(len(ledger_batch(n)) for n in range(1, ledger.newest + 1)), "all is in the topic, once")
    expect_equal(broker, ledger.directory, ledger.topic)
    note("%d kills, %d of them before the changelog was open: %d batches, %d records in the topic, %d of them shipped by a later "
         "process; slowest open %.2f s" % (rounds, ledger.killed_while_opening, ledger.newest, len(ledger.records),
                                           ledger.reshipped, max(ledger.opening_s)))
    shutil.rmtree(ledger.directory)
    expect_done(varve("restore", ledger.directory, *broker.options(ledger.topic)))
    ledger.expect_store()
    expect_equal(broker, ledger.directory, ledger.topic)


def test_writer_killed_at_random_moments(d):
    kill_and_go_on(BROKER, d, KILL_ROUNDS)


def test_the_same_on_a_newer_kafka(d):
    newer = Broker()
    try:
        code, reason = newer.start(NEWER_KAFKA)
        if code == 77:
            raise Skip(reason)
        expect(code == 0, "Kafka %s did not start: %s" % (NEWER_KAFKA, reason))
        kill_and_go_on(newer, d, KILL_ROUNDS_ON_NEWER)
    finally:
        newer.stop()


# ---- A writer that is taken over ----


class Feeder:
    """A load that gets line after line on its standard input, from a thread, until stop()."""

    def __init__(self, directory, topic, prefix):
        self.process = start("load", directory, "--batch", "10", "--quiet", *BROKER.options(topic, "--commit-interval", "10"))
        self.prefix, self.stopped = prefix, threading.Event()
        self.thread = threading.Thread(target=self.feed)
        self.thread.start()

    def feed(self):
        number = 0
        try:
            while not self.stopped.is_set():
                lines = (b"%s%08d\tvalue %d\n" % (self.prefix, n, n) for n in range(number, number + 100))
                self.process.stdin.write(b"".join(lines))
                self.process.stdin.flush()
                number += 100
                time.sleep(0.005)
        except BrokenPipeError:
            pass

    def stop(self):
        """Ends the input; returns exit code and errors."""
        self.stopped.set()
        self.thread.join()
        errors = self.process.communicate(timeout=60)[1].decode()
        return self.process.returncode, errors


def stop_with_open_transaction(process, topic):
    """Stops the process when the topic holds records of it that are in no committed transaction yet."""
    def try_it():
        time.sleep(0.01)
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.1)  # what is under way to the broker arrives
        tail = BROKER.read(topic, -1, "read_uncommitted")
        if tail and tail[-1].offset > BROKER.read(topic)[-1].offset:
            return True
        process.send_signal(signal.SIGCONT)
        return False

    wait_for("a stop within a transaction", try_it, pause_s=0.01)


def expect_contiguous(state, prefix):
    """The keys of that prefix are the first so many; returns how many."""
    numbers = sorted(int(key[len(prefix):]) for key in state if key.startswith(prefix))
    expect(numbers == list(range(len(numbers))), "%d keys with %r, and not the first ones" % (len(numbers), prefix))
    return len(numbers)


def zombie_round(d, topic, number, model):
    """One directory writes and is stopped, the other takes over and writes, the first goes on. Returns how much it lost."""
    zombie, successor = (d + "/one", d + "/two") if number % 2 == 0 else (d + "/two", d + "/one")
    prefix, mine = b"zombie %d/" % number, b"successor %d" % number
    feeder = Feeder(zombie, topic, prefix)
    try:
        wait_for("the first records", lambda: feeder.process.poll() is not None or
                 any(r.key.startswith(prefix) for r in BROKER.read(topic)))
        stop_with_open_transaction(feeder.process, topic)
        expect_done(varve("put", successor, mine, "here", *BROKER.options(topic)))
        takeover = next(r for r in BROKER.read(topic) if r.key == mine)
        feeder.process.send_signal(signal.SIGCONT)
        time.sleep(0.3)  # it goes on to write, as it does not know yet
        expect_done(varve("put", successor, mine + b", later", "too", *BROKER.options(topic)))
    finally:
        feeder.process.send_signal(signal.SIGCONT)
        code, errors = feeder.stop()
    expect(code == 8, "the zombie ended with %d: %s" % (code, errors))
    expect("taken" in errors or "fenced" in errors, errors)
    records = BROKER.read(topic)
    after = [r for r in records if r.offset > takeover.offset]
    expect([r.key for r in after] == [mine + b", later"], "after the takeover there is %r" % [r.key for r in after][:5])
    shipped = expect_contiguous(state_of(records), prefix)
    written = expect_contiguous(content(zombie), prefix)
    expect(written > shipped > 0, "%d written, %d shipped" % (written, shipped))
    # It comes back: what never reached the topic is undone and reported, what the other wrote is taken over.
    result = expect_done(varve("put", zombie, b"back %d" % number, "again", *BROKER.options(topic)))
    expect("rolled %d changes back" % (written - shipped) in result.err, "%d of %d: %s" % (shipped, written, result.err))
    model.update({prefix + b"%08d" % n: b"value %d" % n for n in range(shipped)})
    model.update({mine: b"here", mine + b", later": b"too", b"back %d" % number: b"again"})
    expect_same(content(zombie), model, "the zombie after its return")
    expect_equal(BROKER, zombie, topic)
    return written - shipped


def test_takeover_fences_a_zombie_within_its_transaction(d):
    topic, model = BROKER.new_topic("zombie"), {b"before": b"all"}
    expect_done(varve("put", d + "/two", "before", "all", *BROKER.options(topic)))
    lost = [zombie_round(d, topic, number, model) for number in range(ZOMBIE_ROUNDS)]
    expect_done(varve("restore", d + "/one", *BROKER.options(topic)))
    expect_done(varve("restore", d + "/two", *BROKER.options(topic)))
    for directory in (d + "/one", d + "/two"):
        expect_same(content(directory), model, directory)
        expect_equal(BROKER, directory, topic)
    note("%d takeovers of a writer with an open transaction; rolled back: %s changes" % (len(lost), lost))


def test_a_fenced_program_hears_of_it(d):
    topic = BROKER.new_topic("fenced")
    expect_done(varve("put", d + "/two", "before", "all", *BROKER.options(topic)))
    writer = subprocess.Popen([WRITER, d + "/one", BROKER.bootstrap, topic], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    wait_for("records", lambda: writer.poll() is not None or
             any(r.key == b"last" for r in BROKER.read(topic, -50, "read_uncommitted")))
    expect_done(varve("put", d + "/two", "mine", "now", *BROKER.options(topic)))
    errors = writer.communicate(timeout=30)[1].decode()
    expect(writer.returncode == 8 and "FENCED" in errors, "ended with %d: %s" % (writer.returncode, errors))
    expect(BROKER.read(topic)[-1].key == b"mine", "nothing of the first writer came after it")


# ---- A topic whose tombstones are gone ----

RETENTION_MS = 2000
CLEANED = {"cleanup_policy": "compact", "segment_ms": 500, "segment_bytes": 1048576, "min_cleanable_dirty_ratio": 0.01,
           "delete_retention_ms": RETENTION_MS, "min_compaction_lag_ms": 0, "max_compaction_lag_ms": 1000}


class Trickle:
    """A load that stays open, with a line now and then: only a write makes Kafka begin a new segment, and clean the last."""

    def __init__(self, directory, topic):
        self.process, self.lines = start("load", directory, "--batch", "1", "--quiet", *BROKER.options(topic)), 0

    def write(self, line=None):
        self.lines += 1
        self.process.stdin.write(line or b"filler\t%d\n" % self.lines)
        self.process.stdin.flush()

    def wait_for(self, what, holds):
        def step():
            self.write()
            return holds()

        return wait_for(what, step, timeout_s=40, pause_s=0.3)

    def end(self):
        out, errors = self.process.communicate(timeout=60)
        expect(self.process.returncode == 0, "the writer ended with %d: %s" % (self.process.returncode, errors.decode()))


def delete_until_forgotten(main, topic):
    """Deletes every second key, and waits until no record of it is left in the topic: neither a value nor a tombstone."""
    main.write(b"".join(b"key %05d\n" % n for n in range(1, 3000, 2)))
    forgotten = {b"key %05d" % n for n in range(1, 3000, 2)}
    main.wait_for("tombstones in the topic", lambda: any(r.value is None for r in BROKER.read(topic)))

    def no_tombstone():
        records = BROKER.read(topic)
        return not any(r.value is None or r.key in forgotten for r in records)

    main.wait_for("no tombstone in the topic", no_tombstone)


def test_topic_without_its_tombstones(d):
    topic = BROKER.create_topic("cleaned", **CLEANED)
    pairs = b"".join(b"key %05d\tvalue %d\n" % (n, n) for n in range(3000))
    expect_done(varve("load", d + "/db", *BROKER.options(topic), stdin=pairs))
    # Two that go away while all keys live: one was only ever restored, the other has written too.
    expect_done(varve("restore", d + "/away", *BROKER.options(topic)))
    expect_done(varve("put", d + "/writer away", "one", "more", *BROKER.options(topic)))
    expect(len(content(d + "/away")) == 3000 and len(content(d + "/writer away")) == 3001, "both have all")
    before = {name: content(d + "/" + name) for name in ("away", "writer away")}
    main = Trickle(d + "/db", topic)
    delete_until_forgotten(main, topic)
    # The ones that were away cannot know of the deletes: refused, nothing is changed, and the writer at work is not disturbed.
    for name, pairs in before.items():
        for command in (["restore", d + "/" + name], ["put", d + "/" + name, "key 00001", "other"]):
            expect_failure(varve(*command, *BROKER.options(topic)), 8, "delete.retention.ms", "deletes may be missing")
            expect_same(content(d + "/" + name), pairs, name)
    main.write(b"still\twriting\n")
    main.end()
    there = content(d + "/db")
    expect(len(there) == 1500 + 3 and there[b"still"] == b"writing" and b"key 00001" not in there, "the store has the rest")
    expect_equal(BROKER, d + "/db", topic)
    expect_done(varve("restore", d + "/new", *BROKER.options(topic)))
    expect_same(content(d + "/new"), there, "restored from a topic without tombstones")
    # What was refused is restored into an empty store, as its message says.
    shutil.rmtree(d + "/away")
    expect_done(varve("put", d + "/away", "back", "again", *BROKER.options(topic)))
    expect_same(content(d + "/away"), {**there, b"back": b"again"}, "restored, and writing")
    expect_equal(BROKER, d + "/away", topic)


def test_a_quiet_store_goes_on_at_any_age(d):
    topic = BROKER.create_topic("quiet", **CLEANED)
    expect_done(varve("load", d + "/db", *BROKER.options(topic), stdin=b"a\t1\nb\t2\n"))
    expect_done(varve("delete", d + "/db", "a", *BROKER.options(topic)))
    time.sleep(RETENTION_MS / 1000 + 0.5)
    expect_done(varve("put", d + "/db", "c", "3", *BROKER.options(topic)))
    expect_same(content(d + "/db"), {b"b": b"2", b"c": b"3"}, "the store")
    expect_equal(BROKER, d + "/db", topic)


# ---- Other clients ----


def awkward_rounds():
    """Loads of (key, value) pairs, None for a delete: bytes of every kind, lengths from none to a lot."""
    source = random.Random(7)
    every_byte = bytes(range(256))
    first = [(b"", b"the empty key"), (b"empty value", b""), (b"plain", b"text"), (every_byte, every_byte), (b"\0", b"\0"),
             (b"\0\0", b"a\0b"), (b"\xff" * 300, b"<varve=>\n"), ("grüße".encode(), "größer 😀".encode()),
             (b"big", b"\xa5" * 900000), (b"k" * 65535, b"the longest key"), (b"soon gone", b"x"), (b"never there", None),
             (b"soon gone", None)]
    second = [(source.randbytes(source.randint(1, 40)), source.randbytes(source.randint(0, 200))) for _ in range(3000)]
    third = [(key, None) for key, _ in second[::3]] + [(b"empty value", None), (b"plain", b""), (b"", None), (b"\0", b"now this")]
    return [first, second, third]


def expect_marks(records, shipped, full):
    """The last record of each group, and no other, has a mark; where its bytes are known, it counts its group's records."""
    expect([(r.key, r.value) for r in records] == shipped, "all that was shipped, byte by byte, in its order")
    expect(all(a.offset < b.offset for a, b in zip(records, records[1:])), "offsets rise")
    expect(all(r.timestamp > 0 for r in records) and records[-1].mark is not None, "the newest record ends a group")
    groups, begun = [], 0
    for at, record in enumerate(records):
        if record.mark is not None:
            groups.append((record, at + 1 - begun))
            begun = at + 1
    for (record, size), (following, _) in zip(groups, groups[1:] + [(None, 0)]):
        # A control record ends the transaction, so the group after it begins one offset later.
        if following:
            first = records[records.index(record) + 1]
            expect(first.offset == record.offset + 2, "offset %d comes after %d" % (first.offset, record.offset))
        if full:
            version, flags, reserved, count, epoch, session, lineage, writer, sequence, _ = MARK.unpack(record.mark)
            expect((version, flags, reserved, count) == (1, 0, 0, size), "the mark at %d: %r" % (record.offset, record.mark))
            expect(epoch > 0 and session > 0 and any(lineage) and any(writer) and sequence > 0, "%r" % record.mark)
    if full:
        marks = [MARK.unpack(record.mark) for record, _ in groups]
        expect(len({(m[6], m[7]) for m in marks}) == 1, "one history, one writer")
        expect([m[4] for m in marks] == sorted(m[4] for m in marks) and marks[-1][4] == 3, "epochs rise with each process")
        expect(all(a[8] < b[8] for a, b in zip(marks, marks[1:])), "sequences rise")
    return len(groups)


def test_topic_as_other_clients_read_it(d):
    topic, shipped = BROKER.new_topic("clients"), []
    for pairs in awkward_rounds():
        data = b"".join(bin_record(key, value) for key, value in pairs)
        expect_done(varve("load", d + "/db", "--format", "bin", "--batch", "50", *BROKER.options(topic, "--commit-interval", "1"),
                          stdin=data))
        shipped += pairs
    records = BROKER.read(topic)
    groups = expect_marks(records, shipped, full=False)
    expect(groups >= 3, "each process ends a group")
    expect_same(state_of(records), content(d + "/db"), "what kcat makes of the topic")
    if confluent_python():
        others = list(BROKER.read_by_confluent(topic))
        expect(expect_marks(others, shipped, full=True) == groups, "the same groups")
        plain = [Record(*record[:4], None) for record in records]
        expect([Record(*record[:4], None) for record in others] == plain, "both read the same")
    expect_done(varve("restore", d + "/back", *BROKER.options(topic)))
    expect_same(content(d + "/back"), content(d + "/db"), "restored")
    expect_equal(BROKER, d + "/back", topic)
    note("%d records in %d groups, read by kcat%s" % (len(records), groups, " and confluent-kafka" if confluent_python() else ""))


def test_topic_that_another_client_wrote(d):
    topic = BROKER.create_topic("foreign", cleanup_policy="compact")
    lines = b"".join(b"k%03d=v%d\n" % (n, n) for n in range(200)) + b"k007=\nk008=again\n"
    BROKER.kcat("-P", "-t", topic, "-p", "0", "-K=", "-Z", stdin=lines)
    wanted = {b"k%03d" % n: b"v%d" % n for n in range(200)}
    del wanted[b"k007"]
    wanted[b"k008"] = b"again"
    # Read as it is; refused for writing, because its newest record is not one of Varve's; and that disturbs nothing.
    result = expect_done(varve("restore", d + "/db", "--verbose", *BROKER.options(topic)))
    expect("mark" in result.err, "diagnostics say so: %r" % result.err)
    expect_same(content(d + "/db"), wanted, "restored")
    expect_equal(BROKER, d + "/db", topic)
    for directory in ("/db", "/new"):
        expect_failure(varve("put", d + directory, "mine", "x", *BROKER.options(topic)), 8, "was not written by Varve")
    expect_same(content(d + "/db"), wanted, "after the refusal")
    expect(len(BROKER.read(topic)) == 202, "nothing was added")
    # A transaction's end looks like that of a Varve group whose record lost its mark: taken, and written to from then on.
    BROKER.kcat("-P", "-t", topic, "-p", "0", "-K=", "-X", "transactional.id=" + topic, stdin=b"last=one\n")
    wanted[b"last"] = b"one"
    for directory in ("/db", "/fresh"):
        expect_done(varve("put", d + directory, "mine" + directory, "x", *BROKER.options(topic)))
        wanted[b"mine" + directory.encode()] = b"x"
        expect_same(content(d + directory), wanted, directory)
        expect_equal(BROKER, d + directory, topic)
    # A stray record behind Varve's own: restore and verify take it, the writer is refused.
    BROKER.kcat("-P", "-t", topic, "-p", "0", "-K=", stdin=b"stray=one\n")
    expect_failure(varve("put", d + "/fresh", "k", "v", *BROKER.options(topic)), 8, "was not written by Varve")
    expect_same(content(d + "/fresh"), wanted, "after the refusal")
    expect_done(varve("restore", d + "/fresh", *BROKER.options(topic)))
    expect_same(content(d + "/fresh"), {**wanted, b"stray": b"one"}, "with the stray record")
    expect_equal(BROKER, d + "/fresh", topic)


def timed(test):
    def run(directory):
        began = time.monotonic()
        try:
            test(directory)
        finally:
            note("%s took %.1f s" % (test.__name__, time.monotonic() - began))

    run.__name__ = test.__name__
    return run


def main():
    tests = [timed(value) for name, value in list(globals().items()) if name.startswith("test_")]
    note("seed %d" % SEED)
    if BROKER.bootstrap:
        return run_tests(tests)
    try:
        code, reason = BROKER.start()
        if code != 0:
            print(reason)
            return 77 if code == 77 else 1
        return run_tests(tests)
    finally:
        BROKER.stop()


if __name__ == "__main__":
    sys.exit(main())
