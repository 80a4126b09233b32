"""Another client of Kafka than ours: Confluent's, as Debian packages it. A program of its own, since that package belongs to the
system's Python, which need not be the one that runs the tests.

    confluent_client.py create BROKERS TOPIC [NAME=VALUE...]    a topic of one partition with this configuration
    confluent_client.py read BROKERS TOPIC                      committed records, one line of JSON each, bytes as hex digits
"""

import json
import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

TIMEOUT_S = 30


def create(brokers, topic, *settings):
    admin = AdminClient({"bootstrap.servers": brokers})
    new = NewTopic(topic, num_partitions=1, replication_factor=1, config=dict(s.split("=", 1) for s in settings))
    admin.create_topics([new], operation_timeout=TIMEOUT_S)[topic].result()


def as_hex(data):
    return None if data is None else data.hex()


def read(brokers, topic):
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "not-used", "enable.auto.commit": False,
                         "isolation.level": "read_committed", "enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    while True:
        message = consumer.poll(TIMEOUT_S)
        if message is None:
            raise TimeoutError("nothing came for %d s" % TIMEOUT_S)
        if message.error():
            if message.error().code() == KafkaError._PARTITION_EOF:
                break
            raise KafkaException(message.error())
        headers = [[name, as_hex(value)] for name, value in message.headers() or []]
        print(json.dumps({"offset": message.offset(), "key": as_hex(message.key()), "value": as_hex(message.value()),
                          "timestamp": message.timestamp()[1], "headers": headers}))
    consumer.close()


if __name__ == "__main__":
    {"create": create, "read": read}[sys.argv[1]](*sys.argv[2:])
