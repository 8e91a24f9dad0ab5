"""Directed histories for what random ones seldom meet; every one must end without a violation.

Each is a cluster (`Options`) and a script of faults; what follows the script (calm, rest, verdict)
is the same as for a seed.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from multiconnect._native import slot_of
from multiconnect.dataplane.router import Router
from multiconnect.errors import Unavailable
from multiconnect.model.cluster import NodeState, Role
from tests.sim.chaos import Chaos
from tests.sim.options import Options
from tests.sim.process import SimProcess
from tests.sim.run import Script
from tests.sim.upstream import Manners
from tests.sim.world import World

_STEP_S = 0.002
_WAIT_MAX_S = 20.0


@dataclass(frozen=True)
class Scenario:
    """A named history."""

    name: str
    about: str
    options: Options
    script: Script


SCENARIOS: dict[str, Scenario] = {}


def scenario(options: Options) -> Callable[[Script], Script]:
    """Add a script to the scenarios, under the name of its function."""

    def add(script: Script) -> Script:
        name, about = script.__name__, (script.__doc__ or "").strip()  # type: ignore[attr-defined]
        SCENARIOS[name] = Scenario(name, about, options, script)
        return script

    return add


QUIET = Options(seed=1, coreapps=3, shards=2, rate_per_s=5.0, kills_silent=False)


async def until(world: World, holds: Callable[[], object], step_s: float = _STEP_S) -> None:
    """Let time pass until something holds; after _WAIT_MAX_S go on all the same."""
    end_s = world.loop.now_s + _WAIT_MAX_S
    while not holds() and world.loop.now_s < end_s:
        await asyncio.sleep(step_s)


async def settled(world: World) -> None:
    """Let time pass until every slot is owned and every router runs."""
    await until(world, lambda: len(world.routers) == 2 and all(r.owner for r in world.state.slots))
    await asyncio.sleep(1.0)


def owner_of(world: World, slot: int) -> SimProcess:
    """Return the process that owns a slot."""
    return world.processes[world.state.slots[slot].owner or ""]


def master_of(world: World) -> SimProcess:
    """Return the Master that holds the term."""
    return world.processes[world.state.cluster.master or ""]


def submit(world: World, recipient: str, count: int) -> None:
    """Submit messages to one recipient through the first router there is."""
    incarnation, router = next(iter(world.routers.items()))
    process = world.processes[incarnation]
    for _ in range(count):
        process.spawn(_submit(world, router, recipient, incarnation))


async def _submit(world: World, router: Router, recipient: str, incarnation: str) -> None:
    sent = world.ledger.submit(recipient, incarnation)
    try:
        receipt = await router.send(recipient, sent.payload)
    except Unavailable as error:
        world.found("10", f"{sent} was never acknowledged: {error}")
    else:
        world.bench.routers.acknowledged(sent, receipt)


# --- hand-overs ----------------------------------------------------------------------------------
@scenario(replace(QUIET, coreapps=2))
async def aba(world: World, chaos: Chaos) -> None:
    """A slot goes from A to B and back to A while a commit of A under the first epoch is late."""
    await settled(world)
    other = owner_of(world, 1)
    _withhold(world, Role.COREAPP)
    world.kill(other)
    await until(world, lambda: len({row.owner for row in world.state.slots}) == 1)
    first = owner_of(world, 0)
    recipients = {slot_of(f"1631777{n:04}"): f"1631777{n:04}" for n in range(400)}
    _release(world)
    for _ in range(6):
        await until(world, lambda: _drained_by(world, first), 0.0003)
        for slot in _drained_by(world, first):
            submit(world, recipients[slot], 2)
        world.store.delays[first.name, "commit"] = 0.2
        chaos.curse(1)
        await asyncio.sleep(0.05)
        world.store.delays.clear()


def _drained_by(world: World, owner: SimProcess) -> list[int]:
    """Return the slots that an owner is giving up and has nothing in flight of."""
    app = world.apps.get(owner.incarnation)
    works = app._dispatcher.works.values() if app else ()
    return [work.slot for work in works if work.drained]


def _withhold(world: World, role: Role) -> None:
    for supervisor in world.supervisors:
        supervisor.withheld.add(role)


def _release(world: World) -> None:
    for supervisor in world.supervisors:
        supervisor.withheld.clear()


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
    world.upstream.manners.timeout_s = 5.0
    await settled(world)
    chaos.set_shards(4)
    await asyncio.sleep(6.0)


@scenario(replace(QUIET, coreapps=4, rate_per_s=60.0))
async def heirs_die(world: World, chaos: Chaos) -> None:
    """The spare dies while it takes over, five times in a row."""
    await settled(world)
    chaos.curse(5)
    world.kill(owner_of(world, 0))
    await asyncio.sleep(4.0)


@scenario(replace(QUIET, coreapps=4, rate_per_s=40.0))
async def opposite_resizes(world: World, chaos: Chaos) -> None:
    """Two targets at once, in opposite directions: the last one wins."""
    await settled(world)
    chaos.set_shards(4)
    chaos.set_shards(1)
    await asyncio.sleep(0.4)
    chaos.set_shards(2)
    await asyncio.sleep(1.0)


@scenario(replace(QUIET, coreapps=32, shards=1, rate_per_s=30.0))
async def one_to_all_and_back(world: World, chaos: Chaos) -> None:
    """1 -> 32 -> 1 shards."""
    await settled(world)
    for shards in (32, 1):
        await until(world, lambda: not world.unfinished())
        chaos.set_shards(shards)
        await until(world, lambda n=shards: world.state.cluster.shards == n)  # type: ignore[misc]


# --- owners that do not hear -----------------------------------------------------------------------
async def _one_recipient_busy(world: World) -> SimProcess:
    """Give one recipient so many messages that sends follow each other for seconds."""
    world.upstream.manners = Manners(0.0, 0.0, 0.0, 0.0, latency_s=0.15)
    await settled(world)
    submit(world, "16315559999", 40)
    await asyncio.sleep(0.3)
    slot = next(s.slot for s in world.ledger.at.values() if s.recipient == "16315559999")
    return owner_of(world, slot)


@scenario(QUIET)
async def cut_owner(world: World, chaos: Chaos) -> None:
    """An owner is cut from the store alone, with claimed messages left to send one by one."""
    owner = await _one_recipient_busy(world)
    chaos.cut_off(owner.name, "store", 6.0)
    await asyncio.sleep(7.0)


@scenario(QUIET)
async def frozen_owner(world: World, chaos: Chaos) -> None:
    """An owner stands still between two callbacks of its sends until others have its slots."""
    for callbacks in range(1, 40, 3):
        owner = await _one_recipient_busy(world)
        owner.burn(callbacks, lambda p=owner: chaos.frozen_for(p, 3.5))  # type: ignore[misc]
        await asyncio.sleep(4.0)


# --- Masters -------------------------------------------------------------------------------------
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
    await _resize_that_stops(world, chaos, freeze=True)


@scenario(replace(QUIET, coreapps=4, rate_per_s=60.0))
async def cancelled_drain(world: World, chaos: Chaos) -> None:
    """A drain is cancelled because nobody is left to take the slot: its owner goes on sending."""
    await settled(world)
    await _resize_that_stops(world, chaos, freeze=False)
    world.has_traffic = False
    await asyncio.sleep(2.0)
    if world.bench.log.unsettled:
        world.found("10", f"{world.bench.log.unsettled} messages wait in slots that did not move")
    world.has_traffic = True


async def _resize_that_stops(world: World, chaos: Chaos, *, freeze: bool) -> None:
    """Begin a resize whose new CoreApps all die as soon as the first drains are asked for."""
    holder = master_of(world)
    chaos.set_shards(4)
    await until(world, lambda: any(row.drain_to for row in world.state.slots), 0.0003)
    if freeze:
        chaos.frozen_for(holder, 5.0)
    _withhold(world, Role.COREAPP)
    for process in world.running(Role.COREAPP):
        if world.state.nodes[process.incarnation].generation:
            world.kill(process)
    await asyncio.sleep(6.0)
    _release(world)


@scenario(replace(QUIET, coreapps=4, rate_per_s=60.0))
async def old_maps(world: World, chaos: Chaos) -> None:
    """Half of what routers read of the map is old, while slots move."""
    await settled(world)
    world.store.old_snapshots = 0.5
    for shards in (4, 1, 2):
        chaos.set_shards(shards)
        await until(world, lambda n=shards: world.state.cluster.shards == n)  # type: ignore[misc]


@scenario(replace(QUIET, coreapps=4, rate_per_s=60.0, pace=10.0))
async def crossing_answers(world: World, chaos: Chaos) -> None:
    """Answers of an old owner and of the new one arrive for the same batches, late and mixed."""
    await settled(world)
    for shards in (4, 2):
        for process in world.running(Role.COREAPP):
            for web in world.running(Role.WEB):
                world.network.late_s[process.name, web.name] = 0.03
        chaos.set_shards(shards)
        await until(world, lambda: any(row.drain_to for row in world.state.slots))
        await _talk(world, 60, 0.0007)
        await until(world, lambda n=shards: world.state.cluster.shards == n)  # type: ignore[misc]


@scenario(replace(QUIET, coreapps=2, pace=10.0))
async def refused_and_next(world: World, chaos: Chaos) -> None:
    """Commits fail now and then while the next batches of the same senders are on their way."""
    await settled(world)
    for _ in range(4):
        world.store.lost_calls = 0.04
        await _talk(world, 80, 0.012)
        world.store.answer_all()
        await asyncio.sleep(0.5)


async def _talk(world: World, rounds: int, gap_s: float) -> None:
    """Submit to eight recipients all the time."""
    for _ in range(rounds):
        for number in range(8):
            submit(world, f"1631777{number:04}", 1)
        await asyncio.sleep(gap_s)


@scenario(QUIET)
async def skewed_walls(world: World, chaos: Chaos) -> None:
    """Wall clocks are an hour apart and jump; nothing may come of it."""
    await settled(world)
    for hours in (1, -1):
        for process in world.running(Role.MASTER):
            process.wall_ahead_s = hours * 3600.0
        await asyncio.sleep(3.0)
    _expect_nobody_died(world)


@scenario(replace(QUIET, rate_per_s=60.0))
async def masters_away(world: World, chaos: Chaos) -> None:
    """All Masters are down for a minute: traffic goes on as if nothing were."""
    await settled(world)
    _withhold(world, Role.MASTER)
    for process in world.running(Role.MASTER):
        world.kill(process)
    await asyncio.sleep(1.0)
    before = dict(world.ledger.counts)
    await asyncio.sleep(60.0)
    if world.ledger.counts["unacknowledged"] > before["unacknowledged"]:
        world.found("10", "a message was refused while no Master was there")
    if world.ledger.counts["acknowledged"] < before["acknowledged"] + 1000:
        world.found("10", "traffic stood still while no Master was there")


# --- the store -----------------------------------------------------------------------------------
@scenario(replace(QUIET, rate_per_s=60.0))
async def store_away(world: World, chaos: Chaos) -> None:
    """The store is down for longer than any lease; nobody is declared dead for it afterwards."""
    await settled(world)
    for silent in (False, True):
        world.store.down, world.store.silent = True, silent
        await asyncio.sleep(5.0)
        world.store.down = False
        await asyncio.sleep(3.0)
    _expect_nobody_died(world)


@scenario(replace(QUIET, rate_per_s=60.0))
async def disk_full(world: World, chaos: Chaos) -> None:
    """Nothing can be written for longer than any lease; nobody is declared dead for it."""
    await settled(world)
    world.store.full = True
    await asyncio.sleep(5.0)
    world.store.full = False
    await asyncio.sleep(3.0)
    _expect_nobody_died(world)


@scenario(replace(QUIET, rate_per_s=60.0))
async def suspended(world: World, chaos: Chaos) -> None:
    """Every process stands still for ten seconds; nobody is declared dead for it."""
    await settled(world)
    chaos.freeze_all(10.0)
    await asyncio.sleep(13.0)
    _expect_nobody_died(world)


def _expect_nobody_died(world: World) -> None:
    dead = [n for n in world.state.nodes.values() if n.state is NodeState.DEAD]
    if dead:
        world.found("10", f"{dead[0].incarnation} was declared dead: {dead[0].reason}")
