"""A router and an owner over real sockets: UNIX and TCP, asyncio's loop and uvloop's.

What a stranger sends is never stored; what a router sends is, whoever hangs up in between.
"""

import asyncio
from functools import partial

import orjson
import pytest

from multiconnect._native import decode_answers, frame_header
from multiconnect.dataplane.router import Router
from multiconnect.dataplane.wire import AnswerStatus, FrameType, json_body, json_frame
from multiconnect.errors import DeadlineExceeded
from multiconnect.limits import SLOTS
from multiconnect.model.message import Kind, Receipt
from tests.integration.lane_parts import ALICE, Peer, Rig, batch
from tests.unit.dataplane.waiting import until

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])


@pytest.fixture(params=["unix", "tcp"])
async def rig(request, tmp_path):
    rig = Rig(tmp_path, request.param)
    yield rig
    await rig.aclose()


@pytest.fixture
async def a(rig):
    owner = await rig.owner("a")
    await rig.grant("a")
    return owner


@pytest.fixture
async def peer(a):
    peer = await Peer.connect(a)
    yield peer
    await peer.close()


# --- the protocol ----------------------------------------------------------------------------
async def test_a_connection_is_greeted_by_name(peer):
    peer.hello()
    ((kind, _, body),) = await peer.receive(1)
    assert kind == FrameType.WELCOME
    assert json_body(body, dict) == {"protocol": 1, "incarnation": "a"}


async def test_a_submitted_batch_is_answered_once_it_is_stored(rig, peer):
    peer.hello()
    peer.submit(9, batch())
    _, (kind, number, body) = await peer.receive(2)
    assert (kind, number) == (FrameType.ANSWERS, 9)
    assert decode_answers(body) == [(3, 0, AnswerStatus.STORED, 77, 1, 0, ())]
    assert rig.stored() == 1


async def test_a_ping_is_answered_whatever_else_goes_on(peer):
    peer.hello()
    await peer.receive(1)
    peer.writer.write(frame_header(FrameType.PING, 0, 0))
    ((kind, _, body),) = await peer.receive(1)
    assert (kind, body) == (FrameType.PONG, b"")


GARBAGE = {
    "noise": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a frame too long": frame_header(FrameType.SUBMIT, 1, 100)[:4] + b"\xff" * 12,
    "an unknown frame": frame_header(99, 1, 0),
    "an owner's frame": frame_header(FrameType.ANSWERS, 1, 0),
    "a batch cut off": frame_header(FrameType.SUBMIT, 1, len(batch()) - 3) + batch()[:-3],
    "a damaged batch": frame_header(FrameType.SUBMIT, 1, len(batch())) + batch()[:-1] + b"\0",
    "a second hello": json_frame(FrameType.HELLO, {"protocol": 1}),
}


@pytest.mark.parametrize("name", GARBAGE)
async def test_garbage_ends_the_connection_and_stores_nothing(rig, peer, name):
    peer.hello()
    await peer.receive(1)
    peer.writer.write(GARBAGE[name])
    await peer.hung_up()
    assert rig.stored() == 0


@pytest.mark.parametrize(
    "hello",
    [json_frame(FrameType.HELLO, {"protocol": 2}), json_frame(FrameType.HELLO, {}),
     json_frame(FrameType.HELLO, [1]), frame_header(FrameType.HELLO, 0, 1) + b"{",
     frame_header(FrameType.SUBMIT, 1, len(batch())) + batch(), frame_header(FrameType.PING, 0, 0)],
    ids=["another protocol", "none", "no object", "no JSON", "a submit first", "a ping first"],
)  # fmt: skip
async def test_who_does_not_introduce_itself_is_hung_up_on(rig, peer, hello):
    peer.writer.write(hello)
    assert await peer.hung_up() == b""
    assert rig.stored() == 0


async def test_frames_may_arrive_a_byte_at_a_time(rig, peer):
    frame = batch()
    data = json_frame(FrameType.HELLO, {"protocol": 1})
    data += frame_header(FrameType.SUBMIT, 1, len(frame)) + frame
    for at in range(len(data)):
        peer.writer.write(data[at : at + 1])
        await peer.writer.drain()
        if at % 16 == 0:
            await asyncio.sleep(0)
    await peer.receive(2)
    assert rig.stored() == 1


