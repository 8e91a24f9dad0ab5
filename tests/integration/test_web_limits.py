"""Peers that are slow, large or many: each meets a bound, and a good peer notices nothing."""

import asyncio
import time

import orjson
import pytest

from multiconnect import limits
from multiconnect.web import connection, connections, http_protocol, pipeline
from tests.unit.web.serving import message, request, serving, until

LOOPS = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
GOOD = b"GET /livez HTTP/1.1\r\nHost: test\r\n\r\n"
LARGE = "/v1/messages/batch"


@pytest.fixture
def hasty(monkeypatch):
    """Make deadlines short enough to be waited for."""
    monkeypatch.setattr(connections, "HTTP_SWEEP_S", 0.02)
    monkeypatch.setattr(http_protocol, "HTTP_HEADER_DEADLINE_S", 0.3)
    monkeypatch.setattr(http_protocol, "HTTP_BODY_DEADLINE_S", 0.6)
    monkeypatch.setattr(connection, "HTTP_LINGER_S", 0.3)


def head(path="/v1/messages", **headers):
    lines = {"Content-Length": "100", **{k.replace("_", "-"): v for k, v in headers.items()}}
    return request("POST", path, headers=lines)


async def refused(served, data, status):
    """Send data; expect a refusal that reaches even a peer that goes on sending."""
    wire = await served.wire()
    sending = asyncio.create_task(wire.send(data))
    answer = await wire.answer()
    assert (answer.status, answer.headers["Connection"]) == (status, "close")
    assert answer.error["details"]
    await sending
    assert await wire.rest() == b""
    await wire.aclose()


# --- size ----------------------------------------------------------------------------------------


@LOOPS
@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: test\r\n\r\n", 414),
        (b"GET /" + b"x" * 300_000, 414),
        (b"GET /livez HTTP/1.1\r\nHost: test\r\nX: " + b"x" * 17_000 + b"\r\n\r\n", 431),
        (b"GET /livez HTTP/1.1\r\nHost: test\r\nX: " + b"x" * 300_000, 431),
        (b"GET /livez HTTP/1.1\r\nHost: test\r\n" + b"X: y\r\n" * 101 + b"\r\n", 431),
        (
            b"GET /livez HTTP/1.1\r\nHost: test\r\n"
            + b"".join(b"X%d: y\r\n" % n for n in range(101))
            + b"\r\n",
            431,
        ),
        (request("POST", "/v1/messages", b" " * (limits.HTTP_BODY_BYTES_MAX + 1)), 413),
        (request("POST", "/nowhere", b" " * (limits.HTTP_BODY_BYTES_MAX + 1)), 413),
        (request("POST", LARGE, b" " * (limits.HTTP_BATCH_BODY_BYTES_MAX + 1)), 413),
        (
            request("POST", "/v1/messages", headers={"Transfer-Encoding": "chunked"})
            + b"10000\r\n"
            + b" " * 0x10000
            + b"\r\n"
            + (b"10000\r\n" + b" " * 0x10000 + b"\r\n") * 4,
            413,
        ),
        (
            request("POST", "/v1/messages", headers={"Transfer-Encoding": "chunked"})
            + b"2\r\n{}\r\n0\r\n"
            + b"T: x\r\n" * 200
            + b"\r\n",
            431,
        ),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, bytes) else str(value),
)
async def test_what_is_too_large_is_refused(data, status):
    async with serving() as served:
        await refused(served, data, status)
        assert (await served.call("GET", "/livez")).status == 200


async def test_limits_are_exact():
    async with serving() as served:
        body = orjson.dumps(message())
        largest = body + b" " * (limits.HTTP_BODY_BYTES_MAX - len(body))
        assert (await served.call("POST", "/v1/messages", largest)).status == 201
        many = {f"X-{number}": "y" for number in range(limits.HTTP_HEADERS_MAX - 2)}
        assert (await served.call("GET", "/livez", headers=many)).status == 200


async def test_large_bodies_share_a_budget(monkeypatch):
    monkeypatch.setattr(connections, "HTTP_BODIES_BYTES_MAX", 3_000_000)
    async with serving() as served:
        shared = served.server.services.connections
        first = await served.wire()
        await first.send(request("POST", LARGE, b" " * 2_500_000)[:-1])
        await until(lambda: shared.held_bytes > 2_300_000)
        await refused(served, request("POST", LARGE, b" " * 2_500_000), 503)
        first.reset()
        await until(lambda: shared.held_bytes == 0)
        assert (await served.call("POST", LARGE, b"[]" + b" " * 2_500_000)).status == 400
        assert shared.held_bytes == 0


