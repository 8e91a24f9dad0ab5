"""Peer of row 4: librdkafka, the C client of Kafka, with its own mock broker.

What it does: `produce_batch` of 1,024 messages (key = recipient, value = payload), acks=all, as
many outstanding as with us, until all are acknowledged. There is no Kafka here: it needs a JVM.

Unfair to us: the broker is a thread of the same process that keeps nothing and checks nothing, so
no byte goes from one process to another. Unfair to it: nothing we know of.
"""

from __future__ import annotations

from importlib import import_module

from bench.compare.rounds import Done, options, serve
from bench.traffic import make_traffic


def main() -> None:
    """Produce to a topic of 8 partitions."""
    told = options(__doc__)
    kafka = import_module("confluent_kafka")
    producer = kafka.Producer(
        {
            "bootstrap.servers": "mock",
            "test.mock.num.brokers": 1,
            "acks": "all",
            "linger.ms": 0,
            "log_level": 3,
            "batch.num.messages": told.batch,
        }
    )
    batches = [
        [{"key": name, "value": payload} for name, payload in batch]
        for batch in make_traffic().batches(told.batch, told.messages // told.batch)
    ]

    def run() -> Done:
        for batch in batches:
            while len(producer) > told.batch * (told.window - 1):
                producer.poll(0.001)
            if producer.produce_batch("messages", batch) != len(batch):
                raise RuntimeError("librdkafka refused a message")
        if producer.flush(30):
            raise RuntimeError("not everything was acknowledged")
        return {"messages": sum(map(len, batches))}

    serve(run)


if __name__ == "__main__":
    main()
