"""A proxy that misbehaves on demand, for TCP and UNIX sockets, between any two of our processes.

    async with FaultProxy("unix:/run/owner.sock", "tcp:127.0.0.1:0", seed=7) as proxy:
        connect to proxy.address …
        proxy.latency(0.05, way=Way.BACK)

Every verb acts at once on the connections there are and on those to come; `resume` ends all faults.
A connection of which bytes were swallowed cannot go on (a stream has no holes) and is reset then.
"""

from __future__ import annotations

import asyncio
import enum
import random
import socket
import struct
from pathlib import Path
from typing import Self

from tests.support.pipe import Pipe, Weather


class Way(enum.Enum):
    """A direction, seen from whoever connects."""

    OUT = "out"
    BACK = "back"


BOTH = (Way.OUT, Way.BACK)


class FaultProxy:
    """Listens on one address and connects to another for each who comes."""

    def __init__(self, target: str, listen: str, *, seed: int = 0) -> None:
        #: Where new connections go; may be changed at any time.
        self.target = target
        self._listen = listen
        self._rng = random.Random(seed)
        self._weather = {way: Weather() for way in Way}
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._refusing = False
        self.address = ""
        self.accepted = 0

    # --- life --------------------------------------------------------------------------------
    async def start(self) -> None:
        """Listen; `address` is where."""
        scheme, _, rest = self._listen.partition(":")
        if scheme == "unix":
            await asyncio.to_thread(Path(rest).unlink, missing_ok=True)
            self._server = await asyncio.start_unix_server(self._accept, rest)
            self.address = f"unix:{rest}"
            return
        host, _, port = rest.rpartition(":")
        self._server = await asyncio.start_server(self._accept, host, int(port))
        self.address = f"tcp:{host}:{self._server.sockets[0].getsockname()[1]}"

    async def aclose(self) -> None:
        """Drop everything."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Close."""
        await self.aclose()

    # --- verbs -------------------------------------------------------------------------------
    def latency(self, delay_s: float, jitter_s: float = 0.0, *, way: Way | None = None) -> None:
        """Let bytes arrive later, in order."""
        for weather in self._ways(way):
            weather.delay_s, weather.jitter_s = delay_s, jitter_s

    def slicing(self, piece_bytes: int, *, way: Way | None = None) -> None:
        """Cut what is carried into pieces of 1 to this many bytes."""
        for weather in self._ways(way):
            weather.slice_bytes = piece_bytes

    def hold(self, *, way: Way | None = None) -> None:
        """Keep bytes back until `resume`: a cut that heals before anybody gives up."""
        for weather in self._ways(way):
            weather.holding = True

    def blackhole(self, *, way: Way | None = None) -> None:
        """Accept and swallow: no reset, no end, and nothing ever arrives."""
        for weather in self._ways(way):
            weather.swallowing = True

    def refuse(self) -> None:
        """Reset whoever connects from now on."""
        self._refusing = True

    def reset(self) -> None:
        """Reset every connection there is."""
        for connection in list(self._connections):
            connection.reset()

    async def half_close(self, way: Way) -> None:
        """Send an end of file one way on every connection; the other way stays open."""
        for connection in list(self._connections):
            await connection.pipes[way].half_close()

    def resume(self) -> None:
        """End all faults; what was held goes on, what has a hole is reset."""
        self._refusing = False
        for weather in self._weather.values():
            weather.clear()
        for connection in list(self._connections):
            if any(pipe.swallowed_bytes for pipe in connection.pipes.values()):
                connection.reset()

    # --- figures -----------------------------------------------------------------------------
    @property
    def connections(self) -> int:
        """Connections open now."""
        return len(self._connections)

    def swallowed_bytes(self, way: Way) -> int:
        """Bytes swallowed on the connections that are still open."""
        return sum(c.pipes[way].swallowed_bytes for c in self._connections)

    # --- inside ------------------------------------------------------------------------------
    def _ways(self, way: Way | None) -> list[Weather]:
        return [self._weather[one] for one in ([way] if way else BOTH)]

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._carry(reader, writer)
        except* OSError:
            # Either end is gone; so is the connection.
            pass
        finally:
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            _reset(writer)
            return
        far_reader, far_writer = await _connect(self.target)
        weather = self._weather
        pipes = {
            Way.OUT: Pipe(reader, far_writer, weather[Way.OUT], self._rng),
            Way.BACK: Pipe(far_reader, writer, weather[Way.BACK], self._rng),
        }
        connection = _Connection(pipes, (writer, far_writer))
        self._connections.add(connection)
        try:
            async with asyncio.TaskGroup() as group:
                for pipe in pipes.values():
                    group.create_task(pipe.run())
        finally:
            self._connections.discard(connection)
            far_writer.transport.abort()


class _Connection:
    """One proxied connection: two pipes between two sockets."""

    def __init__(
        self, pipes: dict[Way, Pipe], writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter]
    ) -> None:
        self.pipes = pipes
        self._writers = writers

    def reset(self) -> None:
        """Reset both halves."""
        for writer in self._writers:
            _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with a reset where the kind of socket knows one (TCP)."""
    raw = writer.transport.get_extra_info("socket")
    if raw is not None and raw.family != socket.AF_UNIX:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _connect(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    scheme, _, rest = address.partition(":")
    if scheme == "unix":
        return await asyncio.open_unix_connection(rest)
    host, _, port = rest.rpartition(":")
    return await asyncio.open_connection(host, int(port))
