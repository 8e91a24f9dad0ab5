"""A handle on a memory store."""

from __future__ import annotations

from multiconnect.errors import Closed
from multiconnect.store.memory.control import MemoryControl
from multiconnect.store.memory.log import MemoryLog
from multiconnect.store.memory.state import MemoryState


class MemoryStore:
    """One handle; handles on the same state are one store, as processes on one database are."""

    def __init__(self, state: MemoryState, url: str = "memory://") -> None:
        self.url = url
        self._state = state
        self._control = MemoryControl(state)
        self._logs: list[MemoryLog] = []
        self._closed = False

    @property
    def control(self) -> MemoryControl:
        """The control side."""
        return self._control

    async def log(self, incarnation: str) -> MemoryLog:
        """Open the log as that incarnation."""
        if self._closed:
            raise Closed("the store is closed")
        log = MemoryLog(self._state, incarnation)
        self._logs.append(log)
        return log

    async def aclose(self) -> None:
        """Close everything opened through this handle; the state outlives it."""
        self._closed = True
        for log in self._logs:
            await log.aclose()
        await self._control.aclose()
