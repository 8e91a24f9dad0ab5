"""The embeddable whole, on memory and on SQLite: what people who import it may rely on.

Invariants 3 (acknowledged means stored), 4 (once per key), 5 (order per recipient), 6 (a second
send is marked first), 15 (statuses never go backwards), 16 (nothing is uncounted).
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Coroutine
from typing import Any

import orjson
import pytest

import multiconnect
from multiconnect import Engine, Outcome, Receipt
from multiconnect.errors import (
    Bug,
    Closed,
    DeadlineExceeded,
    IdempotencyConflict,
    Overloaded,
    Refused,
)
from multiconnect.model.cluster import NodeState
from multiconnect.model.message import Kind
from tests.integration.engine_parts import ALICE, BOB, Upstream, events_of, inside
from tests.unit.dataplane.waiting import until


@pytest.fixture(params=["memory", "sqlite"])
def url(request, tmp_path):
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/app.db"


# --- order and outcomes ----------------------------------------------------------------------
class Fickle:
    """An upstream that says anything, raises now and then, and checks what it is handed."""

    def __init__(self, seed):
        self._rng = random.Random(seed)
        self._may_have = set()
        self.order: dict[str, list[int]] = defaultdict(list)

    async def __call__(self, messages):
        await asyncio.sleep(0)
        for message in messages:
            assert message.possible_duplicate == (message.id in self._may_have)
            if message.sequence not in self.order[message.recipient]:
                self.order[message.recipient].append(message.sequence)
        if self._rng.random() < 0.02:
            self._may_have |= {message.id for message in messages}
            raise ConnectionError("in the middle")
        return [self._say(message) for message in messages]

    def _say(self, message):
        said = self._rng.choice(["sent"] * 12 + ["failed", "busy", "no answer"])
        if said == "sent":
            return Outcome.sent(f"up{message.id}")
        if said == "failed":
            return Outcome.failed("no")
        if said == "no answer":
            self._may_have.add(message.id)
        return Outcome.retry(said, after_s=0.001, ambiguous=said == "no answer")


async def test_messages_arrive_in_order_per_recipient_whatever_comes_back(url):
    recipients = [f"1631555{n:04d}" for n in range(40)]
    upstream = Fickle(seed=7)
    outcomes: Counter[str] = Counter()
    async with Engine(url, shards=8, upstream=upstream) as engine:
        stream = engine.events()
        sending: list[Coroutine[Any, Any, Any]] = []
        for n in range(25):
            sending.append(engine.send_many([(recipient, {"n": n}) for recipient in recipients]))
            sending += [engine.send(recipient, {"n": n}) for recipient in recipients[:5]]
        many = [[r] if isinstance(r, Receipt) else r for r in await asyncio.gather(*sending)]
        receipts = [receipt for some in many for receipt in some]
        async with asyncio.timeout(30):
            while len(outcomes) < len(receipts):
                outcomes[(await anext(stream)).id] += 1
        figures = engine.figures()
    assert set(outcomes) == {receipt.id for receipt in receipts}
    assert set(outcomes.values()) == {1}, "each outcome is told once"
    final = figures["sent"] + figures["failed"] + figures["unknown"]
    assert (figures["accepted"], figures["backlog"], figures["in_flight"]) == (final, 0, 0)
    for number, recipient in enumerate(recipients):
        assert len(upstream.order[recipient]) == (50 if number < 5 else 25)
        assert upstream.order[recipient] == sorted(upstream.order[recipient])


async def test_an_ambiguous_attempt_makes_the_next_a_possible_duplicate(url):
    said = [Outcome.retry("?", after_s=0, ambiguous=True), Outcome.retry("busy", after_s=0)]
    upstream = Upstream(lambda _: said.pop(0) if said else Outcome.sent("up1"))
    async with Engine(url, upstream=upstream) as engine:
        await engine.send(ALICE, {"n": 1})
        (event,) = await events_of(engine, 1)
    assert [m.possible_duplicate for m in upstream.seen] == [False, True, True]
    assert [m.attempt for m in upstream.seen] == [1, 2, 3]
    assert event.possible_duplicate, "and the receiver of the event is told"


async def test_a_plain_retry_is_no_duplicate(url):
    said = [Outcome.retry("busy", after_s=0)]
    upstream = Upstream(lambda _: said.pop(0) if said else Outcome.sent())
    async with Engine(url, upstream=upstream) as engine:
        await engine.send(ALICE, {"n": 1})
        (event,) = await events_of(engine, 1)
    assert [m.possible_duplicate for m in upstream.seen] == [False, False]
    assert not event.possible_duplicate


async def test_a_retry_holds_back_its_recipient_only(url):
    upstream = Upstream(
        lambda m: Outcome.sent() if m.recipient == BOB else Outcome.retry("busy", after_s=60)
    )
    async with Engine(url, upstream=upstream) as engine:
        await engine.send_many([(ALICE, {"n": n}) for n in range(200)])
        await engine.send_many([(BOB, {"n": n}) for n in range(200)])
        await until(lambda: upstream.numbers(BOB) == list(range(200)))
        assert upstream.numbers(ALICE) == [0]


async def test_messages_that_are_too_old_are_not_sent(url):
    upstream = Upstream()
    async with Engine(url, upstream=upstream) as engine:
        await engine.send(ALICE, {"n": 1}, expires_at_ms=1)
        await engine.send(ALICE, {"n": 2}, expires_at_ms=1 << 50)
        first, second = await events_of(engine, 2)
    assert [first.type, second.type] == ["expired", "sent"]
    assert upstream.numbers() == [2]


async def test_the_function_gets_what_was_sent(url):
    upstream = Upstream()
    async with Engine(url, shards=32, upstream=upstream) as engine:
        receipt = await engine.send(
            "+1 (631) 555-0001", {"n": 1, "text": "hé"}, account="acme", kind=Kind.MARK_READ
        )
        await until(lambda: upstream.seen)
        assert receipt.shard == receipt.slot == multiconnect.shard_of(ALICE, shards=32)
    (message,) = upstream.seen
    assert (message.id, message.recipient) == (receipt.id, ALICE)
    assert (message.payload, message.account, message.kind) == (
        {"n": 1, "text": "hé"}, "acme", Kind.MARK_READ,
    )  # fmt: skip


# --- idempotency -----------------------------------------------------------------------------
async def test_a_key_is_used_once(url):
    upstream = Upstream()
    async with Engine(url, upstream=upstream) as engine:
        first = await engine.send(ALICE, {"n": 1}, idempotency_key="k")
        again = await engine.send(ALICE, {"n": 1}, idempotency_key="k")
        assert (again.id, again.repeated) == (first.id, True)
        with pytest.raises(IdempotencyConflict, match=first.id):
            await engine.send(ALICE, {"n": 2}, idempotency_key="k")
        others = [
            await engine.send(BOB, {"n": 1}, idempotency_key="k"),
            await engine.send(ALICE, {"n": 1}, idempotency_key="k", account="acme"),
            await engine.send(ALICE, {"n": 1}, idempotency_key="k2"),
        ]
        assert not any(receipt.repeated for receipt in others)
        both = [engine.send(ALICE, {"n": 9}, idempotency_key="k9") for _ in range(20)]
        receipts = await asyncio.gather(*both)
        assert len({receipt.id for receipt in receipts}) == 1
        assert sum(not receipt.repeated for receipt in receipts) == 1
        await until(lambda: len(upstream.seen) == 5)


async def test_keys_and_messages_live_longer_than_the_process(tmp_path):
    url, upstream = f"sqlite:///{tmp_path}/app.db", Upstream()
    async with Engine(url, upstream=upstream) as engine:
        first = await engine.send(ALICE, {"n": 1}, idempotency_key="k")
        await until(lambda: upstream.seen)
    async with Engine(url, upstream=upstream) as engine:
        again = await engine.send(ALICE, {"n": 1}, idempotency_key="k")
        assert (again.id, again.repeated) == (first.id, True)
        with pytest.raises(IdempotencyConflict):
            await engine.send(ALICE, {"n": 2}, idempotency_key="k")
        await engine.send(ALICE, {"n": 3})
        await until(lambda: len(upstream.seen) == 2)
        assert engine.figures()["in_doubt"] == 0
    assert upstream.numbers() == [1, 3]


# --- ends ------------------------------------------------------------------------------------
async def test_closing_finishes_what_is_in_flight_and_keeps_the_rest(tmp_path):
    url, upstream = f"sqlite:///{tmp_path}/app.db", Upstream()
    engine = Engine(url, upstream=upstream)
    await engine.start()
    upstream.open.clear()
    await engine.send_many([(ALICE, {"n": n}) for n in range(3)])
    await until(lambda: upstream.seen)
    app, stream = inside(engine), engine.events()
    closing = asyncio.ensure_future(engine.aclose())
    await until(lambda: app._settling)
    assert not closing.done()
    with pytest.raises(Closed):
        await engine.send(ALICE, {"n": 9})
    upstream.open.set()
    async with asyncio.timeout(10):
        await closing
    assert upstream.numbers() == [0]
    assert [event.type async for event in stream] == ["sent"], "the last outcome is told"
    async with Engine(url, upstream=upstream) as after:
        await until(lambda: upstream.numbers() == [0, 1, 2])
        assert after.figures()["in_doubt"] == 0
    assert not any(m.possible_duplicate for m in upstream.seen)


async def test_an_upstream_that_never_answers_does_not_keep_it_from_closing(url, monkeypatch):
    monkeypatch.setattr("multiconnect.engine.ENGINE_SETTLE_MAX_S", 0.05)
    upstream = Upstream()
    async with Engine(url, upstream=upstream) as engine:
        upstream.open.clear()
        await engine.send(ALICE, {"n": 1})
        await until(lambda: upstream.seen)


@pytest.mark.parametrize(("in_doubt", "told"), [("resend", "sent"), ("unknown", "unknown")])
async def test_what_was_in_doubt_follows_the_policy(tmp_path, monkeypatch, in_doubt, told):
    monkeypatch.setattr("multiconnect.engine.ENGINE_SETTLE_MAX_S", 0.0)
    url, upstream = f"sqlite:///{tmp_path}/app.db", Upstream()
    async with Engine(url, upstream=upstream) as engine:
        upstream.open.clear()
        await engine.send(ALICE, {"n": 1})
        await until(lambda: upstream.seen)
    upstream.open.set()
    async with Engine(url, upstream=upstream, in_doubt=in_doubt) as engine:
        (event,) = await events_of(engine, 1)
        assert engine.figures()["in_doubt"] == 1
    assert event.type == told
    assert [m.possible_duplicate for m in upstream.seen] == [False, True][: 1 + (told == "sent")]


async def test_closing_tells_who_waits(url):
    engine = Engine(url, upstream="null")
    await engine.start()
    stream = engine.events()
    lock = inside(engine)._committer._writing
    await lock.acquire()  # nothing is committed any more
    sending = asyncio.ensure_future(engine.send(ALICE, {"n": 1}))
    await asyncio.sleep(0.01)
    closing = asyncio.ensure_future(engine.aclose())
    async with asyncio.timeout(5):
        with pytest.raises(Closed):
            await sending
        lock.release()
        await closing
        assert [e async for e in stream] == []
    for call in (engine.send(ALICE, {}), engine.send_many([(ALICE, {})])):
        with pytest.raises(Closed):
            await call
    for look in (engine.events, engine.figures, lambda: engine.shard_map):
        with pytest.raises(Closed):
            look()


async def test_an_engine_can_be_started_again(url):
    upstream = Upstream()
    engine = Engine(url, upstream=upstream)
    for n in range(3):
        async with engine:
            await engine.send(ALICE, {"n": n})
            await until(upstream.got(*range(n + 1)))
    await engine.aclose()


async def test_two_engines_do_not_share_a_store(tmp_path):
    url = f"sqlite:///{tmp_path}/app.db"
    async with Engine(url, upstream="null") as engine:
        with pytest.raises(Refused, match="stop it first"):
            await Engine(url, upstream="null").start()
        await engine.send(ALICE, {"n": 1})


def test_settings_are_checked_at_once():
    with pytest.raises(ValueError, match="shards is 3"):
        Engine(shards=3, upstream="null")
    with pytest.raises(ValueError, match="in_doubt"):
        Engine(upstream="null", in_doubt="maybe")
    with pytest.raises(ValueError, match="upstream"):
        Engine(upstream=7)  # type: ignore[arg-type]


# --- limits ----------------------------------------------------------------------------------
async def test_a_full_engine_says_so_and_stores_nothing(url, monkeypatch):
    monkeypatch.setattr("multiconnect.dataplane.router.ROUTER_PARKED_BYTES_MAX", 500)
    upstream = Upstream()
    async with Engine(url, upstream=upstream) as engine:
        lock = inside(engine)._committer._writing
        await lock.acquire()
        first = asyncio.ensure_future(engine.send(ALICE, {"n": 1, "x": "x" * 600}))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await engine.send(ALICE, {"n": 2}, timeout_s=0.02)
        lock.release()
        await first
        await engine.send(ALICE, {"n": 3})
        await until(lambda: upstream.numbers() == [1, 3])


async def test_a_deadline_and_a_cancellation_concern_one_caller_only(url):
    upstream = Upstream()
    async with Engine(url, upstream=upstream) as engine:
        lock = inside(engine)._committer._writing
        await lock.acquire()
        calls = [engine.send(ALICE, {"n": n}, timeout_s=t) for n, t in enumerate((0.05, 20, 20))]
        late, cancelled, patient = map(asyncio.ensure_future, calls)
        await asyncio.sleep(0.01)
        cancelled.cancel()
        with pytest.raises(DeadlineExceeded):
            await late
        lock.release()
        assert (await patient).sequence == 2
        assert cancelled.cancelled()
        await until(lambda: upstream.numbers() == [0, 1, 2])


# --- webhooks --------------------------------------------------------------------------------
async def test_statuses_only_move_forward(url):
    async with Engine(url, upstream=Upstream()) as engine:
        receipts = await engine.send_many([(ALICE, {"n": n}) for n in range(3)])
        await events_of(engine, 3)
        stream = engine.events()
        for receipt in receipts:
            for status in ("delivered", "sent", "read", "delivered", "failed"):
                data = {"biz_opaque_callback_data": receipt.id, "status": status}
                await engine.router.send_inbound(
                    receipt.slot, ALICE, orjson.dumps(data), kind=Kind.STATUS,
                    idempotency_key=f"{receipt.id}/{status}",
                )  # fmt: skip
        told: dict[str, list[str]] = defaultdict(list)
        async with asyncio.timeout(20):
            while sum(len(types) for types in told.values()) < 6:
                event = await anext(stream)
                told[event.id].append(event.type)
    assert told == {receipt.id: ["delivered", "read"] for receipt in receipts}


async def test_a_webhook_that_comes_twice_counts_once(url):
    async with Engine(url, upstream="null") as engine:
        stream = engine.events()
        for number in (1, 1, 2):
            data = orjson.dumps({"id": f"wamid.{number}"})
            await engine.router.send_inbound(
                None, ALICE, data, kind=Kind.INBOUND_MESSAGE, idempotency_key=f"wamid.{number}"
            )
        async with asyncio.timeout(20):
            assert [(await anext(stream)).id for _ in range(2)] == ["wamid.1", "wamid.2"]


# --- bugs are not silent ---------------------------------------------------------------------
async def test_a_bug_inside_ends_every_wait_and_every_send(url):
    async with Engine(url, upstream="null") as engine:
        cause = KeyError("a bug")

        async def fails(_):
            raise cause

        inside(engine)._log.commit = fails
        async with asyncio.timeout(5):
            with pytest.raises(Bug) as told:
                await engine.send(ALICE, {"n": 1})
            assert told.value.__cause__ is cause
            with pytest.raises(Bug):
                await engine.send(ALICE, {"n": 2})


async def test_an_engine_that_was_declared_dead_says_so(url):
    async with Engine(url, upstream="null") as engine:
        app = inside(engine)
        await app._control.set_node_state(app.incarnation, NodeState.DEAD, "test")
        async with asyncio.timeout(5):
            await inside(engine).ended()
            await until(lambda: not engine.router._running)
        with pytest.raises(Closed):
            await engine.send(ALICE, {"n": 1})


@pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
async def test_it_works_on_any_loop(url):
    upstream = Upstream()
    async with Engine(url, shards=4, upstream=upstream) as engine:
        await engine.send_many([(ALICE, {"n": n}) for n in range(50)])
        await until(lambda: upstream.numbers() == list(range(50)))
