"""The Cloud API over HTTP: a pool of connections, deadlines, and one outcome per message.

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

import aiohttp
import yarl

from multiconnect.errors import Closed, InvalidPayload, InvalidSettings
from multiconnect.limits import (
    UPSTREAM_BATCH_MAX,
    UPSTREAM_CONNECT_TIMEOUT_S,
    UPSTREAM_IN_FLIGHT_MAX,
    UPSTREAM_KEEPALIVE_S,
    UPSTREAM_REPLY_BYTES_MAX,
    UPSTREAM_REQUEST_DEADLINE_S,
)
from multiconnect.model.message import Message, Outcome
from multiconnect.upstream.cloud_api.codec import CloudApiCodec
from multiconnect.upstream.cloud_api.errors import Action, ErrorTable
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
        base = _checked_base(base_url)
        self._origin = str(base.origin())
        self._url = yarl.URL(str(base).rstrip("/") + self._codec.path)
        self._token = _checked_token(token)
        self._timeout = aiohttp.ClientTimeout(
            total=deadlines.request_s, connect=deadlines.connect_s
        )
        self._room = asyncio.Semaphore(in_flight_max)
        self._session: aiohttp.ClientSession | None = None
        self._reachable = True

    def __repr__(self) -> str:
        return f"CloudApiUpstream({self._origin}{self._codec.path})"

    async def start(self) -> None:
        """Make the pool; no connection is opened before the first message."""
        if self._session is not None:
            return
        connector = aiohttp.TCPConnector(
            limit=self.in_flight_max, keepalive_timeout=UPSTREAM_KEEPALIVE_S
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/json",
                "User-Agent": "multiconnect",
            },
        )

    async def send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """POST the messages at the same time, at most `in_flight_max` over all calls."""
        if self._session is None:
            raise Closed("the Cloud API connector is not started, or closed")
        if len(messages) == 1:
            return [await self._send_one(self._session, messages[0])]
        return await asyncio.gather(*(self._send_one(self._session, m) for m in messages))

    async def aclose(self) -> None:
        """Close the pool; what is in flight ends as ambiguous."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _send_one(self, session: aiohttp.ClientSession, message: Message) -> Outcome:
        try:
            _, body = self._codec.encode(message)
        except InvalidPayload as error:
            return Outcome.failed(str(error))
        async with self._room:
            outcome = await self._exchange(session, message, body)
        if self._token in outcome.reason:  # A proxy may quote the request.
            reason = safe_reason(outcome.reason, secret=self._token)
            outcome = dataclasses.replace(outcome, reason=reason)
        return outcome

    async def _exchange(
        self, session: aiohttp.ClientSession, message: Message, body: bytes
    ) -> Outcome:
        headers = {DUPLICATE_HEADER: "1"} if message.possible_duplicate else None
        try:
            async with session.post(
                self._url, data=body, headers=headers, allow_redirects=False
            ) as response:
                reply = await _read_reply(response)
                outcome = self._codec.decode(message, response.status, response.headers, reply)
        except Exception as error:
            return self._transport_failure(error)
        self._note_reachable(True, "")
        return outcome

    def _transport_failure(self, error: Exception) -> Outcome:
        if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            reason = f"no connection to {self._origin}: {_cause(error)}"
            self._note_reachable(False, reason)
            return Outcome.retry(reason)
        if isinstance(error, TimeoutError):
            reason = f"no reply from {self._origin} within {self._timeout.total} s"
        else:
            reason = f"connection to {self._origin} lost: {_cause(error)}"
        return Outcome.retry(reason, ambiguous=True)

    def _note_reachable(self, reachable: bool, reason: str) -> None:
        # A change is worth a line, each message that suffers from it is not.
        if reachable == self._reachable:
            return
        self._reachable = reachable
        if reachable:
            _log.info("upstream %s answers again", self._origin)
        else:
            _log.warning("upstream is unreachable, messages will be tried again: %s", reason)


async def _read_reply(response: aiohttp.ClientResponse) -> bytes:
    # One byte beyond the limit makes the JSON unreadable, which is "don't know".
    length = response.content_length
    if length is not None and length <= UPSTREAM_REPLY_BYTES_MAX:
        return await response.read()
    reply = bytearray()
    async for chunk in response.content.iter_any():
        reply += chunk
        if len(reply) > UPSTREAM_REPLY_BYTES_MAX:
            response.close()
            return b""
    return bytes(reply)


def _cause(error: Exception) -> str:
    # Only the system's own words: aiohttp's may quote what went over the wire.
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


def _checked_base(base_url: str) -> yarl.URL:
    try:
        url = yarl.URL(base_url)
        usable = url.scheme in ("http", "https") and bool(url.host)
    except ValueError:
        raise InvalidSettings("the upstream URL is malformed; expected https://HOST") from None
    if not usable or url.query_string or url.fragment or url.user or url.password:
        raise InvalidSettings(
            "the upstream URL must be http(s)://HOST[:PORT][/PATH], without login or query"
        )
    return url


def _checked_token(token: str) -> str:
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidSettings("the upstream token is empty or holds characters no header may hold")
    return token
