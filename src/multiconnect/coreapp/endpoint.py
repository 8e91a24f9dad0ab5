"""The owner's end of a lane: frames in, answers and events out.

A router that sends garbage loses its connection; one that cannot keep up with its answers, or sends
more than the intake may hold, is simply not read from until that is over (TCP does the rest).
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol, cast

from multiconnect._native import FrameReader, encode_answers, frame_header, split_batches
from multiconnect.coreapp.frame_answers import FrameAnswers
from multiconnect.coreapp.group import Submitted
from multiconnect.dataplane.wire import (
    PROTOCOL_VERSION,
    FrameType,
    json_body,
    json_frame,
    whole_frame,
)
from multiconnect.errors import CorruptData
from multiconnect.limits import EVENT_BYTES_UNSENT_MAX

_log = logging.getLogger("multiconnect.endpoint")


class Intake(Protocol):
    """Who takes the batches of all connections."""

    incarnation: str

    def submit(self, batch: Submitted) -> None:
        """Take a batch; it is answered through `batch.answer`."""

    def connected(self, endpoint: Endpoint) -> None:
        """A router is connected."""

    def disconnected(self, endpoint: Endpoint) -> None:
        """A router is gone."""


class Endpoint(asyncio.BufferedProtocol):
    """One connected router."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._greeted = False
        #: Frames of which something was answered in this turn of the loop.
        self._answered: list[FrameAnswers] = []
        #: Why nothing is read: the intake is full, or the router does not take its answers.
        self._intake_full = False
        self._unread_answers = False
        self.wants_events = False
        self.events_dropped = 0

    # --- in ----------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport."""
        # uvloop's transports are asyncio.Transport in all but ancestry.
        self._transport = cast("asyncio.Transport", transport)
        self._intake.connected(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend the reader's free space."""
        return self._reader.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        """Act on complete frames; garbage ends the connection, nothing of the frame is stored."""
        try:
            for frame_type, number, body in self._reader.buffer_updated(nbytes):
                self._frame(frame_type, number, body)
        except CorruptData as error:
            _log.warning("router_dropped: %s", error)
            self.abort()

    def _frame(self, frame_type: int, number: int, body: bytes) -> None:
        if frame_type == FrameType.HELLO:
            self.greet(json_body(body, dict))
        elif frame_type == FrameType.SUBMIT and self._greeted:
            answer_to = FrameAnswers(self, number)
            for header, data in split_batches(body):
                self._intake.submit(Submitted(header, data, answer_to))
        elif frame_type == FrameType.PING and self._greeted:
            self._write(whole_frame(FrameType.PONG))
        else:
            raise CorruptData(f"frame type {frame_type} is not one a router may send now")

    def greet(self, hello: dict[str, object]) -> None:
        """Take a router's introduction, proven or not needing proof (doorkeeper.py)."""
        if self._greeted:
            raise CorruptData("a second HELLO on one connection")
        if hello.get("protocol") != PROTOCOL_VERSION:
            raise CorruptData(f"lane protocol {hello.get('protocol')!r}, {PROTOCOL_VERSION} wanted")
        self._greeted = True
        self.wants_events = hello.get("events") is True
        welcome = {"protocol": PROTOCOL_VERSION, "incarnation": self._intake.incarnation}
        self._write(json_frame(FrameType.WELCOME, welcome))

    def eof_received(self) -> bool:
        """Close: a router never half-closes."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the router; it resends what was not answered."""
        del exc
        self._transport = None
        self._intake.disconnected(self)

    # --- out ---------------------------------------------------------------------------------
    def answered(self, frame: FrameAnswers) -> None:
        """Take note of a frame's first answer; all of one turn of the loop leave in one write."""
        if not self._answered:
            asyncio.get_running_loop().call_soon(self._flush)
        self._answered.append(frame)

    def _flush(self) -> None:
        answered, self._answered = self._answered, []
        parts = []
        for frame in answered:
            body = encode_answers(frame.take())
            parts += [frame_header(FrameType.ANSWERS, frame.number, len(body)), body]
        self._write(b"".join(parts))

    def send_events(self, frame: bytes) -> None:
        """Send an EVENTS frame, unless the router does not keep up (events are best effort)."""
        if self._transport is None or not self.wants_events:
            return
        if self._transport.get_write_buffer_size() > EVENT_BYTES_UNSENT_MAX:
            self.events_dropped += 1
            return
        self._write(frame)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    # --- flow --------------------------------------------------------------------------------
    def pause(self) -> None:
        """Read nothing more for now: the intake is full."""
        self._intake_full = True
        self._read_or_not()

    def resume(self) -> None:
        """Read again."""
        self._intake_full = False
        self._read_or_not()

    def pause_writing(self) -> None:
        """The router does not take its answers: take nothing more from it."""
        self._unread_answers = True
        self._read_or_not()

    def resume_writing(self) -> None:
        """The router has caught up."""
        self._unread_answers = False
        self._read_or_not()

    def _read_or_not(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        wanted = not (self._intake_full or self._unread_answers)
        if wanted and not transport.is_reading():
            transport.resume_reading()
        elif not wanted and transport.is_reading():
            transport.pause_reading()

    def abort(self) -> None:
        """Drop the connection."""
        if self._transport is not None:
            self._transport.abort()
