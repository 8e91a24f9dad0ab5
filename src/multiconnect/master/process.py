"""One Master from its first beat to its last: join, renew, decide, leave.

`run_master` is all a Master is and runs anywhere: several in one loop on one store, as the Engine
and the tests do, or one in a process of its own (`run`, given to `serve_child`).
"""

from __future__ import annotations

import asyncio
import enum
import logging
import os
from collections.abc import Callable

from multiconnect.clock import Clock, SystemClock
from multiconnect.config.child import ChildContext
from multiconnect.errors import Refused, Unavailable
from multiconnect.master.lease import Lease
from multiconnect.master.loop import MasterLoop
from multiconnect.model.cluster import Node, NodeState, Role
from multiconnect.model.timers import Timers
from multiconnect.store.open import open_store
from multiconnect.store.port import ControlStore, Store

_log = logging.getLogger("multiconnect.master")


class MasterExit(enum.StrEnum):
    """Why a Master ended."""

    STOPPED = "stopped"
    #: Somebody declared this incarnation dead; only a new incarnation may go on.
    DECLARED_DEAD = "declared dead"


async def run(context: ChildContext) -> None:
    """Be the Master of a supervised process; returning ends the process with exit code 0."""
    settings, clock = context.settings, SystemClock()
    store = await open_store(settings.store, clock=clock)
    try:
        await run_master(
            store,
            settings.incarnation,
            settings.timers,
            clock,
            context.stop,
            node=context.node(),
            on_ready=context.ready,
        )
    finally:
        await store.aclose()


async def run_master(
    store: Store,
    incarnation: str,
    timers: Timers,
    clock: Clock,
    stop: asyncio.Event,
    *,
    node: Node | None = None,
    on_ready: Callable[[], None] = lambda: None,
) -> MasterExit:
    """Be a Master until `stop` is set or this incarnation is declared dead.

    `store` must be a handle of this Master's own: a handle remembers which changes it has shown.
    `node` is the row to join with (made from the incarnation when not given). Raise Refused when
    the incarnation was used before, Unavailable when the store does not answer at the start.
    """
    control = store.control
    lease = Lease(control, incarnation, timers, clock)
    await _join(control, node or _node(incarnation), lease)
    on_ready()
    loop = MasterLoop(control, incarnation, timers, clock, lease)
    declared_dead = await _run_until(stop, loop, lease)
    if declared_dead:
        _log.warning("declared dead: a new incarnation must take over", extra={"me": incarnation})
        return MasterExit.DECLARED_DEAD
    await _leave(control, incarnation)
    return MasterExit.STOPPED


async def _join(control: ControlStore, node: Node, lease: Lease) -> None:
    """Join, show a first beat (nobody may act before it), and be ready."""
    if not await control.join(node):
        raise Refused(f"{node.incarnation} was used before; join with a new incarnation")
    await lease.renew({"holds_term": False})
    await control.set_node_state(node.incarnation, NodeState.READY, "")


async def _run_until(stop: asyncio.Event, loop: MasterLoop, lease: Lease) -> bool:
    """Decide and renew until told to stop; return whether the end was a declaration of death."""
    halt = asyncio.Event()
    deciding = asyncio.create_task(loop.run(halt))
    renewing = asyncio.create_task(
        lease.keep(lambda: loop.last_turn_s, lambda: {"holds_term": loop.holds_term})
    )
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({deciding, renewing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        dead = renewing.done() and not renewing.cancelled()
    finally:
        # The turn under way is finished, not cut: a grant in doubt helps nobody.
        halt.set()
        stopping.cancel()
        renewing.cancel()
        results = await asyncio.gather(deciding, renewing, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result
    return dead


async def _leave(control: ControlStore, incarnation: str) -> None:
    """Say that this incarnation is gone, so that a standby takes the term without waiting."""
    try:
        await control.set_node_state(incarnation, NodeState.LEAVING, "stopping")
        await control.set_node_state(incarnation, NodeState.DEAD, "stopped")
    except Unavailable as error:
        _log.warning("could not say goodbye", extra={"me": incarnation, "why": str(error)})


def _node(incarnation: str) -> Node:
    return Node(
        incarnation=incarnation,
        name=incarnation,
        role=Role.MASTER,
        host="",
        pid=os.getpid(),
        address="",
        generation=0,
        state=NodeState.JOINING,
    )
