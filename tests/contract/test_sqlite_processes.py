"""SQLite under processes that are killed, frozen, or out of disk; each is a real process."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from multiconnect.errors import StoreUnavailable
from multiconnect.model.cluster import Beat, Move, NodeState
from multiconnect.model.log import LogWrite
from multiconnect.store.port import LogStore
from tests.contract.cluster import OUT, Cluster, Stores, append, node

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
DEADLINE_S = 20.0

Child = asyncio.subprocess.Process
Spawn = Callable[[str], Awaitable[Child]]


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[Stores]:
    stores = Stores("sqlite", tmp_path)
    yield stores
    await stores.aclose()


@pytest.fixture
async def spawn(stores: Stores) -> AsyncIterator[Spawn]:
    """Start children on the store; whatever becomes of the test, they are ended."""
    children: list[Child] = []

    async def start(mode: str) -> Child:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.contract.sqlite_child", mode, stores.url,
            cwd=ROOT, stdout=asyncio.subprocess.PIPE,
            process_group=0,  # it may be stopped: see tests/support/lone_roles.py
        )  # fmt: skip
        children.append(child)
        return child

    yield start
    for child in children:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def line(child: Child) -> str:
    assert child.stdout is not None
    return (await asyncio.wait_for(child.stdout.readline(), DEADLINE_S)).decode().strip()


async def next_seq(log: LogStore, epoch: int) -> int:
    tail = await log.open_slot(0, epoch)
    assert tail is not None
    return tail.streams[OUT].next_seq


async def test_what_a_killed_owner_reported_is_there(cluster: Cluster, spawn: Spawn):
    await cluster.own("a", 0)
    stored = 0
    for reports in (1, 7, 40, 90):
        child = await spawn("commit_forever")
        for _ in range(reports):
            await line(child)
        child.kill()
        assert child.stdout is not None
        reported = (await child.stdout.read()).decode().rpartition("\n")[0].split("\n")
        await child.wait()
        # Its last words may have been cut off; whole lines are promises.
        promised = max([int(number) for number in reported if number], default=0)
        stored = await next_seq(await cluster.log("a"), 1)
        assert stored >= max(promised, 4 * reports)
    await cluster.control.set_node_state("a", NodeState.DEAD, "killed")
    assert await cluster.control.assign([Move(0, 1, "a", "b")], 1, "")
    log = await cluster.log("b")
    assert await next_seq(log, 2) == stored
    batches = await log.read_batches(OUT, 0, 0, 2**40)
    assert [batch.base_seq for batch in batches] == list(range(0, stored, 4))
    assert {len(batch.body or b"") for batch in batches} == {20_000}


async def test_a_frozen_process_in_a_ledger_blocks_its_writers_until_it_is_killed(cluster, spawn):
    await cluster.own("a", 0)
    frozen = await spawn("hold_ledger")
    assert await line(frozen) == "locked"
    os.kill(frozen.pid, signal.SIGSTOP)
    log = await cluster.log("a")
    commit = asyncio.create_task(log.commit(LogWrite({0: 1}, (append(0, 0),))))
    assert not (await asyncio.wait({commit}, timeout=0.2))[0]
    # Nobody else is held up: not the loop, not the control plane.
    assert await cluster.control.beat(Beat("b", 1))
    assert await cluster.control.join(node("d"))
    frozen.kill()
    assert await asyncio.wait_for(commit, DEADLINE_S) == frozenset()


async def test_a_frozen_owner_cannot_be_fenced_before_it_is_killed(cluster, spawn):
    await cluster.own("a", 0)
    frozen = await spawn("hold_ledger")
    assert await line(frozen) == "locked"
    os.kill(frozen.pid, signal.SIGSTOP)
    await cluster.control.set_node_state("a", NodeState.DEAD, "silent")
    with pytest.raises(StoreUnavailable, match="frozen"):
        await cluster.control.assign([Move(0, 1, "a", "b")], 1, "takeover")
    assert await cluster.epoch(0) == 1
    # Others were not locked out by the attempt.
    assert await cluster.control.join(node("d"))
    frozen.kill()
    await frozen.wait()
    assert await cluster.control.assign([Move(0, 1, "a", "b")], 1, "takeover")
    assert await (await cluster.log("b")).open_slot(0, 2) is not None


async def test_beats_and_reads_go_on_while_the_control_file_is_locked(cluster, spawn):
    await cluster.own("a", 0)
    frozen = await spawn("hold_control")
    assert await line(frozen) == "locked"
    os.kill(frozen.pid, signal.SIGSTOP)
    joining = asyncio.create_task(cluster.control.join(node("d")))
    assert not (await asyncio.wait({joining}, timeout=0.1))[0]
    assert await cluster.control.beat(Beat("a", 1))
    assert (await cluster.control.beats())["a"].count == 1
    assert (await cluster.control.snapshot()).slots[0].owner == "a"
    assert not await cluster.control.changed(0)
    await cluster.append("a", append(0, 0))
    frozen.kill()
    assert await asyncio.wait_for(joining, DEADLINE_S)


async def test_a_disk_that_takes_no_more_loses_nothing_and_recovers(cluster, spawn):
    await cluster.own("a", 0)
    child = await spawn("commit_to_the_limit")
    stored = int(await line(child))
    assert stored > 0
    assert await line(child) in {"IOError", "FullError"}
    assert int(await line(child)) == stored
    assert await line(child) == "wrote on"
    assert await child.wait() == 0
    found = await (await cluster.log("a")).read_batches(OUT, 0, 0, 2**40)
    assert [batch.base_seq for batch in found] == list(range(0, stored + 4, 4))


async def test_processes_that_open_a_new_store_at_once_make_one_cluster(spawn):
    children = [await spawn("join_and_show") for _ in range(6)]
    shown = {await line(child) for child in children}
    assert [await child.wait() for child in children] == [0] * 6
    assert len(shown) == 1
    assert shown.pop().endswith(" 32")
