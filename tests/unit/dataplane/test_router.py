"""The router library on a memory store, towards an owner that does what a test says.

Invariant 12: bounded, and nothing is acknowledged from memory. Whoever waits is always told.
"""

import asyncio

import pytest

from multiconnect._native import read_header
from multiconnect.dataplane.lane_set import FRAME_EARLY_BYTES
from multiconnect.dataplane.router import Router
from multiconnect.dataplane.wire import AnswerStatus
from multiconnect.errors import (
    Bug,
    Closed,
    DeadlineExceeded,
    InvalidPayload,
    InvalidRecipient,
    Overloaded,
    Refused,
    StoreUnavailable,
)
from multiconnect.limits import IDEMPOTENCY_KEY_BYTES_MAX, SLOTS
from multiconnect.model.cluster import Move, Node, NodeState, Role
from multiconnect.model.message import Event, Receipt
from multiconnect.store.memory import MemoryState, MemoryStore
from tests.unit.dataplane.waiting import until

ALICE = "16315550001"


class Station:
    """A link whose owner answers when told to."""

    def __init__(self, owner, router):
        self.owner = owner
        self.router = router
        self.ready = True
        self.frames_in_flight = self.bytes_in_flight = 0
        self.problem = ""
        self.batches = []
        self.next_seq = [0] * SLOTS
        self.answers_at_once = False

    def submit(self, parts, batches, size):
        self.frames_in_flight += 1
        self.batches += parts
        if self.answers_at_once:
            asyncio.get_running_loop().call_soon(self.answer)

    def answer(self, status=AnswerStatus.STORED, exceptions=()):
        batches, self.batches = self.batches, []
        self.frames_in_flight = 0
        entries = []
        for data in batches:
            h = read_header(data)
            entry = (status, h.producer, h.producer_seq, self.next_seq[h.slot], exceptions)
            entries.append((h.slot, h.stream, *entry))
            self.next_seq[h.slot] += h.count
        self.router.link_answered(self, entries)

    def close(self):
        self.ready = False


class Rig:
    def __init__(self):
        self.store = MemoryStore(MemoryState())
        self.stations = {}

    async def grant(self, name):
        control = self.store.control
        await control.join(Node(name, name, Role.COREAPP, "h", 1, "local:", 0, NodeState.READY))
        before = await control.snapshot()
        for row in before.slots:
            if row.owner:
                await control.set_node_state(row.owner, NodeState.DEAD, "gone")
        term = await control.take_term(name, before.cluster.term)
        moves = [Move(row.slot, row.epoch, row.owner, name) for row in before.slots]
        assert term is not None
        assert await control.assign(moves, term, "test", shards=4)

    def make_link(self, owner, router):
        station = self.stations[owner.incarnation] = Station(owner, router)
        return station

    @property
    def a(self):
        return self.stations["a"]


@pytest.fixture
async def rig():
    rig = Rig()
    await rig.grant("a")
    return rig


@pytest.fixture
async def router(rig):
    async with Router(rig.store, make_link=rig.make_link) as router:
        yield router


def start(coroutine):
    return asyncio.ensure_future(coroutine)


async def test_a_send_returns_only_when_the_owner_has_stored_it(rig, router):
    sending = start(router.send("+1 (631) 555-0001", {"n": 1}))
    await until(lambda: rig.a.batches)
    await asyncio.sleep(0)
    assert not sending.done()
    assert router.parked_bytes > 0
    rig.a.answer()
    receipt = await sending
    assert (receipt.sequence, receipt.shard, receipt.repeated) == (0, receipt.slot % 4, False)
    assert router.parked_bytes == 0


async def test_a_cancelled_waiter_takes_nobody_with_it(rig, router):
    first, second = (start(router.send(ALICE, {"n": n})) for n in (1, 2))
    await until(lambda: rig.a.batches)
    first.cancel()
    await asyncio.sleep(0)
    rig.a.answer()
    assert (await second).sequence == 1, "the first is stored all the same"
    assert first.cancelled()


async def test_a_deadline_says_that_nobody_knows(rig, router):
    with pytest.raises(DeadlineExceeded, match="may or may not"):
        await router.send(ALICE, {"n": 1}, timeout_s=0.05)
    # The message stays queued before later ones: its place in the order is taken.
    later = start(router.send(ALICE, {"n": 2}))
    rig.a.answers_at_once = True
    rig.a.answer()
    assert (await later).sequence == 1


async def test_a_full_router_waits_for_room(rig, router, monkeypatch):
    monkeypatch.setattr("multiconnect.dataplane.router.ROUTER_PARKED_BYTES_MAX", 500)
    first = start(router.send(ALICE, b'"' + b"x" * 600 + b'"'))
    await until(lambda: rig.a.batches)
    second = start(router.send(ALICE, {"n": 2}))
    await asyncio.sleep(0)
    rig.a.answers_at_once = True
    rig.a.answer()
    assert (await first).sequence == 0
    assert (await second).sequence == 1


