"""The order of an end: webs, then CoreApps, then Masters; bounded, and nothing is left behind.

Webs go first so that nothing new is accepted; CoreApps finish what they have while a Master can
still move their slots to other hosts; a second signal (or the bound) kills what is left.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from multiconnect.errors import Unavailable
from multiconnect.limits import STOP_MAX_S
from multiconnect.model.cluster import NodeState, Role
from multiconnect.supervisor.children import Child
from multiconnect.supervisor.process import Supervisor

#: Each phase with the share of STOP_MAX_S after which it ends.
PHASES: Final = ((Role.WEB, 0.35), (Role.COREAPP, 0.85), (Role.MASTER, 0.95))
_STORE_PATIENCE_S: Final = 1.0
_log = logging.getLogger(__name__)


async def stop_all(supervisor: Supervisor, hurry: asyncio.Event) -> bool:
    """Stop every child; return whether all ended by themselves. `hurry` set: kill at once."""
    supervisor.closing = True
    begun_s = asyncio.get_running_loop().time()
    await _announce(supervisor, [supervisor.node.incarnation])
    orderly = True
    for role, share in PHASES:
        children = supervisor.seats.children(role)
        if role == Role.COREAPP:
            # All at once, or the first to go would hand its slots to the next to go.
            await _announce(supervisor, [child.settings.incarnation for child in children])
        for child in children:
            child.ask_to_stop()
        deadline_s = begun_s + STOP_MAX_S * share
        orderly = await _gone(supervisor, role, deadline_s, hurry) and orderly
    await _last_report(supervisor)
    return orderly


async def _gone(
    supervisor: Supervisor, role: Role, deadline_s: float, hurry: asyncio.Event
) -> bool:
    """Wait for the children of a role to end; kill those that do not in time."""
    loop = asyncio.get_running_loop()
    in_time = True
    while children := supervisor.seats.children(role):
        supervisor.child_ended.clear()
        left_s = deadline_s - loop.time()
        if in_time and (hurry.is_set() or left_s <= 0):
            in_time = False
            _kill(children)
        if in_time:
            await first_of(supervisor.child_ended, hurry, timeout_s=left_s)
        else:
            await supervisor.child_ended.wait()
    return in_time


def _kill(children: Sequence[Child]) -> None:
    for child in children:
        _log.warning("did not stop in time", extra={"incarnation": child.settings.incarnation})
        child.kill("did not stop in time")


async def first_of(*events: asyncio.Event, timeout_s: float | None = None) -> None:
    """Wait until one of the events is set, or for the timeout."""
    tasks = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


async def _announce(supervisor: Supervisor, incarnations: Sequence[str]) -> None:
    """Say LEAVING in the store; a store that is away must not hold up the end."""
    try:
        async with asyncio.timeout(_STORE_PATIENCE_S):
            for incarnation in incarnations:
                await supervisor.control.set_node_state(
                    incarnation, NodeState.LEAVING, "the supervisor stops"
                )
    except (Unavailable, TimeoutError) as error:
        _log.warning("not announced: the store is unavailable", extra={"why": repr(error)})


async def _last_report(supervisor: Supervisor) -> None:
    supervisor.reports.add(supervisor.node.incarnation, "stopped")
    try:
        async with asyncio.timeout(_STORE_PATIENCE_S):
            await supervisor.reports.written()
    except TimeoutError:
        _log.warning("deaths not reported: the store is unavailable")
