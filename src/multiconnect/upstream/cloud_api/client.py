"""The Cloud API: encode, post, decode; one outcome per message, whatever happens.

Guarantees: a failure before a connection stood is a plain retry; any failure after that is
ambiguous, because the request may have been read (invariant 6). A POST is never repeated in here.
Redirects are not followed. The token goes into one header and nowhere else (invariant 17).
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from multiconnect.errors import Closed, InvalidPayload, InvalidSettings
from multiconnect.limits import (
    UPSTREAM_BATCH_MAX,
    UPSTREAM_CONNECT_TIMEOUT_S,
    UPSTREAM_IN_FLIGHT_MAX,
    UPSTREAM_REQUEST_DEADLINE_S,
)
from multiconnect.model.message import Message, Outcome
from multiconnect.upstream.cloud_api.address import address_of
from multiconnect.upstream.cloud_api.codec import CloudApiCodec
from multiconnect.upstream.cloud_api.errors import Action, ErrorTable
from multiconnect.upstream.cloud_api.exchange import Lost
from multiconnect.upstream.cloud_api.pool import NotConnected, Pool
from multiconnect.upstream.dialect import DUPLICATE_HEADER
from multiconnect.upstream.reason import safe_reason

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long to wait for a connection, and for the whole exchange, connection included."""

    connect_s: float = UPSTREAM_CONNECT_TIMEOUT_S
    request_s: float = UPSTREAM_REQUEST_DEADLINE_S

    def __post_init__(self) -> None:
        """Refuse deadlines under which a refused connection looks like a lost reply."""
        if not 0 < self.connect_s < self.request_s:
            raise InvalidSettings(f"{self}: connect_s must lie between 0 and request_s")


_DEADLINES = Deadlines()
_DUPLICATE = f"{DUPLICATE_HEADER}: 1\r\n".encode()


class CloudApiUpstream:
    """An `Upstream` that speaks WhatsApp's Cloud API with one phone number.

    `base_url` is http(s) without query or login; `error_actions` changes the error table by code.
    """

    def __init__(
        self,
        base_url: str,
        *,
        version: str,
        phone_number_id: str,
        token: str,
        error_actions: Mapping[int, Action | str] | None = None,
        batch_max: int = UPSTREAM_BATCH_MAX,
        in_flight_max: int = UPSTREAM_IN_FLIGHT_MAX,
        deadlines: Deadlines = _DEADLINES,
    ) -> None:
        self.batch_max = batch_max
        self.in_flight_max = in_flight_max
        self._codec = CloudApiCodec(version, phone_number_id, ErrorTable(error_actions))
        self._address = address_of(base_url)
        self._token = _checked_token(token)
        self._head = self._new_head()
        self._deadlines = deadlines
        self._room = asyncio.Semaphore(in_flight_max)
        self._pool: Pool | None = None
        self._reachable = True

    def __repr__(self) -> str:
        return f"CloudApiUpstream({self._address.origin}{self._codec.path})"

    async def start(self) -> None:
        """Make the pool; no connection is opened before the first message."""
        if self._pool is None:
            self._pool = Pool(
                self._address,
                connect_s=self._deadlines.connect_s,
                request_s=self._deadlines.request_s,
            )

    async def send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """POST the messages at the same time, at most `in_flight_max` over all calls."""
        pool = self._pool
        if pool is None:
            raise Closed("the Cloud API connector is not started, or closed")
        if len(messages) == 1:
            return [await self._send_one(pool, messages[0])]
        return await asyncio.gather(*(self._send_one(pool, m) for m in messages))

    async def aclose(self) -> None:
        """Close the pool; what is in flight ends as ambiguous."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    async def _send_one(self, pool: Pool, message: Message) -> Outcome:
        try:
            _, body = self._codec.encode(message)
        except InvalidPayload as error:
            return Outcome.failed(str(error))
        marked = _DUPLICATE if message.possible_duplicate else b""
        request = b"%b%bContent-Length: %d\r\n\r\n%b" % (self._head, marked, len(body), body)
        async with self._room:
            outcome = await self._exchange(pool, message, request)
        if self._token in outcome.reason:  # A proxy may quote the request.
            reason = safe_reason(outcome.reason, secret=self._token)
            outcome = dataclasses.replace(outcome, reason=reason)
        return outcome

    async def _exchange(self, pool: Pool, message: Message, request: bytes) -> Outcome:
        try:
            reply = await pool.post(request)
        except (NotConnected, Lost, TimeoutError) as error:
            return self._transport_failure(error)
        self._note_reachable(True, "")
        return self._codec.decode(message, reply.status, reply.headers, reply.body)

    def _transport_failure(self, error: Exception) -> Outcome:
        origin = self._address.origin
        if isinstance(error, NotConnected):
            reason = f"no connection to {origin}: {error}"
            self._note_reachable(False, reason)
            return Outcome.retry(reason)
        if isinstance(error, TimeoutError):
            reason = f"no reply from {origin} within {self._deadlines.request_s} s"
        else:
            reason = f"connection to {origin} lost: {error}"
        return Outcome.retry(reason, ambiguous=True)

    def _note_reachable(self, reachable: bool, reason: str) -> None:
        # A change is worth a line, each message that suffers from it is not.
        if reachable == self._reachable:
            return
        self._reachable = reachable
        if reachable:
            _log.info("upstream %s answers again", self._address.origin)
        else:
            _log.warning("upstream is unreachable, messages will be tried again: %s", reason)

    def _new_head(self) -> bytes:
        """Return what all requests begin with; a header, the length and the body follow."""
        lines = [
            f"POST {self._address.path}{self._codec.path} HTTP/1.1",
            f"Host: {self._address.authority}",
            f"Authorization: Bearer {self._token}",
            "Content-Type: application/json",
            "Accept: application/json",
            "User-Agent: multiconnect",
            "",
        ]
        return "\r\n".join(lines).encode()


def _checked_token(token: str) -> str:
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidSettings("the upstream token is empty or holds characters no header may hold")
    return token
