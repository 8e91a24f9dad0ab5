"""One CoreApp from its first beat to its last: join warm, own what the map says, leave in order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from typing import Final

from multiconnect.clock import SystemClock
from multiconnect.config.child import ChildContext
from multiconnect.coreapp.coreapp import CoreApp
from multiconnect.coreapp.listen import forget_socket, listen
from multiconnect.coreapp.pacing import Pacing
from multiconnect.errors import Refused, StoreUnavailable
from multiconnect.limits import HAND_OVER_MAX_S
from multiconnect.model.cluster import NodeState, Role, Snapshot
from multiconnect.store.open import open_store
from multiconnect.store.port import ControlStore
from multiconnect.upstream.open import open_upstream

_log = logging.getLogger("multiconnect.coreapp")
#: Messages on their way are many and hold no cycles, so the collector may look less often.
_GC_YOUNG_MAX: Final = 50_000


async def run(context: ChildContext) -> None:
    """Be a CoreApp until told to stop; returning ends the process with exit code 0.

    Raises Bug when one of its tasks failed: the process ends with 1 and a spare takes over.
    """
    settings, clock = context.settings, SystemClock()
    store = await open_store(settings.store, clock=clock)
    upstream = open_upstream(
        settings.upstream,
        token=settings.upstream_token,
        phone_number_id=settings.upstream_phone_number_id,
        version=settings.upstream_version,
    )
    pacing = Pacing(settings.number_rate, pair_rate=settings.pair_rate)
    # In this order: the address is part of the node's row, and the log is made ready (warm) only
    # for a node that has one. No router connects before there is an app: nothing is granted yet.
    apps: list[CoreApp] = []
    server, address = await listen(
        lambda: apps[0].new_endpoint(),  # noqa: PLW0108 -- looked up when somebody connects
        settings.socket_path,
        settings.lane_listen,
        settings.lane_credentials,
        settings.incarnation,
    )
    try:
        if not await store.control.join(context.node(address)):
            raise Refused(f"{settings.incarnation} was used before; join with a new incarnation")
        log = await store.log(settings.incarnation)
        app = CoreApp(
            settings.incarnation, store.control, log, upstream, settings.timers, clock, pacing
        )
        apps.append(app)
        await app.start()
        # Before anything is granted: it holds the loop up for longer than a hand-over takes.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_GC_YOUNG_MAX)
        await store.control.set_node_state(settings.incarnation, NodeState.READY, "")
        context.ready()
        await _until_stopped(context.stop, app)
        if app.failure is not None:
            raise app.failure
        await _leave(store.control, settings.incarnation, app)
    finally:
        server.close()
        for started in apps:
            await started.stop()
        await store.aclose()
        forget_socket(settings.socket_path)


async def _until_stopped(stop: asyncio.Event, app: CoreApp) -> None:
    waits = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(app.ended())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def _leave(control: ControlStore, incarnation: str, app: CoreApp) -> None:
    """Hand slots over if somebody takes them, settle what is in flight, and say goodbye.

    Nothing depends on it: a CoreApp that is killed instead leaves its last messages in doubt.
    """
    if app.declared_dead.is_set():
        _log.warning("declared_dead: ending")
        return
    with contextlib.suppress(StoreUnavailable, TimeoutError):
        async with asyncio.timeout(HAND_OVER_MAX_S):
            await control.set_node_state(incarnation, NodeState.LEAVING, "stopping")
            await _until_relieved(control, incarnation, app)
    with contextlib.suppress(StoreUnavailable, TimeoutError):
        async with asyncio.timeout(HAND_OVER_MAX_S):
            await app.settle()
    with contextlib.suppress(StoreUnavailable):
        await control.set_node_state(incarnation, NodeState.DEAD, "stopped")


async def _until_relieved(control: ControlStore, incarnation: str, app: CoreApp) -> None:
    """Wait until others have the slots; not at all when there is nobody to take them."""
    while app.owned_slots() and _has_heir(  # noqa: ASYNC110
        await control.snapshot(), incarnation
    ):
        await asyncio.sleep(0.01)  # a moment, once in a process' life


def _has_heir(snapshot: Snapshot, incarnation: str) -> bool:
    return any(
        node.role is Role.COREAPP
        and node.state is NodeState.READY
        and node.incarnation != incarnation
        for node in snapshot.nodes
    )
