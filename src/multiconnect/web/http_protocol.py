"""Bytes → requests, under limits and with hostile peers in mind; no sockets (sans-IO).

Guarantees:
* what is ambiguous is refused, never guessed: both lengths, folded headers, bare line feeds, a
  repeated Host, codings other than chunked; after a refusal no further byte is interpreted;
* a head must be complete within `HTTP_HEADER_DEADLINE_S` and the whole request within
  `HTTP_BODY_DEADLINE_S` of its first byte, however steadily it trickles;
* heads, targets and bodies are bounded, before they are read where their length is known.

The only module that knows the parser. What a request means is the application's business.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum
from typing import NoReturn

import httptools

from multiconnect.limits import (
    HTTP_BODY_BYTES_FREE,
    HTTP_BODY_DEADLINE_S,
    HTTP_HEADER_BYTES_MAX,
    HTTP_HEADER_DEADLINE_S,
    HTTP_HEADERS_MAX,
    HTTP_URI_BYTES_MAX,
)
from multiconnect.web.connections import ConnectionSet
from multiconnect.web.errors import ApiError, malformed, overloaded
from multiconnect.web.messages import Request
from multiconnect.web.request_head import Head, request_of, too_large

_log = logging.getLogger(__name__)


class Phase(Enum):
    """Where reading stands."""

    IDLE = "between requests"
    HEAD = "inside a head"
    BODY = "inside a body"
    DONE = "nothing more is read"


# Reading an attribute of an Enum class takes longer than the comparison it is for.
IDLE, HEAD, BODY, DONE = Phase.IDLE, Phase.HEAD, Phase.BODY, Phase.DONE


class _Stop(Exception):
    """Raised inside the parser's callbacks; the reason is kept beside it."""


