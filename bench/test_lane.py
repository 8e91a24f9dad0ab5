"""Rows 4 and 5: how many messages a second does an owner in another process acknowledge?

The store is `memory://`: everything is as in production except that nothing is written to a disk.
"""

from __future__ import annotations

import asyncio

import pytest

from bench.figures import Meter
from bench.load import checked, send_batches, send_singles
from bench.owner import owner, routed
from bench.raw_tcp import raw_tcp
from bench.traffic import PAYLOAD_BYTES, Traffic

BATCH, WINDOW, TASKS = 1024, 8, 1000
#: Record header, recipient, payload: what a message adds to a frame.
MESSAGE_BYTES = 8 + 12 + PAYLOAD_BYTES

pytestmark = pytest.mark.benchmark(group="lane to another process, nothing stored")
paces = pytest.mark.parametrize("pace", ["paced", "at_once"])


def test_raw_tcp(meter: Meter) -> None:
    """The reference of row 4."""
    chunks = meter.amount(full=8000, quick=2000)
    with raw_tcp(MESSAGE_BYTES) as peer:
        timing = meter.time(lambda: peer.send(chunks))
        meter.note("tcp.raw", timing.rate(chunks * peer.messages_per_chunk))


@paces
def test_send_many(meter: Meter, traffic: Traffic, runner: asyncio.Runner, pace: str) -> None:
    paced = pace == "paced"
    count = meter.amount(full=512 if paced else 128, quick=256 if paced else 32)
    batches = traffic.batches(BATCH, count)
    with owner(paced=paced) as peer, routed(runner, [peer]) as router:
        timing = meter.time(
            checked(lambda: runner.run(send_batches(router, batches, WINDOW)), BATCH * count)
        )
    assert peer.figures["accepted"] == BATCH * count * (len(timing.seconds) + 1)
    meter.note(f"lane.many.{pace}", timing.rate(BATCH * count))


@paces
def test_send(meter: Meter, traffic: Traffic, runner: asyncio.Runner, pace: str) -> None:
    count = meter.amount(full=100_000, quick=20_000)
    items = traffic.items(count)
    with owner(paced=pace == "paced") as peer, routed(runner, [peer]) as router:
        timing = meter.time(checked(lambda: runner.run(send_singles(router, items, TASKS)), count))
    assert peer.figures["accepted"] == count * (len(timing.seconds) + 1)
    meter.note(f"lane.single.{pace}", timing.rate(count))
