"""Owners that do not hear, do not answer, or are dead and still arrive somewhere."""

import asyncio
from dataclasses import replace
from functools import partial

from multiconnect._native import slot_of
from multiconnect.model.cluster import Role
from tests.sim.chaos import Chaos
from tests.sim.process import EPOCH_S
from tests.sim.scenarios.stage import (
    BUSY,
    QUIET,
    one_recipient_busy,
    owner_of,
    scenario,
    settled,
    submit,
    until,
)
from tests.sim.world import World


@scenario(QUIET)
async def cut_owner(world: World, chaos: Chaos) -> None:
    """An owner is cut from the store alone, with claimed messages left to send one by one."""
    owner = await one_recipient_busy(world)
    chaos.cut_off(owner.name, "store", 6.0)
    await asyncio.sleep(7.0)


@scenario(QUIET)
async def frozen_owner(world: World, chaos: Chaos) -> None:
    """An owner stands still between two callbacks of its sends until others have its slots."""
    for callbacks in range(1, 40, 3):
        owner = await one_recipient_busy(world)
        owner.burn(callbacks, partial(chaos.frozen_for, owner, 3.5))
        await asyncio.sleep(4.0)


@scenario(QUIET)
async def dead_bytes(world: World, chaos: Chaos) -> None:
    """Requests of a dead owner reach the upstream after the new owner's first ones."""
    for _ in range(4):
        owner = await one_recipient_busy(world)
        world.network.late_s[owner.name, "upstream"] = 1.5
        await asyncio.sleep(0.6)
        world.kill(owner)
        await asyncio.sleep(2.0)
        world.network.late_s.clear()


@scenario(QUIET)
async def answer_lost_then_dead(world: World, chaos: Chaos) -> None:
    """A commit succeeds, its answer is lost, and the owner dies before it asks again."""
    for _ in range(6):
        await settled(world)
        owner = await one_recipient_busy(world)
        world.at_moment("stored", owner, partial(world.kill, owner))
        submit(world, BUSY, 5)
        await asyncio.sleep(1.0)


@scenario(replace(QUIET, coreapps=4, rate_per_s=30.0))
async def poison(world: World, chaos: Chaos) -> None:
    """A message kills every owner that sends it: it is given up, and its slot goes on."""
    await settled(world)
    world.upstream.poison.add(submit(world, BUSY, 5)[2].payload)
    await asyncio.sleep(8.0)
    if world.bench.log.unsettled > 20:
        world.found("10", f"{world.bench.log.unsettled} messages wait behind the poisonous one")


@scenario(QUIET)
async def expired_here_not_there(world: World, chaos: Chaos) -> None:
    """A message has expired by its owner's wall clock; the owner dies; by its heir's it has not."""
    for _ in range(6):
        await settled(world)
        owner = owner_of(world, slot_of(BUSY))
        for process in world.running(Role.COREAPP):
            process.wall_ahead_s = 5.0 if process is owner else -5.0
        delays, commits = world.store.delays, (owner.name, "commit")
        world.at_moment("stored", owner, partial(delays.__setitem__, commits, 0.2))
        submit(world, BUSY, 1, int((EPOCH_S + world.loop.now_s) * 1000))
        next_one = submit(world, BUSY, 1)[0]
        submit(world, "16315558888", 10)  # whose outcomes make the owner look for more to send
        await until(world, partial(getattr, next_one, "effects"), 0.001)
        world.kill(owner)
        delays.clear()
        await asyncio.sleep(1.0)
