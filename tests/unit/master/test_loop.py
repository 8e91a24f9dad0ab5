"""One Master's turns: what they wait for, and that a change wakes them at once."""

import asyncio
import logging

import pytest

from multiconnect.clock import SystemClock
from multiconnect.control.actions import StartDrain
from multiconnect.errors import Bug
from multiconnect.limits import MASTER_RETRY_MAX_S, MASTER_RETRY_MIN_S
from multiconnect.master import loop as loop_module
from multiconnect.master.lease import Lease
from multiconnect.master.loop import MasterLoop
from multiconnect.model.cluster import NodeState, Role
from multiconnect.model.timers import PROFILES, Timers
from tests.unit.master.faulty_store import (
    DEADLINE_S,
    FAST,
    Faulty,
    eventually,
    names_of,
    owners,
    row,
)

#: With these nothing happens by polling within a test.
SLOW = PROFILES["onprem"]


@pytest.fixture
async def master(control, clock):
    return await make_master(control, clock, FAST)


async def make_master(control, clock, timers: Timers) -> MasterLoop:
    await control.join(row("m1", Role.MASTER))
    lease = Lease(control, "m1", timers, clock)
    await lease.renew({})
    return MasterLoop(control, "m1", timers, clock, lease)


async def test_a_turn_acts_and_asks_for_the_next_at_once(master, control):
    await control.join(row("c1"))
    assert await master.turn() == 0.0, "took the term"
    assert await master.turn() == 0.0, "granted all slots"
    assert owners(await control.snapshot()) == {"c1"}
    assert await master.turn() == FAST.renew_s / 4, "nothing left to do"
    assert master.holds_term


async def test_a_refusal_is_reread_at_once_and_then_ever_later(master, control, monkeypatch):
    async def refuse(*_):
        return None

    monkeypatch.setattr(control, "take_term", refuse)
    waits = [await master.turn() for _ in range(12)]
    assert waits[:3] == [0.0, MASTER_RETRY_MIN_S, FAST.renew_s / 4]
    assert max(waits) <= MASTER_RETRY_MAX_S
    assert waits == sorted(waits)


@pytest.mark.parametrize("what", ["snapshot", "take_term"])
async def test_an_unavailable_store_is_survived(what, master, control):
    await control.join(row("c1"))
    control.failing.add(what)
    assert [await master.turn(), await master.turn()] == [0.0, MASTER_RETRY_MIN_S]
    control.failing.clear()
    assert await master.turn() == 0.0
    assert master._retry_s == 0.0


async def test_a_repeated_decision_is_logged_once(master, control, caplog):
    caplog.set_level(logging.INFO, "multiconnect.master")
    control.failing.add("snapshot")
    for _ in range(3):
        await master.turn()
    assert caplog.messages == ["the store cannot be read: snapshot did not answer"]


async def test_a_decision_is_logged_with_its_reason(master, caplog):
    caplog.set_level(logging.INFO, "multiconnect.master")
    await master.turn()
    assert caplog.messages == ["TakeTerm: nobody holds the term"]


async def test_an_impossible_plan_is_a_bug_and_nothing_of_it_is_done(master, control, monkeypatch):
    plan = [StartDrain(slot, 0, "c1", "why") for slot in range(9)]
    monkeypatch.setattr(loop_module, "decide", lambda view: plan)
    before = await control.snapshot()
    with pytest.raises(Bug, match="9 more to begin"):
        await master.turn()
    assert await control.snapshot() == before


async def running(control, state):
    """A Master that polls every 1.25 s, at rest: it has nothing to do."""
    master = await make_master(control, SystemClock(), SLOW)
    stop = asyncio.Event()
    task = asyncio.create_task(master.run(stop))
    for name in ("c1", "c2"):
        await control.join(row(name))
    await eventually(state, lambda seen: owners(seen) == {"c1"} or owners(seen) == {"c2"})
    await soon(lambda: state.waiters)
    return stop, task


async def soon(holds):
    """Let what is ready to run do so; nothing that sleeps gets its turn here."""
    for _ in range(50):
        if holds():
            break
        await asyncio.sleep(0)
    assert holds()


async def test_a_death_is_repaired_when_it_is_written_not_when_it_is_polled(control, state):
    """From the proof to the grant nothing sleeps: only ready callbacks run in between."""
    stop, task = await running(control, state)
    other = Faulty(state)
    (owner,) = names_of(await other.snapshot())
    await other.set_node_state(owner, NodeState.DEAD, "signal 9")
    heir = {"c1", "c2"} - {owner}
    await soon(lambda: {slot.owner for slot in state.slots} == heir)
    stop.set()
    async with asyncio.timeout(DEADLINE_S):
        await task


async def test_a_standby_is_woken_by_the_end_of_the_holder_and_by_nothing_less(control, state):
    other = Faulty(state)
    await other.join(row("m0", Role.MASTER))
    await other.take_term("m0", 0)
    master = await make_master(control, SystemClock(), SLOW)
    stop = asyncio.Event()
    task = asyncio.create_task(master.run(stop))
    await soon(lambda: state.waiters)
    looks = control.calls.count("snapshot")
    await other.join(row("c1"))
    await other.put_document("k", "x", {}, None)
    await soon(lambda: len(state.waiters) == 1)
    assert control.calls.count("snapshot") == looks
    await other.set_node_state("m0", NodeState.DEAD, "signal 9")
    await soon(lambda: state.cluster.master == "m1")
    stop.set()
    async with asyncio.timeout(DEADLINE_S):
        await task


async def test_stop_ends_the_wait(control, state):
    stop, task = await running(control, state)
    stop.set()
    await soon(task.done)


async def test_a_store_that_cannot_wait_is_polled(control, state):
    control.failing.add("changed")
    master = await make_master(control, SystemClock(), FAST)
    stop = asyncio.Event()
    task = asyncio.create_task(master.run(stop))
    await eventually(state, lambda seen: seen.cluster.master == "m1")
    await Faulty(state).join(row("c1"))
    await eventually(state, lambda seen: owners(seen) == {"c1"})
    stop.set()
    async with asyncio.timeout(DEADLINE_S):
        await task
