"""All connections of one server: how many there may be, what they may hold, and one timer for all.

Guarantees: at most `HTTP_CONNECTIONS_MAX` connections, `HTTP_REQUESTS_RUNNING_MAX` waiting
handlers and `HTTP_BODIES_BYTES_MAX` bytes of large bodies; a deadline is noticed within
`HTTP_SWEEP_S`. Server time (`now_s`) stands still while the process does, so a machine that was
suspended does not blame its peers for it. Compiled (docs/native.md).
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from multiconnect.clock import Clock
from multiconnect.limits import (
    HTTP_BODIES_BYTES_MAX,
    HTTP_CONNECTIONS_MAX,
    HTTP_REQUESTS_RUNNING_MAX,
    HTTP_SWEEP_S,
)
from multiconnect.web.messages import Response
from multiconnect.web.rendering import date_line

NEVER = float("inf")


class Connection(Protocol):
    """What the set needs of a connection."""

    @property
    def deadline_s(self) -> float:
        """Server time at which `expire` is to be called."""

    def expire(self) -> None:
        """Do what the passed deadline asks for."""

    def wind_down(self) -> None:
        """Finish what runs, then close; at once when nothing runs."""

    def abort(self) -> None:
        """Close now."""


class ConnectionSet:
    """The connections of one server, and what they share."""

    def __init__(self, clock: Clock, connections_max: int = HTTP_CONNECTIONS_MAX) -> None:
        self._clock = clock
        self._connections_max = connections_max
        self._open: set[Connection] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._timer: asyncio.TimerHandle | None = None
        self._last_s = clock.monotonic()
        self.loop = asyncio.get_running_loop()
        self.clock = clock
        self.now_s = 0.0
        self.date = date_line(clock.wall_ms())
        self.stopping = False
        #: Handlers that wait for something.
        self.running: set[asyncio.Task[Response]] = set()
        #: Sends of the express lane that wait; they have no task.
        self.posted = 0
        #: Bytes of large bodies held.
        self.held_bytes = 0
        #: Counted for /metrics.
        self.accepted = 0
        self.turned_away = 0
        self.expired = 0

    def __len__(self) -> int:
        """Return the number of open connections."""
        return len(self._open)

    def start(self) -> None:
        """Start the timer."""
        self._timer = self.loop.call_later(HTTP_SWEEP_S, self._sweep)

    def admit(self, connection: Connection) -> bool:
        """Add a connection; False when there are too many."""
        if len(self._open) >= self._connections_max or self.stopping:
            self.turned_away += 1
            return False
        self._open.add(connection)
        self._empty.clear()
        self.accepted += 1
        return True

    def forget(self, connection: Connection) -> None:
        """Remove a connection; harmless when it was never admitted."""
        self._open.discard(connection)
        if not self._open:
            self._empty.set()

    def may_run(self) -> bool:
        """Return whether one more handler may wait."""
        return len(self.running) + self.posted < HTTP_REQUESTS_RUNNING_MAX

    @property
    def waiting(self) -> int:
        """Requests that were started and are not answered."""
        return len(self.running) + self.posted

    def hold(self, count: int) -> bool:
        """Take bytes of the shared budget for bodies; False when it is used up."""
        if self.held_bytes + count > HTTP_BODIES_BYTES_MAX:
            return False
        self.held_bytes += count
        return True

    async def stop(self, grace_s: float) -> None:
        """Let every connection finish what it runs, for at most `grace_s`; then end them all.

        A handler whose connection is gone is ended with the rest.
        """
        self.stopping = True
        for connection in list(self._open):
            connection.wind_down()
        try:
            async with asyncio.timeout(grace_s):
                await self._empty.wait()
        except TimeoutError:
            for connection in list(self._open):
                connection.abort()
        running = list(self.running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()

    def _sweep(self) -> None:
        elapsed_s = self._clock.monotonic() - self._last_s
        self._last_s += elapsed_s
        self.now_s += min(elapsed_s, 2 * HTTP_SWEEP_S)
        self.date = date_line(self._clock.wall_ms())
        for connection in [c for c in self._open if c.deadline_s < self.now_s]:
            self.expired += 1
            connection.expire()
        self._timer = self.loop.call_later(HTTP_SWEEP_S, self._sweep)
