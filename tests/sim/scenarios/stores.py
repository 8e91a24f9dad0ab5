"""A store that is away, full, or loses calls."""

import asyncio
from dataclasses import replace

from multiconnect._native import slot_of
from tests.sim.chaos import Chaos
from tests.sim.scenarios.stage import (
    BUSY,
    QUIET,
    expect_nobody_died,
    owner_of,
    scenario,
    settled,
    submit,
)
from tests.sim.world import World


@scenario(replace(QUIET, rate_per_s=60.0))
async def store_away(world: World, chaos: Chaos) -> None:
    """The store is down for longer than any lease; nobody is declared dead for it afterwards."""
    await settled(world)
    for silent in (False, True):
        world.store.down, world.store.silent = True, silent
        await asyncio.sleep(5.0)
        world.store.down = False
        await asyncio.sleep(3.0)
    expect_nobody_died(world)


@scenario(replace(QUIET, rate_per_s=60.0))
async def disk_full(world: World, chaos: Chaos) -> None:
    """Nothing can be written for longer than any lease; nobody is declared dead for it."""
    await settled(world)
    world.store.full = True
    await asyncio.sleep(5.0)
    world.store.full = False
    await asyncio.sleep(3.0)
    expect_nobody_died(world)


@scenario(replace(QUIET, coreapps=2, rate_per_s=0.5, pace=10.0))
async def refused_and_next(world: World, chaos: Chaos) -> None:
    """A commit fails while the next batch of the same sender is on its way, at every distance."""
    await settled(world)
    owner = owner_of(world, slot_of(BUSY))
    for gap in range(60):
        world.store.refused[owner.name, "commit"] = 1
        submit(world, BUSY, 1)
        await asyncio.sleep(gap * 0.0006)
        submit(world, BUSY, 1)
        await asyncio.sleep(1.0)
