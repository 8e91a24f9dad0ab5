"""Routers and owners on bad networks and with old maps: the store's order holds, nothing is lost.

CoreApps run in this process on a real SQLite store and real sockets (tests/support/stage.py); the
test is their Master. The figures in brackets are the cases of docs/faults.md.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from multiconnect.coreapp.group import Entry, Submitted
from multiconnect.dataplane import connection
from multiconnect.dataplane.wire import AnswerStatus
from multiconnect.limits import SLOTS
from multiconnect.model.cluster import Move
from multiconnect.model.log import LogWrite
from multiconnect.model.message import Stream
from tests.support.proxy import FaultProxy, Way
from tests.support.stage import Member, Stage, recipients_of, until
from tests.support.talk import Talk


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with Stage(tmp_path) as stage:
        yield stage


@pytest.fixture
async def proxies(stage: Stage, tmp_path: Path) -> AsyncIterator[dict[str, FaultProxy]]:
    """Members a and b, each behind a proxy: a over a UNIX socket, b over TCP."""
    a, b = await stage.member("a"), await stage.member("b", tcp=True)
    async with (
        FaultProxy(a.address, f"unix:{tmp_path}/via-a", seed=1) as to_a,
        FaultProxy(b.address, "tcp:127.0.0.1:0", seed=2) as to_b,
    ):
        stage.via |= {"a": to_a.address, "b": to_b.address}
        yield {"a": to_a, "b": to_b}


async def stored_messages(stage: Stage) -> int:
    """Count the messages the store holds, over all slots."""
    total = 0
    for row in (await stage.control.snapshot()).slots:
        assert row.owner is not None
        tail = await stage.members[row.owner].store.logs[0].inner.open_slot(row.slot, row.epoch)
        total += tail.streams[0].next_seq
    return total


async def assert_stored_once(stage: Stage, talk: Talk) -> None:
    """Every message was stored exactly once, however often it was sent to an owner."""
    assert await stored_messages(stage) == talk.sent == len(talk.acknowledged)
    await stage.assert_clean(talk)


async def test_order_holds_on_slow_choppy_lines_while_slots_move(
    stage: Stage, proxies: dict[str, FaultProxy]
) -> None:
    await stage.grant("a")
    for proxy in proxies.values():
        proxy.latency(0.005, 0.01)
        proxy.slicing(700)
    talk = Talk(await stage.router(), recipients_of(range(8), each=2), period_s=0.02)
    running = asyncio.create_task(talk.run())
    for slots, to in ((range(4), "b"), (range(2, 8), "b"), (range(8), "a")):
        await talk.acknowledged_at_least(len(talk.acknowledged) + 100)
        await stage.hand_over(
            [s for s in slots if s not in stage.members[to].app.owned_slots()], to
        )
    await talk.acknowledged_at_least(len(talk.acknowledged) + 100)
    talk.stop()
    await running
    verdict = await stage.assert_clean(talk)
    assert verdict.marked_repeats == 0
    await assert_stored_once(stage, talk)


async def test_resets_at_any_moment_store_nothing_twice(
    stage: Stage, proxies: dict[str, FaultProxy]
) -> None:
    await stage.grant("a", range(16))
    await stage.grant("b", range(16, SLOTS))
    for proxy in proxies.values():
        proxy.latency(0.002, 0.004)
        proxy.slicing(2000)
    talk = Talk(await stage.router(), recipients_of(range(SLOTS)), period_s=0.01)
    running = asyncio.create_task(talk.run())
    chance = random.Random(5)
    for _ in range(25):
        await asyncio.sleep(0.03 * chance.random())
        chance.choice(list(proxies.values())).reset()
    for proxy in proxies.values():
        proxy.latency(0.0)
    talk.stop()
    await running
    assert sum(proxy.accepted for proxy in proxies.values()) > 10
    await assert_stored_once(stage, talk)


@pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
async def test_a_line_that_breaks_under_a_flush_costs_nothing(stage: Stage) -> None:
    """The transport is closed, and the link has yet to be told."""
    await stage.member("a")
    await stage.grant("a")
    talk = Talk(await stage.router(), recipients_of(range(4)))
    await talk.send_all(1)
    link: Any = talk.router._lanes.links["a"]
    for _ in range(3):
        link._connection.transport.abort()
        assert link.ready
        await asyncio.wait_for(talk.send_all(2), 10)
    await assert_stored_once(stage, talk)


@pytest.mark.parametrize("way", list(Way))
async def test_a_half_closed_line_is_given_up(
    stage: Stage, proxies: dict[str, FaultProxy], way: Way
) -> None:
    await stage.grant("b")
    talk = Talk(await stage.router(), recipients_of(range(4)))
    await talk.send_all(5)
    await proxies["b"].half_close(way)
    await asyncio.wait_for(talk.send_all(5), 10)
    assert proxies["b"].accepted == 2
    await assert_stored_once(stage, talk)


@pytest.mark.parametrize("way", list(Way))
async def test_a_line_that_swallows_everything_is_given_up(
    stage: Stage, proxies: dict[str, FaultProxy], way: Way
) -> None:
    """No reset, no end of file: only silence says that the line is dead."""
    await stage.grant("b")
    talk = Talk(await stage.router(), recipients_of(range(4)))
    await talk.send_all(5)
    proxies["b"].blackhole(way=way)
    sending = asyncio.create_task(talk.send_all(5))
    await until(lambda: proxies["b"].swallowed_bytes(way), "something is swallowed")
    await until(lambda: proxies["b"].accepted > 1, "another connection is tried", 10)
    proxies["b"].resume()
    await asyncio.wait_for(sending, 10)
    await assert_stored_once(stage, talk)


@pytest.mark.parametrize("way", list(Way))
async def test_a_silent_line_is_given_up_though_nothing_is_under_way(
    stage: Stage, proxies: dict[str, FaultProxy], monkeypatch: pytest.MonkeyPatch, way: Way
) -> None:
    """Else the next message, or an event, would find out only when it is needed."""
    monkeypatch.setattr(connection, "LANE_PING_S", 0.2)
    await stage.grant("b")
    talk = Talk(await stage.router(), recipients_of(range(4)))
    await talk.send_all(1)
    proxies["b"].blackhole(way=way)
    await until(lambda: proxies["b"].accepted > 1, "another connection is tried", 10)
    proxies["b"].resume()
    await asyncio.wait_for(talk.send_all(5), 10)
    await assert_stored_once(stage, talk)


async def test_an_owner_that_answers_pings_is_not_given_up(
    stage: Stage, proxies: dict[str, FaultProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit may take longer than a dead line should."""
    monkeypatch.setattr(connection, "LANE_PING_S", 0.2)
    await stage.grant("b")
    talk = Talk(await stage.router(), recipients_of(range(4)))
    log = stage.members["b"].store.logs[0]
    let_go = asyncio.Event()

    async def hold(write: LogWrite) -> None:
        await let_go.wait()

    log.before["commit"] = hold
    sending = asyncio.create_task(talk.send_all(1))
    await asyncio.sleep(1.5)
    assert not talk.acknowledged
    let_go.set()
    await asyncio.wait_for(sending, 10)
    assert proxies["b"].accepted == 1
    await assert_stored_once(stage, talk)


