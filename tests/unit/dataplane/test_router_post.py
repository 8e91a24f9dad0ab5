"""`Router.post`: a send for those who cannot wait. Its promise is kept like that of `send`."""

import asyncio

import pytest

from multiconnect.dataplane.router import Router
from multiconnect.errors import Closed, DeadlineExceeded, IdempotencyConflict, InvalidRecipient
from multiconnect.model.log import CONFLICTS
from tests.unit.dataplane.test_router import ALICE, Rig
from tests.unit.dataplane.waiting import until

BODY = b'{"n":1}'


@pytest.fixture
async def rig():
    rig = Rig()
    await rig.grant("a")
    return rig


@pytest.fixture
async def router(rig):
    async with Router(rig.store, make_link=rig.make_link) as router:
        yield router


@pytest.fixture
async def promise():
    return asyncio.get_running_loop().create_future()


async def test_the_promise_gets_the_receipt(rig, router, promise):
    assert router.post(ALICE, BODY, promise)
    await until(lambda: rig.a.batches)
    assert not promise.done()
    rig.a.answer()
    assert (promise.result().sequence, promise.result().repeated) == (0, False)
    assert router.parked_bytes == 0


async def test_it_takes_its_place_at_once(rig, router, promise):
    rig.a.answers_at_once = True
    later = asyncio.ensure_future(router.send(ALICE, BODY))
    assert router.post(ALICE, BODY, promise)
    assert (await promise).sequence == 0
    assert (await later).sequence == 1


async def test_the_promise_gets_the_error(rig, router, promise):
    assert router.post(ALICE, BODY, promise, idempotency_key="k")
    await until(lambda: rig.a.batches)
    rig.a.answer(exceptions=[(0, CONFLICTS, 7)])
    assert isinstance(promise.exception(), IdempotencyConflict)


async def test_a_deadline_is_kept(router, promise):
    assert router.post(ALICE, BODY, promise, timeout_s=0.01)
    with pytest.raises(DeadlineExceeded):
        await promise


async def test_without_room_nothing_is_taken(monkeypatch, rig, router, promise):
    monkeypatch.setattr("multiconnect.dataplane.router.ROUTER_PARKED_BYTES_MAX", 10)
    assert router.post(ALICE, BODY, promise)
    other = asyncio.get_running_loop().create_future()
    assert not router.post(ALICE, BODY, other)
    await until(lambda: rig.a.batches)
    rig.a.answer()
    assert promise.done()
    assert router.post(ALICE, BODY, other)
    await until(lambda: rig.a.batches)
    rig.a.answer()
    assert other.result().sequence == 1


async def test_what_is_refused_is_refused_at_once(router, promise):
    with pytest.raises(InvalidRecipient):
        router.post("", BODY, promise)
    await router.aclose()
    with pytest.raises(Closed):
        router.post(ALICE, BODY, promise)


async def test_a_router_that_is_closed_breaks_its_promises_aloud(router, promise):
    assert router.post(ALICE, BODY, promise)
    await router.aclose()
    with pytest.raises(Closed):
        await promise
