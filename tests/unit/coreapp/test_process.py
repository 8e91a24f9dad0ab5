"""The CoreApp process: joins warm, leaves in order, and does not live on with a dead task."""

import asyncio
import stat
from pathlib import Path

import pytest

from multiconnect.clock import SystemClock
from multiconnect.config.child import ChildContext
from multiconnect.config.process import ProcessSettings
from multiconnect.coreapp import process
from multiconnect.coreapp.coreapp import CoreApp
from multiconnect.dataplane.router import Router
from multiconnect.errors import Bug, Refused
from multiconnect.model.cluster import Move, NodeState, Role
from multiconnect.store.open import open_store
from tests.unit.dataplane.waiting import until


class Child:
    """One run of the role inside this process."""

    def __init__(self, tmp_path):
        self.url = f"sqlite:///{tmp_path}/cluster.db"
        self.socket = tmp_path / "a.sock"
        self.stop = asyncio.Event()
        self.ready = asyncio.Event()
        settings = ProcessSettings(
            store=self.url, incarnation="a", name="a", role=Role.COREAPP, host="h",
            socket_path=str(self.socket), pair_rate=False,
        )  # fmt: skip
        self.context = ChildContext(settings, self.stop, on_ready=self.ready.set)

    def start(self):
        return asyncio.ensure_future(process.run(self.context))


@pytest.fixture
def child(tmp_path):
    return Child(tmp_path)


@pytest.fixture
async def control(child):
    store = await open_store(child.url, clock=SystemClock())
    yield store.control
    await store.aclose()


async def state(control):
    return (await control.snapshot()).node("a").state


async def grant_all(control):
    snapshot = await control.snapshot()
    term = await control.take_term("a", snapshot.cluster.term)
    moves = [Move(row.slot, row.epoch, row.owner, "a") for row in snapshot.slots]
    assert await control.assign(moves, term, "test")


async def test_it_joins_warm_serves_and_leaves(child, control):
    running = child.start()
    await asyncio.wait_for(child.ready.wait(), 10)
    assert await state(control) is NodeState.READY
    ledgers = list(Path(child.url.removeprefix("sqlite:///")).parent.glob("*.ledgers/*.db"))
    assert ledgers, "its ledger is there before it is granted anything"
    assert stat.S_IMODE(child.socket.stat().st_mode) & 0o077 == 0, "for this user only"
    await grant_all(control)
    async with Router(child.url) as router:
        await router.send("16315550001", {"n": 1})
    child.stop.set()
    await asyncio.wait_for(running, 15)
    assert await state(control) is NodeState.DEAD
    assert not child.socket.exists()


async def test_a_bug_in_a_task_ends_it_with_an_error(child, control, monkeypatch):
    """The process then exits with code 1, and a spare takes over."""
    fail = asyncio.Event()

    async def collects_garbage(_):
        await fail.wait()
        raise KeyError("a bug")

    monkeypatch.setattr(CoreApp, "_collect_garbage", collects_garbage)
    running = child.start()
    await asyncio.wait_for(child.ready.wait(), 10)
    fail.set()
    with pytest.raises(Bug) as told:
        await asyncio.wait_for(running, 10)
    assert isinstance(told.value.__cause__, KeyError)
    assert not child.socket.exists()
    assert await state(control) is NodeState.READY, "its death is for others to find and to prove"


async def test_who_was_declared_dead_just_ends(child, control):
    running = child.start()
    await asyncio.wait_for(child.ready.wait(), 10)
    await control.set_node_state("a", NodeState.DEAD, "test")
    await asyncio.wait_for(running, 10)


async def test_an_incarnation_is_used_once(child, control):
    running = child.start()
    await asyncio.wait_for(child.ready.wait(), 10)
    child.stop.set()
    await asyncio.wait_for(running, 15)
    with pytest.raises(Refused, match="used before"):
        await child.start()
    await until(lambda: not child.socket.exists())
