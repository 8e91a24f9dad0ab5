"""A router that has no room for more."""

import asyncio
from dataclasses import replace

from multiconnect.model.cluster import Role
from tests.sim.chaos import Chaos
from tests.sim.process import SimProcess
from tests.sim.scenarios.stage import BUSY, QUIET, scenario, settled, submit
from tests.sim.world import World


@scenario(replace(QUIET, parked_max_bytes=700, rate_per_s=0.5))
async def full_router(world: World, chaos: Chaos) -> None:
    """A router stands still while calls wait for room; all that is due then happens at once."""
    await settled(world)
    process = next(p for p in world.running(Role.WEB) if p.incarnation == next(iter(world.routers)))
    for gap in range(30):
        submit(world, BUSY, 40)
        for due in range(20):
            process.spawn(_submit_later(world, process, 0.004 + due * 0.004))
        await asyncio.sleep(gap * 0.0007)
        world.freeze(process)
        await asyncio.sleep(0.15)
        world.thaw(process)
        await asyncio.sleep(1.0)


async def _submit_later(world: World, process: SimProcess, after_s: float) -> None:
    await asyncio.sleep(after_s)
    if process.alive:
        submit(world, BUSY, 1)
