"""The fault proxy does what its verbs say: a harness that is believed must be seen to work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.support.proxy import FaultProxy, Way
from tests.support.stage import until


class Echo:
    """Sends back what it gets, and keeps the pieces as they came."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.ends = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                self.pieces.append(data)
                writer.write(data)
            self.ends += 1
        except OSError:
            pass
        finally:
            writer.close()


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture(params=["unix", "tcp"])
async def proxy(
    request: pytest.FixtureRequest, tmp_path: Path, echo: Echo
) -> AsyncIterator[FaultProxy]:
    if request.param == "unix":
        server: asyncio.Server = await asyncio.start_unix_server(echo.serve, tmp_path / "echo")
        target, listen = f"unix:{tmp_path}/echo", f"unix:{tmp_path}/proxy"
    else:
        server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
        target = f"tcp:127.0.0.1:{server.sockets[0].getsockname()[1]}"
        listen = "tcp:127.0.0.1:0"
    async with FaultProxy(target, listen, seed=1) as proxy:
        yield proxy
    server.close()


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Streams]]


@pytest.fixture
async def connect(proxy: FaultProxy) -> AsyncIterator[Connect]:
    opened: list[Streams] = []

    async def dial() -> Streams:
        scheme, _, rest = proxy.address.partition(":")
        if scheme == "unix":
            opened.append(await asyncio.open_unix_connection(rest))
        else:
            host, _, port = rest.partition(":")
            opened.append(await asyncio.open_connection(host, int(port)))
        return opened[-1]

    yield dial
    for _, writer in opened:
        writer.transport.abort()


async def said(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> bytes:
    writer.write(data)
    return await asyncio.wait_for(reader.readexactly(len(data)), 10)


async def silent(reader: asyncio.StreamReader, for_s: float = 0.05) -> bool:
    try:
        await asyncio.wait_for(reader.read(1), for_s)
    except TimeoutError:
        return True
    return False


async def test_fair_weather_carries_everything(proxy: FaultProxy, connect: Connect) -> None:
    reader, writer = await connect()
    data = bytes(range(256)) * 4000
    assert await said(reader, writer, data) == data
    writer.close()
    await until(lambda: proxy.connections == 0, "the connection is gone")


async def test_latency_delays_and_keeps_the_order(proxy: FaultProxy, connect: Connect) -> None:
    reader, writer = await connect()
    proxy.latency(0.03, 0.02, way=Way.OUT)
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    for number in range(20):
        writer.write(bytes([number]))
        await asyncio.sleep(0.001)
    assert await asyncio.wait_for(reader.readexactly(20), 10) == bytes(range(20))
    assert loop.time() - began_s >= 0.03


async def test_slicing_cuts_without_losing(proxy: FaultProxy, connect: Connect, echo: Echo) -> None:
    proxy.slicing(3, way=Way.OUT)
    reader, writer = await connect()
    data = bytes(range(200))
    assert await said(reader, writer, data) == data
    assert b"".join(echo.pieces) == data
    assert len(echo.pieces) > 10


@pytest.mark.parametrize("way", list(Way))
async def test_what_is_held_arrives_later(
    proxy: FaultProxy, connect: Connect, echo: Echo, way: Way
) -> None:
    reader, writer = await connect()
    assert await said(reader, writer, b"before") == b"before"
    proxy.hold(way=way)
    writer.write(b"held")
    assert await silent(reader)
    assert (b"held" in echo.pieces) == (way is Way.BACK)
    proxy.resume()
    assert await asyncio.wait_for(reader.readexactly(4), 10) == b"held"


@pytest.mark.parametrize("way", list(Way))
async def test_a_blackhole_swallows_one_way_until_it_ends_in_a_reset(
    proxy: FaultProxy, connect: Connect, echo: Echo, way: Way
) -> None:
    reader, writer = await connect()
    assert await said(reader, writer, b"before") == b"before"
    proxy.blackhole(way=way)
    writer.write(b"lost")
    await until(lambda: proxy.swallowed_bytes(way) == 4, "swallowed")
    assert await silent(reader)
    assert (b"lost" in echo.pieces) == (way is Way.BACK)
    proxy.resume()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await asyncio.wait_for(reader.readexactly(1), 10)
    reader, writer = await connect()
    assert await said(reader, writer, b"after") == b"after"


async def test_reset_ends_connections_and_refuse_the_new_ones(
    proxy: FaultProxy, connect: Connect
) -> None:
    reader, writer = await connect()
    assert await said(reader, writer, b"before") == b"before"
    proxy.refuse()
    proxy.reset()
    for ended in (reader, (await connect())[0]):
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await asyncio.wait_for(ended.readexactly(1), 10)
    proxy.resume()
    assert await said(*await connect(), b"after") == b"after"


async def test_half_close_ends_one_way_only(
    proxy: FaultProxy, connect: Connect, echo: Echo
) -> None:
    reader, writer = await connect()
    assert await said(reader, writer, b"before") == b"before"
    await proxy.half_close(Way.BACK)
    assert await asyncio.wait_for(reader.read(1), 10) == b""
    writer.write(b"still")
    await until(lambda: b"still" in echo.pieces, "the other way is open")
    assert not echo.ends
