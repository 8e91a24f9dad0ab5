"""Whole Masters, several in one loop on one store, from their first beat to their last."""

import asyncio
import functools

import pytest

from multiconnect.clock import SystemClock
from multiconnect.errors import Bug, Refused, StoreUnavailable
from multiconnect.master import loop as loop_module
from multiconnect.master.process import MasterExit, run_master
from multiconnect.model.cluster import NodeState, Role
from multiconnect.model.timers import PROFILES
from tests.unit.master.faulty_store import (
    DEADLINE_S,
    FAST,
    FaultyStore,
    eventually,
    names_of,
    owners,
    row,
)


class Running:
    """A Master in a task, with the handle it uses and the means to stop it."""

    def __init__(self, state, name, timers=FAST):
        self.store = FaultyStore(state)
        self.stop = asyncio.Event()
        self.ready = asyncio.Event()
        self.task = asyncio.create_task(
            run_master(self.store, name, timers, SystemClock(), self.stop, on_ready=self.ready.set)
        )

    async def end(self):
        self.stop.set()
        async with asyncio.timeout(DEADLINE_S):
            return await self.task


def dead(seen, name):
    node = seen.node(name)
    return node is not None and node.state is NodeState.DEAD


def is_moved(lost, seen):
    return not names_of(seen) & lost


def master_is(name):
    return lambda seen: seen.cluster.master == name


@pytest.fixture
async def masters(state):
    """m1 in charge and m2 beside it, on timers so long that nothing happens by a lease."""
    first = Running(state, "m1", PROFILES["onprem"])
    await eventually(state, master_is("m1"))
    second = Running(state, "m2", PROFILES["onprem"])
    await second.ready.wait()
    yield first, second
    for one in (first, second):
        one.stop.set()
    await asyncio.gather(first.task, second.task, return_exceptions=True)


async def test_a_master_joins_beats_and_is_ready(state, control, masters):
    snapshot = await control.snapshot()
    assert {n.incarnation: (n.role, n.state) for n in snapshot.nodes} == {
        "m1": (Role.MASTER, NodeState.READY),
        "m2": (Role.MASTER, NodeState.READY),
    }
    assert set(await control.beats()) == {"m1", "m2"}


async def test_one_that_stops_says_so_and_the_other_takes_over_at_once(state, masters):
    first, _ = masters
    assert await first.end() is MasterExit.STOPPED
    snapshot = await eventually(state, master_is("m2"))
    node = snapshot.node("m1")
    assert node is not None
    assert (node.state, node.reason) == (NodeState.DEAD, "stopped")
    assert snapshot.cluster.term == 2


async def test_a_proof_of_death_is_enough(state, control, masters):
    await control.set_node_state("m1", NodeState.DEAD, "signal 9")
    await eventually(state, master_is("m2"))


async def test_a_standby_changes_nothing(state, control, masters):
    _, second = masters
    await control.join(row("c1"))
    await eventually(state, lambda seen: owners(seen) == {"c1"})
    assert {entry.term for entry in await control.audit(40)} == {1}
    assert "take_term" not in second.store.faulty.calls


async def test_a_master_cut_off_is_replaced_by_lease_and_ends_when_it_learns_of_it(state):
    first = Running(state, "m1")
    await eventually(state, master_is("m1"))
    second = Running(state, "m2")
    await second.ready.wait()
    first.store.faulty.failing |= {"snapshot", "beats", "beat", "changed", "set_node_state"}
    await eventually(state, master_is("m2"))
    await eventually(state, lambda seen: dead(seen, "m1"))
    first.store.faulty.failing.clear()
    async with asyncio.timeout(DEADLINE_S):
        assert await first.task is MasterExit.DECLARED_DEAD
    assert await second.end() is MasterExit.STOPPED


async def test_a_used_incarnation_is_refused(state, control):
    await control.join(row("m1", Role.MASTER, NodeState.DEAD))
    with pytest.raises(Refused, match="m1 was used before"):
        await run_master(FaultyStore(state), "m1", FAST, SystemClock(), asyncio.Event())


async def test_a_store_that_does_not_answer_at_the_start_is_an_error(state):
    store = FaultyStore(state)
    store.faulty.failing.add("beat")
    with pytest.raises(StoreUnavailable):
        await run_master(store, "m1", FAST, SystemClock(), asyncio.Event())


async def test_goodbye_to_a_store_that_is_gone_is_not_an_error(state):
    one = Running(state, "m1")
    await eventually(state, master_is("m1"))
    one.store.faulty.failing.add("set_node_state")
    assert await one.end() is MasterExit.STOPPED


async def test_a_bug_ends_the_master_with_an_error(state, control, monkeypatch):
    one = Running(state, "m1")
    await eventually(state, master_is("m1"))

    def broken(view):
        raise Bug("impossible")

    monkeypatch.setattr(loop_module, "decide", broken)
    await control.join(row("c1"))
    with pytest.raises(Bug, match="impossible"):
        async with asyncio.timeout(DEADLINE_S):
            await one.task


async def test_cancelling_leaves_no_task_behind(state):
    one = Running(state, "m1")
    await eventually(state, master_is("m1"))
    one.task.cancel()
    await asyncio.gather(one.task, return_exceptions=True)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_five_masters_and_a_failover_under_each(state, control):
    """Kill the Master in charge and the owner together, again and again: no slot is lost."""
    names = [f"m{number}" for number in range(5)]
    running = {name: Running(state, name, PROFILES["onprem"]) for name in names}
    for number in range(5):
        await control.join(row(f"c{number}", state=NodeState.READY))
    snapshot = await eventually(state, lambda seen: len(owners(seen) - {None}) == 1)
    for _ in range(3):
        lost = names_of(snapshot)
        assert len(lost) == 1
        for name in (snapshot.cluster.master, *lost):
            await control.set_node_state(str(name), NodeState.DEAD, "signal 9")
        snapshot = await eventually(state, functools.partial(is_moved, lost))
    assert {slot.epoch for slot in snapshot.slots} == {4}
    assert snapshot.cluster.term == 4
    for one in running.values():
        one.stop.set()
    async with asyncio.timeout(DEADLINE_S):
        await asyncio.gather(*(one.task for one in running.values()))