async def test_half_a_frame_before_hanging_up_is_nothing(rig, a, peer):
    peer.hello()
    await peer.receive(1)
    frame = frame_header(FrameType.SUBMIT, 1, len(batch())) + batch()
    peer.writer.write(frame[: len(frame) // 2])
    await peer.close()
    await until(lambda: not a.app._endpoints)
    assert rig.stored() == 0


async def test_one_bad_router_does_not_disturb_another(rig, peer):
    async with Router(rig.store) as router:
        await router.send(ALICE, {"n": 1})
        peer.writer.write(b"garbage!")
        await peer.hung_up()
        await router.send(ALICE, {"n": 2})
    await until(lambda: rig.sent == [(ALICE, 1), (ALICE, 2)])


# --- routers ---------------------------------------------------------------------------------
async def test_two_routers_share_an_owner(rig, a):
    recipients = [f"1631555{n:04d}" for n in range(40)]
    async with Router(rig.store) as one, Router(rig.store) as other:
        await until(lambda: a.app.figures()["routers"] == 2)
        batches = [
            router.send_many([(recipient, {"n": n}) for recipient in recipients])
            for n in range(5)
            for router in (one, other)
        ]
        receipts = await asyncio.gather(*batches)
        ids = {receipt.id for many in receipts for receipt in many}
        assert len(ids) == len(recipients) * 10
        await until(lambda: len(rig.sent) == len(ids))
        for recipient in recipients:
            assert sorted(n for name, n in rig.sent if name == recipient) == sorted([*range(5)] * 2)


async def test_events_reach_the_routers_that_want_them(rig, a):
    async with Router(rig.store) as one, Router(rig.store, events=False) as other:
        await until(lambda: a.app.figures()["routers"] == 2)
        receipt = await other.send(ALICE, {"n": 1})
        async with asyncio.timeout(10):
            event = await anext(one.events())
        assert (event.type, event.id, event.recipient) == ("sent", receipt.id, ALICE)


async def test_inbound_messages_take_the_same_road(rig, a):
    async with Router(rig.store) as router:
        events = router.events()
        await until(lambda: a.app.figures()["routers"] == 1)
        data = orjson.dumps({"id": "wamid.1", "text": {"body": "hé"}})
        await router.send_inbound(None, ALICE, data, kind=Kind.INBOUND_MESSAGE)
        async with asyncio.timeout(10):
            event = await anext(events)
        assert (event.type, event.id, event.data["text"]) == ("message", "wamid.1", {"body": "hé"})


async def test_a_router_connects_again_when_its_owner_is_back(rig, a):
    async with Router(rig.store) as router:
        await router.send(ALICE, {"n": 0})
        for n in range(1, 4):
            await a.listen_again()
            await router.send(ALICE, {"n": n})
    await until(lambda: rig.sent == [(ALICE, n) for n in range(4)])


async def test_messages_wait_while_nobody_listens(rig, a):
    async with Router(rig.store) as router:
        await until(lambda: a.app.figures()["routers"] == 1)
        await a.stop()
        sending = [asyncio.ensure_future(router.send(ALICE, {"n": n})) for n in range(3)]
        await rig.bury("a")
        b = await rig.owner("b")
        await rig.grant("b")
        receipts = await asyncio.gather(*sending)
        assert [r.sequence for r in receipts] == [0, 1, 2]
        assert b.app.figures()["accepted"] == 3


async def test_nothing_is_lost_or_stored_twice_however_often_connections_break(rig, a):
    total, broken = 400, 0
    async with Router(rig.store) as router:
        sending = [
            asyncio.ensure_future(router.send(f"16315550{n % 7}", {"n": n})) for n in range(20)
        ]
        for n in range(20, total):
            sending.append(asyncio.ensure_future(router.send(f"16315550{n % 7}", {"n": n})))
            if n % 40 == 0:
                for endpoint in list(a.app._endpoints):
                    endpoint.abort()
                    broken += 1
                await until(lambda: a.app.figures()["routers"] == 1)
            await asyncio.sleep(0)
        receipts = await asyncio.gather(*sending)
    assert broken
    assert len({receipt.id for receipt in receipts}) == total == rig.stored()
    await until(lambda: len(rig.sent) == total)
    for last in range(7):
        mine = [n for recipient, n in rig.sent if recipient == f"16315550{last}"]
        assert mine == sorted(mine)


async def test_slots_move_under_traffic_without_an_error(rig, a):
    await rig.owner("b")
    recipients = [f"1631555{n:04d}" for n in range(64)]
    async with Router(rig.store) as router:
        stop = asyncio.Event()
        receipts: list[Receipt] = []

        async def traffic():
            n = 0
            while not stop.is_set():
                many = [(recipient, {"n": n}) for recipient in recipients]
                receipts.extend(await router.send_many(many))
                n += 1

        running = asyncio.ensure_future(traffic())
        for slot in range(SLOTS):
            assert await rig.store.control.start_drain(slot, 1, "b", rig._term)
            await until(partial(rig.is_drained, slot))
            await rig.grant("b", [slot])
        stop.set()
        await running
    assert len({receipt.id for receipt in receipts}) == len(receipts) == rig.stored()
    await until(lambda: len(rig.sent) == len(receipts))
    assert len(set(rig.sent)) == len(rig.sent), "a planned move leaves nothing in doubt"
    for recipient in recipients:
        mine = [n for name, n in rig.sent if name == recipient]
        assert mine == sorted(mine)


async def test_an_address_taken_over_by_another_process_is_not_believed(rig, a):
    """The socket's path lives on, the incarnation does not: it may own other slots, or none."""
    async with Router(rig.store) as router:
        await router.send(ALICE, {"n": 1})
        a.app.incarnation = "somebody else"
        for endpoint in list(a.app._endpoints):
            endpoint.abort()
        with pytest.raises(DeadlineExceeded):
            await router.send(ALICE, {"n": 2}, timeout_s=0.3)
        a.app.incarnation = "a"
        await router.send(ALICE, {"n": 3})
    await until(lambda: rig.sent == [(ALICE, 1), (ALICE, 2), (ALICE, 3)])


async def test_a_router_that_does_not_read_is_not_read_from(rig, a, peer):
    """Its answers would pile up in the owner's memory."""
    peer.hello()
    await peer.receive(1)
    await until(lambda: len(a.app._endpoints) == 1)
    (endpoint,) = a.app._endpoints
    endpoint.pause_writing()
    assert not endpoint._transport.is_reading()
    endpoint.pause()
    endpoint.resume_writing()
    assert not endpoint._transport.is_reading(), "the intake is still full"
    endpoint.resume()
    assert endpoint._transport.is_reading()
    peer.submit(1, batch())
    await peer.receive(1)
