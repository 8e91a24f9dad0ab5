"""What directed histories are made of: the registry, and the steps that scripts share."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from multiconnect._native import slot_of
from multiconnect.dataplane.router import Router
from multiconnect.errors import Unavailable
from multiconnect.model.cluster import NodeState, Role
from tests.sim.ledger import Sent
from tests.sim.options import Options
from tests.sim.process import SimProcess
from tests.sim.run import Script
from tests.sim.upstream import Manners
from tests.sim.world import World

_STEP_S = 0.002
_WAIT_MAX_S = 20.0
#: The recipient of messages that a scenario sends itself.
BUSY = "16315559999"


@dataclass(frozen=True)
class Scenario:
    """A named history."""

    name: str
    about: str
    options: Options
    script: Script


SCENARIOS: dict[str, Scenario] = {}

#: A small cluster with little traffic, in which nothing happens by itself.
QUIET = Options(seed=1, coreapps=3, shards=2, rate_per_s=5.0, kills_silent=False)


def scenario(options: Options) -> Callable[[Script], Script]:
    """Add a script to the scenarios, under the name of its function."""

    def add(script: Script) -> Script:
        name, about = script.__name__, (script.__doc__ or "").strip()
        SCENARIOS[name] = Scenario(name, about, options, script)
        return script

    return add


# --- waiting -------------------------------------------------------------------------------------
async def until(world: World, holds: Callable[[], object], step_s: float = _STEP_S) -> None:
    """Let time pass until something holds; after _WAIT_MAX_S go on all the same."""
    end_s = world.loop.now_s + _WAIT_MAX_S
    while not holds() and world.loop.now_s < end_s:  # noqa: ASYNC110 -- the time is not real
        await asyncio.sleep(step_s)


async def settled(world: World) -> None:
    """Let time pass until every slot is owned and every router runs."""
    await until(world, lambda: len(world.routers) == 2 and all(r.owner for r in world.state.slots))
    await asyncio.sleep(1.0)


async def in_force(world: World, shards: int) -> None:
    """Let time pass until a shard count is in force."""
    await until(world, lambda: world.state.cluster.shards == shards)


async def draining(world: World) -> None:
    """Let time pass until the first drain is asked for."""
    await until(world, lambda: any(row.drain_to for row in world.state.slots), 0.0003)


async def moved(world: World) -> None:
    """Let time pass until a CoreApp of a new generation has got its first slot."""
    nodes = world.state.nodes

    def has_one() -> bool:
        return any(nodes[row.owner].generation for row in world.state.slots if row.owner)

    await until(world, has_one, 0.0003)


# --- who is who ----------------------------------------------------------------------------------
def owner_of(world: World, slot: int) -> SimProcess:
    """Return the process that owns a slot."""
    return world.processes[world.state.slots[slot].owner or ""]


def master_of(world: World) -> SimProcess:
    """Return the Master that holds the term."""
    return world.processes[world.state.cluster.master or ""]


def drained_by(world: World, owner: SimProcess) -> list[int]:
    """Return the slots that an owner is giving up and has nothing in flight of."""
    app = world.apps.get(owner.incarnation)
    works = app._dispatcher.works.values() if app else ()
    return [work.slot for work in works if work.drained]


def withhold(world: World, role: Role) -> None:
    """Start no process of a role until `release`."""
    for supervisor in world.supervisors:
        supervisor.withheld.add(role)


def release(world: World) -> None:
    """Start what was withheld."""
    for supervisor in world.supervisors:
        supervisor.withheld.clear()


# --- traffic -------------------------------------------------------------------------------------
def submit(world: World, recipient: str, count: int, expires_at_ms: int = 0) -> list[Sent]:
    """Submit messages to one recipient through the first router there is."""
    incarnation, router = next(iter(world.routers.items()))
    process = world.processes[incarnation]
    messages = [
        world.ledger.submit(recipient, incarnation, expires_at_ms=expires_at_ms)
        for _ in range(count)
    ]
    for sent in messages:
        process.spawn(_submit(world, router, sent))
    return messages


async def _submit(world: World, router: Router, sent: Sent) -> None:
    try:
        receipt = await router.send(sent.recipient, sent.payload, expires_at_ms=sent.expires_at_ms)
    except Unavailable as error:
        world.found("10", f"{sent} was never acknowledged: {error}")
    else:
        world.bench.routers.acknowledged(sent, receipt)


async def one_recipient_busy(world: World) -> SimProcess:
    """Give one recipient so many messages that sends follow each other for seconds; who owns it."""
    world.upstream.manners = Manners(0.0, 0.0, 0.0, 0.0, latency_s=0.15)
    await settled(world)
    submit(world, BUSY, 40)
    await asyncio.sleep(0.3)
    return owner_of(world, slot_of(BUSY))


# --- expectations --------------------------------------------------------------------------------
def expect_nobody_died(world: World) -> None:
    """Find fault if any incarnation was declared dead."""
    dead = [n for n in world.state.nodes.values() if n.state is NodeState.DEAD]
    if dead:
        world.found("10", f"{dead[0].incarnation} was declared dead: {dead[0].reason}")


async def expect_traffic(world: World, seconds: float, acknowledgements: int) -> None:
    """Let time pass; find fault if less was acknowledged in it, or anything was refused."""
    before = dict(world.ledger.counts)
    await asyncio.sleep(seconds)
    counts = world.ledger.counts
    if counts["unacknowledged"] > before["unacknowledged"]:
        world.found("10", "a message was refused although its owner was there")
    if counts["acknowledged"] < before["acknowledged"] + acknowledgements:
        world.found("10", "traffic stood still although its owners were there")
