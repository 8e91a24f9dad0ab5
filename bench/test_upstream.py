"""Row 14: how many messages a second does the Cloud API connector hand over?

Connector and server share this machine: one process here, one there, over loopback. The reference
posts the same bodies, made beforehand, with aiohttp alone, over as many connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from itertools import cycle, islice
from typing import Any

import aiohttp
import pytest

from bench.figures import Meter
from bench.load import checked
from bench.processes import module_server
from bench.traffic import Traffic
from multiconnect.model.message import Message
from multiconnect.model.message_id import encode_id
from multiconnect.upstream.cloud_api.client import CloudApiUpstream
from multiconnect.upstream.cloud_api.codec import CloudApiCodec

CONNECTIONS = 64
MESSAGES = 10_000
VERSION, NUMBER, TOKEN = "v24.0", "100000000000001", "loopback"

pytestmark = pytest.mark.benchmark(group="one CoreApp to the Cloud API")


@pytest.fixture
def messages(traffic: Traffic) -> list[Message]:
    pairs = islice(zip(traffic.recipients, cycle(traffic.payloads), strict=False), MESSAGES)
    return [
        Message(encode_id(1, at % 32, at // 32), recipient, payload)
        for at, (recipient, payload) in enumerate(pairs)
    ]


def test_connector(meter: Meter, messages: list[Message], runner: asyncio.Runner) -> None:
    count = meter.amount(full=40_000, quick=10_000)
    with module_server("bench.loopback_server") as url:
        upstream = CloudApiUpstream(
            url, version=VERSION, phone_number_id=NUMBER, token=TOKEN, in_flight_max=CONNECTIONS
        )
        runner.run(upstream.start())
        timing = meter.time(checked(lambda: runner.run(_send(upstream, messages, count)), count))
        runner.run(upstream.aclose())
    meter.note("upstream.http", timing.rate(count))


def test_aiohttp(meter: Meter, messages: list[Message], runner: asyncio.Runner) -> None:
    """The reference."""
    count = meter.amount(full=20_000, quick=5_000)
    codec = CloudApiCodec(VERSION, NUMBER)
    bodies = [codec.encode(message)[1] for message in messages]
    with module_server("bench.loopback_server") as url:
        session = runner.run(_session())
        post = lambda: runner.run(_post(session, url + codec.path, bodies, count))
        timing = meter.time(checked(post, count))
        runner.run(session.close())
    meter.note("upstream.aiohttp", timing.rate(count))


async def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CONNECTIONS),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
    )


async def _send(upstream: CloudApiUpstream, messages: list[Message], count: int) -> int:
    """Send one message a call, as the dispatcher does; return how many were taken."""
    waiting, taken = islice(cycle(messages), count), 0

    async def one_after_the_other() -> None:
        nonlocal taken
        for message in waiting:
            (outcome,) = await upstream.send([_as_new(message)])
            taken += outcome.status == "sent"

    await _side_by_side(one_after_the_other() for _ in range(CONNECTIONS))
    return taken


async def _post(session: aiohttp.ClientSession, url: str, bodies: list[bytes], count: int) -> int:
    """Post one body after the other on each connection; return how many were taken."""
    waiting, taken = islice(cycle(bodies), count), 0

    async def one_after_the_other() -> None:
        nonlocal taken
        for body in waiting:
            async with session.post(url, data=body, allow_redirects=False) as response:
                taken += response.status == 200 and b"wamid" in await response.read()

    await _side_by_side(one_after_the_other() for _ in range(CONNECTIONS))
    return taken


async def _side_by_side(running: Iterator[Coroutine[Any, Any, None]]) -> None:
    async with asyncio.TaskGroup() as group:
        for one in running:
            group.create_task(one)


def _as_new(message: Message) -> Message:
    """Return a message whose body has not been decoded yet: each round pays for that."""
    return Message(message.id, message.recipient, message.body)
