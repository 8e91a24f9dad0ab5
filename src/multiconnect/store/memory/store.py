"""A handle on a memory store."""

from __future__ import annotations

from multiconnect.store.memory.control import MemoryControl
from multiconnect.store.memory.log import MemoryLog
from multiconnect.store.memory.state import MemoryState


class MemoryStore:
    """One handle; handles on the same state are one store, as processes on one database are."""

    def __init__(self, state: MemoryState, url: str = "memory://") -> None:
        self.url = url
        self._state = state
        self._control = MemoryControl(state)

    @property
    def control(self) -> MemoryControl:
        """The control side."""
        return self._control

    async def log(self, incarnation: str) -> MemoryLog:
        """Open the log as that incarnation."""
        return MemoryLog(self._state, incarnation)

    async def aclose(self) -> None:
        """Nothing to release: the state belongs to whoever made it."""
