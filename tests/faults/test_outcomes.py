"""Replies and commits whose end nobody knows: from the upstream, from the store, from a client.

CoreApps run in this process on a real SQLite store (tests/support/stage.py). The figures in
brackets are the cases of docs/faults.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from multiconnect.errors import IdempotencyConflict, StoreUnavailable
from multiconnect.model.log import LogWrite
from multiconnect.upstream.open import open_upstream
from tests.support.history import Arrival
from tests.support.live_cluster import Simulator
from tests.support.proxy import FaultProxy, Way
from tests.support.stage import Stage, recipients_of, until
from tests.support.talk import Talk


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with Stage(tmp_path) as stage:
        yield stage


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    simulator = Simulator(tmp_path_factory.mktemp("simulator"))
    yield simulator
    simulator.stop()


@pytest.mark.process
async def test_replies_of_the_upstream_that_are_lost_make_marked_repeats(
    stage: Stage, simulator: Simulator
) -> None:
    """[5] The messages arrived, the connection died before the answers; the owner lives."""
    target = f"tcp:{simulator.url.removeprefix('http://')}"
    async with FaultProxy(target, "tcp:127.0.0.1:0") as proxy:
        url = proxy.address.replace("tcp:", "http://")
        await stage.member("a", upstream=open_upstream(url))
        await stage.grant("a")
        talk = Talk(await stage.router(), recipients_of(range(8)))
        proxy.hold(way=Way.BACK)
        await talk.send_all(3)
        while (await asyncio.to_thread(simulator.report))["received"] < 8:  # noqa: ASYNC110 -- looks from outside
            await asyncio.sleep(0.01)
        proxy.reset()
        proxy.resume()
        async with asyncio.timeout(20):
            while (await asyncio.to_thread(simulator.report))["distinct"] < 24:  # noqa: ASYNC110 -- as above
                await asyncio.sleep(0.01)
    messages = await asyncio.to_thread(simulator.messages)
    stage.arrivals += [Arrival(m["id"], m["recipient"], bool(m["marked"])) for m in messages]
    verdict = await stage.assert_clean(talk)
    assert verdict.marked_repeats == 8


@pytest.mark.parametrize("applied", [True, False], ids=["applied", "not applied"])
async def test_a_sent_that_may_not_be_stored_is_not_sent_again(stage: Stage, applied: bool) -> None:
    """[6] The store does not say whether it took the outcome; the owner still knows it."""
    a = await stage.member("a")
    await stage.grant("a")
    log = a.store.logs[0]
    doubts = 0

    async def doubt(*call: LogWrite | frozenset[int]) -> None:
        nonlocal doubts
        write = call[-1]
        assert isinstance(write, LogWrite)
        if write.progress and doubts < 3:
            doubts += 1
            raise StoreUnavailable("nobody knows")

    (log.after if applied else log.before)["commit"] = doubt
    talk = Talk(await stage.router(), recipients_of(range(8)))
    await asyncio.wait_for(talk.send_all(10), 20)
    verdict = await stage.assert_clean(talk)
    assert doubts
    assert verdict.marked_repeats == 0
    assert len(stage.arrivals) == talk.sent
    # And the outcome is stored in the end: the next owner finds nothing to send.
    await until(lambda: not a.app.figures()["backlog"], "everything is settled")
    await stage.member("b")
    await asyncio.sleep(0.05)
    await stage.take_over("a", "b")
    await asyncio.sleep(0.2)
    assert len(stage.arrivals) == talk.sent


@pytest.mark.parametrize("applied", [True, False], ids=["applied", "not applied"])
async def test_an_acceptance_that_may_not_be_stored_is_stored_once(
    stage: Stage, applied: bool
) -> None:
    """[4] The same for messages on their way in, with the owner alive."""
    a = await stage.member("a")
    await stage.grant("a")
    log = a.store.logs[0]
    doubts = 0

    async def doubt(*call: LogWrite | frozenset[int]) -> None:
        nonlocal doubts
        write = call[-1]
        assert isinstance(write, LogWrite)
        if write.appends and doubts < 5:
            doubts += 1
            raise StoreUnavailable("nobody knows")

    (log.after if applied else log.before)["commit"] = doubt
    talk = Talk(await stage.router(), recipients_of(range(8)), period_s=0.01)
    running = asyncio.create_task(talk.run())
    await talk.acknowledged_at_least(200)
    talk.stop()
    await running
    await stage.assert_clean(talk)
    assert doubts == 5
    assert len(stage.arrivals) == talk.sent


async def test_a_key_names_one_message_of_one_account_whoever_owns_the_slot(stage: Stage) -> None:
    """[31] Repeated at the next owner: the first answer. Another body: a conflict."""
    await stage.member("a")
    await stage.member("b")
    await stage.grant("a")
    router = await stage.router()
    to = recipients_of([5])[0]

    async def send(account: str, text: str) -> str:
        body = {"type": "text", "text": {"body": text}}
        receipt = await router.send(to, body, account=account, idempotency_key="key 1")
        return receipt.id

    first = {account: await send(account, "one") for account in ("x", "y")}
    assert len(set(first.values())) == 2
    await stage.take_over("a", "b")
    for account, message_id in first.items():
        assert await send(account, "one") == message_id
        with pytest.raises(IdempotencyConflict):
            await send(account, "two")
    await until(lambda: len(stage.arrivals) >= 2, "both have arrived")
    assert {arrival.message_id for arrival in stage.arrivals} == set(first.values())
