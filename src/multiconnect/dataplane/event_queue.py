"""Events for those who iterate over them: live, bounded, oldest dropped first and counted.

Events that arrive before anybody iterates are kept (bounded) for the first who does, so that
`send` followed by `events()` misses nothing.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncIterator, Iterable

from multiconnect.limits import EVENTS_QUEUED_MAX
from multiconnect.model.message import Event


class EventStream(AsyncIterator[Event]):
    """One reader's queue; ends when the hub closes. `dropped` counts what did not fit."""

    def __init__(self, backlog: Iterable[Event] = ()) -> None:
        self._queue = deque(backlog, EVENTS_QUEUED_MAX)
        self._wake = asyncio.Event()
        self._closed = False
        self.dropped = 0

    def put(self, events: list[Event]) -> None:
        """Add events, dropping the oldest beyond the bound."""
        self.dropped += max(0, len(self._queue) + len(events) - EVENTS_QUEUED_MAX)
        self._queue.extend(events)
        self._wake.set()

    def close(self) -> None:
        """End the iteration once the queue is empty."""
        self._closed = True
        self._wake.set()

    def __aiter__(self) -> EventStream:
        """Return itself."""
        return self

    async def __anext__(self) -> Event:
        """Return the next event, waiting for it."""
        while not self._queue:
            if self._closed:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        return self._queue.popleft()


class EventHub:
    """Hands each event to every reader."""

    def __init__(self) -> None:
        self._backlog: deque[Event] | None = deque(maxlen=EVENTS_QUEUED_MAX)
        # Weak: who stops iterating does not say so, and must not be kept (and filled) for ever.
        self._streams: weakref.WeakSet[EventStream] = weakref.WeakSet()
        self._closed = False

    def publish(self, events: list[Event]) -> None:
        """Give events to every reader, or keep them for the first one."""
        if self._backlog is not None:
            self._backlog.extend(events)
        for stream in list(self._streams):
            stream.put(events)

    def subscribe(self) -> EventStream:
        """Return a new reader; the first one also gets what was kept."""
        stream = EventStream(self._backlog or ())
        self._backlog = None
        self._streams.add(stream)
        if self._closed:
            stream.close()
        return stream

    def close(self) -> None:
        """End every reader, and every later one once it has read what was kept."""
        self._closed = True
        for stream in list(self._streams):
            stream.close()
