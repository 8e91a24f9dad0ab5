"""One function per kind of fault: break, wait until whole, measure, again. Times in seconds."""

from __future__ import annotations

import asyncio
import signal
from collections import defaultdict
from collections.abc import Callable, Coroutine
from typing import Any

from bench.worst_minute.ground import Ground, living
from multiconnect.limits import SLOTS
from multiconnect.model.cluster import Role
from tests.support.faulty_cluster import coreapps

#: A look at calm traffic before each fault, and how long after recovery the fault still counts.
CALM_S = 0.4
AFTER_S = 0.1

Samples = defaultdict[str, list[float]]


async def owner_cycles(
    ground: Ground, cycles: int, number: signal.Signals, name: str, *, shards: int, ready: int
) -> Samples:
    """SIGKILL or SIGSTOP an owner: the longest gap of its slots, latencies of the others."""
    samples: Samples = defaultdict(list)
    for _ in range(cycles):
        seen = await ground.until_whole(shards, ready)
        await asyncio.sleep(CALM_S)
        shard = ground.rng.randrange(shards)
        victim = seen.node(seen.slots[shard].owner)
        assert victim is not None
        hit = [row.slot for row in seen.slots if row.owner == victim.incarnation]
        others = [slot for slot in range(SLOTS) if slot not in hit]
        at_s = ground.signal(victim.pid, number)
        await ground.until_granted_anew(hit, victim.incarnation)
        await ground.until_acknowledged(hit, at_s)
        await asyncio.sleep(AFTER_S)
        end_s = ground.now_s
        samples[name].append(max(ground.acks.longest_gap_s(s, at_s, end_s) for s in hit))
        samples["others"] += ground.acks.latencies_s(others, at_s, end_s - AFTER_S)
        samples["calm"] += ground.acks.latencies_s(others, at_s - CALM_S, at_s)
    return samples


async def master_cycles(ground: Ground, cycles: int, *, masters: int) -> Samples:
    """SIGKILL the primary Master: until the next term, and what traffic noticed."""
    samples: Samples = defaultdict(list)
    for _ in range(cycles):
        seen = await ground.until(
            lambda now: len(living(now, Role.MASTER)) >= masters, f"{masters} Masters"
        )
        await asyncio.sleep(CALM_S)
        slots = range(SLOTS)
        at_s = ground.signal(ground.primary(seen), signal.SIGKILL)
        await ground.until_new_term(seen.cluster.term)
        taken_s = ground.now_s
        await asyncio.sleep(CALM_S - min(CALM_S, taken_s - at_s))
        end_s = ground.now_s
        gaps = ground.acks.longest_gap_s
        samples["term"].append(taken_s - at_s)
        samples["gap"].append(max(gaps(s, at_s, end_s) for s in slots))
        samples["calm gap"].append(max(gaps(s, at_s - (end_s - at_s), at_s) for s in slots))
    return samples


async def masters_down(ground: Ground, seconds: float, *, masters: int) -> Samples:
    """No Master at all for a while: errors, and the longest gap of any slot."""
    samples: Samples = defaultdict(list)
    ground.cluster.tickets.stand("no-master")
    seen = await ground.control.snapshot()
    failed = len(ground.talk.failures)
    for node in living(seen, Role.MASTER):
        ground.signal(node.pid, signal.SIGKILL)
    at_s = ground.now_s
    await asyncio.sleep(seconds)
    samples["errors"].append(len(ground.talk.failures) - failed)
    samples["gap"] = [ground.acks.longest_gap_s(s, at_s, ground.now_s) for s in range(SLOTS)]
    ground.cluster.tickets.fall("no-master")
    await ground.until(lambda now: len(living(now, Role.MASTER)) >= masters, "Masters are back")
    return samples


async def resize_cycles(ground: Ground, cycles: int, counts: list[int], *, ready: int) -> Samples:
    """Walk through shard counts under load: each moved slot's longest gap, time of each resize."""
    samples: Samples = defaultdict(list)
    for _ in range(cycles):
        for count in counts:
            await _resize(ground, count, samples, ready=ready)
    return samples


async def _resize(ground: Ground, count: int, samples: Samples, *, ready: int) -> None:
    before = await ground.control.snapshot()
    failed = len(ground.talk.failures)
    generation = before.cluster.generation
    at_s = ground.now_s
    while await ground.control.set_target(count, generation) is None:
        generation = (await ground.control.snapshot()).cluster.generation
    await ground.until(
        lambda now: sum(n.generation > generation for n in coreapps(now)) >= ready,
        "the new generation is ready",
    )
    ready_s = ground.now_s
    after = await ground.until(
        lambda now: now.cluster.shards == count == now.cluster.target_shards, f"{count} in force"
    )
    end_s = ground.now_s
    moved = [row.slot for row in after.slots if row.owner != before.slots[row.slot].owner]
    await ground.until_acknowledged(moved, end_s)
    samples["pause"] += [ground.acks.longest_gap_s(s, at_s, end_s) for s in moved]
    calm = [ground.acks.longest_gap_s(s, at_s - CALM_S, at_s) for s in range(SLOTS)]
    samples["calm gap"] += calm
    samples["start"].append(ready_s - at_s)
    samples["moves"].append(end_s - ready_s)
    samples["errors"].append(len(ground.talk.failures) - failed)
    samples["twice"].append(
        sum(new.epoch - old.epoch > 1 for new, old in zip(after.slots, before.slots, strict=True))
    )
    await ground.until(
        lambda now: not [n for n in coreapps(now) if n.generation <= generation],
        "the old generation is gone",
    )


async def under_steal(
    ground: Ground, seconds: float, busy: Callable[[], Coroutine[Any, Any, None]]
) -> Samples:
    """Somebody else takes all the CPU: who was declared dead, which slots moved."""
    samples: Samples = defaultdict(list)
    before = await ground.control.snapshot()
    failed = len(ground.talk.failures)
    at_s = ground.now_s
    thieves: asyncio.Task[None] = asyncio.create_task(busy())
    await asyncio.sleep(seconds)
    thieves.cancel()
    await asyncio.gather(thieves, return_exceptions=True)
    after = await ground.control.snapshot()
    dead = [
        n
        for n in after.nodes
        if n.state.value == "dead"
        and (was := before.node(n.incarnation))
        and was.state.value != "dead"
    ]
    samples["deaths"].append(len(dead))
    samples["moved"].append(
        sum(new.epoch > old.epoch for new, old in zip(after.slots, before.slots, strict=True))
    )
    samples["errors"].append(len(ground.talk.failures) - failed)
    samples["gap"] = [ground.acks.longest_gap_s(s, at_s, ground.now_s) for s in range(SLOTS)]
    return samples
