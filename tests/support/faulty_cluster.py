"""A live cluster whose CoreApps and Masters fail on command, with load on it from a router here.

The load goes through a router of the test's own (tests/support/talk.py), in a thread, so that a
test reads like a story; what arrives upstream is read from a file that all CoreApps append to.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from multiconnect import Router
from multiconnect.loop import new_event_loop
from multiconnect.model.cluster import AuditEntry, Node, NodeState, Role, Snapshot
from multiconnect.store.open import open_store
from tests.support.history import Verdict, judge
from tests.support.live_cluster import LiveCluster
from tests.support.talk import Talk
from tests.support.tickets import VARIABLE, Tickets
from tests.support.upstreams import arrivals_in


class FaultyCluster(LiveCluster):
    """`up` with roles that fail on command; states are read from the store itself."""

    program = "tests.support.faulty_up"
    #: What a router of this cluster needs beyond the store's URL.
    router_options: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, folder: Path, *options: str, upstream: str = "null") -> None:
        super().__init__(folder, upstream, *options)
        self.tickets = Tickets(folder / "tickets")
        self.arrivals = folder / "arrivals.tsv"
        self.environment = {**os.environ, VARIABLE: str(folder / "tickets")}
        #: Names of the loads so far, for whoever wants recipients of their own.
        self.loads: list[str] = []
        if upstream == "null":
            self.tickets.stand("arrivals", str(self.arrivals))

    def prepare_to_measure(self, arrivals: Path, *, quick_restarts: bool) -> None:
        """Before the start: let nothing but the arrivals be ours, and go into this file."""
        self.arrivals = arrivals
        self.tickets.stand("arrivals", str(arrivals))
        self.tickets.stand("measured")
        if quick_restarts:
            self.tickets.stand("quick-restarts")

    # --- looking -----------------------------------------------------------------------------
    def snapshot(self) -> Snapshot:
        """Read what the store says."""
        found: Snapshot = asyncio.run(self._ask(lambda control: control.snapshot()))
        return found

    def audit(self) -> list[AuditEntry]:
        """Read the changes of the map, oldest first."""
        newest_first: list[AuditEntry] = asyncio.run(
            self._ask(lambda control: control.audit(10_000))
        )
        return newest_first[::-1]

    async def _ask(self, question: Callable[[Any], Any]) -> Any:
        store = await open_store(str(self.ready["store"]))
        try:
            return await question(store.control)
        finally:
            await store.aclose()

    def until(
        self, holds: Callable[[Snapshot], object], what: str, timeout_s: float = 30.0
    ) -> Snapshot:
        """Wait until the store says what is wanted; return what it says."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            snapshot = self.snapshot()
            if holds(snapshot):
                return snapshot
            assert time.monotonic() < deadline_s, f"not within {timeout_s} s: {what}: {snapshot}"
            time.sleep(0.01)

    def owner(self, slot: int = 0) -> Node:
        """Return the node that owns a slot."""
        snapshot = self.snapshot()
        node = snapshot.node(snapshot.slots[slot].owner)
        assert node is not None
        return node

    def signal_pid(self, pid: int, number: signal.Signals) -> None:
        """Send a signal to a process of this cluster."""
        os.kill(pid, number)

    def restart(self) -> None:
        """Ask for a new generation with the same count: every slot moves once."""
        self.set_target(self.snapshot().cluster.shards)

    def set_target(self, shards: int) -> None:
        """Ask for a shard count, whoever else asks for another at the same moment."""

        async def ask(control: Any) -> None:
            while True:
                generation = (await control.snapshot()).cluster.generation
                if await control.set_target(shards, generation) is not None:
                    return

        asyncio.run(self._ask(ask))

    def until_whole(self, shards: int, ready: int, timeout_s: float = 60.0) -> Snapshot:
        """Wait until so many shards are served by an owner each and so many CoreApps are ready."""
        return self.until(
            lambda seen: is_whole(seen, shards) and len(coreapps(seen)) >= ready,
            f"{shards} shards, {ready} CoreApps ready", timeout_s,
        )  # fmt: skip


