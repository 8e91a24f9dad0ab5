"""What a role's `run(ctx)` is given: its settings, when to stop, and how to say it is ready.

It lives below the roles, so that they need not know the supervisor, which lies above them.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass

from multiconnect.config.process import ProcessSettings
from multiconnect.model.cluster import Node, NodeState


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """What tells this process from a later one with the same pid."""

    pid: int
    start_ticks: int = 0
    boot_id: str = ""


def _ignore() -> None:
    """Stand in for a supervisor that is not there."""


class ChildContext:
    """One role process, as its role sees it.

    `stop` is set by SIGTERM, SIGINT or the death of the supervisor. The role then gives up its
    slots and returns; after the supervisor's death it has `ORPHAN_EXIT_S` (2 s) before the process
    is ended for it, after a signal as long as the supervisor waits (10 s in all).
    """

    def __init__(
        self,
        settings: ProcessSettings,
        stop: asyncio.Event,
        *,
        on_ready: Callable[[], None] = _ignore,
        identity: ProcessIdentity | None = None,
    ) -> None:
        self.settings = settings
        self.stop = stop
        self._on_ready = on_ready
        self._identity = identity or ProcessIdentity(os.getpid())

    def ready(self) -> None:
        """Tell the supervisor that the role serves (or waits as a spare)."""
        self._on_ready()

    def node(self, address: str = "", state: NodeState = NodeState.JOINING) -> Node:
        """Return the row this process joins the node table with."""
        settings, identity = self.settings, self._identity
        return Node(
            incarnation=settings.incarnation,
            name=settings.name,
            role=settings.role,
            host=settings.host,
            pid=identity.pid,
            address=address,
            generation=settings.generation,
            state=state,
            start_ticks=identity.start_ticks,
            boot_id=identity.boot_id,
        )
