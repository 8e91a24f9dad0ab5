"""One connection from a router to one owner: bytes and frames, reconnecting while it is wanted.

A shell: what goes out and what an answer means is decided by the lane set. Receiving walks frames
in place (`BufferedProtocol`). A connection that is lost is opened again with back-off; the lanes
then resend from their oldest unanswered batch.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from multiconnect._native import FrameReader, decode_answers, frame_header
from multiconnect.dataplane.lane_set import AnswerEntry
from multiconnect.dataplane.wire import (
    PROTOCOL_VERSION,
    FrameType,
    events_of,
    json_body,
    json_frame,
)
from multiconnect.errors import CorruptData
from multiconnect.limits import CONNECT_TIMEOUT_S, RECONNECT_DELAY_MAX_S, RECONNECT_DELAY_MIN_S
from multiconnect.model.message import Event
from multiconnect.model.shard_map import Owner

_log = logging.getLogger("multiconnect.link")


class LinkUser(Protocol):
    """Who is told what happens on a link."""

    def link_ready(self, link: OwnerLink) -> None:
        """Frames may be submitted."""

    def link_answered(self, link: OwnerLink, entries: Sequence[AnswerEntry]) -> None:
        """Answers came."""

    def link_events(self, link: OwnerLink, events: list[Event]) -> None:
        """Events came."""

    def link_lost(self, link: OwnerLink) -> None:
        """Nothing submitted so far will be answered."""


class OwnerLink:
    """A wanted connection; `ready` while frames may be submitted."""

    def __init__(self, owner: Owner, user: LinkUser, *, events: bool) -> None:
        self.owner = owner
        self.ready = False
        self.frames_in_flight = 0
        self.bytes_in_flight = 0
        self._user = user
        self._events = events
        self._number = 0
        #: Per submitted frame: batches without an answer, bytes.
        self._frames: dict[int, list[int]] = {}
        self._connection: _Connection | None = None
        self._task = asyncio.get_running_loop().create_task(self._keep_connected())

    def submit(self, parts: list[bytes], batches: int, size: int) -> None:
        """Send the batches as one frame."""
        if self._connection is None or self._connection.transport is None:
            raise AssertionError("submit on a link that is not ready")
        self._number += 1
        self._frames[self._number] = [batches, size]
        self.frames_in_flight += 1
        self.bytes_in_flight += size
        header = frame_header(FrameType.SUBMIT, self._number, size)
        self._connection.transport.writelines([header, *parts])

    def close(self) -> None:
        """Give the connection up."""
        self._task.cancel()
        self.ready = False
        if self._connection is not None:
            self._connection.abort()

    # --- what the connection tells -----------------------------------------------------------
    def connected(self, connection: _Connection) -> None:
        """Remember the connection before anything can arrive on it."""
        if self._connection is not None:
            self.connection_lost(self._connection)
        self._connection = connection

    def frame_received(self, frame_type: int, number: int, body: bytes) -> None:
        """Act on one frame from the owner; raise CorruptData for one that cannot be."""
        if frame_type == FrameType.ANSWERS:
            entries = decode_answers(body)
            self._count_answers(number, len(entries))
            self._user.link_answered(self, entries)
        elif frame_type == FrameType.EVENTS:
            self._user.link_events(self, events_of(body))
        elif frame_type == FrameType.WELCOME:
            self._welcomed(json_body(body, dict))
        else:
            raise CorruptData(f"frame type {frame_type} is not one an owner sends")

    def _welcomed(self, welcome: dict[str, object]) -> None:
        incarnation = welcome.get("incarnation")
        if incarnation != self.owner.incarnation:
            # The address was taken over by a later process: this incarnation is gone for good.
            raise CorruptData(f"expected {self.owner.incarnation}, {incarnation} answered")
        self.ready = True
        self._user.link_ready(self)

    def _count_answers(self, number: int, entries: int) -> None:
        frame = self._frames.get(number)
        if frame is None:
            raise CorruptData(f"answers to frame {number}, which is not in flight")
        frame[0] -= entries
        if frame[0] <= 0:
            del self._frames[number]
            self.frames_in_flight -= 1
            self.bytes_in_flight -= frame[1]

    def connection_lost(self, connection: _Connection) -> None:
        """Forget what was in flight and tell the user."""
        if connection is not self._connection:
            return
        self.ready = False
        self._connection = None
        self._frames.clear()
        self.frames_in_flight = self.bytes_in_flight = 0
        self._user.link_lost(self)

    # --- staying connected -------------------------------------------------------------------
    async def _keep_connected(self) -> None:
        delay_s = RECONNECT_DELAY_MIN_S
        while True:
            connection = _Connection(self, events=self._events)
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await _connect(self.owner.address, connection)
            except (OSError, TimeoutError, ValueError) as error:
                _log.debug("cannot reach %s: %s", self.owner.name, error)
            else:
                connected_at = asyncio.get_running_loop().time()
                await connection.closed.wait()
                if asyncio.get_running_loop().time() - connected_at > RECONNECT_DELAY_MAX_S:
                    delay_s = RECONNECT_DELAY_MIN_S
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, RECONNECT_DELAY_MAX_S)


class _Connection(asyncio.BufferedProtocol):
    """The socket's callbacks, nothing else."""

    def __init__(self, link: OwnerLink, *, events: bool) -> None:
        self._link = link
        self._events = events
        self._reader = FrameReader()
        self.transport: asyncio.Transport | None = None
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Introduce ourselves."""
        self.transport = transport  # type: ignore[assignment]
        hello = {"protocol": PROTOCOL_VERSION, "events": self._events}
        self.transport.write(json_frame(FrameType.HELLO, hello))  # type: ignore[union-attr]
        self._link.connected(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend the reader's free space."""
        return self._reader.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        """Act on the frames that are complete; garbage ends the connection."""
        try:
            for frame_type, number, body in self._reader.buffer_updated(nbytes):
                self._link.frame_received(frame_type, number, body)
        except CorruptData as error:
            _log.warning("connection to %s dropped: %s", self._link.owner.name, error)
            self.abort()

    def eof_received(self) -> bool:
        """Close: an owner never half-closes."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the link once."""
        del exc
        self.transport = None
        self._link.connection_lost(self)
        self.closed.set()

    def abort(self) -> None:
        """Drop the connection without waiting for anything."""
        if self.transport is not None:
            self.transport.abort()


async def _connect(address: str, connection: _Connection) -> None:
    loop = asyncio.get_running_loop()
    scheme, _, rest = address.partition(":")
    if scheme == "unix":
        await loop.create_unix_connection(lambda: connection, rest)
    elif scheme == "tcp":
        host, _, port = rest.rpartition(":")
        await loop.create_connection(lambda: connection, host, int(port))
    else:
        raise OSError(f"address {address!r} is neither unix:PATH nor tcp:HOST:PORT")
