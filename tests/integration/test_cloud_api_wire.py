"""The connector's connections: replies in every shape HTTP has, and connections that misbehave."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from multiconnect.upstream.cloud_api import pool as pool_module
from multiconnect.upstream.cloud_api.client import Deadlines
from tests.integration.test_cloud_api import (
    ACCEPTED,
    BOTH_LOOPS,
    RawServer,
    connected,
    http,
    message,
    send_one,
)
from tests.unit.upstream.waiting import until


@asynccontextmanager
async def scripted(serve: Callable[..., Awaitable[None]], **options: Any) -> AsyncIterator[int]:
    """Run a server that treats each connection as it is told to; give its port."""

    async def connection(reader, writer):
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0, **options)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


TEXT = orjson.dumps({"messages": [{"id": "wamid.1"}]})
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\nX: y\r\n\r\n"


@BOTH_LOOPS
@pytest.mark.parametrize(
    ("answer", "connections"),
    [
        (ACCEPTED, 1),
        (CHUNKED % (len(TEXT), TEXT), 1),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ACCEPTED, 1),
        (http("200 OK", TEXT, "Connection: close"), 3),
        (http("200 OK", TEXT).replace(b"HTTP/1.1", b"HTTP/1.0"), 3),
        (ACCEPTED + b"HTTP/1.1 200 OK\r\n", 3),
        (ACCEPTED + b"?", 3),
    ],
)
async def test_a_connection_is_used_again_only_if_all_was_in_order(answer, connections):
    async with RawServer(lambda _: answer) as server, connected(server.url) as upstream:
        for _ in range(3):
            outcome = await send_one(upstream)
            assert (outcome.status, outcome.upstream_id) == ("sent", "wamid.1")
        assert server.connections == connections


@BOTH_LOOPS
async def test_a_reply_may_end_with_its_connection():
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + TEXT)

    async with scripted(serve) as port, connected(f"http://127.0.0.1:{port}") as upstream:
        assert (await send_one(upstream)).status == "sent"


@BOTH_LOOPS
async def test_a_reply_that_comes_byte_by_byte_is_the_same_reply():
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        for byte in http("429 Slow", b"", "Retry-After: 7"):
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
        await reader.read()

    async with scripted(serve) as port, connected(f"http://127.0.0.1:{port}") as upstream:
        outcome = await send_one(upstream)
        assert (outcome.status, outcome.after_s) == ("retry", 7.0)


async def test_a_late_reply_is_not_taken_for_the_next_one():
    late = asyncio.Event()
    numbers = iter(range(1, 10))

    async def serve(reader, writer):
        number = next(numbers)
        await reader.readuntil(b"\r\n\r\n")
        if number == 1:
            await late.wait()
        writer.write(ACCEPTED.replace(b"wamid.1", b"wamid.%d" % number))
        await reader.read()

    async with (
        scripted(serve) as port,
        connected(f"http://127.0.0.1:{port}", deadlines=Deadlines(0.1, 0.2)) as upstream,
    ):
        first = await send_one(upstream)
        late.set()
        second = await send_one(upstream)
    assert (first.status, first.ambiguous) == ("retry", True)
    assert "no reply" in first.reason
    assert (second.status, second.upstream_id) == ("sent", "wamid.2")


async def test_a_call_that_is_cancelled_leaves_no_reply_behind():
    numbers = iter(range(1, 10))
    asked, answered = asyncio.Event(), asyncio.Event()

    async def serve(reader, writer):
        number = next(numbers)
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        if number == 1:
            await answered.wait()
        writer.write(ACCEPTED.replace(b"wamid.1", b"wamid.%d" % number))
        await reader.read()

    async with scripted(serve) as port, connected(f"http://127.0.0.1:{port}") as upstream:
        call = asyncio.create_task(upstream.send([message()]))
        await asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        answered.set()
        assert (await send_one(upstream)).upstream_id == "wamid.2"


@BOTH_LOOPS
async def test_a_connection_that_is_not_used_is_closed(monkeypatch):
    monkeypatch.setattr(pool_module, "UPSTREAM_KEEPALIVE_S", 0.0)
    closed = asyncio.Event()

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ACCEPTED)
        while await reader.read(100):
            pass
        closed.set()

    async with scripted(serve) as port, connected(f"http://127.0.0.1:{port}") as upstream:
        assert (await send_one(upstream)).status == "sent"
        async with asyncio.timeout(5):
            await closed.wait()


@BOTH_LOOPS
@pytest.mark.parametrize("last", [b"", b"HTTP/1.1 408 Request Timeout\r\n\r\n"])
async def test_a_connection_closed_while_idle_is_not_used(last):
    served = []

    async def serve(reader, writer):
        served.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ACCEPTED)
        if len(served) == 1:
            await asyncio.sleep(0.05)
            writer.write(last)
            writer.close()
        else:
            await reader.read()

    async with scripted(serve) as port, connected(f"http://127.0.0.1:{port}") as upstream:
        assert (await send_one(upstream)).status == "sent"
        await until(lambda: upstream._pool is not None and not upstream._pool._open)
        assert (await send_one(upstream)).status == "sent"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", "key.pem", "-out", "cert.pem"),
        ],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    return folder


@BOTH_LOOPS
@pytest.mark.parametrize("trusted", [True, False])
async def test_tls_is_spoken_with_those_who_can_be_trusted(certificate, trusted, monkeypatch):
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    heard = []

    async def serve(reader, writer):
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(ACCEPTED)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    async with (
        scripted(serve, ssl=context) as port,
        connected(f"https://localhost:{port}") as upstream,
    ):
        outcome = await send_one(upstream)
    assert outcome.status == ("sent" if trusted else "retry")
    assert not outcome.ambiguous
    assert bool(heard) == trusted
