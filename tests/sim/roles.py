"""The programs that run in the simulated processes: the product's, with the machine left out.

They follow `coreapp/process.py`, `master/process.py` and a Web's use of the router step by step;
only sockets, signals and settings are missing.
"""

import asyncio
import random
from typing import TYPE_CHECKING

from multiconnect.coreapp.coreapp import CoreApp
from multiconnect.coreapp.group import Submitted
from multiconnect.coreapp.pacing import Pacing
from multiconnect.coreapp.process import _leave, _until_stopped
from multiconnect.dataplane.router import Router
from multiconnect.errors import Refused
from multiconnect.master.process import run_master
from multiconnect.model.cluster import Node, NodeState, Role
from tests.sim.clients import Clients
from tests.sim.process import SimProcess
from tests.sim.upstream import SimUpstream

if TYPE_CHECKING:
    from tests.sim.world import World

#: A Python process needs a while before it does anything.
_START_S = (0.1, 0.3)


def node_of(process: SimProcess, role: Role, generation: int) -> Node:
    """Return the row a process joins with; a later process of the seat listens where it did."""
    address = f"unix:{process.name}" if role is Role.COREAPP else ""
    return Node(
        process.incarnation, process.name, role, process.host, 1, address, generation,
        NodeState.JOINING,
    )  # fmt: skip


async def coreapp(
    world: "World", process: SimProcess, generation: int, stop: asyncio.Event
) -> None:
    """Be a CoreApp until told to stop or declared dead."""
    await asyncio.sleep(process.rng.uniform(*_START_S))
    store = world.client(process)
    node = node_of(process, Role.COREAPP, generation)
    if not await store.control.join(node):
        raise Refused(f"{process.incarnation} was used before")
    upstream = SimUpstream(world.upstream, process, world.options.batch_max)
    app = CoreApp(
        process.incarnation, store.control, await store.log(process.incarnation), upstream,
        world.timers, process, Pacing(world.options.number_rate, pair_rate=False),
        in_doubt_resend=world.options.in_doubt_resend,
    )  # fmt: skip
    app._dispatcher._rng = random.Random(process.rng.random())
    _watch_intake(world, process, app)
    world.connections.listen(process, node.address, app.new_endpoint)
    world.apps[process.incarnation] = app
    await app.start()
    await store.control.set_node_state(process.incarnation, NodeState.READY, "")
    await _until_stopped(stop, app)
    if app.failure is not None:
        raise app.failure
    await _leave(store.control, process.incarnation, app)
    await app.stop()


def _watch_intake(world: "World", process: SimProcess, app: CoreApp) -> None:
    take = app.submit

    def submit(batch: Submitted) -> None:
        world.bench.routers.received(process.incarnation, batch, world.state)
        take(batch)

    app.submit = submit  # type: ignore[method-assign]


async def master(world: "World", process: SimProcess, generation: int, stop: asyncio.Event) -> None:
    """Be a Master until told to stop or declared dead."""
    await asyncio.sleep(process.rng.uniform(*_START_S))
    node = node_of(process, Role.MASTER, generation)
    store = world.client(process)
    await run_master(store, process.incarnation, world.timers, process, stop, node=node)


async def router(world: "World", process: SimProcess, generation: int, stop: asyncio.Event) -> None:
    """Be a router with clients of its own."""
    del generation
    hears_events = process.name.endswith("-one")
    sender = Router(world.client(process), events=hears_events, clock=process)
    async with sender:
        world.routers[process.incarnation] = sender
        clients = world.clients[process.incarnation] = Clients(world, process, sender)
        if hears_events:
            process.spawn(clients.listen())
        process.spawn(clients.run())
        await stop.wait()


PROGRAMS = {Role.COREAPP: coreapp, Role.MASTER: master, Role.WEB: router}