@LOOPS
async def test_connections_beyond_the_cap_are_told_so():
    async with serving(connections_max=3) as served:
        wires = [await served.wire() for _ in range(3)]
        for wire in wires:
            await wire.send(GOOD)
            assert (await wire.answer()).status == 200
        late = await served.wire()
        answer = await late.answer()
        assert (answer.status, answer.error["code"]) == (503, 1016)
        assert answer.headers["Retry-After"] == "1"
        assert await late.rest() == b""
        await late.aclose()
        await wires[0].aclose()
        await until(lambda: len(served.server.services.connections) == 2)
        assert (await served.call("GET", "/livez")).status == 200
        for wire in wires[1:]:
            await wire.aclose()


async def test_too_many_waiting_requests_are_told_so(monkeypatch):
    monkeypatch.setattr(connections, "HTTP_REQUESTS_RUNNING_MAX", 1)
    async with serving() as served:
        await served.call("GET", "/v1/account/shards")
        served.sender.gate.clear()
        first = asyncio.create_task(served.call("POST", "/v1/messages", message()))
        await until(lambda: served.sender.calls == 1)
        second = await served.call("POST", "/v1/messages", message())
        assert (second.status, second.error["code"]) == (503, 1016)
        assert (await served.call("GET", "/livez")).status == 200
        served.sender.gate.set()
        assert (await first).status == 201


# --- time ----------------------------------------------------------------------------------------


async def trickle(wire, data, every_s=0.02):
    try:
        for byte in data:
            await wire.send(bytes([byte]))
            await asyncio.sleep(every_s)
    except ConnectionError:
        return


@LOOPS
@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    "start",
    [b"GET /livez HTTP/1.1\r\nHost: te", b"GET /", head() + b"{", head()],
    ids=["head", "target", "body", "no body"],
)
@pytest.mark.parametrize("trickles", [True, False])
async def test_a_slow_request_is_ended_however_it_trickles(start, trickles):
    async with serving() as served:
        wire = await served.wire()
        await wire.send(start)
        more = asyncio.create_task(trickle(wire, b"x" * 10_000 if trickles else b""))
        answer = await wire.answer()
        assert (answer.status, answer.headers["Connection"]) == (408, "close")
        await wire.rest()
        more.cancel()
        await wire.aclose()


@pytest.mark.usefixtures("hasty")
async def test_a_body_has_more_time_than_a_head(monkeypatch):
    monkeypatch.setattr(http_protocol, "HTTP_BODY_DEADLINE_S", 60.0)
    async with serving() as served:
        wire = await served.wire()
        data = request("POST", "/v1/messages", message(), token=served.admin)
        await wire.send(data[:-1])
        shared = served.server.services.connections
        await until(lambda: shared.now_s > 0.6)
        await wire.send(data[-1:])
        assert (await wire.answer()).status == 201
        await wire.aclose()


@LOOPS
@pytest.mark.usefixtures("hasty")
async def test_200_slow_peers_do_not_slow_a_good_one():
    async with serving() as served:
        slow = [await served.wire() for _ in range(200)]
        for number, wire in enumerate(slow):
            await wire.send((b"POST /", head()[:-2] + b"X: ", head() + b"{")[number % 3])
        answers = [asyncio.create_task(wire.answer()) for wire in slow]
        trickles = [asyncio.create_task(trickle(wire, b"x" * 10_000)) for wire in slow]
        good = 0
        while not all(answer.done() for answer in answers):
            assert (await served.call("POST", "/v1/messages", message())).status == 201
            good += 1
        assert {(await answer).status for answer in answers} == {408}
        # Every one of them was bounded by the same deadlines, and good requests went on meanwhile.
        assert good > 10
        for task in trickles:
            task.cancel()
        for wire in slow:
            await wire.aclose()
        await until(lambda: len(served.server.services.connections) == 0)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("after_a_request", [True, False])
async def test_an_idle_connection_is_closed_without_a_word(monkeypatch, after_a_request):
    monkeypatch.setattr(connection, "HTTP_IDLE_DEADLINE_S", 0.2)
    monkeypatch.setattr(connection, "HTTP_HEADER_DEADLINE_S", 0.2)
    async with serving() as served:
        wire = await served.wire()
        if after_a_request:
            await wire.send(GOOD)
            assert (await wire.answer()).status == 200
        assert await wire.rest() == b""
        await wire.aclose()


