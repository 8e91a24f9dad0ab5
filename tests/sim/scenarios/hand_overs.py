"""Slots on their way: planned moves, take-overs, and what is late while they happen."""

import asyncio
from dataclasses import replace

from multiconnect._native import slot_of
from multiconnect.model.cluster import Role
from tests.sim.chaos import Chaos
from tests.sim.scenarios.stage import (
    QUIET,
    drained_by,
    draining,
    in_force,
    master_of,
    owner_of,
    release,
    scenario,
    settled,
    submit,
    until,
    withhold,
)
from tests.sim.upstream import Manners
from tests.sim.world import World


@scenario(replace(QUIET, coreapps=2))
async def aba(world: World, chaos: Chaos) -> None:
    """A slot goes from A to B and back to A while a commit of A under the first epoch is late."""
    await settled(world)
    other = owner_of(world, 1)
    withhold(world, Role.COREAPP)
    world.kill(other)
    await until(world, lambda: len({row.owner for row in world.state.slots}) == 1)
    first = owner_of(world, 0)
    recipients = {slot_of(f"1631777{n:04}"): f"1631777{n:04}" for n in range(400)}
    release(world)
    for _ in range(6):
        await until(world, lambda: drained_by(world, first), 0.0003)
        for slot in drained_by(world, first):
            submit(world, recipients[slot], 2)
        world.store.delays[first.name, "commit"] = 0.2
        chaos.curse(1)
        await asyncio.sleep(0.05)
        world.store.delays.clear()


@scenario(replace(QUIET, rate_per_s=100.0))
async def late_commit(world: World, chaos: Chaos) -> None:
    """An owner dies while its commit is on its way; it arrives after the slot was granted anew."""
    await settled(world)
    owner = owner_of(world, 0)
    world.store.delays[owner.name, "commit"] = 0.3
    await asyncio.sleep(0.5)
    world.kill(owner)
    await asyncio.sleep(1.0)
    world.store.delays.clear()


@scenario(replace(QUIET, upstream_latency_s=2.5, coreapps=4))
async def slow_drain(world: World, chaos: Chaos) -> None:
    """A resize while every request upstream takes longer than a drain may: never forced."""
    world.upstream.manners = Manners(0.0, 0.0, 0.0, 0.0, latency_s=2.5, timeout_s=5.0)
    world.manners = world.upstream.manners
    await settled(world)
    chaos.set_shards(4)
    await asyncio.sleep(6.0)


@scenario(replace(QUIET, coreapps=4, rate_per_s=60.0))
async def cancelled_drain(world: World, chaos: Chaos) -> None:
    """A drain is cancelled because nobody is left to take the slot: its owner goes on sending."""
    await settled(world)
    chaos.set_shards(4)
    await draining(world)
    withhold(world, Role.COREAPP)
    for process in world.running(Role.COREAPP):
        if world.state.nodes[process.incarnation].generation:
            world.kill(process)
    await asyncio.sleep(4.0)
    world.has_traffic = False
    await asyncio.sleep(2.0)
    if world.bench.log.unsettled:
        world.found("10", f"{world.bench.log.unsettled} messages wait in slots that did not move")
    world.has_traffic = True


@scenario(replace(QUIET, coreapps=4, rate_per_s=60.0))
async def drained_then_dead(world: World, chaos: Chaos) -> None:
    """An owner dies between saying "drained" and the grant to the next one."""
    await settled(world)
    chaos.set_shards(4)
    await until(world, lambda: any(row.drained for row in world.state.slots), 0.0003)
    row = next(row for row in world.state.slots if row.drained)
    world.kill(world.processes[row.owner or ""])
    await in_force(world, 4)


@scenario(replace(QUIET, coreapps=4, rate_per_s=60.0))
async def heirs_die(world: World, chaos: Chaos) -> None:
    """The spare dies while it takes over, five times in a row."""
    await settled(world)
    chaos.curse(5)
    world.kill(owner_of(world, 0))
    await asyncio.sleep(4.0)


@scenario(replace(QUIET, coreapps=4, rate_per_s=60.0))
async def one_survivor(world: World, chaos: Chaos) -> None:
    """All CoreApps but one die and none is started: it carries all 32 slots."""
    await settled(world)
    withhold(world, Role.COREAPP)
    for process in world.running(Role.COREAPP)[1:]:
        world.kill(process)
    await until(world, lambda: len({row.owner for row in world.state.slots}) == 1)
    await asyncio.sleep(2.0)


@scenario(replace(QUIET, coreapps=8, rate_per_s=30.0))
async def storm(world: World, chaos: Chaos) -> None:
    """A resize during which two owners die, and the Master."""
    await settled(world)
    chaos.set_shards(8)
    await draining(world)
    world.kill(owner_of(world, 31))
    world.kill(master_of(world))
    await asyncio.sleep(0.02)
    world.kill(owner_of(world, 0))
    await in_force(world, 8)


@scenario(replace(QUIET, coreapps=4, rate_per_s=40.0))
async def opposite_resizes(world: World, chaos: Chaos) -> None:
    """Two targets at once, in opposite directions: the last one wins."""
    await settled(world)
    chaos.set_shards(4)
    chaos.set_shards(1)
    await asyncio.sleep(0.4)
    chaos.set_shards(2)
    await asyncio.sleep(1.0)


@scenario(replace(QUIET, coreapps=32, shards=1, rate_per_s=20.0))
async def one_to_all_and_back(world: World, chaos: Chaos) -> None:
    """1 -> 32 -> 1 shards."""
    await settled(world)
    for shards in (32, 1):
        await until(world, lambda: not world.unfinished())
        chaos.set_shards(shards)
        await in_force(world, shards)


@scenario(replace(QUIET, coreapps=4, rate_per_s=60.0))
async def old_maps(world: World, chaos: Chaos) -> None:
    """Half of what routers read of the map is old, while slots move."""
    await settled(world)
    world.store.old_snapshots = 0.5
    for shards in (4, 1, 2):
        chaos.set_shards(shards)
        await in_force(world, shards)


@scenario(replace(QUIET, coreapps=4))
async def crossing_answers(world: World, chaos: Chaos) -> None:
    """An old owner's answers arrive after the new owner's for the same batches."""
    await settled(world)
    first_moved = next(r for r in (f"1631777{n:04}" for n in range(400)) if slot_of(r) == 0)
    for _ in range(6):
        owner = owner_of(world, 0)
        for web in world.running(Role.WEB):
            world.network.late_s[owner.name, web.name] = 0.08
        chaos.set_shards(world.state.cluster.shards)
        await draining(world)
        for _ in range(60):
            submit(world, first_moved, 1)
            await asyncio.sleep(0.002)
        world.network.late_s.clear()
        await until(world, lambda: not world.unfinished())
