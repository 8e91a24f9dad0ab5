"""One function per kind of fault: break, wait until whole, measure, again. Times in seconds."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import defaultdict

from bench.worst_minute.ground import Ground, living
from multiconnect.limits import SLOTS
from multiconnect.model.cluster import Role

#: A look at calm traffic before each fault, and how long after recovery the fault still counts.
CALM_S = 0.4
AFTER_S = 0.1

Samples = defaultdict[str, list[float]]


async def owner_cycles(
    ground: Ground, cycles: int, number: signal.Signals, *, shards: int, ready: int
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
        await ground.until_relieved([victim.incarnation])
        await ground.until_acknowledged(hit, at_s)
        await asyncio.sleep(AFTER_S)
        end_s = ground.now_s
        samples["gap"].append(max(ground.acks.longest_gap_s(s, at_s, end_s) for s in hit))
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
    """No Master at all for a while: errors, and the longest gap of each slot."""
    samples: Samples = defaultdict(list)
    ground.cluster.tickets.stand("no-master")
    seen = await ground.control.snapshot()
    failed = len(ground.talk.failures)
    for node in living(seen, Role.MASTER):
        ground.signal(node.pid, signal.SIGKILL)
    at_s = ground.now_s
    await asyncio.sleep(seconds)
    samples["seconds"].append(seconds)
    samples["errors"].append(len(ground.talk.failures) - failed)
    samples["gap"] = [ground.acks.longest_gap_s(s, at_s, ground.now_s) for s in range(SLOTS)]
    ground.cluster.tickets.fall("no-master")
    await ground.until(lambda now: len(living(now, Role.MASTER)) >= masters, "Masters are back")
    return samples


async def storm(ground: Ground, kills: int, *, shards: int, ready: int) -> Samples:
    """SIGKILL two owners at a time, again and again, as fast as they are replaced."""
    samples: Samples = defaultdict(list)
    while ground.kills < kills:
        # Whoever is still starting is missing from the spares, but there is always one.
        seen = await ground.until_whole(shards, ready - 1)
        owners = sorted({row.owner for row in seen.slots if row.owner is not None})
        victims = ground.rng.sample(owners, 2)
        at_s = ground.now_s
        for node in map(seen.node, victims):
            assert node is not None
            ground.signal(node.pid, signal.SIGKILL)
        await ground.until_relieved(victims)
        samples["repair"].append(ground.now_s - at_s)
    return samples


async def under_steal(ground: Ground, seconds: float) -> Samples:
    """A busy process per core: who was declared dead, which slots moved."""
    samples: Samples = defaultdict(list)
    before = await ground.control.snapshot()
    failed = len(ground.talk.failures)
    at_s = ground.now_s
    thieves: asyncio.Task[None] = asyncio.create_task(_busy())
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
    samples["seconds"].append(seconds)
    samples["deaths"].append(len(dead))
    samples["moved"].append(
        sum(new.epoch > old.epoch for new, old in zip(after.slots, before.slots, strict=True))
    )
    samples["errors"].append(len(ground.talk.failures) - failed)
    samples["gap"] = [ground.acks.longest_gap_s(s, at_s, ground.now_s) for s in range(SLOTS)]
    return samples


async def _busy() -> None:
    """Keep every core busy until cancelled."""
    command = (sys.executable, "-c", "while True: pass")
    cores = range(os.cpu_count() or 1)
    thieves = [await asyncio.create_subprocess_exec(*command) for _ in cores]
    try:
        await asyncio.Event().wait()
    finally:
        for thief in thieves:
            thief.kill()
            await thief.wait()
