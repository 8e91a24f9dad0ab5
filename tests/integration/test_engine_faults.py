"""An engine whose store fails at random, before or after it did what it was asked (14).

No acknowledgement without a commit, nothing lost, nothing sent twice unmarked, and it recovers by
itself. The sends that the store's faults hit are not repeated by anybody here.
"""

import asyncio
import random
from collections import Counter

import orjson
import pytest

from multiconnect import Engine, Outcome
from multiconnect.errors import StoreUnavailable
from multiconnect.model.message import Kind
from multiconnect.store.open import open_store
from tests.unit.dataplane.waiting import until

RECIPIENTS = [f"1631555{n:04d}" for n in range(30)]


#: Keys are looked up slot by slot: of many lookups one would always fail at a higher share.
SHARES = {"commit": 0.3, "find_keys": 0.02, "open_slots": 0.2, "read_batches": 0.3,
          "find_message": 0.3}  # fmt: skip
DOWN = dict.fromkeys(SHARES, 1.0)


class Flaky:
    """Fails a share of the calls of what it wraps, half of them only after they took effect."""

    def __init__(self, real, rng):
        self._real = real
        self._rng = rng
        self.shares: dict[str, float] = {}
        self.failed: Counter[str] = Counter()

    def __getattr__(self, name):
        call = getattr(self._real, name)

        async def run(*args):
            if self._rng.random() >= self.shares.get(name, 0.0):
                return await call(*args)
            self.failed[name] += 1
            if self._rng.random() < 0.5:
                await call(*args)
            raise StoreUnavailable(f"{name} failed")

        return run


class FlakyStore:
    """A store whose log is flaky; its control side is as it is."""

    def __init__(self, real, rng):
        self._real = real
        self._rng = rng
        self.url = real.url
        self.control = real.control
        self.aclose = real.aclose
        self.logs = []

    async def log(self, incarnation):
        self.logs.append(Flaky(await self._real.log(incarnation), self._rng))
        return self.logs[-1]


class Once:
    """An upstream that refuses for now at random and sees everything at most once unmarked."""

    def __init__(self, rng):
        self._rng = rng
        self.arrived: Counter[str] = Counter()
        self.order: dict[str, list[int]] = {}

    async def __call__(self, messages):
        said = []
        for message in messages:
            if self._rng.random() < 0.2:
                said.append(Outcome.retry("busy", after_s=0.002))
                continue
            self.arrived[message.id] += 1
            assert self.arrived[message.id] == 1 or message.possible_duplicate
            self.order.setdefault(message.recipient, []).append(message.sequence)
            said.append(Outcome.sent(f"up{message.id}"))
        return said


@pytest.fixture(params=["memory", "sqlite"])
def url(request, tmp_path):
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/app.db"


def flaky(rng, monkeypatch):
    """Let engines open flaky stores, returned in the list, and wait for them only shortly."""
    stores: list[FlakyStore] = []

    async def open_flaky(url, clock):
        stores.append(FlakyStore(await open_store(url, clock=clock), rng))
        return stores[-1]

    monkeypatch.setattr("multiconnect.engine.open_store", open_flaky)
    monkeypatch.setattr("multiconnect.coreapp.committer._REOPEN_DELAY_S", 0.001)
    monkeypatch.setattr("multiconnect.coreapp.dispatcher._RELOAD_DELAY_S", 0.001)
    return stores


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_store_that_fails_at_random_loses_and_doubles_nothing(url, seed, monkeypatch):
    rng = random.Random(seed)
    stores = flaky(rng, monkeypatch)
    upstream = Once(rng)
    receipts = []

    async def traffic(worker):
        for n in range(8):
            receipts.append(await engine.send(RECIPIENTS[worker], {"n": n}))
            key = f"{worker}/{n}"
            first = await engine.send(RECIPIENTS[worker], {"n": n}, idempotency_key=key)
            again = await engine.send(RECIPIENTS[worker], {"n": n}, idempotency_key=key)
            assert (again.id, again.repeated) == (first.id, True)
            receipts.append(first)

    async with Engine(url, shards=4, upstream=upstream) as engine:
        (log,) = stores[0].logs
        log.shares = SHARES
        async with asyncio.timeout(60):
            await asyncio.gather(*map(traffic, range(len(RECIPIENTS))))
        log.shares = {}
        await until(lambda: engine.figures()["backlog"] == 0, within_s=30)
        await until(lambda: len(upstream.arrived) == len(receipts), within_s=30)
        figures = engine.figures()
    assert log.failed["commit"] > 5
    assert upstream.arrived == Counter(receipt.id for receipt in receipts), "each exactly once"
    for order in upstream.order.values():
        assert order == sorted(order)
    assert figures["in_doubt"] == 0, "an owner that lives doubts nothing"


async def test_statuses_survive_a_failing_store(url, monkeypatch):
    stores = flaky(random.Random(5), monkeypatch)
    told: dict[str, list[str]] = {}
    async with Engine(url, upstream="null") as engine:
        stream = engine.events()
        receipts = await engine.send_many([(name, {"n": 1}) for name in RECIPIENTS])
        stores[0].logs[0].shares = SHARES

        async def report(receipt, recipient):
            for status in ("delivered", "read"):
                data = {"biz_opaque_callback_data": receipt.id, "status": status}
                await engine.router.send_inbound(
                    receipt.slot, recipient, orjson.dumps(data), kind=Kind.STATUS
                )

        async with asyncio.timeout(60):
            for receipt, recipient in zip(receipts, RECIPIENTS, strict=True):
                await report(receipt, recipient)
            assert stores[0].logs[0].failed["commit"] > 5
            while any(types[-1] != "read" for types in told.values()) or len(told) < len(receipts):
                event = await anext(stream)
                told.setdefault(event.id, []).append(event.type)
        stores[0].logs[0].shares = {}
    allowed = (["sent", "delivered", "read"], ["sent", "read"])
    assert all(types in allowed for types in told.values()), told


async def test_while_the_store_is_down_nothing_is_acknowledged_later_everything(url, monkeypatch):
    stores = flaky(random.Random(1), monkeypatch)
    upstream = Once(random.Random(0))
    async with Engine(url, upstream=upstream) as engine:
        (log,) = stores[0].logs
        log.shares = DOWN
        sending = [asyncio.ensure_future(engine.send(name, {"n": 1})) for name in RECIPIENTS]
        await until(lambda: log.failed["commit"] and log.failed["open_slots"] > 10)
        assert not any(task.done() for task in sending)
        log.shares = {}
        async with asyncio.timeout(20):
            await asyncio.gather(*sending)
        await until(lambda: len(upstream.arrived) == len(RECIPIENTS))
