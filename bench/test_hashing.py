"""Rows 1 and 2: what does it cost to find the shard of a recipient?"""

from __future__ import annotations

import mmh3
import pytest

from bench.figures import Meter
from bench.traffic import Traffic
from multiconnect import shards_of
from multiconnect._native import shards_of_packed

SHARDS = 8
WIDTH = 12

pytestmark = pytest.mark.benchmark(group="shard ids of 100,000 recipients")


def test_mmh3(meter: Meter, traffic: Traffic) -> None:
    """The reference: what a Python user writes. Signed is faster, and the same modulo 8."""
    hash_of = mmh3.hash
    timing = meter.time(lambda: [hash_of(name) % SHARDS for name in traffic.recipients])
    meter.note("hash.mmh3", timing.ns_each(len(traffic.recipients)))


def test_list(meter: Meter, traffic: Traffic) -> None:
    timing = meter.time(lambda: shards_of(traffic.recipients, SHARDS), iterations=10)
    assert list(shards_of(traffic.recipients, SHARDS)) == expected(traffic)
    meter.note("hash.list", timing.ns_each(len(traffic.recipients)))


def test_packed(meter: Meter, traffic: Traffic) -> None:
    packed = "".join(traffic.recipients).encode()
    assert len(packed) == WIDTH * len(traffic.recipients)
    timing = meter.time(lambda: shards_of_packed(packed, WIDTH, SHARDS), iterations=50)
    assert list(shards_of_packed(packed, WIDTH, SHARDS)) == expected(traffic)
    meter.note("hash.packed", timing.ns_each(len(traffic.recipients)))


def expected(traffic: Traffic) -> list[int]:
    return [mmh3.hash(name, 0, signed=False) % SHARDS for name in traffic.recipients]
