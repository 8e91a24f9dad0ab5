"""One connection to the upstream: a request goes out, its reply comes in, then the next.

Guarantees: whatever ends the connection ends the exchange under way with `Lost`; a reply is read
only as far as `UPSTREAM_REPLY_BYTES_MAX`; a connection that said anything out of turn, or asked for
its end, is not used again. It never repeats a request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

import httptools

from multiconnect.limits import UPSTREAM_REPLY_BYTES_MAX

#: The only headers that anybody asks for.
_KEPT: Final = {b"retry-after": "Retry-After", b"date": "Date"}
_FRAMING: Final = (b"content-length", b"transfer-encoding")
#: Replies with these have no body, whatever their headers say.
_BODILESS: Final = (204, 304)


class Lost(Exception):
    """The exchange broke off: the request may have been read, or not."""


class Reply:
    """A complete reply."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class Exchange(asyncio.Protocol):
    """A connection; `on_free` is called when it may take a request again, `on_closed` once."""

    def __init__(
        self, on_free: Callable[[Exchange], None], on_closed: Callable[[Exchange], None]
    ) -> None:
        self._on_free = on_free
        self._on_closed = on_closed
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[Reply] | None = None
        #: Loop time at which it is closed: the exchange took too long, or none came for too long.
        self.deadline_s = 0.0
        self._received_bytes = 0
        self._usable = True
        self._complete = False
        self._new_reply()

    def post(self, request: bytes) -> asyncio.Future[Reply]:
        """Send a request; the result is the reply, or Lost."""
        transport = self._transport
        if transport is None or self._waiter is not None:
            raise AssertionError("post on a connection that is closed or busy")
        self._waiter = asyncio.get_running_loop().create_future()
        self._received_bytes = 0
        transport.write(request)
        return self._waiter

    def is_busy(self) -> bool:
        """Return whether a reply is waited for."""
        return self._waiter is not None

    def is_open(self) -> bool:
        """Return whether it can be used."""
        return self._transport is not None

    def end(self, why: str) -> None:
        """Close at once."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
            self._on_closed(self)
        self._fail(why)

    # --- asyncio.Protocol --------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Read what came."""
        if self._waiter is None:
            self.end("it spoke out of turn")
            return
        self._received_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._usable = False
            if not self._complete:
                self.end("its reply is not HTTP")
        if self._complete:
            self._finish()
        elif self._received_bytes > UPSTREAM_REPLY_BYTES_MAX:
            self.end(f"its reply has more than {UPSTREAM_REPLY_BYTES_MAX} bytes")

    def eof_received(self) -> bool:
        """Take the end of a reply that says in no other way where it ends."""
        if self._waiter is not None and self._in_body and not self._framed:
            self._usable = False
            self._finish()
        self.end("the peer closed it")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """End the exchange under way."""
        why = exc.strerror if isinstance(exc, OSError) else None
        self.end(why or "it was closed")

    # --- the parser's callbacks --------------------------------------------------------------
    def on_message_begin(self) -> None:
        """Note whatever begins behind a complete reply."""
        if self._complete:
            self._usable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep what is asked for."""
        name = name.lower()
        if name in _KEPT:
            self._headers[_KEPT[name]] = value.decode("latin-1")
        elif name in _FRAMING:
            self._framed = True

    def on_headers_complete(self) -> None:
        """Note the status."""
        if not self._complete:
            self._status = self._parser.get_status_code()
            self._in_body = True
            self._framed = self._framed or self._status in _BODILESS

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body."""
        if not self._complete:
            self._body.append(data)

    def on_message_complete(self) -> None:
        """Take the reply, unless it only says that one will come."""
        if 100 <= self._status < 200:
            self._new_reply()
        elif not self._complete:
            self._complete = True
            self._usable = self._usable and self._parser.should_keep_alive()

    # --- inside ------------------------------------------------------------------------------
    def _new_reply(self) -> None:
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._complete = self._in_body = self._framed = False

    def _finish(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            if sum(map(len, self._body)) > UPSTREAM_REPLY_BYTES_MAX:
                self._body = []
            waiter.set_result(Reply(self._status, self._headers, b"".join(self._body)))
        self._new_reply()
        if self._usable:
            self._on_free(self)
        else:
            self.end("")

    def _fail(self, why: str) -> None:
        self._usable = False
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(Lost(why))
