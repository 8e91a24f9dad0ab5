"""One HTTP connection: the socket's side of reading, running and answering.

A thin shell: `RequestReader` reads, `Pipeline` runs; here is decided when to read, when to write
and when to close. Guarantees: nothing is read while too much waits or the peer takes no answers;
every state the peer can leave us in has a deadline; a refusal reaches a peer that is still sending,
because the rest of its request is read and dropped for a while before the connection closes.
Compiled (docs/native.md).
"""

from __future__ import annotations

import asyncio
from typing import cast

from multiconnect.limits import (
    HTTP_HEADER_DEADLINE_S,
    HTTP_IDLE_DEADLINE_S,
    HTTP_LINGER_BYTES_MAX,
    HTTP_LINGER_S,
    HTTP_PARSE_BYTES_MAX,
    HTTP_WRITE_DEADLINE_S,
)
from multiconnect.web.connections import NEVER, ConnectionSet
from multiconnect.web.errors import overloaded
from multiconnect.web.express import ExpressLane
from multiconnect.web.http_protocol import DONE, IDLE, RequestReader
from multiconnect.web.pipeline import Application, Pipeline
from multiconnect.web.rendering import CONTINUE, render


class HttpConnection:
    """One connection; an `asyncio.Protocol` in all but ancestry, as it is compiled."""

    def __init__(
        self, shared: ConnectionSet, application: Application, express: ExpressLane
    ) -> None:
        self._shared = shared
        self._express = express
        self._transport: asyncio.Transport | None = None
        self._pipeline = Pipeline(shared, application, self._settle)
        self._reader = RequestReader(shared, "", application.body_limit, self._pipeline.submit)
        #: Bytes received and not parsed, because too much waits.
        self._unparsed = b""
        self._is_tls = False
        self._eof = False
        self._paused = False
        self._resuming = False
        self._refused = False
        self._lingering = False
        self._lingered_bytes = 0
        self._closing = False
        self._idle_deadline_s = shared.now_s + HTTP_HEADER_DEADLINE_S
        #: When writing or closing must have come to an end.
        self._out_deadline_s = NEVER

    # --- asyncio.Protocol --------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the connection, or turn it away."""
        # Not checked with isinstance: uvloop's transports do not derive from asyncio's.
        self._transport = transport = cast(asyncio.Transport, transport)
        self._is_tls = transport.get_extra_info("sslcontext") is not None
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple) and peer:
            self._reader.peer = str(peer[0])
        if not self._shared.admit(self):
            refusal = overloaded("too many connections, or the server is stopping")
            transport.write(render(refusal.response(), self._shared.date, keep_alive=False))
            self._reader.phase = DONE
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection; what runs finishes, unseen."""
        self._transport = None
        self._shared.forget(self)
        self._reader.close()
        self._pipeline.abandon()

    def data_received(self, data: bytes) -> None:
        """Parse what came, start what is complete, answer what can be answered at once."""
        if self._reader.phase is DONE:
            self._discard(len(data))
        elif self._unparsed or self._pipeline.is_full():
            self._unparsed += data
            self._pause_reading()
        elif rest := self._expressed(data):
            self._parse(rest)
            self._settle()

    def eof_received(self) -> bool:
        """The peer will send no more; keep the connection for answers that are still to come."""
        self._eof = True
        # Half-closed TLS is not supported by asyncio: it closes whatever we say.
        return self._has_work() and not self._closing and not self._is_tls

    def pause_writing(self) -> None:
        """The peer does not read: start nothing more for it, and wait only so long."""
        self._pipeline.held = True
        self._out_deadline_s = self._shared.now_s + HTTP_WRITE_DEADLINE_S
        self._pause_reading()

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._pipeline.held = False
        if not self._closing:
            self._out_deadline_s = NEVER
            self._settle()

    # --- ConnectionSet -----------------------------------------------------------------------
    @property
    def deadline_s(self) -> float:
        """Server time at which `expire` is to be called."""
        if self._out_deadline_s != NEVER:
            return self._out_deadline_s
        if self._reader.phase is IDLE:
            return NEVER if self._pipeline.is_busy() else self._idle_deadline_s
        if self._reader.phase is DONE or self._paused:
            return NEVER
        return self._reader.deadline_s

    def expire(self) -> None:
        """Close an idle connection, answer 408 to a slow one, drop one that does not read."""
        if self._transport is None:
            return
        if self._out_deadline_s != NEVER:
            self._transport.abort()
        elif self._reader.phase is IDLE:
            self._transport.close()
        else:
            self._reader.expire()
            self._settle()

    def wind_down(self) -> None:
        """Close when idle; otherwise the next answer is the last."""
        if self._transport is None:
            return
        if self._lingering:
            self._transport.abort()
        elif self._reader.phase is IDLE and not self._has_work():
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        if self._transport is not None:
            self._transport.abort()

    # --- reading -----------------------------------------------------------------------------
    def _expressed(self, data: bytes) -> bytes:
        """Let plain sends take the express lane, unless one is half read; return what is left."""
        at, size = 0, len(data)
        while at < size and self._reader.phase is IDLE:
            end = self._express.take(data, at, self._pipeline)
            if end == at:
                break
            at = end
        return data[at:]

    def _parse(self, data: bytes) -> None:
        """Parse in pieces, so that one read cannot bring more requests than may wait.

        What is known to be the rest of a body is a piece of its own, however large.
        """
        if self._pipeline.is_full():
            self._unparsed = data
            return
        if len(data) <= HTTP_PARSE_BYTES_MAX:
            self._reader.feed(data)
            return
        view, start = memoryview(data), 0
        while start < len(data):
            if self._pipeline.is_full():
                self._unparsed = bytes(view[start:])
                return
            end = start + max(HTTP_PARSE_BYTES_MAX, self._reader.body_left())
            self._reader.feed(view[start:end])
            start = end

    def _read_on(self) -> None:
        """Parse what was put aside, then read the socket again."""
        self._resuming = False
        if self._transport is None or self._closing or self._pipeline.is_full():
            return
        if self._paused:
            self._reader.restart_clock()
        data, self._unparsed = self._unparsed, b""
        if rest := self._expressed(data):
            self._parse(rest)
        if not self._unparsed and not self._pipeline.is_full():
            self._resume_reading()
        self._settle()

    def _discard(self, count: int) -> None:
        """Drop what comes behind the last request."""
        self._lingered_bytes += count
        if not self._lingering:
            self._pause_reading()
        elif self._lingered_bytes > HTTP_LINGER_BYTES_MAX and self._transport is not None:
            self._transport.abort()

    def _pause_reading(self) -> None:
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    # --- answering ---------------------------------------------------------------------------
    def _has_work(self) -> bool:
        return bool(self._unparsed) or self._pipeline.is_busy()

    def _settle(self) -> None:
        """After each turn: start, write, pause or read on, close. Decided here and nowhere else."""
        transport, pipeline, reader = self._transport, self._pipeline, self._reader
        if transport is None or self._closing:
            return
        if reader.refusal is not None and not self._refused:
            self._refused = True
            pipeline.refuse(reader.refusal)
        data = pipeline.take()
        busy = pipeline.is_busy()
        if reader.continue_due and not busy and not pipeline.ended:
            reader.continue_due = False
            data += CONTINUE
        if data:
            transport.write(data)
        if pipeline.ended or (not busy and self._is_over()):
            self._close()
        elif pipeline.held or pipeline.is_full():
            self._pause_reading()
        elif (self._unparsed or self._paused) and not self._resuming and reader.phase is not DONE:
            self._resuming = True
            self._shared.loop.call_soon(self._read_on)
        if data and not busy:
            self._idle_deadline_s = self._shared.now_s + HTTP_IDLE_DEADLINE_S

    def _is_over(self) -> bool:
        return self._reader.phase is DONE or (self._eof and not self._unparsed)

    def _close(self) -> None:
        """Close once everything is written; after a refusal, hear the peer out first."""
        transport = self._transport
        if transport is None:
            return
        self._closing = True
        self._reader.phase = DONE
        if not self._refused or self._eof:
            self._out_deadline_s = self._shared.now_s + HTTP_WRITE_DEADLINE_S
            transport.close()
            return
        self._lingering = True
        self._out_deadline_s = self._shared.now_s + HTTP_LINGER_S
        if transport.can_write_eof():
            transport.write_eof()
        self._resume_reading()