async def test_who_waits_for_room_is_not_overtaken(rig, router, monkeypatch):
    """[invariant 5] The newcomer asks in the moment in which there is room again."""
    monkeypatch.setattr("multiconnect.dataplane.router.ROUTER_PARKED_BYTES_MAX", 500)
    rig.a.answers_at_once = True
    large = b'"' + b"x" * 600 + b'"'
    newcomers: list[asyncio.Task[Receipt]] = []

    async def begin() -> None:
        await router.send(ALICE, large)
        newcomers.append(start(router.send(ALICE, large)))
        assert not router.post(ALICE, b"{}", loop.create_future())

    loop = asyncio.get_running_loop()
    first = start(begin())
    await asyncio.sleep(0)
    waiting = [start(router.send(ALICE, large)) for _ in range(3)]
    waiting.append(start(router.send_many([(ALICE, large)])))
    await first
    found = [await sending for sending in [*waiting, *newcomers]]
    assert [r.sequence for r in (*found[:3], *found[3], found[4])] == [1, 2, 3, 4, 5]


async def test_who_gives_up_waiting_lets_the_next_one_in(rig, router, monkeypatch):
    monkeypatch.setattr("multiconnect.dataplane.router.ROUTER_PARKED_BYTES_MAX", 500)
    first = start(router.send(ALICE, b'"' + b"x" * 600 + b'"'))
    await until(lambda: rig.a.batches)
    waiting = [start(router.send(ALICE, {"n": n})) for n in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    rig.a.answers_at_once = True
    rig.a.answer()
    await first
    # Cancelled in the very moment in which it may come in.
    waiting[1].cancel()
    assert (await waiting[2]).sequence == 1


async def test_a_full_router_refuses_at_the_deadline_and_stores_nothing(rig, router, monkeypatch):
    monkeypatch.setattr("multiconnect.dataplane.router.ROUTER_PARKED_BYTES_MAX", 500)
    first = start(router.send(ALICE, b'"' + b"x" * 600 + b'"'))
    await until(lambda: rig.a.batches)
    for call in (
        router.send(ALICE, {"n": 2}, timeout_s=0.02),
        router.send_many([(ALICE, {"n": 3})], timeout_s=0.0),
    ):
        with pytest.raises(Overloaded, match="nothing was"):
            await call
    rig.a.answers_at_once = True
    rig.a.answer()
    await first
    assert (await router.send(ALICE, {"n": 4})).sequence == 1


async def test_closing_tells_everybody(rig, monkeypatch):
    monkeypatch.setattr("multiconnect.dataplane.router.ROUTER_PARKED_BYTES_MAX", 500)
    router = Router(rig.store, make_link=rig.make_link)
    await router.start()
    stream = router.events()
    waiting = [start(router.send(ALICE, b'"' + b"x" * 600 + b'"'))]
    await until(lambda: rig.a.batches)
    waiting.append(start(router.send(ALICE, {"n": 2})))  # waits for room
    reading = start(anext(stream))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await router.aclose()
        for sending in waiting:
            with pytest.raises(Closed):
                await sending
        with pytest.raises(StopAsyncIteration):
            await reading
    with pytest.raises(Closed):
        await router.send(ALICE, {"n": 3})
    await router.aclose()


async def test_a_closed_router_may_be_started_again(rig):
    router = Router(rig.store, make_link=rig.make_link)
    for _ in range(2):
        async with router:
            sending = start(router.send(ALICE, {"n": 1}))
            await until(lambda: rig.a.batches)
            sending.cancel()
            rig.a.batches.clear()
    async with router:
        rig.a.answers_at_once = True
        assert (await router.send(ALICE, {"n": 2})).sequence == 0, "nothing of its first lives"


async def test_before_the_start_nothing_is_taken(rig):
    router = Router(rig.store)
    for call in (router.send(ALICE, {}), router.send_many([(ALICE, {})])):
        with pytest.raises(Closed):
            await call
    with pytest.raises(Closed):
        router.shard_map  # noqa: B018


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        (("", {}), {}, InvalidRecipient),
        ((None, {}), {}, InvalidRecipient),
        ((ALICE, "text"), {}, InvalidPayload),
        ((ALICE, [1]), {}, InvalidPayload),
        ((ALICE, {"x": object()}), {}, InvalidPayload),
        ((ALICE, b"x" * 300_000), {}, InvalidPayload),
        ((ALICE, {}), {"account": "a" * 70_000}, InvalidPayload),
        ((ALICE, {}), {"idempotency_key": "k" * (IDEMPOTENCY_KEY_BYTES_MAX + 1)}, InvalidPayload),
        ((ALICE, {}), {"idempotency_key": "\ud800"}, InvalidPayload),
        ((ALICE, {}), {"expires_at_ms": -5}, InvalidPayload),
    ],
)
async def test_wrong_input_is_refused_and_nothing_is_packed(rig, router, arguments, options, error):
    with pytest.raises(error):
        await router.send(*arguments, **options)
    assert router.parked_bytes == 0


