"""Row 17: how long is a shard with a million pending messages out of reach when its owner dies?

The owner is killed; the bench, in the Master's place, gives all slots to a spare that stands ready.
The clock starts when that grant is in the store. "Accepting" is when the last slot has acknowledged
a message sent before the grant, "dispatching" when the first message of the last slot was handed to
the upstream. SQLite, so the spare reads what it needs from the dead owner's file.
"""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path
from time import monotonic

import pytest

from bench.figures import Figure, Meter
from bench.load import send_batches
from bench.owner import Owner, owner
from bench.traffic import Traffic
from multiconnect import Router, shards_of
from multiconnect.limits import SLOTS
from multiconnect.model.cluster import Move, NodeState
from multiconnect.store.open import open_store
from multiconnect.store.port import ControlStore, Store

BATCH, WINDOW, ROUNDS = 1000, 16, 3
NAMES = ("granting", "accepting", "dispatching")

pytestmark = pytest.mark.benchmark(group="take-over of a shard with a backlog")


def test_takeover(meter: Meter, traffic: Traffic, runner: asyncio.Runner, folder: Path) -> None:
    pending = meter.amount(full=1_000_000, quick=200_000)
    batches = traffic.batches(BATCH, pending // BATCH)
    probes = one_per_slot(traffic)
    rounds: list[dict[str, float]] = []
    numbers = count()

    def run() -> None:
        place = folder / str(next(numbers))
        place.mkdir()
        url = f"sqlite:///{place}/log.db"
        with owner(url, paced=True) as first, owner(url, paced=False, spare=True) as second:
            took = runner.run(takeover(url, first, second, batches, probes))
        first_calls = second.figures["first_calls_s"]
        assert len(first_calls) == SLOTS
        took["dispatching"] = max(first_calls.values()) - took.pop("granted_at_s")
        rounds.append(took)

    timing = meter.time(run, rounds=ROUNDS)
    for name in NAMES:
        values = [round_[name] * 1000 for round_ in rounds[-len(timing.seconds) :]]
        meter.note(f"takeover.{name}", Figure.of(values, "ms"))


def one_per_slot(traffic: Traffic) -> list[str]:
    """Return a recipient for every slot."""
    slots = shards_of(traffic.recipients, SLOTS)
    return list(dict(zip(slots, traffic.recipients, strict=True)).values())


async def takeover(
    url: str,
    first: Owner,
    second: Owner,
    batches: list[list[tuple[str, bytes]]],
    probes: list[str],
) -> dict[str, float]:
    """Fill the first owner, kill it, and give what it owned to the second."""
    store = await open_store(url)
    try:
        async with Router(url, events=False) as router:
            await send_batches(router, batches, WINDOW)
            first.process.kill()
            first.process.wait()
            sending = [asyncio.ensure_future(answered_at_s(router, name)) for name in probes]
            await asyncio.sleep(0.05)
            killed_at_s = monotonic()
            await grant_all(store, first, second)
            granted_at_s = monotonic()
            answered = await asyncio.gather(*sending)
    finally:
        await store.aclose()
    return {
        "granting": granted_at_s - killed_at_s,
        "granted_at_s": granted_at_s,
        "accepting": max(answered) - granted_at_s,
    }


async def answered_at_s(router: Router, recipient: str) -> float:
    """Send one message; return when it was acknowledged."""
    await router.send(recipient, b'{"type":"text","text":{"body":"are you there"}}')
    return monotonic()


async def grant_all(store: Store, first: Owner, second: Owner) -> None:
    """Do what the Master does of a death: one commit for all slots."""
    control: ControlStore = store.control
    await control.set_node_state(first.incarnation, NodeState.DEAD, "killed")
    snapshot = await control.snapshot()
    term = await control.take_term(second.incarnation, snapshot.cluster.term)
    moves = [
        Move(row.slot, row.epoch, first.incarnation, second.incarnation) for row in snapshot.slots
    ]
    if term is None or not await control.assign(moves, term, "benchmark"):
        raise AssertionError("the store refused the grant")
