"""Row 13: how many messages a second does one CoreApp bring to a durable outcome?

End to end in one `Engine`, with an upstream that says "sent" at once: accepted, committed, claimed,
handed over, outcome committed. What is counted are the events, which follow that last commit.

Beside it the processor time that all of it costs per message on a store in memory: it hardly
depends on what else the machine does.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import process_time_ns

import pytest

from bench.figures import Figure, Meter
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


@pytest.mark.parametrize("events", [True, False], ids=["events", "no_events"])
def test_cpu(meter: Meter, traffic: Traffic, runner: asyncio.Runner, events: bool) -> None:
    count = meter.amount(full=50_000, quick=10_000)
    batches = traffic.batches(BATCH, count // BATCH)
    engine = Engine(shards=8, upstream="null", events=events)
    runner.run(engine.start())
    spent_ns: list[float] = []

    def round_() -> None:
        before_ns = process_time_ns()
        runner.run(sent(engine, batches))
        spent_ns.append((process_time_ns() - before_ns) / count)

    meter.time(round_)
    runner.run(engine.aclose())
    name = "events" if events else "no_events"
    meter.note(f"dispatch.cpu.{name}", Figure.of(spent_ns[1:], "ns"))


async def sent(engine: Engine, batches: list[list[Item]]) -> None:
    """Send everything, and wait until it was sent upstream."""
    target = engine.figures()["sent"] + sum(map(len, batches))
    await send_batches(engine, batches, WINDOW)
    while engine.figures()["sent"] < target:  # noqa: ASYNC110 -- nobody tells, without events
        await asyncio.sleep(0.001)


async def outcomes(engine: Engine, batches: list[list[Item]], events: EventStream) -> int:
    """Send everything; return how many were sent upstream, and durably so."""
    sending = asyncio.ensure_future(send_batches(engine, batches, WINDOW))
    sent = 0
    for _ in range(sum(map(len, batches))):
        event = await anext(events)
        sent += event.type == "sent"
    await sending
    return sent