@pytest.mark.usefixtures("hasty")
async def test_a_running_request_has_no_deadline_of_the_connection():
    async with serving() as served:
        served.sender.gate.clear()
        wire = await served.wire()
        await wire.send(request("POST", "/v1/messages", message(), token=served.admin))
        shared = served.server.services.connections
        begun_s = shared.now_s
        await until(lambda: shared.now_s > begun_s + 1)
        served.sender.gate.set()
        assert (await wire.answer()).status == 201
        await wire.aclose()


@pytest.mark.usefixtures("hasty")
async def test_time_that_the_machine_slept_is_not_held_against_a_peer():
    async with serving() as served:
        wire = await served.wire()
        await wire.send(GOOD[:10])
        shared = served.server.services.connections
        await until(lambda: shared.now_s > 0)
        served.clock.ahead_s += 3600
        await wire.send(GOOD[10:])
        assert (await wire.answer()).status == 200
        await wire.aclose()


@LOOPS
@pytest.mark.usefixtures("hasty")
async def test_a_peer_that_takes_no_answers_is_dropped(monkeypatch):
    monkeypatch.setattr(connection, "HTTP_WRITE_DEADLINE_S", 0.3)
    async with serving() as served:
        wire = await served.wire()
        shared = served.server.services.connections
        one = b"GET /openapi.json HTTP/1.1\r\nHost: test\r\n\r\n"
        flood = asyncio.create_task(wire.send(one * 20_000))
        await until(lambda: shared.expired == 1 and len(shared) == 0)
        assert (await served.call("GET", "/livez")).status == 200
        wire.reset()
        await asyncio.gather(flood, return_exceptions=True)


# --- stopping ------------------------------------------------------------------------------------


@LOOPS
async def test_stopping_finishes_what_runs_and_closes_the_rest():
    async with serving() as served:
        idle, busy, half = [await served.wire() for _ in range(3)]
        await idle.send(GOOD)
        await idle.answer()
        await half.send(GOOD[:20])
        served.sender.gate.clear()
        await busy.send(request("POST", "/v1/messages", message(), token=served.admin))
        await until(lambda: served.sender.calls == 1)
        address = served.server.address
        stopping = asyncio.create_task(served.server.stop())
        assert await idle.rest() == b""
        with pytest.raises(OSError):
            await asyncio.open_connection(*address)
        await half.send(GOOD[20:])
        assert (await half.answer()).headers["Connection"] == "close"
        assert not stopping.done()
        served.sender.gate.set()
        answer = await busy.answer()
        assert (answer.status, answer.headers["Connection"]) == (201, "close")
        await stopping
        for wire in (idle, busy, half):
            await wire.aclose()


async def test_stopping_does_not_wait_for_ever():
    async with serving(stop_grace_s=0.2) as served:
        served.sender.gate.clear()
        wire = await served.wire()
        await wire.send(request("POST", "/v1/messages", message(), token=served.admin))
        await until(lambda: served.sender.calls == 1)
        begun_s = time.monotonic()
        await served.server.stop()
        assert time.monotonic() - begun_s < 5
        assert served.server.services.connections.running == set()
        assert await wire.rest() == b""
        await wire.aclose()


@LOOPS
async def test_what_follows_a_large_body_is_held_back_as_well(monkeypatch):
    monkeypatch.setattr(pipeline, "HTTP_PIPELINE_MAX", 8)
    async with serving() as served:
        served.sender.gate.clear()
        lines = b"\n".join([orjson.dumps(message())] * 3000)
        batch = request("POST", LARGE, lines, token=served.admin)
        wire = await served.wire()
        one = request("POST", "/v1/messages", message(), token=served.admin)
        flood = asyncio.create_task(wire.send(batch + one * 2000))
        await until(lambda: served.server.services.connections._open)
        (flooded,) = served.server.services.connections._open
        assert isinstance(flooded, connection.HttpConnection)
        await until(lambda: flooded._paused)
        assert len(flooded._pipeline._waiting) < 200
        served.sender.gate.set()
        answers = [await wire.answer() for _ in range(2001)]
        assert {answer.status for answer in answers} == {201}
        assert answers[0].body.count(b"\n") == 3000
        await flood
        await wire.aclose()
