"""Walks through shard counts under load: how long each moved slot's messages had to wait.

With a process per shard on a few cores the ordinary load must be small, and a pause shorter than
its period would go unseen. So each slot is probed every few milliseconds from the moment its owner
is asked to drain it until the next one has it; its *pause* is the longest any message asked for in
that time waited for its acknowledgement.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from bench.worst_minute.cycles import Samples
from bench.worst_minute.ground import Ground, living
from multiconnect.limits import SLOTS
from multiconnect.model.cluster import Role, Snapshot
from tests.support.faulty_cluster import coreapps

COUNTS = (2, 4, 8, 16, 32, 16, 8, 4, 2, 1)
#: With so few CoreApps that the cores are not what is measured.
FEW_COUNTS = (2, 4, 2, 1)
PROBE_S = 0.005
#: A hand-over may have begun this long before it was seen here, and its end may have been seen
#: this long before the first acknowledgement.
AROUND_S = 0.05
CALM_S = 1.0


@dataclass
class HandOvers:
    """When each slot's hand-over was first seen under way, and seen to be over."""

    ground: Ground
    before: Snapshot
    begun_s: dict[int, float] = field(default_factory=dict)
    ended_s: dict[int, float] = field(default_factory=dict)

    async def follow(self) -> None:
        """Look at every change until cancelled."""
        while True:
            snapshot = await self.ground.control.snapshot()
            now_s = self.ground.now_s
            for row in snapshot.slots:
                moved = row.epoch > self.before.slots[row.slot].epoch
                if moved or row.drain_to is not None:
                    self.begun_s.setdefault(row.slot, now_s)
                if moved:
                    self.ended_s.setdefault(row.slot, now_s)
            await self.ground.control.changed(0.25, snapshot)

    async def probe(self) -> None:
        """Send to the slots that are being handed over until cancelled."""
        while True:
            now_s = self.ground.now_s
            for slot in self.begun_s:
                if now_s < self.ended_s.get(slot, now_s) + AROUND_S:
                    self.ground.talk.probe(slot)
            await asyncio.sleep(PROBE_S)

    def pauses_s(self) -> list[float]:
        """Return the longest wait of each slot that moved."""
        return [
            max(
                self.ground.acks.latencies_s(
                    [slot], self.begun_s[slot] - AROUND_S, ended_s + AROUND_S
                ),
                default=0.0,
            )
            for slot, ended_s in self.ended_s.items()
        ]


async def walks(ground: Ground, count: int, *, counts: Sequence[int], ready: int) -> Samples:
    """Walk from 1 through these counts so many times."""
    samples: Samples = defaultdict(list)
    for _ in range(count):
        for shards in counts:
            await _resize(ground, shards, samples, ready=ready)
    return samples


async def _resize(ground: Ground, shards: int, samples: Samples, *, ready: int) -> None:
    await asyncio.sleep(CALM_S)
    before = await ground.control.snapshot()
    generation = before.cluster.generation
    failed = len(ground.talk.failures)
    at_s = ground.now_s
    samples["calm"] += [
        max(ground.acks.latencies_s([slot], at_s - CALM_S, at_s), default=0.0)
        for slot in range(SLOTS)
    ]
    async with _followed(ground, before) as moves:
        while await ground.control.set_target(shards, generation) is None:
            generation = (await ground.control.snapshot()).cluster.generation
        await ground.until(
            lambda now: sum(n.generation > generation for n in coreapps(now)) >= ready,
            "the new generation is ready",
        )
        ready_s = ground.now_s
        after = await ground.until(
            lambda now: now.cluster.shards == shards == now.cluster.target_shards,
            f"{shards} in force",
        )
        end_s = ground.now_s
        await ground.until_acknowledged(list(range(SLOTS)), end_s + AROUND_S)
    pauses_s = moves.pauses_s()
    samples["pause"] += pauses_s
    samples[f"pause {shards}"] += pauses_s
    samples["start"].append(ready_s - at_s)
    samples["moves"].append(end_s - ready_s)
    samples["errors"].append(len(ground.talk.failures) - failed)
    samples["twice"].append(
        sum(new.epoch - old.epoch > 1 for new, old in zip(after.slots, before.slots, strict=True))
    )
    await ground.until(
        lambda now: not [n for n in living(now, Role.COREAPP) if n.generation <= generation],
        "the old generation is gone",
    )
    # Its last word is in the store; the processes still have to end, which takes all cores.
    old = {node.pid for node in living(before, Role.COREAPP)}
    while old & set(ground.pids()):  # noqa: ASYNC110 -- looks from outside
        await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def _followed(ground: Ground, before: Snapshot) -> AsyncIterator[HandOvers]:
    """Follow and probe the hand-overs inside."""
    moves = HandOvers(ground, before)
    tasks = [asyncio.create_task(moves.follow()), asyncio.create_task(moves.probe())]
    try:
        yield moves
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
