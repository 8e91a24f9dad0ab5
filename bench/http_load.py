"""A lean HTTP client: keep-alive connections, one request outstanding on each.

It exists so that the server is what is measured: requests are bytes made beforehand, and of an
answer only the status, the length and the number of messages are looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from time import monotonic
from typing import cast
from urllib.parse import urlsplit

from bench.traffic import Traffic
from multiconnect.loop import new_event_loop

#: Distinct requests; beyond them they repeat.
REQUESTS = 20_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What is posted where, and how many messages an answer must name."""

    host: str
    port: int
    requests: list[bytes]
    messages: int
    connections: int

    @classmethod
    def singles(cls, url: str, token: str, traffic: Traffic) -> Plan:
        """`POST /v1/messages` over 64 connections."""
        bodies = islice(_bodies(traffic), REQUESTS)
        return _plan(url, "/v1/messages", token, list(bodies), messages=1, connections=64)

    @classmethod
    def batches(cls, url: str, token: str, traffic: Traffic, size: int) -> Plan:
        """`POST /v1/messages/batch` with NDJSON over 8 connections."""
        bodies = _bodies(traffic)
        made = [b"\n".join(islice(bodies, size)) for _ in range(REQUESTS // size)]
        return _plan(url, "/v1/messages/batch", token, made, messages=size, connections=8)


def _bodies(traffic: Traffic) -> Iterator[bytes]:
    """Return messages in the On-Prem shape: the payload with the recipient in front."""
    pairs = zip(cycle(traffic.recipients), cycle(traffic.payloads), strict=False)
    return (b'{"to":"%b",%b' % (name.encode(), payload[1:]) for name, payload in pairs)


def _plan(
    url: str, path: str, token: str, bodies: list[bytes], *, messages: int, connections: int
) -> Plan:
    parts = urlsplit(url)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\nContent-Length: "
    ).encode()
    requests = [b"%b%d\r\n\r\n%b" % (head, len(body), body) for body in bodies]
    return Plan(str(parts.hostname), int(parts.port or 80), requests, messages, connections)


async def post(plan: Plan, requests: Iterator[bytes]) -> int:
    """Post every request; return the messages accepted."""
    loop = asyncio.get_running_loop()
    connections = []
    for _ in range(plan.connections):
        _, connection = await loop.create_connection(
            lambda: _Connection(requests, plan.messages, loop.create_future()), plan.host, plan.port
        )
        connections.append(connection)
    await asyncio.gather(*(connection.done for connection in connections))
    return plan.messages * sum(connection.answers for connection in connections)


def post_for_a_while(plan: Plan, seconds: float) -> int:
    """Post for some seconds on a loop of its own; return the messages accepted."""
    end = monotonic() + seconds

    def until_then() -> Iterator[bytes]:
        for request in cycle(plan.requests):
            if monotonic() > end:
                return
            yield request

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(post(plan, until_then()))


class _Connection(asyncio.Protocol):
    """Sends the next request when the last one is answered; ends when there are no more."""

    def __init__(
        self, requests: Iterator[bytes], messages: int, done: asyncio.Future[None]
    ) -> None:
        self.done = done
        self.answers = 0
        self._requests = requests
        self._lines = messages
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        body = self._received[head_end + 4 :]
        if len(body) < _length(self._received[:head_end]):
            return
        accepted = self._received.startswith(b"HTTP/1.1 201 ") and body.count(b'"id"')
        if accepted != self._lines:
            self._fail(f"not an acceptance of {self._lines}: {self._received[:300]!r}")
            return
        self._received = b""
        self.answers += 1
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the server closed the connection: {exc}")

    def _next(self) -> None:
        request = next(self._requests, None)
        assert self._transport is not None
        if request is not None:
            self._transport.write(request)
        else:
            if not self.done.done():
                self.done.set_result(None)
            self._transport.close()

    def _fail(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError(why))


def _length(head: bytes) -> int:
    """Return what Content-Length says; header names come in any case."""
    at = head.lower().find(b"\r\ncontent-length:")
    if at < 0:
        raise RuntimeError(f"an answer without Content-Length: {head!r}")
    end = head.find(b"\r\n", at + 2)
    return int(head[at + 17 : end if end >= 0 else len(head)])
