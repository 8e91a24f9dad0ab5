"""Row 3: what does a message cost on its way into a batch, and out of it again?"""

from __future__ import annotations

import orjson
import pytest

from bench.figures import Meter
from bench.python_packing import pack
from bench.traffic import Item, Traffic
from multiconnect._native import Packer, records, reference, split_batches

#: As many as one `send_many` of the durable benchmarks.
MESSAGES = 1000
CREATED_MS = 1_700_000_000_000

pytestmark = pytest.mark.benchmark(group="pack 1,000 messages of 200 bytes")


@pytest.fixture
def items(traffic: Traffic) -> list[Item]:
    return traffic.items(MESSAGES)


def pack_natively(packer: Packer | reference.Packer, items: list[Item]) -> list[bytes]:
    """Pack and take every slot, as one flush of a router does."""
    packer.extend(items)
    pending, taken = packer.pending, []
    for slot in range(32):
        if pending >> slot & 1:
            batch = packer.take(slot, 1, 1, CREATED_MS)
            assert batch is not None
            taken.append(batch)
    return taken


def test_python(meter: Meter, items: list[Item]) -> None:
    """The reference: mmh3, struct, join and zlib.crc32."""
    timing = meter.time(lambda: pack(items, CREATED_MS), iterations=20)
    assert [batch[48:] for batch in pack(items, 0)] == [
        batch[48:] for batch in pack_natively(Packer(0, orjson.dumps), items)
    ]
    meter.note("pack.python", timing.ns_each(MESSAGES))


def test_native(meter: Meter, items: list[Item]) -> None:
    packer = Packer(0, orjson.dumps)
    timing = meter.time(lambda: pack_natively(packer, items), iterations=200)
    assert not packer.pending
    meter.note("pack.native", timing.ns_each(MESSAGES))


def test_readable_twin(meter: Meter, items: list[Item]) -> None:
    """The specification in plain Python, checksum included; nobody waits for it to be fast."""
    packer = reference.Packer(0, orjson.dumps)
    few = items[:100]
    timing = meter.time(lambda: pack_natively(packer, few), rounds=3)
    meter.note("pack.readable_twin", timing.ns_each(len(few)))


def test_split_batches(meter: Meter, items: list[Item]) -> None:
    """The owner's side: the batches of a frame, checksums verified."""
    frame = b"".join(pack_natively(Packer(0, orjson.dumps), items))
    timing = meter.time(lambda: split_batches(frame), iterations=200)
    assert sum(header.count for header, _ in split_batches(frame)) == MESSAGES
    meter.note("unpack.split_batches", timing.ns_each(MESSAGES))


def test_records(meter: Meter, items: list[Item]) -> None:
    """The dispatcher's side: objects for each message."""
    batches = pack_natively(Packer(0, orjson.dumps), items)
    timing = meter.time(lambda: [records(batch) for batch in batches], iterations=50)
    assert sum(len(records(batch)) for batch in batches) == MESSAGES
    meter.note("unpack.records", timing.ns_each(MESSAGES))
