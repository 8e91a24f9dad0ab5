"""The small HTTP client, against a scripted server."""

import asyncio
import contextlib

import pytest

from multiconnect.errors import Unavailable
from multiconnect.supervisor.http_call import HttpConnection


@contextlib.asynccontextmanager
async def serving(*answers, close_after=None):
    """Serve canned answers, one per request; yield the URL and the requests seen."""
    seen = []
    left = list(answers)
    handlers: list[asyncio.Task[None]] = []

    async def handle(reader, writer):
        task = asyncio.current_task()
        assert task is not None
        handlers.append(task)
        count = 0
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = [line for line in head.split(b"\r\n") if b"content-length" in line.lower()]
                size = int(length[0].split(b":")[1]) if length else 0
                seen.append(head + await reader.readexactly(size))
                writer.write(left.pop(0))
                count += 1
                if count == close_after:
                    break
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server:
        yield f"http://{host}:{port}", seen
        server.close()
        # A connection the client dropped is closed a turn of the loop later.
        await asyncio.sleep(0)
        await asyncio.gather(*handlers)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n" + b'{"a":1}'


async def test_requests_share_a_connection():
    async with (
        serving(OK, OK) as (url, seen),
        HttpConnection(url, headers={"Authorization": "Bearer t"}) as connection,
    ):
        assert (await connection.get("/x")).json() == {"a": 1}
        answer = await connection.post("/y", {"b": 2}, {"Idempotency-Key": "k"})
    assert answer.status == 200
    assert seen[0].startswith(b"GET /x HTTP/1.1\r\n")
    assert b"Content-Length" not in seen[0]
    assert seen[1].endswith(b'\r\n\r\n{"b": 2}')
    assert b"Authorization: Bearer t" in seen[1]
    assert b"Idempotency-Key: k" in seen[1]


async def test_it_reconnects_before_a_request():
    async with serving(OK, OK, close_after=1) as (url, seen), HttpConnection(url) as connection:
        await connection.get("/1")
        # The server's end of file has to arrive first.
        reader = connection._reader
        assert reader is not None
        while not reader.at_eof():  # noqa: ASYNC110 -- looks from outside
            await asyncio.sleep(0.001)
        assert (await connection.get("/2")).status == 200
        assert len(seen) == 2


async def test_chunks_are_put_together():
    head = b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunked = head + b'4\r\n{"a"\r\n3\r\n:1}\r\n0\r\n\r\n'
    async with serving(chunked, OK) as (url, _), HttpConnection(url) as connection:
        answer = await connection.get("/")
        assert (answer.status, answer.json()) == (201, {"a": 1})
        assert (await connection.get("/")).status == 200


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 60_000 + b"\r\nZ: " + b"y" * 60_000 + b"\r\n\r\n",
    ],
    ids=["nothing", "not http", "no status", "cut off", "too long", "long headers"],
)
async def test_what_is_no_answer_is_unavailable_and_ends_the_connection(answer):
    async with (
        serving(answer, close_after=1) as (url, _),
        HttpConnection(url, timeout_s=5.0) as connection,
    ):
        with pytest.raises(Unavailable, match="GET /"):
            await connection.get("/")
        assert connection._writer is None


async def test_silence_is_unavailable_after_the_timeout():
    async with (
        serving(b"HTTP/1.1 200") as (url, _),
        HttpConnection(url, timeout_s=0.05) as connection,
    ):
        with pytest.raises(Unavailable, match="TimeoutError"):
            await connection.get("/")


async def test_nobody_there_is_unavailable():
    async with serving() as (url, _):
        pass
    with pytest.raises(Unavailable):
        await HttpConnection(url).get("/")
