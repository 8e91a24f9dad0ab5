"""Fresh views of the control plane for many readers at the price of few.

Guarantee: a snapshot was begun after it was asked for ("live, not cached"), yet however many ask,
at most one read runs and one more waits behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from multiconnect.model.cluster import Beat, Snapshot
from multiconnect.store.port import ControlStore


@dataclass(frozen=True, slots=True)
class View:
    """A snapshot and the beats read with it."""

    snapshot: Snapshot
    beats: Mapping[str, Beat]


class Snapshots:
    """Reads views, shared by all who ask at the same time."""

    def __init__(self, control: ControlStore) -> None:
        self._control = control
        self._reading = asyncio.Lock()
        self._next: asyncio.Task[View] | None = None
        self._cluster: int | None = None

    async def fresh(self) -> View:
        """Return a view begun after this call; raise StoreUnavailable."""
        if self._next is None:
            self._next = asyncio.create_task(self._read())
            self._next.add_done_callback(_look_at)
        # One caller that goes away must not take the others' answer with it.
        return await asyncio.shield(self._next)

    async def cluster(self) -> int:
        """Return the cluster's number, which never changes and is read once."""
        if self._cluster is None:
            self._cluster = (await self.fresh()).snapshot.cluster.cluster
        return self._cluster

    async def _read(self) -> View:
        async with self._reading:
            # Whoever asks from here on gets a later one.
            self._next = None
            return View(await self._control.snapshot(), await self._control.beats())


def _look_at(task: asyncio.Task[View]) -> None:
    """Take note of an error nobody waits for any more."""
    if not task.cancelled():
        task.exception()
