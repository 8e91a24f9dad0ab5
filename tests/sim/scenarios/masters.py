"""Masters that stand still, hang, are gone, or have a wrong idea of the time."""

import asyncio
from dataclasses import replace

from multiconnect.model.cluster import Role
from tests.sim.chaos import Chaos
from tests.sim.scenarios.stage import (
    QUIET,
    expect_nobody_died,
    expect_traffic,
    master_of,
    moved,
    one_recipient_busy,
    owner_of,
    release,
    scenario,
    settled,
    withhold,
)
from tests.sim.world import World


@scenario(replace(QUIET, coreapps=4))
async def hung_master(world: World, chaos: Chaos) -> None:
    """The Master's reads hang for ever while its beats go through; then an owner dies."""
    await settled(world)
    world.store.hung.add((master_of(world).name, "snapshot"))
    await asyncio.sleep(0.5)
    world.kill(owner_of(world, 0))
    await asyncio.sleep(6.0)


@scenario(replace(QUIET, coreapps=4))
async def frozen_master(world: World, chaos: Chaos) -> None:
    """The Master stands still in the middle of its plan and goes on under an old term."""
    await settled(world)
    holder = master_of(world)
    chaos.set_shards(4)
    # Its plan is a grant, and then new drains: those it begins when it goes on.
    await moved(world)
    chaos.frozen_for(holder, 5.0)
    # With its new CoreApps gone the next Master leaves the slots where they are, so their epochs do
    # not protect them from the rest of the old plan; only the term does.
    withhold(world, Role.COREAPP)
    for process in world.running(Role.COREAPP):
        if world.state.nodes[process.incarnation].generation:
            world.kill(process)
    await asyncio.sleep(6.0)
    release(world)


@scenario(QUIET)
async def late_verdict(world: World, chaos: Chaos) -> None:
    """An owner beats again while the verdict on its silence is on its way to the store."""
    store = world.store
    for _ in range(3):
        owner = await one_recipient_busy(world)
        for process in world.running(Role.MASTER):
            store.delays[process.name, "declare_dead"] = 0.8
        # It goes on with claimed messages left to send, and hears of nothing for a while.
        store.delays[owner.name, "commit"] = 0.6
        store.hung.add((owner.name, "snapshot"))
        chaos.frozen_for(owner, world.timers.takeover_s + 0.3)
        await asyncio.sleep(4.0)
        store.delays.clear()
        store.hung.clear()
        await asyncio.sleep(2.0)


@scenario(QUIET)
async def skewed_walls(world: World, chaos: Chaos) -> None:
    """Wall clocks are an hour apart and jump; nothing may come of it."""
    await settled(world)
    for hours in (1, -1):
        for process in world.running(Role.MASTER):
            process.wall_ahead_s = hours * 3600.0
        await asyncio.sleep(3.0)
    expect_nobody_died(world)


@scenario(replace(QUIET, rate_per_s=20.0))
async def masters_away(world: World, chaos: Chaos) -> None:
    """All Masters are down for half a minute: traffic goes on as if nothing were."""
    await settled(world)
    withhold(world, Role.MASTER)
    for process in world.running(Role.MASTER):
        world.kill(process)
    await expect_traffic(world, 30.0, 300)
    release(world)


@scenario(replace(QUIET, rate_per_s=60.0))
async def suspended(world: World, chaos: Chaos) -> None:
    """Every process stands still for ten seconds; nobody is declared dead for it."""
    await settled(world)
    chaos.freeze_all(10.0)
    await asyncio.sleep(13.0)
    expect_nobody_died(world)
