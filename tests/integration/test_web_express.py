"""The express lane: nobody can tell it from the long way, except by what it costs."""

import asyncio
import re

import orjson
import pytest

from multiconnect.errors import DeadlineExceeded, IdempotencyConflict, Overloaded, StoreUnavailable
from multiconnect.model.message_id import decode_id
from multiconnect.web import pipeline
from tests.unit.web.serving import Answer, Served, message, request, serving, until

PATH = "/v1/messages"
LOOPS = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])


def plain(served: Served, body: object = None, **headers: str) -> bytes:
    """Return a send that may take the express lane."""
    return request("POST", PATH, body or message(), token=served.admin, headers=headers)


def chunked(served: Served, body: object) -> bytes:
    """Return the same send, which may not."""
    data = orjson.dumps(body)
    head = request("POST", PATH, token=served.admin, headers={"Transfer-Encoding": "chunked"})
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data)


async def answers(served: Served, data: bytes, count: int) -> list[Answer]:
    wire = await served.wire()
    await wire.send(data)
    found = [await wire.answer() for _ in range(count)]
    await wire.aclose()
    return found


async def known(served: Served) -> None:
    """Let the server look the token up: who is not known takes the long way."""
    assert (await served.call("GET", "/v1/users")).status == 200


def without_id(answer: Answer) -> tuple[int, dict[str, str], bytes]:
    headers = {name: value for name, value in answer.headers.items() if name != "Date"}
    return answer.status, headers, re.sub(rb"gBEG[\w-]{20}", b"ID", answer.body)


@LOOPS
async def test_a_plain_send_is_answered_like_any_other():
    async with serving() as served:
        await known(served)
        quick, long = await answers(served, plain(served) + chunked(served, message()), 2)
        assert served.sender.posted == 1
        assert without_id(quick) == without_id(long)
        assert quick.status == 201
        ids = [found.json["messages"][0]["id"] for found in (quick, long)]
        assert ids == [stored.id for stored in served.sender.stored]
        assert decode_id(ids[0]) is not None
        assert served.sender.stored[0].payload == served.sender.stored[1].payload


async def test_what_a_message_asks_for_goes_with_it():
    async with serving() as served:
        await known(served)
        timed = plain(served, message(ttl=60), **{"Idempotency-Key": "k"})
        image = plain(served, {"to": "+1 631", "type": "image", "image": {"id": "7"}})
        await answers(served, timed + image, 2)
        assert served.sender.posted == 2
        first, second = served.sender.stored
        assert (first.idempotency_key, second.idempotency_key) == ("k", "")
        assert first.expires_at_ms > served.clock.wall_ms()
        assert (second.recipient, second.expires_at_ms) == ("1631", 0)


async def test_who_is_not_known_is_looked_up_first_and_who_logs_out_is_not_believed():
    async with serving() as served:
        assert (await answers(served, plain(served), 1))[0].status == 201
        assert served.sender.posted == 0
        assert (await answers(served, plain(served), 1))[0].status == 201
        assert served.sender.posted == 1
        assert (await served.call("POST", "/v1/users/logout")).status == 200
        assert (await answers(served, plain(served), 1))[0].status == 401


BAD: list[dict[str, object] | bytes] = [
    *(b"{", b"[]", b"\xff", message(to=5), message(to=""), message(text="")),
    *(message(ttl=0), message(x=1), message(type="image"), message(recipient_type="group")),
    {"to": "1"},
]


@pytest.mark.parametrize("body", BAD, ids=str)
async def test_what_is_wrong_is_told_as_ever(body):
    async with serving() as served:
        await known(served)
        data = plain(served, body)
        (quick,) = await answers(served, data, 1)
        wire = await served.wire()
        await wire.send(data[:-1])
        await asyncio.sleep(0.05)
        await wire.send(data[-1:])
        assert without_id(quick) == without_id(await wire.answer())
        assert quick.status == 400
        assert served.sender.stored == []
        await wire.aclose()


async def test_a_key_that_is_none_is_refused():
    async with serving() as served:
        await known(served)
        (answer,) = await answers(served, plain(served, **{"Idempotency-Key": "x" * 256}), 1)
        assert (answer.status, answer.error["code"]) == (400, 1001)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StoreUnavailable("down"), 503),
        (DeadlineExceeded("late"), 503),
        (Overloaded("full"), 503),
        (IdempotencyConflict("other body"), 409),
        (RuntimeError("a bug"), 500),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_what_the_sender_says_is_told_as_ever(error, status):
    async with serving() as served:
        await known(served)
        served.sender.error = error
        quick, long = await answers(served, plain(served) + chunked(served, message()), 2)
        assert served.sender.posted == 1
        assert without_id(quick) == without_id(long)
        assert quick.status == status


async def test_without_room_a_send_waits_the_long_way():
    async with serving() as served:
        await known(served)
        served.sender.has_room = False
        assert (await answers(served, plain(served), 1))[0].status == 201
        assert served.sender.posted == 0


