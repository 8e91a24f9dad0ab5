"""The short way of the request that matters most: `POST /v1/messages`, written as it nearly always
is, by a caller who is known.

Guarantees: it does what the long way (http_protocol, pipeline, application, handler) would have
done, only without its objects; what is in any way unusual, or wrong, is left to the long way, which
begins at the same byte as if nothing had happened. So nothing is refused here, and of a request
that waits nothing is kept but an `_Acceptance`: no task, no future. Compiled (docs/native.md).
"""

from __future__ import annotations

from typing import Final

from multiconnect._native import plain_head, plain_text
from multiconnect.errors import MulticonnectError
from multiconnect.limits import HTTP_BODY_BYTES_FREE
from multiconnect.model.message import Receipt
from multiconnect.web.errors import ApiError
from multiconnect.web.handlers.messages import (
    AFTER_ID,
    BEFORE_ID,
    count_accepted,
    created,
    key_of,
    recipient_and_expiry,
)
from multiconnect.web.messages import JSON, Request
from multiconnect.web.pipeline import Exchange, Pipeline
from multiconnect.web.principal import Access
from multiconnect.web.rendering import head_of
from multiconnect.web.routing import Route
from multiconnect.web.services import Services

# Reading a member of an Enum class takes longer than it takes to look the token up.
_TOKEN: Final = Access.TOKEN
_ID_CHARS: Final = 24
#: Ids have one length, so the head of the answer is the same for all but for its date.
_HEAD: Final = b"%b%d\r\n" % (head_of(201, JSON), len(BEFORE_ID) + _ID_CHARS + len(AFTER_ID))
_BODY: Final = b"\r\n" + BEFORE_ID


class ExpressLane:
    """Takes plain sends; one for all connections of a server."""

    def __init__(self, services: Services, route: Route) -> None:
        self._services = services
        self._auth, self._sender = services.auth, services.sender
        self._clock, self._figures = services.clock, services.figures
        self._connections = services.connections
        self._timeout_s = services.settings.send_timeout_s
        self._route = route
        self._line = f"{route.method} {route.path} HTTP/1.1\r\n".encode()

    def take(self, data: bytes, at: int, pipeline: Pipeline) -> int:
        """Start the request at `at` and return where it ends; `at`: it is not for this lane."""
        head = plain_head(data, at, self._line, HTTP_BODY_BYTES_FREE)
        if head is None or not pipeline.may_express():
            return at
        body_at, end, authorization, key = head
        if self._auth.peek(authorization, _TOKEN) is None:
            return at
        exchange = _acceptance(pipeline, self, self._clock.monotonic())
        try:
            if not self._post(data[body_at:end], key, exchange):
                return at
        except (ApiError, MulticonnectError):
            return at
        pipeline.join(exchange)
        return end

    def _post(self, body: bytes, key: bytes | None, exchange: _Acceptance) -> bool:
        recipient, expiry_ms = plain_text(body), 0
        if recipient is None:
            recipient, expiry_ms = recipient_and_expiry(self._services, body)
        return self._sender.post(
            recipient,
            body,
            exchange,
            idempotency_key="" if key is None else key_of(key),
            expires_at_ms=expiry_ms,
            timeout_s=self._timeout_s,
        )

    def accepted(self, receipt: Receipt) -> None:
        """Count a message."""
        count_accepted(self._services, receipt)

    def answer(self, receipt: Receipt, started_s: float) -> bytes:
        """Count an answer and return it, for a connection that lives on."""
        seconds = self._clock.monotonic() - started_s
        self._figures.answered(self._route.method, self._route.path, 201, seconds)
        date = self._connections.date
        return b"".join((_HEAD, date, _BODY, receipt.id.encode(), AFTER_ID))

    def request(self, started_s: float) -> Request:
        """Return what the long way needs to know of a request to answer it."""
        route = self._route
        request = Request(route.method.encode(), route.path.encode(), b"", {})
        request.route, request.started_s = route, started_s
        return request


class _Acceptance(Exchange):
    """A send under way, and the router's `Promise` of it. Made by `_acceptance`."""

    __slots__ = ("_lane", "_pipeline", "_receipt", "_started_s")

    _lane: ExpressLane
    _pipeline: Pipeline
    _receipt: Receipt | None
    _started_s: float

    def is_parallel(self) -> bool:
        """Return True: plain sends run side by side."""
        return True

    def is_ready(self) -> bool:
        """Return whether the router has spoken."""
        return self._receipt is not None or self.response is not None

    def answer(self, pipeline: Pipeline) -> None:
        """Answer; the long way does it where the answer is not the usual one."""
        receipt, lane = self._receipt, self._lane
        if receipt is not None and pipeline.is_open():
            pipeline.put(lane.answer(receipt, self._started_s))
            return
        response = self.response if receipt is None else created(receipt)
        if response is not None:
            pipeline.finish(lane.request(self._started_s), response)

    # --- Promise -----------------------------------------------------------------------------
    def done(self) -> bool:
        """Return whether the router has spoken."""
        return self.is_ready()

    def set_result(self, receipt: Receipt, /) -> None:
        """Take the receipt."""
        self._receipt = receipt
        self._lane.accepted(receipt)
        self._pipeline.told()

    def set_exception(self, error: Exception, /) -> None:
        """Take the error."""
        self.response = self._pipeline.failure(self._lane.request(self._started_s), error)
        self._pipeline.told()


def _acceptance(pipeline: Pipeline, lane: ExpressLane, started_s: float) -> _Acceptance:
    exchange: _Acceptance = _Acceptance.__new__(_Acceptance)
    exchange.response = exchange._receipt = None
    exchange.is_express = True
    exchange._pipeline = pipeline
    exchange._lane = lane
    exchange._started_s = started_s
    return exchange