def coreapps(snapshot: Snapshot) -> list[Node]:
    """Return the CoreApps that are ready."""
    return [n for n in snapshot.nodes if n.role is Role.COREAPP and n.state is NodeState.READY]


def is_whole(snapshot: Snapshot, shards: int) -> bool:
    """Whether the map is of that many shards, each with one ready owner of its own."""
    ready = {node.incarnation for node in coreapps(snapshot)}
    owners = [
        {row.owner for row in snapshot.slots if row.slot % shards == n} for n in range(shards)
    ]
    return (
        snapshot.cluster.shards == snapshot.cluster.target_shards == shards
        and all(len(one) == 1 and one <= ready for one in owners)
        and len(set.union(*owners)) == shards
    )


class RouterLoad:
    """A `Talk` in a thread of its own, until stopped."""

    def __init__(
        self,
        cluster: FaultyCluster,
        recipients: Sequence[str],
        *,
        period_s: float = 0.02,
        text: str = "seq",
    ) -> None:
        self._cluster = cluster
        self._options: dict[str, Any] = {"period_s": period_s, "text": text}
        self._recipients = recipients
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.talk: Talk

    def __enter__(self) -> RouterLoad:
        """Begin."""
        self._thread.start()
        assert self._started.wait(30), "the load did not begin"
        self._raise()
        return self

    def __exit__(self, kind: object, *exc: object) -> None:
        """End after everything sent is answered; raise what broke the load itself."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self.talk.stop)
        self._thread.join(timeout=60)
        if kind is None:
            assert not self._thread.is_alive(), "the load did not end"
            self._raise()

    @property
    def parked_bytes(self) -> int:
        """What the router holds now."""
        return self.talk.parked_bytes

    def send(self, recipient: str) -> None:
        """Send one more message to a recipient now."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self.talk.send, recipient)

    def wait_for(self, more: int, timeout_s: float = 30.0) -> None:
        """Wait until this many more messages are acknowledged."""
        wanted = len(self.talk.acknowledged) + more
        deadline_s = time.monotonic() + timeout_s
        while len(self.talk.acknowledged) < wanted:
            self._raise()
            assert time.monotonic() < deadline_s, f"{self.talk.failures[-3:]}"
            time.sleep(0.005)

    def verdict(self, timeout_s: float = 30.0) -> Verdict:
        """Wait until everything acknowledged has arrived (or time is up) and judge."""
        mine = set(self._recipients)
        deadline_s = time.monotonic() + timeout_s
        while True:
            arrivals = [a for a in arrivals_in(self._cluster.arrivals) if a.recipient in mine]
            verdict = judge(list(self.talk.acknowledged), arrivals)
            if not verdict.lost or time.monotonic() > deadline_s:
                return verdict
            time.sleep(0.05)

    def assert_clean(self) -> Verdict:
        """Nothing failed, was lost, reordered, or sent twice without a mark."""
        assert not self.talk.failures, self.talk.failures[:3]
        verdict = self.verdict()
        assert verdict.clean, verdict
        return verdict

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _main(self) -> None:
        try:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                runner.run(self._run())
        except BaseException as error:
            self._error = error
        finally:
            self._started.set()

    async def _run(self) -> None:
        url, options = str(self._cluster.ready["store"]), self._cluster.router_options
        async with Router(url, events=False, **options) as router:
            self.talk = Talk(router, self._recipients, **self._options)
            self._loop = asyncio.get_running_loop()
            self._started.set()
            await self.talk.run()


@contextlib.contextmanager
def faulty_cluster(folder: Path, *options: str, upstream: str = "null") -> Iterator[FaultyCluster]:
    """A started cluster; everything of it is gone afterwards."""
    cluster = FaultyCluster(folder, *options, upstream=upstream)
    try:
        cluster.start()
        yield cluster
    finally:
        if cluster.process is not None and cluster.process.poll() is None:
            cluster.cut_power()
