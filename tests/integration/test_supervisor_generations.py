"""The supervisor follows the store: new generations, drains, declarations of death, the end."""

import asyncio
import os
import signal
import time

import pytest

from multiconnect.limits import SLOTS, STOP_MAX_S
from multiconnect.model.cluster import Move, NodeState
from multiconnect.supervisor.stopping import stop_all
from multiconnect.supervisor.supervision import Wanted
from tests.support.supervised import supervised, until

pytestmark = pytest.mark.process

TWO = Wanted(coreapps=2, masters=0, webs=0)


async def give_everything(run, incarnation):
    """Grant all slots to one node, as the Master would."""
    snapshot = await run.control.snapshot()
    term = await run.control.take_term("nobody-in-particular", snapshot.cluster.term)
    if term is None:
        term = snapshot.cluster.term
    for row in snapshot.slots:
        if row.owner is not None:
            assert await run.control.start_drain(row.slot, row.epoch, incarnation, term)
            assert await run.control.report_drained(row.slot, row.epoch, row.owner)
    moves = [Move(r.slot, r.epoch, r.owner, incarnation) for r in snapshot.slots]
    shards = snapshot.cluster.target_shards
    assert await run.control.assign(moves, term, "test", shards=shards)
    assert len(moves) == SLOTS


async def become_master(run):
    """Join something that may hold the term."""
    child = run.child("coreapp-1")
    node = run.supervisor.node
    assert await run.control.take_term(node.incarnation, 0)
    return child


async def test_a_new_generation_starts_beside_the_old_and_relieves_it(tmp_path):
    async with supervised(tmp_path, TWO) as run:
        await become_master(run)
        old = [await run.joined(run.child(f"coreapp-{n}")) for n in (1, 2)]
        await give_everything(run, old[0])
        await run.control.set_target(1, 0)
        await until(lambda: run.names() == [f"coreapp-{n}" for n in (1, 2, 3, 4)])
        assert [run.child(f"coreapp-{n}").settings.generation for n in (3, 4)] == [1, 1]
        new = [await run.joined(run.child(f"coreapp-{n}")) for n in (3, 4)]
        # Nothing moved yet: the old ones stay, the spare included.
        await asyncio.sleep(0.2)
        assert len(run.names()) == 4
        await give_everything(run, new[0])
        assert [(await run.dead(name)).reason for name in old] == ["exit 0", "exit 0"]
        await until(lambda: run.names() == ["coreapp-3", "coreapp-4"])
        diary = (tmp_path / f"{old[0]}.txt").read_text().split()
        assert diary == ["started", "ready", "stopping", "stopped"]


async def test_a_crash_is_made_good_in_the_newest_generation(tmp_path):
    async with supervised(tmp_path, TWO) as run:
        await run.control.set_target(1, 0)
        await until(lambda: len(run.names()) == 4)
        os.kill(run.child("coreapp-4").pid, signal.SIGKILL)
        await until(lambda: run.supervisor.reports.exited)
        await until(lambda: len(run.names()) == 4)
        generations = sorted(c.settings.generation for c in run.supervisor.seats.children())
        assert generations == [0, 0, 1, 1]


async def test_a_drained_coreapp_is_replaced_and_then_told_to_go(tmp_path):
    async with supervised(tmp_path, TWO) as run:
        await become_master(run)
        first = await run.joined(run.child("coreapp-1"))
        await run.joined(run.child("coreapp-2"))
        await give_everything(run, first)
        await run.control.set_node_state(first, NodeState.LEAVING, "drain")
        await until(lambda: "coreapp-3" in run.names())
        third = await run.joined(run.child("coreapp-3"))
        await asyncio.sleep(0.2)
        assert "coreapp-1" in run.names()
        await give_everything(run, third)
        assert (await run.dead(first)).reason == "exit 0"
        await until(lambda: run.names() == ["coreapp-2", "coreapp-3"])


async def test_a_drained_host_stops(tmp_path):
    async with supervised(tmp_path, TWO) as run:
        await run.control.set_node_state(
            run.supervisor.node.incarnation, NodeState.LEAVING, "drain"
        )
        await asyncio.wait_for(run.supervisor.finished.wait(), 5)
        assert "drained" in run.supervisor.why
        assert not run.supervisor.failed


async def test_a_supervisor_declared_dead_joins_again_as_another(tmp_path):
    async with supervised(tmp_path, TWO) as run:
        first = run.supervisor.node.incarnation
        await run.control.set_node_state(first, NodeState.DEAD, "lease")
        await until(lambda: run.supervisor.node.incarnation != first)
        assert len(run.names()) == 2


async def test_an_orderly_end(tmp_path):
    async with supervised(tmp_path, Wanted(coreapps=2, masters=1, webs=1)) as run:
        children = run.supervisor.seats.children()
        names = {child.settings.name: await run.joined(child) for child in children}
        assert await stop_all(run.supervisor, asyncio.Event())
        assert run.names() == []
        ends = [await run.row(name) for name in names.values()]
        assert {node.reason for node in ends} == {"exit 0"}
        assert (await run.row(run.supervisor.node.incarnation)).state is NodeState.DEAD
        diaries = {n: tmp_path / f"{incarnation}.txt" for n, incarnation in names.items()}
        assert all(path.read_text().split()[-1] == "stopped" for path in diaries.values())
        ended = {name: path.stat().st_mtime_ns for name, path in diaries.items()}
        assert ended["web-1"] < min(ended["coreapp-1"], ended["coreapp-2"])
        assert max(ended["coreapp-1"], ended["coreapp-2"]) < ended["master-1"]


async def test_impatience_kills(tmp_path, monkeypatch):
    monkeypatch.setenv("MULTICONNECT_DUMMY", "stubborn")
    async with supervised(tmp_path, TWO) as run:
        names = [await run.joined(child) for child in run.supervisor.seats.children()]
        hurry = asyncio.Event()
        stopping = asyncio.create_task(stop_all(run.supervisor, hurry))
        await until(lambda: all(c.told_to_stop for c in run.supervisor.seats.children()))
        begun = time.monotonic()
        hurry.set()
        assert not await stopping
        assert time.monotonic() - begun < STOP_MAX_S / 2
        assert (await run.row(names[0])).reason == "did not stop in time, killed"


async def test_a_stubborn_child_does_not_hold_up_the_end(tmp_path, monkeypatch):
    monkeypatch.setenv("MULTICONNECT_DUMMY", "web-1=stubborn")
    monkeypatch.setattr("multiconnect.supervisor.stopping.STOP_MAX_S", 1.0)
    async with supervised(tmp_path, Wanted(coreapps=1, masters=0, webs=1)) as run:
        assert not await stop_all(run.supervisor, asyncio.Event())
        assert sorted(run.supervisor.reports.exited.values()) == [
            "did not stop in time, killed", "exit 0", "stopped"
        ]  # fmt: skip
