"""What the tests on a real Kafka share: brokers, topics, and the topic's content as other clients read it."""

import collections
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "cli"))

from harness import BINARY, SOURCE, Skip, expect, expect_done, varve  # noqa: E402

WRITER = os.path.join(BINARY, "tests/ledger_writer")
STEP_TIMEOUT_S = 60

# header: None where there is none; mark: the bytes of the header's value, as far as the client shows them.
Record = collections.namedtuple("Record", "offset key value timestamp mark")


class Broker:
    """A broker at an address; started here when none is given. Threads: any."""

    def __init__(self, bootstrap=None):
        self.bootstrap, self.directory, self.topics = bootstrap, None, 0

    def start(self, version="3.9.1"):
        """Returns the exit code of scripts/kafka-start and its last line."""
        self.directory = tempfile.mkdtemp(prefix="varve-kafka-system-")
        started = subprocess.run([SOURCE + "/scripts/kafka-start", self.directory, version], capture_output=True, text=True)
        lines = (started.stdout if started.returncode == 0 else started.stderr).strip().splitlines()
        self.bootstrap = lines[-1] if started.returncode == 0 else None
        return started.returncode, lines[-1] if lines else "no reason given"

    def stop(self):
        if self.directory:
            subprocess.run([SOURCE + "/scripts/kafka-stop", "--kill", self.directory])
            shutil.rmtree(self.directory, ignore_errors=True)

    def new_topic(self, name):
        self.topics += 1
        return "varve-system-%s-%d-%d-%d" % (name, os.getpid(), int(time.time()), self.topics)

    def options(self, topic, *more):
        """Those of the command."""
        return ["--brokers", self.bootstrap, "--topic", topic, *more]

    def kcat(self, *arguments, stdin=b""):
        """kcat's standard output."""
        if not shutil.which("kcat"):
            raise Skip("kcat is not installed")
        done = subprocess.run(["kcat", "-b", self.bootstrap, "-q", "-X", "fetch.wait.max.ms=10", *arguments], input=stdin,
                              capture_output=True, timeout=STEP_TIMEOUT_S)
        expect(done.returncode == 0, "kcat ended with %d: %s" % (done.returncode, done.stderr.decode()))
        return done.stdout

    def read(self, topic, start="beginning", isolation="read_committed"):
        """The topic's records from there on, as kcat reads them, which cuts a header's value at its first NUL.

        Of committed ones start must not lie in a transaction that is open: kcat would wait for its end."""
        data = self.kcat("-C", "-e", "-t", topic, "-p", "0", "-o", str(start), "-X", "isolation.level=" + isolation,
                         "-f", "%o %K %S %T %k%s<%h>\n")
        return list(parse_kcat(data))

    def client(self, *arguments):
        """The output of confluent_client.py."""
        python = confluent_python()
        if not python:
            raise Skip("python3-confluent-kafka is not installed")
        done = subprocess.run([python, HERE + "/confluent_client.py", arguments[0], self.bootstrap, *arguments[1:]],
                              capture_output=True, text=True, timeout=STEP_TIMEOUT_S)
        expect(done.returncode == 0, "confluent_client.py %s: %s" % (arguments[0], done.stderr))
        return done.stdout

    def create_topic(self, name, **settings):
        """A topic made beforehand, by another client; _ stands for . in the names of the settings."""
        topic = self.new_topic(name)
        self.client("create", topic, *("%s=%s" % (key.replace("_", "."), value) for key, value in settings.items()))
        return topic

    def read_by_confluent(self, topic):
        def some(text):
            return None if text is None else bytes.fromhex(text)

        for line in self.client("read", topic).splitlines():
            record = json.loads(line)
            expect(all(name == "varve" for name, _ in record["headers"]) and len(record["headers"]) <= 1, line)
            mark = some(record["headers"][0][1]) if record["headers"] else None
            yield Record(record["offset"], some(record["key"]), some(record["value"]), record["timestamp"], mark)


def parse_kcat(data):
    """Lengths come before the bytes, so that these may hold anything."""
    at = 0
    while at < len(data):
        fields = data[at:at + 100].split(b" ", 4)
        offset, key_size, value_size, timestamp = (int(field) for field in fields[:4])
        at += sum(len(field) + 1 for field in fields[:4])
        key = None if key_size < 0 else data[at:at + key_size]
        at += max(key_size, 0)
        value = None if value_size < 0 else data[at:at + value_size]
        at += max(value_size, 0)
        end = data.index(b">\n", at)
        headers = data[at + 1:end]
        expect(data[at:at + 1] == b"<" and (not headers or headers.startswith(b"varve=")), "unexpected headers %r" % headers)
        yield Record(offset, key, value, timestamp, headers[len(b"varve="):] if headers else None)
        at = end + 2


def confluent_python():
    """A Python that has the package, or None."""
    if not hasattr(confluent_python, "found"):
        candidates = [sys.executable, "/usr/bin/python3"]
        works = [c for c in candidates if subprocess.run([c, "-c", "import confluent_kafka"], capture_output=True).returncode == 0]
        confluent_python.found = works[0] if works else None
    return confluent_python.found


def state_of(records):
    """What a reader holds that keeps the newest record of each key."""
    state = {}
    for record in records:
        if record.value is None:
            state.pop(record.key, None)
        else:
            state[record.key] = record.value
    return state


def expect_equal(broker, directory, topic):
    """varve verify finds nothing; returns its first line about the comparison."""
    result = expect_done(varve("verify", directory, *broker.options(topic)))
    expect(b" live keys compared, 0 differ, " in result.out, "%r" % result.out)
    return result


def wait_for(what, holds, timeout_s=STEP_TIMEOUT_S, pause_s=0.05):
    """Until holds() is true; returns what it returned."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        found = holds()
        if found:
            return found
        time.sleep(pause_s)
    raise AssertionError("not within %d s: %s" % (timeout_s, what))
