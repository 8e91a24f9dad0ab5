"""HTTP on the wire: what is understood, what is refused, and in which order answers leave."""

import asyncio
from unittest.mock import ANY

import orjson
import pytest

from multiconnect.web import http_protocol, pipeline
from multiconnect.web.connection import HttpConnection
from tests.unit.web.serving import message, request, serving, until

HOST = b"Host: test\r\n"
GOOD = b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n"
LOOPS = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])


async def answers_to(served, *pieces):
    """Send pieces, end the input, and return everything that comes back."""
    wire = await served.wire()
    for piece in pieces:
        await wire.send(piece)
    wire.writer.write_eof()
    found = await wire.rest()
    await wire.aclose()
    return found


def statuses(data):
    return [int(part[:3]) for part in data.split(b"HTTP/1.1 ")[1:]]


@LOOPS
async def test_a_connection_is_used_again_and_again():
    async with serving() as served:
        wire = await served.wire()
        for number in range(3):
            await wire.send(request("POST", "/v1/messages", message(), token=served.admin))
            answer = await wire.answer()
            assert answer.status == 201
            assert answer.json == {
                "messages": [{"id": served.sender.stored[number].id}],
                "meta": {"api_status": "stable", "version": ANY},
            }
            assert "Connection" not in answer.headers
            assert answer.headers["Content-Type"] == "application/json"
            assert answer.headers["Date"].endswith(" GMT")
        await wire.aclose()


@LOOPS
async def test_a_request_cut_at_every_byte_is_the_same_request():
    async with serving() as served:
        data = request("POST", "/v1/messages", message(), token=served.admin)
        for at in range(1, len(data)):
            wire = await served.wire()
            await wire.send(data[:at])
            await asyncio.sleep(0)
            await wire.send(data[at:])
            assert (await wire.answer()).status == 201, at
            await wire.aclose()
        assert len(served.sender.stored) == len(data) - 1
        assert {stored.payload for stored in served.sender.stored} == {orjson.dumps(message())}


async def test_a_request_arriving_byte_by_byte_is_the_same_request():
    async with serving() as served:
        body = orjson.dumps(message())
        chunked = b"".join(b"%x;ext=1\r\n%b\r\n" % (1, body[i : i + 1]) for i in range(len(body)))
        head = request(
            "POST", "/v1/messages", token=served.admin, headers={"Transfer-Encoding": "chunked"}
        )
        wire = await served.wire()
        for byte in head + chunked + b"0\r\nTrailer: dropped\r\n\r\n":
            wire.writer.write(bytes([byte]))
            await asyncio.sleep(0)
        assert (await wire.answer()).status == 201
        assert served.sender.stored[0].payload == body
        await wire.aclose()


# --- what is refused -----------------------------------------------------------------------------

