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
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.worst_minute.gaps import Acks
from bench.worst_minute.talks import BatchTalk, MeasuredTalk
from multiconnect import Router
from multiconnect.errors import StoreUnavailable
from multiconnect.limits import SLOTS
from multiconnect.model.cluster import NodeState, Role, Snapshot
from multiconnect.model.message import STATE_MASK, State, Stream
from multiconnect.model.message_id import decode_id
from multiconnect.store.open import open_store
from multiconnect.store.port import ControlStore, Store
from tests.support.faulty_cluster import FaultyCluster, coreapps, is_whole
from tests.support.history import Acknowledged, Verdict, judge
from tests.support.live_cluster import session_pids
from tests.support.stage import recipients_of
from tests.support.upstreams import arrivals_in

WAIT_MAX_S = 60.0


@dataclass
class Ground:
    """A running cluster under load."""

    cluster: FaultyCluster
    store: Store
    talk: MeasuredTalk
    acks: Acks
    running: asyncio.Task[None]
    #: All processes of the cluster.
    pids: Callable[[], list[int]]
    rng: random.Random = field(default_factory=lambda: random.Random(1))
    #: Processes killed or frozen so far.
    kills: int = 0

    @property
    def control(self) -> ControlStore:
        """The control side of the store."""
        return self.store.control

    @property
    def now_s(self) -> float:
        """The clock of all times here."""
        return time.monotonic()

    # --- waiting -----------------------------------------------------------------------------
    async def until(self, holds: Callable[[Snapshot], object], what: str) -> Snapshot:
        """Wait until the store says what is wanted, woken by its changes."""
        deadline_s = self.now_s + WAIT_MAX_S
        while self.now_s < deadline_s:
            # A look that the store does not answer in time says nothing of the cluster.
            with contextlib.suppress(StoreUnavailable):
                snapshot = await self.control.snapshot()
                if holds(snapshot):
                    return snapshot
                await self.control.changed(0.25, snapshot)
                continue
            await asyncio.sleep(0.1)
        raise TimeoutError(f"not within {WAIT_MAX_S} s: {what}")

    async def until_whole(self, shards: int, ready: int) -> Snapshot:
        """Wait until each shard has an owner of its own and so many CoreApps are ready."""
        return await self.until(
            lambda seen: is_whole(seen, shards) and len(coreapps(seen)) >= ready,
            f"{shards} shards, {ready} CoreApps",
        )

    async def until_relieved(self, dead: Collection[str]) -> None:
        """Wait until every slot has an owner and none is among the dead."""
        await self.until(
            lambda now: not {row.owner for row in now.slots} & {None, *dead},
            "all slots are granted anew",
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
        before = await asyncio.to_thread(_cpu_s, self.pids)
        at_s = self.now_s
        await asyncio.sleep(seconds)
        after = await asyncio.to_thread(_cpu_s, self.pids)
        whole_s = (self.now_s - at_s) * (os.cpu_count() or 1)
        return {k: round((after[k] - before[k]) / whole_s, 2) for k in after}

    # --- breaking ----------------------------------------------------------------------------
    def signal(self, pid: int, number: signal.Signals) -> float:
        """Kill or freeze a process of the cluster; return when."""
        self.kills += 1
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
        """Stop the load, wait until all has arrived or nothing more comes, and judge it."""
        self.talk.stop()
        await self.running
        known, deadline_s = -1, self.now_s
        while True:
            arrivals = arrivals_in(self.cluster.arrivals)
            verdict = judge(self.talk.acknowledged, arrivals)
            if not verdict.lost:
                return verdict
            if len(arrivals) > known:
                known, deadline_s = len(arrivals), self.now_s + WAIT_MAX_S
            elif self.now_s > deadline_s:
                return verdict
            await asyncio.sleep(0.5)

    async def given_up(self, lost: Sequence[Acknowledged]) -> int:
        """Count those that the store reports as unknown: not silently lost; show the others."""
        log = await self.store.log("who only reads")
        count = 0
        for one in lost:
            address = decode_id(one.message_id)
            assert address is not None
            found = await log.find_message(Stream(address.stream), address.slot, address.sequence)
            states = found.batch.states if found is not None else b""
            byte = states[address.sequence - found.batch.base_seq] if found is not None else None
            if byte is not None and byte & STATE_MASK == State.UNKNOWN:
                count += 1
            else:
                print(f"lost: {one}: {address}, state byte {byte}", file=sys.stderr, flush=True)
        return count


@dataclass(frozen=True, slots=True)
class Layout:
    """What a kind of fault needs to run on."""

    shards: int
    spares: int
    #: Each recipient gets a message this often.
    period_s: float = 0.04
    #: Recipients per slot; more than one are sent to in batches.
    recipients: int = 1
    #: Whoever was killed is started again at once, however often; otherwise cycles would mostly
    #: wait for the back-off of processes that die young.
    quick_restarts: bool = True

    @property
    def ready(self) -> int:
        """CoreApps that are there when nothing is broken."""
        return self.shards + self.spares


@contextlib.asynccontextmanager
async def ground(folder: Path, layout: Layout, store: str) -> AsyncIterator[Ground]:
    """Start a cluster and load on it; both are ended afterwards."""
    options = ["--shards", str(layout.shards), "--spares", str(layout.spares), "--webs", "0"]
    if store != "sqlite":
        options += ["--store", store]
    await asyncio.to_thread(folder.mkdir)
    cluster = FaultyCluster(folder, *options)
    with in_memory() as quick:
        cluster.prepare_to_measure(quick / "arrivals.tsv", quick_restarts=layout.quick_restarts)
        try:
            await asyncio.to_thread(cluster.start)
            assert cluster.process is not None
            session = cluster.process.pid
            async with under_load(cluster, layout, lambda: session_pids(session)) as here:
                yield here
        finally:
            await asyncio.to_thread(cluster.cut_power)


@contextlib.contextmanager
def in_memory() -> Iterator[Path]:
    """Yield a folder on no disk: an owner's loop waits for a file, and would not for a socket."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@contextlib.asynccontextmanager
async def under_load(
    cluster: FaultyCluster, layout: Layout, pids: Callable[[], list[int]]
) -> AsyncIterator[Ground]:
    """Put load on a running cluster."""
    async with contextlib.AsyncExitStack() as stack:
        url = str(cluster.ready["store"])
        opened = await open_store(url)
        stack.push_async_callback(opened.aclose)
        router = Router(url, events=False, **cluster.router_options)
        await stack.enter_async_context(router)
        acks = Acks()
        kind = MeasuredTalk if layout.recipients == 1 else BatchTalk
        recipients = recipients_of(range(SLOTS), layout.recipients)
        talk = kind(router, recipients, acks, layout.period_s)
        running = asyncio.create_task(talk.run())
        yield Ground(cluster, opened, talk, acks, running, pids)
        talk.stop()
        await running


def living(snapshot: Snapshot, role: Role) -> list[Any]:
    """Return the nodes of a role that are not dead."""
    return [n for n in snapshot.nodes if n.role is role and n.state is not NodeState.DEAD]


def _cpu_s(pids: Callable[[], list[int]]) -> dict[str, float]:
    """Return the CPU seconds so far of the whole machine, and of the cluster and this process."""
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    fields = [int(f) for f in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    idle = fields[3] + fields[4]
    ours = sum(os.times()[:2])
    for pid in pids():
        with contextlib.suppress(OSError):
            times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
            ours += sum(map(int, times)) * tick_s
    return {"busy": (sum(fields[:8]) - idle) * tick_s, "busy with this": ours}
