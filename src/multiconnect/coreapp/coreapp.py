"""A CoreApp: follows what it owns, accepts, commits, dispatches. The same object runs as a process
of its own and inside an `Engine`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from multiconnect._native.compiled import require_compiled
from multiconnect.clock import Clock
from multiconnect.coreapp.committer import Committer
from multiconnect.coreapp.dispatcher import Dispatcher
from multiconnect.coreapp.endpoint import Endpoint
from multiconnect.coreapp.group import Submitted
from multiconnect.coreapp.inbound import InboundSink
from multiconnect.coreapp.lease import Lease
from multiconnect.coreapp.pacing import Pacing
from multiconnect.coreapp.slot_work import SlotWork
from multiconnect.dataplane.background import Background
from multiconnect.dataplane.wire import events_frame
from multiconnect.errors import Bug, StoreUnavailable
from multiconnect.limits import GARBAGE_CALLS_MAX, INTAKE_BYTES_MAX
from multiconnect.model.cluster import Beat, NodeState, Slot, Snapshot
from multiconnect.model.message import Event, Stream
from multiconnect.model.timers import Timers
from multiconnect.store.port import ControlStore, LogStore
from multiconnect.upstream.port import Upstream

require_compiled()

_log = logging.getLogger("multiconnect.coreapp")

#: How often the snapshot is read again although nothing seemed to change.
_REREAD_S = 1.0
#: How often slots that are to be handed over are looked at: are they drained?
_DRAIN_POLL_S = 0.002
_GARBAGE_S = 60.0
_SETTLE_POLL_S = 0.005
_INTAKE_POLL_S = 0.002


class CoreApp:
    """Owns slots under one incarnation, from `start` to `stop`."""

    def __init__(
        self,
        incarnation: str,
        control: ControlStore,
        log: LogStore,
        upstream: Upstream,
        timers: Timers,
        clock: Clock,
        pacing: Pacing | None = None,
        *,
        in_doubt_resend: bool = True,
    ) -> None:
        self.incarnation = incarnation
        self._control = control
        self._log = log
        self._upstream = upstream
        self._timers = timers
        self._clock = clock
        self._pacing = pacing or Pacing(None, pair_rate=False)
        self._lease = Lease(timers)
        self._committer = Committer(log, clock, self._publish, self._fenced)
        inbound = InboundSink(log, clock, self._work_of, self._publish)
        self._dispatcher = Dispatcher(
            log,
            {Stream.OUTBOUND: upstream, Stream.INBOUND: inbound},
            self._lease,
            clock,
            self._pacing,
            self._committer.kick,
            self._fail,
            in_doubt_resend=in_doubt_resend,
            has_audience=self._has_audience,
        )
        self._committer.dispatcher = self._dispatcher
        self._endpoints: set[Endpoint] = set()
        self._listeners: list[Callable[[list[Event]], None]] = []
        self._paused = False
        self._settling = False
        self._cluster = 0
        self._beats = 0
        self._background = Background(self._fail)
        #: Set when this incarnation was declared dead: it must end.
        self.declared_dead = asyncio.Event()
        #: Set when one of its tasks ended by a bug: it must end, a spare does better.
        self.failed = asyncio.Event()
        self.failure: Bug | None = None

    # --- life --------------------------------------------------------------------------------
    async def start(self) -> None:
        """Warm up and begin to follow the map; the node row exists already."""
        await self._upstream.start()
        await self._renew()
        self._background.start(self._committer.run())
        self._background.start(self._keep_renewing())
        self._background.start(self._follow())
        self._background.start(self._collect_garbage())

    async def stop(self) -> None:
        """End now. Slots should have been handed over before (state LEAVING, see process.py)."""
        self._lease.end()
        await self._background.aclose()
        await self._dispatcher.aclose()
        for endpoint in list(self._endpoints):
            endpoint.abort()
        await self._upstream.aclose()
        await self._log.aclose()

    async def settle(self) -> None:
        """Wait until nothing is in flight and everything known is written (before `stop`).

        Nothing is sent any more, whatever the map says. The caller bounds the time.
        """
        self._settling = True
        for work in self._dispatcher.works.values():
            work.drain()
        works = self._dispatcher.works
        while not self.failed.is_set() and any(not work.drained for work in works.values()):
            self._committer.kick()
            await asyncio.sleep(_SETTLE_POLL_S)

    async def ended(self) -> None:
        """Wait until it must end: it was declared dead, or has failed."""
        waits = [asyncio.ensure_future(e.wait()) for e in (self.declared_dead, self.failed)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _fail(self, error: BaseException) -> None:
        self._lease.end()
        name = type(error).__name__
        self.failure = Bug(f"a task of {self.incarnation} ended with {name}; see the log")
        self.failure.__cause__ = error
        self.failed.set()

    def owned_slots(self) -> list[int]:
        """Return the slots that are open here."""
        return sorted(self._dispatcher.works)

    # --- intake ------------------------------------------------------------------------------
    def submit(self, batch: Submitted) -> None:
        """Take a batch from a router; it is answered after its commit."""
        self._committer.submit(batch)
        if self._committer.queued_bytes <= INTAKE_BYTES_MAX:
            return
        # Each time: a router may have connected since.
        for endpoint in self._endpoints:
            endpoint.pause()
        if not self._paused:
            self._paused = True
            self._background.start(self._resume_reading())

    async def _resume_reading(self) -> None:
        while self._committer.queued_bytes > INTAKE_BYTES_MAX // 2:  # noqa: ASYNC110 -- rare
            await asyncio.sleep(_INTAKE_POLL_S)
        self._paused = False
        for endpoint in self._endpoints:
            endpoint.resume()

    def connected(self, endpoint: Endpoint) -> None:
        """A router is connected."""
        self._endpoints.add(endpoint)

    def disconnected(self, endpoint: Endpoint) -> None:
        """A router is gone."""
        self._endpoints.discard(endpoint)

    def new_endpoint(self) -> Endpoint:
        """Return the protocol for one accepted connection."""
        return Endpoint(self)

    # --- events ------------------------------------------------------------------------------
    def listen_locally(self, listener: Callable[[list[Event]], None]) -> None:
        """Publish events inside this process as well."""
        self._listeners.append(listener)

    def _has_audience(self) -> bool:
        return bool(self._listeners) or any(e.wants_events for e in self._endpoints)

    def _publish(self, events: list[Event]) -> None:
        for listener in self._listeners:
            listener(events)
        wanting = [e for e in self._endpoints if e.wants_events]
        if wanting:
            frame = events_frame(events)
            for endpoint in wanting:
                endpoint.send_events(frame)

    def _work_of(self, slot: int) -> SlotWork | None:
        return self._dispatcher.works.get(slot)

    # --- lease -------------------------------------------------------------------------------
    async def _renew(self) -> None:
        asked_at_s = self._clock.monotonic()
        self._beats += 1
        if await self._control.beat(Beat(self.incarnation, self._beats, self.figures())):
            self._lease.renewed(asked_at_s)
        else:
            self._lease.end()
            self.declared_dead.set()

    async def _keep_renewing(self) -> None:
        """Runs on the loop it proves alive: a loop that stands still stops renewing."""
        while True:
            await asyncio.sleep(self._timers.renew_s)
            try:
                await self._renew()
            except StoreUnavailable as error:
                _log.warning("renewal_failed: %s", error)
            self._dispatcher.pump()

    def figures(self) -> dict[str, int]:
        """Return the counters shown in status and metrics."""
        works = self._dispatcher.works.values()
        backlog = sum(work.queues[Stream.OUTBOUND].backlog for work in works)
        in_flight = sum(work.queues[Stream.OUTBOUND].in_flight for work in works)
        return {
            **self._committer.counts,
            **self._dispatcher.counts,
            "backlog": backlog,
            "in_flight": in_flight,
            "slots": len(self._dispatcher.works),
            "routers": len(self._endpoints),
        }

    # --- ownership ---------------------------------------------------------------------------
    async def _follow(self) -> None:
        """Act on every change of the slot rows that concerns us."""
        while True:
            try:
                snapshot = await self._control.snapshot()
                await self.adopt(snapshot)
                await self._until_news(snapshot)
            except StoreUnavailable as error:
                _log.warning("map_unreadable: %s", error)
                await asyncio.sleep(0.1)

    async def _until_news(self, seen: Snapshot) -> None:
        """Wait for what concerns us, or a while; report meanwhile what has been drained."""
        draining = [
            row
            for row in seen.slots
            if row.owner == self.incarnation and row.drain_to is not None and not row.drained
        ]
        wait_s = _DRAIN_POLL_S if draining else _REREAD_S
        until_s = self._clock.monotonic() + _REREAD_S
        while not await self._control.changed(wait_s, seen, concerning=self.incarnation):
            if self._clock.monotonic() >= until_s:
                return
            await self._report_drained(draining)

    async def adopt(self, snapshot: Snapshot) -> None:
        """Make what we own match the snapshot."""
        self._cluster = snapshot.cluster.cluster
        me = snapshot.node(self.incarnation)
        if me is not None and me.state is NodeState.DEAD:
            self._lease.end()
            self.declared_dead.set()
            return
        mine = [row for row in snapshot.slots if row.owner == self.incarnation]
        kept = {row.slot for row in mine}
        for slot in [s for s in self._dispatcher.works if s not in kept]:
            self._give_up(slot)
        granted = [r for r in mine if self._committer.owned_epoch(r.slot) != r.epoch]
        # Whoever sends to an heir has seen its grant, maybe before the heir itself.
        awaited = [row.slot for row in snapshot.slots if row.drain_to == self.incarnation]
        self._committer.expect([*awaited, *(row.slot for row in granted)])
        if granted:
            await self._open(granted)
        for row in mine:
            self._follow_drain(row)
        await self._report_drained(mine)
        self._pacing.owns(len(self._dispatcher.works))

    async def _open(self, rows: list[Slot]) -> None:
        tails = await self._committer.open_slots({row.slot: row.epoch for row in rows})
        for tail in tails.values():
            _log.info("slot_opened: slot %d epoch %d", tail.slot, tail.epoch)
            work = SlotWork(tail, self._cluster)
            if self._settling:
                work.drain()
            self._dispatcher.open(work)
        for row in rows:
            if row.slot not in tails:
                _log.info("grant_gone: slot %d epoch %d", row.slot, row.epoch)
                await self._control.release(
                    row.slot, row.epoch, self.incarnation, "sealed before it was taken into use"
                )
        # What has waited for these slots is committed before more are opened: one write at a time.
        await asyncio.sleep(0)

    def _give_up(self, slot: int) -> None:
        _log.info("slot_given_up: slot %d", slot)
        self._committer.close_slot(slot)
        self._dispatcher.close(slot)

    def _fenced(self, slot: int) -> None:
        """A commit was refused: somebody else has the slot."""
        self._dispatcher.close(slot)

    def _follow_drain(self, row: Slot) -> None:
        work = self._dispatcher.works.get(row.slot)
        if work is None or work.epoch != row.epoch:
            return
        draining = work.queues[Stream.OUTBOUND].draining
        if row.drain_to is None:
            if draining and not self._settling:
                work.resume()
                self._committer.kick()
        elif not draining:
            work.drain()
            self._committer.kick()

    async def _report_drained(self, rows: Iterable[Slot]) -> None:
        """Say of which slots nothing is in flight any more; at once, so that they go together."""
        drained = [row for row in rows if self._is_drained(row)]
        report = self._control.report_drained
        await asyncio.gather(*(report(row.slot, row.epoch, self.incarnation) for row in drained))

    def _is_drained(self, row: Slot) -> bool:
        if row.drain_to is None or row.drained:
            return False
        work = self._dispatcher.works.get(row.slot)
        return work is not None and work.epoch == row.epoch and work.drained

    async def _collect_garbage(self) -> None:
        while True:
            await asyncio.sleep(_GARBAGE_S)
            try:
                for _ in range(GARBAGE_CALLS_MAX):
                    if not await self._log.collect_garbage(self._clock.wall_ms()):
                        break
            except StoreUnavailable as error:
                _log.warning("garbage_not_collected: %s", error)
