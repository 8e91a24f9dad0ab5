"""One direction of one proxied connection: bytes come in, the weather decides when they leave.

The weather may change while bytes are under way; it is shared by all connections of a proxy, so a
new connection meets the same weather as the ones before it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from dataclasses import dataclass, field

#: Read at most this far ahead of what has left: then the sender feels that nobody reads.
HELD_BYTES_MAX = 8 * 1024 * 1024
_READ_BYTES = 256 * 1024


@dataclass(slots=True)
class Weather:
    """What is done to one direction; all times in seconds."""

    delay_s: float = 0.0
    #: Up to this much more, by the proxy's seed. Bytes never overtake each other.
    jitter_s: float = 0.0
    #: Written in pieces of 1 to this many bytes, each a write of its own; 0: as they came.
    slice_bytes: int = 0
    #: Kept until the weather clears, as a network does that is cut and heals in time.
    holding: bool = False
    #: Taken and forgotten, as a network does that never heals: the connection is lost for good.
    swallowing: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def clear(self) -> None:
        """Become fine weather."""
        self.delay_s = self.jitter_s = 0.0
        self.slice_bytes = 0
        self.holding = self.swallowing = False
        self.changed.set()


class Pipe:
    """Carries bytes from `reader` to `writer` until either ends."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        weather: Weather,
        rng: random.Random,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._weather = weather
        self._rng = rng
        #: What was read and has not left, with the time it is due; None is the end.
        self._queue: deque[tuple[float, bytes | None]] = deque()
        self._queued_bytes = 0
        self._last_due_s = 0.0
        self._moved = asyncio.Event()
        self.swallowed_bytes = 0
        self.carried_bytes = 0

    async def run(self) -> None:
        """Carry until the end was passed on."""
        intake = asyncio.create_task(self._take_in())
        try:
            await self._let_out()
        finally:
            intake.cancel()
            await asyncio.gather(intake, return_exceptions=True)

    async def half_close(self) -> None:
        """Send the end now; what comes later is dropped."""
        self._queue.clear()
        self._put(None)

    # --- in ----------------------------------------------------------------------------------
    async def _take_in(self) -> None:
        while True:
            try:
                data = await self._reader.read(_READ_BYTES)
            except OSError:
                data = b""
            if self._weather.swallowing:
                self.swallowed_bytes += len(data)
                if data:
                    continue
            self._put(data or None)
            if not data:
                return
            while self._queued_bytes > HELD_BYTES_MAX:
                self._moved.clear()
                await self._moved.wait()

    def _put(self, data: bytes | None) -> None:
        weather = self._weather
        now_s = asyncio.get_running_loop().time()
        due_s = now_s + weather.delay_s + weather.jitter_s * self._rng.random()
        # A connection is a queue: nothing overtakes, whatever the jitter says.
        self._last_due_s = max(self._last_due_s, due_s)
        self._queue.append((self._last_due_s, data))
        self._queued_bytes += len(data or b"")
        self._moved.set()

    # --- out ---------------------------------------------------------------------------------
    async def _let_out(self) -> None:
        while True:
            while not self._queue:
                self._moved.clear()
                await self._moved.wait()
            due_s, _ = self._queue[0]
            await self._until(due_s)
            if not self._queue:  # cut short by a half-close
                continue
            _, data = self._queue.popleft()
            if data is None:
                with contextlib.suppress(OSError, RuntimeError):
                    self._writer.write_eof()
                return
            self._queued_bytes -= len(data)
            self._moved.set()
            await self._write(data)

    async def _until(self, due_s: float) -> None:
        loop = asyncio.get_running_loop()
        weather = self._weather
        while weather.holding or loop.time() < due_s:
            weather.changed.clear()
            wait_s = None if weather.holding else max(0.0, due_s - loop.time())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(weather.changed.wait(), wait_s)

    async def _write(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            most = self._weather.slice_bytes
            size = self._rng.randint(1, most) if most else len(data) - at
            self._writer.write(data[at : at + size])
            await self._writer.drain()
            if most:
                # Let the receiver see the piece by itself.
                await asyncio.sleep(0)
            at += size
        self.carried_bytes += len(data)