@LOOPS
async def test_ways_that_alternate_keep_the_order():
    async with serving() as served:
        await known(served)
        bodies = [message(text=str(number)) for number in range(12)]
        data = b"".join(
            chunked(served, body) if number % 3 == 1 else plain(served, body)
            for number, body in enumerate(bodies)
        )
        found = await answers(served, data, 12)
        stored = [orjson.loads(one.payload)["text"]["body"] for one in served.sender.stored]
        assert stored == [str(number) for number in range(12)]
        assert [one.json["messages"][0]["id"] for one in found] == [
            one.id for one in served.sender.stored
        ]


@LOOPS
async def test_many_at_once_are_answered_in_order_and_held_back(monkeypatch):
    monkeypatch.setattr(pipeline, "HTTP_PIPELINE_MAX", 8)
    async with serving() as served:
        await known(served)
        served.sender.gate.clear()
        wire = await served.wire()
        await wire.send(b"".join(plain(served, message(text=str(n))) for n in range(100)))
        await until(lambda: served.sender.calls == 8)
        assert served.server.services.connections.waiting == 8
        await asyncio.sleep(0.05)
        assert served.sender.calls <= 8
        served.sender.gate.set()
        ids = [(await wire.answer()).json["messages"][0]["id"] for _ in range(100)]
        assert ids == [stored.id for stored in served.sender.stored]
        assert served.server.services.connections.waiting == 0
        assert served.sender.posted == 100
        await wire.aclose()


async def test_an_answer_waits_for_those_before_it():
    async with serving() as served:
        await known(served)
        held = served.sender.held["111"] = asyncio.Event()
        wire = await served.wire()
        await wire.send(plain(served, message("111")) + plain(served, message("222")))
        await until(lambda: [stored.recipient for stored in served.sender.stored] == ["222"])
        held.set()
        ids = [(await wire.answer()).json["messages"][0]["id"] for _ in range(2)]
        assert ids == [stored.id for stored in reversed(served.sender.stored)]
        await wire.aclose()


@LOOPS
async def test_a_peer_that_goes_away_leaves_nothing_behind():
    async with serving() as served:
        await known(served)
        served.sender.gate.clear()
        wire = await served.wire()
        await wire.send(plain(served))
        connections = served.server.services.connections
        await until(lambda: connections.waiting == 1)
        wire.reset()
        await until(lambda: len(connections) == 0)
        served.sender.gate.set()
        await until(lambda: connections.waiting == 0)
        assert len(served.sender.stored) == 1
        assert (await answers(served, plain(served), 1))[0].status == 201


@LOOPS
async def test_stopping_answers_what_runs_and_says_that_it_was_the_last():
    async with serving() as served:
        await known(served)
        served.sender.gate.clear()
        wire = await served.wire()
        await wire.send(plain(served))
        await until(lambda: served.server.services.connections.waiting == 1)
        stopping = asyncio.create_task(served.server.stop())
        await asyncio.sleep(0.05)
        served.sender.gate.set()
        answer = await wire.answer()
        assert (answer.status, answer.headers["Connection"]) == (201, "close")
        assert await wire.rest() == b""
        await stopping
        await wire.aclose()


async def test_it_is_counted_like_the_long_way():
    async with serving() as served:
        await known(served)
        keyed = plain(served, **{"Idempotency-Key": "k"})
        await answers(served, plain(served) + chunked(served, message()) + keyed + keyed, 4)
        figures = served.server.services.figures
        assert figures.answers["POST", PATH, 201] == 4
        assert sum(figures.latencies["POST", PATH].counts) == 4
        assert (figures.messages_accepted, figures.messages_repeated) == (3, 1)


async def test_too_many_waiting_sends_are_told_so(monkeypatch):
    monkeypatch.setattr("multiconnect.web.connections.HTTP_REQUESTS_RUNNING_MAX", 2)
    async with serving() as served:
        await known(served)
        served.sender.gate.clear()
        wire, other = await served.wire(), await served.wire()
        await wire.send(plain(served) * 2)
        await until(lambda: served.server.services.connections.waiting == 2)
        await other.send(plain(served))
        assert (await other.answer()).status == 503
        served.sender.gate.set()
        assert [(await wire.answer()).status for _ in range(2)] == [201, 201]
        await wire.aclose()
        await other.aclose()


async def test_a_mistake_of_ours_while_answering_is_not_the_senders(monkeypatch, caplog):
    async with serving() as served:
        await known(served)

        def answered(*_: object) -> None:
            raise RuntimeError("a bug")

        wire = await served.wire()
        with monkeypatch.context() as broken:
            broken.setattr(served.server.services.figures, "answered", answered)
            await wire.send(plain(served))
            await until(lambda: caplog.records)
        assert [record.getMessage() for record in caplog.records] == ["answering_failed"]
        assert served.server.services.connections.waiting == 0
        assert (await answers(served, plain(served), 1))[0].status == 201
        await wire.aclose()
