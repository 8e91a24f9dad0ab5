"""Row 13: how many messages a second does one CoreApp bring to a durable outcome?

End to end in one `Engine`, with an upstream that says "sent" at once: accepted, committed, claimed,
handed over, outcome committed. What is counted are the events, which follow that last commit.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench.figures import Meter
from bench.load import checked, send_batches
from bench.traffic import Item, Traffic
from multiconnect import Engine
from multiconnect.dataplane.event_queue import EventStream

BATCH, WINDOW = 1000, 4

pytestmark = pytest.mark.benchmark(group="durable outcomes in one Engine")


def test_outcomes(meter: Meter, traffic: Traffic, runner: asyncio.Runner, folder: Path) -> None:
    count = meter.amount(full=50_000, quick=10_000)
    batches = traffic.batches(BATCH, count // BATCH)
    engine = Engine(f"sqlite:///{folder}/log.db", shards=8, upstream="null")
    runner.run(engine.start())
    events = engine.events()
    timing = meter.time(checked(lambda: runner.run(outcomes(engine, batches, events)), count))
    runner.run(engine.aclose())
    assert events.dropped == 0
    meter.note("dispatch.outcomes", timing.rate(count))


async def outcomes(engine: Engine, batches: list[list[Item]], events: EventStream) -> int:
    """Send everything; return how many were sent upstream, and durably so."""
    sending = asyncio.ensure_future(send_batches(engine, batches, WINDOW))
    sent = 0
    for _ in range(sum(map(len, batches))):
        event = await anext(events)
        sent += event.type == "sent"
    await sending
    return sent