async def test_a_line_that_was_cut_and_heals_goes_on(
    stage: Stage, proxies: dict[str, FaultProxy]
) -> None:
    await stage.grant("b")
    talk = Talk(await stage.router(), recipients_of(range(4)))
    proxies["b"].hold()
    sending = asyncio.create_task(talk.send_all(20))
    await asyncio.sleep(0.3)
    assert not talk.acknowledged
    proxies["b"].resume()
    await asyncio.wait_for(sending, 10)
    await assert_stored_once(stage, talk)


def blind(store: Any) -> asyncio.Event:
    """Let a store handle see no newer map until the event returned is set."""
    sighted = asyncio.Event()

    async def wait(*_: object) -> None:
        await sighted.wait()

    store.control.before |= {"snapshot": wait, "changed": wait}
    return sighted


def answers_of(member: Member) -> list[AnswerStatus]:
    """Return a growing list of what this member answers to batches."""
    said: list[AnswerStatus] = []
    submit = member.app.submit

    def watching(batch: Submitted) -> None:
        def answered(entry: Entry) -> None:
            said.append(AnswerStatus(entry[2]))
            batch.answer_to(entry)

        submit(Submitted(batch.header, batch.data, answered))

    member.app.submit = watching  # type: ignore[method-assign]
    return said


def has_nothing_to_write(member: Member) -> bool:
    """Whether every outcome is durable: writing one, an owner would learn that it is none."""
    works = member.app._dispatcher.works.values()
    return not member.app._committer._writing.locked() and not any(work.dirty for work in works)


async def test_an_old_owner_that_knows_nothing_is_refused_by_the_store(
    stage: Stage, proxies: dict[str, FaultProxy]
) -> None:
    """[13] Router and old owner both hold the old map; only the fence knows better."""
    await stage.grant("a")
    router = await stage.router()
    talk = Talk(router, recipients_of(range(4)))
    await talk.send_all(5)
    a = stage.members["a"]
    await until(lambda: has_nothing_to_write(a), "the outcomes are stored")
    sighted = [blind(a.store), blind(router._store)]
    said = answers_of(a)
    await stage.take_over("a", "b")
    assert set(a.app.owned_slots()) == set(range(SLOTS))
    before = await stored_messages(stage)
    sending = asyncio.create_task(talk.send_all(5))
    await until(lambda: len(said) >= 8, "a answers, again and again")
    assert set(said) == {AnswerStatus.NOT_OWNER}
    assert await stored_messages(stage) == before
    assert not set(range(4)) & set(a.app.owned_slots())
    for event in sighted:
        event.set()
    await asyncio.wait_for(sending, 10)
    await assert_stored_once(stage, talk)