POST = b"POST /v1/messages HTTP/1.1\r\n"
REFUSED = {
    "both lengths": (
        POST + HOST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "both lengths, turned round": (
        POST + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        400,
    ),
    "two lengths": (POST + HOST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 400),
    "two lengths in one": (POST + HOST + b"Content-Length: 2, 2\r\n\r\n{}", 400),
    "signed length": (POST + HOST + b"Content-Length: +2\r\n\r\n{}", 400),
    "no number": (POST + HOST + b"Content-Length: two\r\n\r\n{}", 400),
    "length beyond 64 bits": (POST + HOST + b"Content-Length: 99999999999999999999\r\n\r\n", 400),
    "coding that is not read": (
        POST + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        501,
    ),
    "coding that does not end": (POST + HOST + b"Transfer-Encoding: identity\r\n\r\n", 501),
    "coding in HTTP/1.0": (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "coding hidden by a tab": (
        POST + HOST + b"Transfer-Encoding:\tchunked, identity\r\n\r\n0\r\n\r\n",
        400,
    ),
    "chunk size that is none": (
        POST + HOST + b"Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
        400,
    ),
    "chunk size beyond 64 bits": (
        POST + HOST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        400,
    ),
    "chunk longer than said": (
        POST + HOST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
        400,
    ),
    "folded header": (b"GET /livez HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n", 400),
    "bare line feeds": (b"GET /livez HTTP/1.1\nHost: test\n\n", 400),
    "bare line feed in a header": (b"GET /livez HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400),
    "bare carriage return": (b"GET /livez HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400),
    "blank before the colon": (b"GET /livez HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    "nul in a header": (b"GET /livez HTTP/1.1\r\nHost: a\0b\r\n\r\n", 400),
    "no name": (b"GET /livez HTTP/1.1\r\n: a\r\n\r\n", 400),
    "no host": (b"GET /livez HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "two tokens": (
        b"GET /v1/users HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n",
        400,
    ),
    "no version": (b"GET /livez\r\n\r\n", 505),
    "a later version": (b"GET /livez HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    "HTTP/2 itself": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "no method": (b"FROB /livez HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "noise": (bytes(range(256)), 400),
    "another expectation": (POST + HOST + b"Expect: fries\r\nContent-Length: 2\r\n\r\n{}", 417),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_ambiguous_is_refused_and_nothing_after_it_is_read(name):
    data, status = REFUSED[name]
    async with serving() as served:
        smuggled = request("POST", "/v1/messages", message(), token=served.admin)
        wire = await served.wire()
        await wire.send(data + smuggled)
        answer = await wire.answer()
        assert (answer.status, answer.headers["Connection"]) == (status, "close")
        assert answer.error["code"] == 1025
        assert await wire.rest() == b""
        assert served.sender.stored == []
        await wire.aclose()


@pytest.mark.parametrize("depth", [2, 40])
async def test_a_mistake_behind_good_requests_is_answered_after_them(depth):
    async with serving() as served:
        found = await answers_to(served, GOOD * depth + b"\0\r\n\r\n" + GOOD)
        assert statuses(found) == [200] * depth + [400]


# --- what is understood --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\r\n\r\n" + GOOD, [200]),
        (b"GET /livez?x=1&y HTTP/1.1\r\n" + HOST + b"\r\n", [200]),
        (b"GET http://test/livez HTTP/1.1\r\n" + HOST + b"\r\n", [200]),
        (b"GET http://test HTTP/1.1\r\n" + HOST + b"\r\n", [200]),
        (b"GET /livez HTTP/1.1\r\nhOsT: test\r\nX: 1\r\nx: 2\r\n\r\n", [200]),
        (b"GET /livez HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\n{}" + GOOD, [200, 200]),
        (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n" + GOOD, [404, 200]),
        (b"GET /%00 HTTP/1.1\r\n" + HOST + b"\r\n" + GOOD, [404, 200]),
        (b"GET /livez/../livez HTTP/1.1\r\n" + HOST + b"\r\n" + GOOD, [404, 200]),
        (b"POST /livez HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\n{}" + GOOD, [405, 200]),
        # The last one of its connection: what follows is not looked at.
        (b"GET /livez HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n" + GOOD, [200]),
        (b"GET /livez HTTP/1.0\r\n\r\n" + GOOD, [200]),
        (b"CONNECT a:1 HTTP/1.1\r\n" + HOST + b"\r\n" + GOOD, [404]),
        (
            b"GET /livez HTTP/1.1\r\n"
            + HOST
            + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
            + GOOD,
            [200],
        ),
        (
            b"POST /livez HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
            b"Content-Length: 38\r\n\r\n" + GOOD,
            [405],
        ),
    ],
)
async def test_requests_are_told_apart(data, expected):
    async with serving() as served:
        assert statuses(await answers_to(served, data)) == expected


async def test_another_protocol_is_not_spoken_and_the_connection_ends():
    async with serving() as served:
        wire = await served.wire()
        await wire.send(
            b"GET /livez HTTP/1.1\r\n" + HOST + b"Upgrade: x\r\nConnection: upgrade\r\n\r\n"
        )
        answer = await wire.answer()
        assert (answer.status, answer.headers["Connection"]) == (200, "close")
        assert await wire.rest() == b""
        await wire.aclose()


async def test_http_1_0_keeps_the_connection_only_when_asked():
    async with serving() as served:
        wire = await served.wire()
        await wire.send(b"GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert (await wire.answer()).headers["Connection"] == "keep-alive"
        await wire.send(b"GET /livez HTTP/1.0\r\n\r\n")
        assert (await wire.answer()).headers["Connection"] == "close"
        assert await wire.rest() == b""
        await wire.aclose()


async def test_head_is_get_without_the_body():
    async with serving() as served:
        wire = await served.wire()
        await wire.send(b"HEAD /livez HTTP/1.1\r\n" + HOST + b"\r\n" + GOOD)
        head, got = await wire.answer(head=True), await wire.answer()
        assert head.headers["Content-Length"] == got.headers["Content-Length"] != "0"
        await wire.aclose()


async def test_a_method_that_is_not_for_the_path_is_told_which_are():
    async with serving() as served:
        answer = await served.call("DELETE", "/v1/account/shards")
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, POST")


@LOOPS
async def test_who_expects_100_continue_gets_it_before_sending_the_body():
    async with serving() as served:
        body = orjson.dumps(message())
        wire = await served.wire()
        head = request(
            "POST",
            "/v1/messages",
            token=served.admin,
            headers={"Content-Length": str(len(body)), "Expect": "100-continue"},
        )
        await wire.send(head)
        assert await wire.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await wire.send(body)
        assert (await wire.answer()).status == 201
        # No invitation to send what would be refused, nor when it came already.
        await wire.send(head + body)
        assert (await wire.answer()).status == 201
        await wire.send(head.replace(str(len(body)).encode(), b"999999999"))
        assert (await wire.answer()).status == 413
        await wire.aclose()


async def test_100_continue_waits_for_its_turn():
    async with serving() as served:
        served.sender.gate.clear()
        body = orjson.dumps(message())
        first = request("POST", "/v1/messages", body, token=served.admin)
        second = request(
            "POST",
            "/v1/messages",
            token=served.admin,
            headers={"Content-Length": str(len(body)), "Expect": "100-continue"},
        )
        wire = await served.wire()
        await wire.send(first + second)
        await until(lambda: served.sender.calls == 1)
        served.sender.gate.set()
        assert (await wire.answer()).status == 201
        assert await wire.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await wire.send(body)
        assert (await wire.answer()).status == 201
        await wire.aclose()


# --- pipelining and half-closing -----------------------------------------------------------------


@LOOPS
async def test_pipelined_requests_are_answered_in_order_however_long_they_take():
    async with serving() as served:
        served.sender.gate.clear()
        sends = [request("POST", "/v1/messages", message(), token=served.admin)] * 3
        shards = request("GET", "/v1/account/shards", token=served.admin)
        wire = await served.wire()
        await wire.send(b"".join(sends) + GOOD + shards + sends[0])
        # Sends run side by side; what is no send waits for them.
        await until(lambda: served.sender.calls == 3)
        served.sender.gate.set()
        found = [await wire.answer() for _ in range(6)]
        assert [answer.status for answer in found] == [201, 201, 201, 200, 200, 201]
        ids = [answer.json["messages"][0]["id"] for answer in (*found[:3], found[5])]
        assert ids == [stored.id for stored in served.sender.stored]
        await wire.aclose()


async def test_an_answer_that_is_ready_waits_for_those_before_it():
    async with serving() as served:
        sends = [
            request("POST", "/v1/messages", message(to=to), token=served.admin)
            for to in ("slow", "quick")
        ]
        held = served.sender.held["slow"] = asyncio.Event()
        wire = await served.wire()
        await wire.send(b"".join(sends))
        await until(lambda: [stored.recipient for stored in served.sender.stored] == ["quick"])
        reading = asyncio.create_task(wire.answer())
        assert (await served.call("GET", "/livez")).status == 200
        assert not reading.done()
        held.set()
        ids = [answer.json["messages"][0]["id"] for answer in (await reading, await wire.answer())]
        assert ids == [stored.id for stored in reversed(served.sender.stored)]
        await wire.aclose()


@LOOPS
async def test_a_flood_of_pipelined_requests_is_answered_and_held_back(monkeypatch):
    monkeypatch.setattr(pipeline, "HTTP_PIPELINE_MAX", 8)
    async with serving() as served:
        served.sender.gate.clear()
        one = request("POST", "/v1/messages", message(), token=served.admin)
        wire = await served.wire()
        flood = asyncio.create_task(wire.send(one * 5000))
        await until(lambda: served.sender.calls == 8)
        (connection,) = served.server.services.connections._open
        assert isinstance(connection, HttpConnection)
        await until(lambda: connection._paused)
        assert served.sender.calls == 8
        assert len(connection._pipeline._waiting) < 200
        served.sender.gate.set()
        for _ in range(5000):
            assert (await wire.answer()).status == 201
        await flood
        await wire.aclose()


@LOOPS
async def test_a_peer_that_has_ended_its_input_still_gets_its_answers():
    async with serving() as served:
        served.sender.gate.clear()
        one = request("POST", "/v1/messages", message(), token=served.admin)
        reading = asyncio.create_task(answers_to(served, one, one, b"GET /half"))
        await until(lambda: served.sender.calls == 2)
        served.sender.gate.set()
        assert statuses(await reading) == [201, 201]


async def test_a_peer_that_goes_away_takes_nobody_with_it():
    async with serving() as served:
        served.sender.gate.clear()
        wire = await served.wire()
        await wire.send(request("POST", "/v1/messages", message(), token=served.admin) + b"GET /")
        await until(lambda: served.sender.calls == 1)
        wire.reset()
        await until(lambda: len(served.server.services.connections) == 0)
        served.sender.gate.set()
        await until(lambda: len(served.sender.stored) == 1)
        assert (await served.call("GET", "/livez")).status == 200


async def test_a_mistake_of_ours_while_reading_is_logged_and_not_blamed_on_the_peer(
    monkeypatch, caplog
):
    def fail(*_):
        raise RuntimeError("planted")

    monkeypatch.setattr(http_protocol, "request_of", fail)
    async with serving() as served:
        wire = await served.wire()
        await wire.send(GOOD)
        answer = await wire.answer()
        await wire.aclose()
    assert (answer.status, answer.error["code"]) == (500, 1014)
    assert "planted" not in answer.body.decode()
    assert "planted" in caplog.text