class RequestReader:
    """Reads the requests of one connection, in order.

    `on_request` gets each one when it is complete; `body_limit` says, when the head is complete,
    how large the body may be (or raises ApiError). `refusal` is set when reading has ended in an
    error that is to be answered.
    """

    def __init__(
        self,
        shared: ConnectionSet,
        peer: str,
        body_limit: Callable[[Request], int],
        on_request: Callable[[Request], None],
    ) -> None:
        self._shared = shared
        self.peer = peer
        self._body_limit = body_limit
        self._on_request = on_request
        self._parser = httptools.HttpRequestParser(self)
        self.phase = IDLE
        self.refusal: ApiError | None = None
        #: Server time by which the request being read must be complete.
        self.deadline_s = 0.0
        #: The peer waits for "100 Continue" before it sends the body.
        self.continue_due = False
        self._head = Head()
        self._fed_bytes = 0
        self._began_s = 0.0
        self._request: Request | None = None
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._body_max = 0
        self._held_bytes = 0

    def feed(self, data: bytes | memoryview) -> None:
        """Read a piece of input; does nothing once reading has ended."""
        if self.phase is DONE:
            return
        in_head = self.phase is HEAD
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Answered like any other request, and the last one: what follows is not HTTP.
            self.phase = DONE
        except httptools.HttpParserError as error:
            # Data behind the last request is an error to the parser, and nothing to us.
            if self.phase is not DONE:
                self.refuse(self.refusal or _refusal_of(error))
            return
        if in_head and self.phase is HEAD:
            # Bytes the parser keeps to itself until a line is complete.
            self._fed_bytes += len(data)
            if self._fed_bytes > HTTP_HEADER_BYTES_MAX:
                self.refuse(too_large())

    def body_left(self) -> int:
        """Return how many bytes of a body of known length are still to come, otherwise 0."""
        return max(0, self._head.length() - self._body_bytes) if self.phase is BODY else 0

    def refuse(self, refusal: ApiError) -> None:
        """End reading with an error that is to be answered."""
        self.refusal = refusal
        self.phase = DONE

    def expire(self) -> None:
        """End reading because the deadline has passed."""
        part = "head" if self.phase is HEAD else "body"
        self.refuse(malformed(f"the {part} of the request did not arrive in time", 408))

    def restart_clock(self) -> None:
        """Give the request its time again: it was we who did not read."""
        self._began_s = self._shared.now_s
        self.deadline_s = self._began_s + HTTP_BODY_DEADLINE_S

    def close(self) -> None:
        """Give back what an unfinished body holds."""
        self.phase = DONE
        self._shared.held_bytes -= self._held_bytes
        self._held_bytes = 0

    # --- the parser's callbacks, in the order it makes them ----------------------------------
    def on_message_begin(self) -> None:
        """Start the clock of a new request."""
        if self.phase is DONE:
            raise _Stop
        self.phase = HEAD
        self._head = Head()
        self._fed_bytes = 0
        self._began_s = self._shared.now_s
        self.deadline_s = self._began_s + HTTP_HEADER_DEADLINE_S

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        head = self._head
        head.target += url
        if len(head.target) > HTTP_URI_BYTES_MAX:
            self._stop(malformed(f"the target has more than {HTTP_URI_BYTES_MAX} bytes", 414))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; a trailer is counted and dropped. Called most of all, so all in one."""
        head = self._head
        head.size = size = head.size + len(name) + len(value) + 4
        head.count = count = head.count + 1
        if size > HTTP_HEADER_BYTES_MAX or count > HTTP_HEADERS_MAX:
            self._stop(too_large())
        if self.phase is HEAD:
            name = name.lower()
            headers = head.headers
            if name not in headers:
                headers[name] = value
            elif refusal := head.add_again(name, value):
                self._stop(refusal)

    def on_headers_complete(self) -> None:
        """Judge the head, and learn how large the body may be."""
        parser, head = self._parser, self._head
        try:
            request = request_of(
                head,
                parser.get_method(),
                parser.get_http_version(),
                parser.should_keep_alive(),
                self.peer,
            )
            self._body_max = self._body_limit(request)
        except ApiError as refusal:
            self._stop(refusal)
        if head.length() > self._body_max:
            self._stop(self._body_too_large())
        self._request = request
        self.phase = BODY
        self._body_bytes = 0
        self.deadline_s = self._began_s + HTTP_BODY_DEADLINE_S
        if b"expect" in head.headers and not request.legacy:
            self.continue_due = True

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        size = self._body_bytes = self._body_bytes + len(data)
        self.continue_due = False
        if size > self._body_max:
            self._stop(self._body_too_large())
        if size > HTTP_BODY_BYTES_FREE:
            if not self._shared.hold(len(data)):
                self._stop(overloaded("too many large bodies at once; nothing was stored"))
            self._held_bytes += len(data)
        self._body.append(data)

    def on_message_complete(self) -> None:
        """Hand the request on."""
        request = self._request
        if request is None:
            self._stop(malformed("not a valid HTTP request"))
        body = self._body
        if body:
            request.body = body[0] if len(body) == 1 else b"".join(body)
            self._body = []
            request.held_bytes, self._held_bytes = self._held_bytes, 0
        self._request = None
        self.continue_due = False
        self.phase = IDLE if request.keep_alive else DONE
        self._on_request(request)

    # --- inside ------------------------------------------------------------------------------
    def _stop(self, refusal: ApiError) -> NoReturn:
        self.refusal = refusal
        raise _Stop

    def _body_too_large(self) -> ApiError:
        return ApiError(
            413, 1001, f"the body has more than {self._body_max} bytes, the most for this request"
        )


def _refusal_of(error: httptools.HttpParserError) -> ApiError:
    """Return what the peer is told; a callback that failed was not the peer's mistake."""
    if isinstance(error, httptools.HttpParserCallbackError):
        _log.error("reading_failed", exc_info=error.__context__)
        return ApiError(500, 1014, "an error inside the server; its log has the details")
    return malformed(f"not a valid HTTP request: {error}")