async def test_frames_behind_a_refused_one_are_not_stored_before_it(
    stage: Stage, proxies: dict[str, FaultProxy]
) -> None:
    """[14] Frames k and k+1 are under way when the slot moves away and comes back in between."""
    await stage.grant("a")
    router = await stage.router()
    talk = Talk(router, recipients_of([3]))
    await talk.send_all(1)
    proxies["a"].hold(way=Way.OUT)
    first = asyncio.create_task(talk.send_all(3))
    await asyncio.sleep(0)
    await until(lambda: router._lanes.lanes[Stream.OUTBOUND, 3].unanswered, "frame k is out")
    second = asyncio.create_task(talk.send_all(3))
    await until(lambda: len(router._lanes.lanes[Stream.OUTBOUND, 3].unanswered) == 2, "k+1 is out")
    said = answers_of(stage.members["a"])
    sighted = blind(router._store)
    await stage.hand_over([3], "b")
    proxies["a"].slicing(64)
    proxies["a"].latency(0.002, way=Way.OUT)
    proxies["a"].resume()
    await until(lambda: len(said) >= 2, "both frames are answered")
    assert AnswerStatus.STORED not in said
    sighted.set()
    await asyncio.wait_for(asyncio.gather(first, second), 10)
    await assert_stored_once(stage, talk)


async def test_a_slot_that_went_and_came_back_refuses_its_old_epoch(
    stage: Stage, proxies: dict[str, FaultProxy]
) -> None:
    """[8] a → b → a with a alive: what a wanted to write under its first epoch stays unwritten."""
    await stage.grant("a")
    talk = Talk(await stage.router(), recipients_of([3]))
    await talk.send_all(3)
    a = stage.members["a"]
    log = a.store.logs[0]
    held, let_go = asyncio.Event(), asyncio.Event()

    async def hold(write: LogWrite) -> None:
        if write.appends and not held.is_set():
            held.set()
            await let_go.wait()

    refusals: list[frozenset[int]] = []

    async def note(refused: frozenset[int], write: LogWrite) -> None:
        if write.appends:
            refusals.append(refused)

    log.before["commit"], log.after["commit"] = hold, note
    late = asyncio.create_task(talk.send_all(3))
    await asyncio.wait_for(held.wait(), 10)
    # The commit of epoch 1 hangs in a's hands while the slot changes hands twice.
    control, term = stage.control, stage.term
    for old, new, epoch in (("a", "b", 1), ("b", "a", 2)):
        assert await control.start_drain(3, epoch, new, term)
        assert await control.report_drained(3, epoch, old)
        assert await control.assign([Move(3, epoch, old, new)], term, "there and back")
    assert (await control.snapshot()).slots[3].epoch == 3
    let_go.set()
    await asyncio.wait_for(late, 10)
    await until(lambda: refusals, "the late commit has come to its end")
    assert refusals[0] == {3}
    await assert_stored_once(stage, talk)


async def test_the_attempt_of_a_dead_owner_that_comes_last_is_a_marked_message(
    stage: Stage, proxies: dict[str, FaultProxy]
) -> None:
    """[1, 7] Bytes of the old owner reach the upstream behind the new owner's."""
    await stage.grant("a")
    talk = Talk(await stage.router(), recipients_of(range(4)))
    old = stage.members["a"].upstream
    old.gate.clear()
    await talk.send_all(3)
    await until(lambda: len(old.started) == 4, "one message per recipient is under way")
    assert not stage.arrivals
    await stage.take_over("a", "b")
    await stage.verdict(talk)
    assert len(stage.arrivals) == talk.sent
    old.gate.set()
    await until(lambda: len(stage.arrivals) == talk.sent + 4, "the late ones have arrived")
    verdict = await stage.assert_clean(talk)
    assert verdict.marked_repeats == 4
    # The dead owner had more to send, and did not.
    await asyncio.sleep(0.1)
    assert len(old.started) == 4


async def test_thousands_of_parked_messages_are_released_without_a_second_failure(
    stage: Stage, proxies: dict[str, FaultProxy]
) -> None:
    """[34] Nobody owns anything while 20,000 messages come; then one owner gets it all at once."""
    talk = Talk(await stage.router(), recipients_of(range(SLOTS), each=4))
    sending = asyncio.create_task(talk.send_all(160))
    await until(lambda: talk.sent == 20_480, "all sent")
    await asyncio.sleep(0.1)
    assert not talk.acknowledged
    await stage.grant("a")
    await asyncio.wait_for(sending, 30)
    assert not stage.members["a"].app.failed.is_set()
    assert not stage.members["a"].app.declared_dead.is_set()
    await assert_stored_once(stage, talk)
