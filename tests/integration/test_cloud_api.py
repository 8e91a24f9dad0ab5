"""The real connector against the real simulator, over loopback: what is sent, what is learnt."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import orjson
import pytest

from multiconnect.errors import Closed, InvalidSettings
from multiconnect.model.message import Kind, Message, Outcome
from multiconnect.model.message_id import encode_id
from multiconnect.upstream.cloud_api.client import CloudApiUpstream, Deadlines
from multiconnect.upstream.simulator.faults import parse_script
from multiconnect.upstream.simulator.server import SimulatorServer
from tests.unit.upstream.waiting import until

TOKEN = "EAAB-a-token-nobody-may-see"
BODY = orjson.dumps({"to": "x", "type": "text", "text": {"body": "hi"}, "preview_url": True})
BOTH_LOOPS = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])


def message(sequence=0, recipient="16315550000", body=BODY, **fields) -> Message:
    return Message(encode_id(1, 3, sequence), recipient, body, **fields)


def connector(url, **options) -> CloudApiUpstream:
    options = {"version": "v24.0", "phone_number_id": "1065", "token": TOKEN, **options}
    return CloudApiUpstream(url, **options)


@asynccontextmanager
async def connected(url, **options) -> AsyncIterator[CloudApiUpstream]:
    upstream = connector(url, **options)
    await upstream.start()
    try:
        yield upstream
    finally:
        await upstream.aclose()


@asynccontextmanager
async def simulated(script=(), token="", **options):
    """Give a started connector and the simulator it talks to."""
    async with (
        SimulatorServer(script=parse_script(script or []), token=token) as simulator,
        connected(simulator.url, **options) as upstream,
    ):
        yield upstream, simulator


async def send_one(upstream: CloudApiUpstream, **fields) -> Outcome:
    (outcome,) = await upstream.send([message(**fields)])
    return outcome


class RawServer:
    """A server that keeps each request and answers with given bytes; None hangs up."""

    def __init__(self, answer: Callable[[bytes], bytes | None]) -> None:
        self._answer = answer
        self.requests: list[bytes] = []
        self.connections = 0

    async def __aenter__(self) -> "RawServer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader, writer) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                answer = self._answer(self.requests[-1])
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def http(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


ACCEPTED = http("200 OK", orjson.dumps({"messages": [{"id": "wamid.1"}]}))


@BOTH_LOOPS
async def test_messages_arrive_and_each_has_its_own_id():
    async with simulated() as (upstream, simulator):
        messages = [message(n, str(16315550000 + n)) for n in range(50)]
        outcomes = await upstream.send(messages)
        report = simulator.report()
        listed = simulator.simulation.ledger.since(0, 100)
    assert {outcome.status for outcome in outcomes} == {"sent"}
    assert len({outcome.upstream_id for outcome in outcomes}) == 50
    assert (report["received"], report["distinct"]) == (50, 50)
    # Together they go in any order, but each under its own id.
    assert {(a.id, a.recipient) for a in listed} == {(m.id, m.recipient) for m in messages}


async def test_the_request_on_the_wire():
    async with (
        RawServer(lambda _: ACCEPTED) as server,
        connected(f"{server.url}/base/") as upstream,
    ):
        await send_one(upstream)
        await send_one(upstream, possible_duplicate=True)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /base/v24.0/1065/messages HTTP/1.1"
    assert f"Authorization: Bearer {TOKEN}" in lines
    assert "Content-Type: application/json" in lines
    assert orjson.loads(body)["to"] == "16315550000"
    assert b"X-Multiconnect-Possible-Duplicate" not in server.requests[0]
    assert b"X-Multiconnect-Possible-Duplicate: 1" in server.requests[1]


async def test_connections_are_kept_and_none_is_made_before_the_first_message():
    async with RawServer(lambda _: ACCEPTED) as server, connected(server.url) as upstream:
        assert server.connections == 0
        for _ in range(5):
            assert (await send_one(upstream)).status == "sent"
        assert server.connections == 1


async def test_a_business_scoped_id_arrives():
    async with simulated() as (upstream, simulator):
        await send_one(upstream, recipient="US.13491208655302741918")
        report = simulator.report()
    assert (report["received"], report["dropped_bsuid"]) == (1, 0)


async def test_marking_as_read():
    async with simulated() as (upstream, simulator):
        body = b'{"message_id":"wamid.9"}'
        assert (await send_one(upstream, body=body, kind=Kind.MARK_READ)).status == "sent"
        assert simulator.report()["reads"] == 1


async def test_what_cannot_be_encoded_fails_alone():
    async with simulated() as (upstream, simulator):
        outcomes = await upstream.send([message(0, "1"), message(1, "2", b"{"), message(2, "3")])
        assert [outcome.status for outcome in outcomes] == ["sent", "failed", "sent"]
        assert simulator.report()["received"] == 2


@pytest.mark.parametrize(
    ("code", "status", "after_s"),
    [
        (131056, "retry", 16.0),
        (130429, "retry", 1.0),
        (131057, "retry", 10.0),
        (131016, "retry", None),
        (131026, "failed", None),
        (132000, "failed", None),
    ],
)
async def test_error_answers(code, status, after_s):
    async with simulated([{"fault": "error", "code": code}]) as (upstream, simulator):
        outcome = await send_one(upstream, attempt=3)
        assert simulator.report()["received"] == 0
    assert (outcome.status, outcome.code, outcome.after_s) == (status, code, after_s)
    assert not outcome.ambiguous
    assert f"#{code}" in outcome.reason


async def test_the_error_table_may_be_changed():
    faults = [{"fault": "error", "code": 131049}]
    async with simulated(faults, error_actions={131049: "retry"}) as (upstream, _):
        assert (await send_one(upstream)).status == "retry"


async def test_a_wrong_token_is_permanent():
    async with simulated(token="another") as (upstream, _):
        outcome = await send_one(upstream)
    assert (outcome.status, outcome.code) == ("failed", 190)


async def test_a_bare_bad_gateway_is_an_open_question():
    async with simulated([{"fault": "error", "status": 502}]) as (upstream, _):
        outcome = await send_one(upstream)
    assert (outcome.status, outcome.ambiguous, outcome.code) == ("retry", True, None)


async def test_retry_after_is_read_from_the_reply():
    answer = http("429 Too Many Requests", b"", "Retry-After: 7")
    async with RawServer(lambda _: answer) as server, connected(server.url) as upstream:
        outcome = await send_one(upstream)
    assert (outcome.status, outcome.after_s, outcome.ambiguous) == ("retry", 7.0, False)


@BOTH_LOOPS
@pytest.mark.parametrize(
    ("fault", "received"), [("timeout", 0), ("slow", 1), ("reset", 0), ("lose_reply", 1)]
)
async def test_no_answer_is_an_open_question_whether_or_not_it_arrived(fault, received):
    faults = [{"fault": fault, "times": 1, "delay_ms": 60_000 if fault == "slow" else 0}]
    deadlines = Deadlines(connect_s=0.2, request_s=0.3)
    async with simulated(faults, deadlines=deadlines) as (upstream, simulator):
        outcome = await send_one(upstream)
        assert (outcome.status, outcome.ambiguous) == ("retry", True)
        assert simulator.report()["received"] == received
        # The connector is none the worse for it.
        again = await send_one(upstream, possible_duplicate=True)
        report = simulator.report()
    assert again.status == "sent"
    assert report["received"] == received + 1
    assert (report["duplicates"], report["duplicates_unmarked"]) == (received, 0)


async def test_a_slow_answer_within_the_deadline_is_an_answer():
    async with simulated([{"fault": "slow", "delay_ms": 50}]) as (upstream, _):
        assert (await send_one(upstream)).status == "sent"


async def test_an_unmarked_repeat_is_caught_by_the_simulator():
    async with simulated() as (upstream, simulator):
        await send_one(upstream)
        await send_one(upstream)
        report = simulator.report()
    assert (report["duplicates"], report["duplicates_unmarked"]) == (1, 1)


async def test_nobody_listening_is_a_plain_retry_and_logged_once(caplog):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with caplog.at_level(logging.DEBUG, logger="multiconnect"):
            async with connected(url) as upstream:
                outcomes = await upstream.send([message(n, str(n)) for n in range(5)])
    assert {(o.status, o.ambiguous) for o in outcomes} == {("retry", False)}
    assert "no connection to http://127.0.0.1" in outcomes[0].reason
    assert len(caplog.records) == 1


async def test_coming_back_is_logged_once(caplog):
    async with SimulatorServer() as first:
        port = int(first.url.rpartition(":")[2])
    with caplog.at_level(logging.INFO, logger="multiconnect.upstream.cloud_api"):
        async with connected(f"http://127.0.0.1:{port}") as upstream:
            assert (await send_one(upstream)).status == "retry"
            async with SimulatorServer(port=port):
                assert (await send_one(upstream)).status == "sent"
                assert (await send_one(upstream)).status == "sent"
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_a_handshake_that_hangs_was_never_sent():
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"https://127.0.0.1:{deaf.getsockname()[1]}"
        async with connected(url, deadlines=Deadlines(0.2, 5)) as upstream:
            outcome = await send_one(upstream)
    assert (outcome.status, outcome.ambiguous) == ("retry", False)


async def test_redirects_are_not_followed():
    async with RawServer(lambda _: ACCEPTED) as target:
        answer = http("307 Temporary Redirect", b"", f"Location: {target.url}/v24.0/1065/messages")
        async with RawServer(lambda _: answer) as server, connected(server.url) as upstream:
            outcome = await send_one(upstream)
    assert outcome.status == "failed"
    assert target.requests == []


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_an_answer_without_end_is_not_read(framing):
    text = b'{"messages":[{"id":"wamid.1"}],"x":"' + b"x" * 200_000 + b'"}'
    if framing == "length":
        answer = http("200 OK", text)
    else:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer = head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(text), text)
    async with RawServer(lambda _: answer) as server, connected(server.url) as upstream:
        outcome = await send_one(upstream)
    assert (outcome.status, outcome.ambiguous) == ("retry", True)


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", b"??\r\n\r\n"]
)
async def test_an_answer_that_breaks_off_is_an_open_question(answer):
    async with (
        RawServer(lambda _: answer) as server,
        connected(server.url, deadlines=Deadlines(0.2, 0.4)) as upstream,
    ):
        outcome = await send_one(upstream)
    assert (outcome.status, outcome.ambiguous) == ("retry", True)


async def test_the_token_is_in_no_reason_and_in_no_log(caplog):
    def echo(request: bytes) -> bytes:
        error = {"message": request.decode(errors="replace")[:600], "code": 131000}
        return http("500 Internal Server Error", orjson.dumps({"error": error}))

    with caplog.at_level(logging.DEBUG):
        async with RawServer(echo) as server, connected(server.url) as upstream:
            outcome = await send_one(upstream)
        async with connected("http://127.0.0.1:1") as upstream:
            await send_one(upstream)
    assert "***" in outcome.reason
    for text in (outcome.reason, repr(upstream), caplog.text):
        assert TOKEN not in text


async def test_no_more_than_in_flight_max_over_all_calls():
    script = {"latency_ms": 20}
    async with simulated(script, in_flight_max=4) as (upstream, simulator):
        most = 0
        real = simulator.simulation.react

        def counting(*arguments, **named):
            nonlocal most
            # Rooms still free when a request arrives say how many are out at once.
            most = max(most, 4 - upstream._room._value)
            return real(*arguments, **named)

        simulator.simulation.react = counting
        calls = [
            upstream.send([message(n * 10 + k, f"{n}{k}") for k in range(8)]) for n in range(3)
        ]
        outcomes = [outcome for call in await asyncio.gather(*calls) for outcome in call]
    assert [outcome.status for outcome in outcomes] == ["sent"] * 24
    assert most == 4


async def test_using_it_before_start_and_after_close_is_an_error():
    upstream = connector("http://127.0.0.1:1")
    with pytest.raises(Closed):
        await upstream.send([message()])
    await upstream.start()
    await upstream.start()
    await upstream.aclose()
    await upstream.aclose()
    with pytest.raises(Closed):
        await upstream.send([message()])


async def test_closing_ends_what_is_in_flight_as_an_open_question():
    async with simulated([{"fault": "timeout"}]) as (upstream, simulator):
        call = asyncio.create_task(upstream.send([message()]))
        await until(lambda: simulator.report()["requests"])
        await upstream.aclose()
        async with asyncio.timeout(5):
            (outcome,) = await call
    assert (outcome.status, outcome.ambiguous) == ("retry", True)


@pytest.mark.parametrize("deadlines", [(0, 1), (1, 1), (2, 1)])
def test_deadlines_that_hide_a_refused_connection_are_refused(deadlines):
    with pytest.raises(InvalidSettings):
        Deadlines(*deadlines)