async def test_send_many_is_all_or_nothing(rig, router):
    rig.a.answers_at_once = True
    with pytest.raises(InvalidRecipient, match="item 1"):
        await router.send_many([(ALICE, {}), ("", {}), (ALICE, {})])
    assert router.parked_bytes == 0
    assert list(await router.send_many([])) == []
    receipts = await router.send_many((f"1631555{n:04d}", {"n": n}) for n in range(100))
    assert len({r.id for r in receipts}) == 100


async def test_send_many_is_complete_when_its_last_batch_is(rig, router):
    sending = start(router.send_many([(f"1631555{n:04d}", {"n": n}) for n in range(100)]))
    await until(lambda: rig.a.batches)
    held = rig.a.batches.pop()
    rig.a.answer()
    await asyncio.sleep(0)
    assert not sending.done()
    rig.a.batches.append(held)
    rig.a.answer()
    assert len(await sending) == 100


async def test_a_full_frame_leaves_before_the_turn_ends(rig, router):
    """What is packed after it, in the same turn, goes into another one, answered by itself."""
    half = [
        (f"1631555{n:04d}", b'"' + b"." * 1000 + b'"') for n in range(FRAME_EARLY_BYTES // 2000)
    ]
    early = [start(router.send_many(half)) for _ in range(2)]
    late = start(router.send_many(half))
    await asyncio.sleep(0)
    assert rig.a.frames_in_flight == 1
    await until(lambda: rig.a.frames_in_flight == 2)
    batches = rig.a.batches
    rig.a.batches = [data for data in batches if read_header(data).producer_seq == 1]
    rig.a.answer()
    assert [len(receipts) for receipts in await asyncio.gather(*early)] == [len(half)] * 2
    assert not late.done()
    rig.a.batches = [data for data in batches if read_header(data).producer_seq == 2]
    rig.a.answer()
    assert len(await late) == len(half)


async def test_events_reach_the_reader_and_only_one_that_wants_them(rig, router):
    event = Event("sent", "x", ALICE, 0, 1)
    router.link_events(rig.a, [event])
    assert await anext(router.events()) == event
    async with Router(rig.store, make_link=rig.make_link, events=False) as silent:
        silent.link_events(rig.a, [event])
        reading = start(anext(silent.events()))
        await asyncio.sleep(0)
        assert not reading.done(), "events nobody asked for are not kept"
        reading.cancel()


async def test_a_new_owner_gets_what_the_old_one_did_not_answer(rig, router):
    sending = start(router.send(ALICE, {"n": 1}))
    await until(lambda: rig.a.batches)
    batch = rig.a.batches[0]
    await rig.grant("b")
    await until(lambda: "b" in rig.stations and rig.stations["b"].batches)
    assert rig.stations["b"].batches == [batch]
    assert not rig.a.ready
    rig.stations["b"].answer()
    assert (await sending).sequence == 0


async def test_while_the_store_does_not_answer_the_known_map_serves(rig, router, monkeypatch):
    asked = []

    async def fails(*_):
        asked.append(1)
        raise StoreUnavailable("down")

    monkeypatch.setattr(rig.store.control, "changed", fails)
    rig.store._state.change()  # wakes the router, which asks again
    await until(lambda: asked)
    rig.a.answers_at_once = True
    assert (await router.send(ALICE, {"n": 1})).sequence == 0


# --- bugs are not silent ---------------------------------------------------------------------
async def test_a_bug_in_the_background_ends_every_wait_and_every_send(rig, router, monkeypatch):
    sending = start(router.send(ALICE, {"n": 1}))
    await until(lambda: rig.a.batches)
    cause = KeyError("a bug")

    async def fails():
        raise cause

    monkeypatch.setattr(rig.store.control, "snapshot", fails)
    rig.store._state.change()
    async with asyncio.timeout(5):
        with pytest.raises(Bug) as told:
            await sending
    assert told.value.__cause__ is cause
    with pytest.raises(Bug):
        await router.send(ALICE, {"n": 2})


async def test_an_owner_that_may_not_be_used_is_told(rig, monkeypatch):
    def make_link(owner, router):
        if owner.incarnation != "a":
            raise Refused("not yours")
        return rig.make_link(owner, router)

    async with Router(rig.store, make_link=make_link) as router:
        sending = start(router.send(ALICE, {"n": 1}))
        await until(lambda: rig.a.batches)
        await rig.grant("b")
        async with asyncio.timeout(5):
            with pytest.raises(Refused):
                await sending
