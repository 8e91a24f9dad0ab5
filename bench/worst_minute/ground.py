"""What the cycles run on: a real cluster, load on every slot of it, and a view of its store.

Load, view and cycles share one event loop, so that nothing competes with the load's clock. Messages
go into a file that all CoreApps append to, and all of it is judged at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.worst_minute.gaps import Acks
from multiconnect import Router
from multiconnect.limits import SLOTS
from multiconnect.model.cluster import NodeState, Role, Snapshot
from multiconnect.store.open import open_store
from multiconnect.store.port import ControlStore
from tests.support.faulty_cluster import FaultyCluster, coreapps, is_whole
from tests.support.history import Acknowledged, Verdict, judge
from tests.support.live_cluster import session_pids
from tests.support.stage import recipients_of
from tests.support.talk import Talk
from tests.support.upstreams import arrivals_in

WAIT_MAX_S = 60.0


@dataclass
class Ground:
    """A running cluster under load."""

    cluster: FaultyCluster
    control: ControlStore
    talk: Talk
    acks: Acks
    running: asyncio.Task[None]
    rng: random.Random = field(default_factory=lambda: random.Random(1))

    @property
    def now_s(self) -> float:
        """The clock of all times here."""
        return time.monotonic()

    # --- waiting -----------------------------------------------------------------------------
    async def until(self, holds: Callable[[Snapshot], object], what: str) -> Snapshot:
        """Wait until the store says what is wanted, woken by its changes."""
        deadline_s = self.now_s + WAIT_MAX_S
        while True:
            snapshot = await self.control.snapshot()
            if holds(snapshot):
                return snapshot
            if self.now_s > deadline_s:
                raise TimeoutError(f"not within {WAIT_MAX_S} s: {what}")
            await self.control.changed(0.25)

    async def until_whole(self, shards: int, ready: int) -> Snapshot:
        """Wait until each shard has an owner of its own and so many CoreApps are ready."""
        return await self.until(
            lambda seen: is_whole(seen, shards) and len(coreapps(seen)) >= ready,
            f"{shards} shards, {ready} CoreApps",
        )

    async def until_granted_anew(self, slots: list[int], dead: str) -> None:
        """Wait until slots have another owner than the dead one."""
        await self.until(
            lambda now: all(now.slots[s].owner not in {None, dead} for s in slots),
            "slots are granted anew",
        )

    async def until_new_term(self, term: int) -> None:
        """Wait until a later term was taken."""
        await self.until(lambda now: now.cluster.term > term, "a new term")

    async def until_acknowledged(self, slots: list[int], since_s: float) -> None:
        """Wait until each slot has acknowledged a message asked for after `since_s`."""
        async with asyncio.timeout(WAIT_MAX_S):
            while not all(self.acks.since(slot, since_s) for slot in slots):  # noqa: ASYNC110 -- looks from outside
                await asyncio.sleep(0.01)

    async def cpu(self, seconds: float) -> dict[str, float]:
        """Return what share of all cores was busy for a while, and what share with our work."""
        before = await asyncio.to_thread(_cpu_s, self.cluster)
        at_s = self.now_s
        await asyncio.sleep(seconds)
        after = await asyncio.to_thread(_cpu_s, self.cluster)
        whole_s = (self.now_s - at_s) * (os.cpu_count() or 1)
        return {k: round((after[k] - before[k]) / whole_s, 2) for k in after}

    # --- breaking ----------------------------------------------------------------------------
    def signal(self, pid: int, number: signal.Signals) -> float:
        """Send a signal to a process of the cluster; return when."""
        at_s = self.now_s
        os.kill(pid, number)
        return at_s

    def primary(self, snapshot: Snapshot) -> int:
        """Return the pid of the Master that holds the term."""
        node = snapshot.node(snapshot.cluster.master)
        if node is None:
            raise RuntimeError("nobody holds the term")
        return node.pid

    # --- judging -----------------------------------------------------------------------------
    async def verdict(self) -> Verdict:
        """Stop the load, wait until everything acknowledged has arrived, and judge it all."""
        self.talk.stop()
        await self.running
        deadline_s = self.now_s + WAIT_MAX_S
        while True:
            arrivals = arrivals_in(self.cluster.arrivals)
            verdict = judge(self.talk.acknowledged, arrivals)
            if not verdict.lost or self.now_s > deadline_s:
                return verdict
            await asyncio.sleep(0.2)


class MeasuredTalk(Talk):
    """A talk that keeps what the figures need by slot."""

    def __init__(self, router: Router, recipients: list[str], acks: Acks, period_s: float) -> None:
        super().__init__(router, recipients, period_s=period_s)
        self._acks = acks

    def noted(self, acknowledged: Acknowledged, slot: int) -> None:
        """Keep an acknowledgement."""
        super().noted(acknowledged, slot)
        self._acks.add(slot, acknowledged.asked_s, acknowledged.done_s)


@contextlib.asynccontextmanager
async def ground(
    folder: Path, *, shards: int, spares: int, period_s: float, store: str
) -> AsyncIterator[Ground]:
    """Start a cluster and load on it; both are ended afterwards."""
    options = ["--shards", str(shards), "--spares", str(spares), "--webs", "0"]
    if store != "sqlite":
        options += ["--store", store]
    await asyncio.to_thread(folder.mkdir)
    cluster = FaultyCluster(folder, *options)
    await asyncio.to_thread(cluster.start)
    try:
        async with contextlib.AsyncExitStack() as stack:
            url = str(cluster.ready["store"])
            opened = await open_store(url)
            stack.push_async_callback(opened.aclose)
            router = await stack.enter_async_context(Router(url, events=False))
            acks = Acks()
            talk = MeasuredTalk(router, recipients_of(range(SLOTS)), acks, period_s)
            running = asyncio.create_task(talk.run())
            yield Ground(cluster, opened.control, talk, acks, running)
            talk.stop()
            await running
    finally:
        await asyncio.to_thread(cluster.cut_power)


def deaths(snapshot: Snapshot, known: set[str]) -> dict[str, str]:
    """Return who of the known is dead now, and of what."""
    return {
        n.incarnation: n.reason
        for n in snapshot.nodes
        if n.incarnation in known and n.state is NodeState.DEAD
    }


def living(snapshot: Snapshot, role: Role) -> list[Any]:
    """Return the nodes of a role that are not dead."""
    return [n for n in snapshot.nodes if n.role is role and n.state is not NodeState.DEAD]


def _cpu_s(cluster: FaultyCluster) -> dict[str, float]:
    """Return the CPU seconds so far of the whole machine, and of the cluster and this process."""
    assert cluster.process is not None
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    fields = [int(f) for f in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    idle = fields[3] + fields[4]
    ours = sum(os.times()[:2])
    for pid in session_pids(cluster.process.pid):
        with contextlib.suppress(OSError):
            times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
            ours += sum(map(int, times)) * tick_s
    return {"busy": (sum(fields[:8]) - idle) * tick_s, "busy with this": ours}
