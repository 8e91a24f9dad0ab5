"""The one writer of an owner: everything that must be durable goes through here, in groups.

While one group is being committed the next one gathers, so the batch size follows the load without
any timer. After the commit, and only then, senders get their answers (invariant 3) and what became
durable is acted on. A slot whose fence refused is given up at once (invariant 2). When the store
says "don't know", everybody is told "busy", and each slot's tail is read anew before the next
write.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from multiconnect.clock import Clock
from multiconnect.coreapp.dispatcher import Dispatcher
from multiconnect.coreapp.group import (
    GroupPlan,
    KeyedRecord,
    Planner,
    Submitted,
    keyed_records,
)
from multiconnect.coreapp.owned_slot import OwnedSlot
from multiconnect.coreapp.slot_work import SlotWork, WorkWrite
from multiconnect.dataplane.wire import AnswerStatus
from multiconnect.errors import CorruptData, StoreUnavailable
from multiconnect.limits import GROUP_BATCHES_MAX, GROUP_BYTES_MAX
from multiconnect.model.log import Append, KeyRow, LogWrite, Mark, SlotTail, StoredBatch
from multiconnect.model.message import Event, Stream
from multiconnect.store.port import LogStore

_log = logging.getLogger("multiconnect.commit")

#: How long to wait before asking a store again that did not answer.
_REOPEN_DELAY_S = 0.1


@dataclass(slots=True)
class _Group:
    """Everything one commit carries."""

    plan: GroupPlan
    works: dict[int, tuple[SlotWork, WorkWrite]] = field(default_factory=dict)
    ahead: dict[tuple[Stream, int], Mark] = field(default_factory=dict)

    def log_write(self) -> LogWrite:
        """Return it as the store wants it."""
        writes = [write for _, write in self.works.values()]
        epochs = {slot: owned.epoch for slot, owned in self.plan.slots.items()}
        epochs |= {slot: work.epoch for slot, (work, _) in self.works.items()}
        marks = {(m.stream, m.slot): m for write in writes for m in write.marks()}
        return LogWrite(
            epochs=epochs,
            appends=self.plan.appends(),
            progress=tuple(row for write in writes for row in write.progress()),
            marks=tuple((marks | self.ahead).values()),
            retries=tuple(row for write in writes for row in write.rows.retries.values()),
            retries_done=tuple(
                (stream, slot, sequence)
                for slot, (_, write) in self.works.items()
                for stream, sequence in write.rows.retries_done
            ),
            failures=tuple(row for write in writes for row in write.rows.failures),
            upstream_ids=tuple(row for write in writes for row in write.rows.upstream_ids),
        )


class Committer:
    """Owned slots' numbering, the queue of submitted batches, and the commit loop."""

    def __init__(
        self,
        log: LogStore,
        clock: Clock,
        publish: Callable[[list[Event]], None],
        fenced: Callable[[int], None],
    ) -> None:
        self._log = log
        self._clock = clock
        self._publish = publish
        self._fenced = fenced
        self._owned: dict[int, OwnedSlot] = {}
        #: Slots granted to us whose tail is being read: their batches wait.
        self._opening: set[int] = set()
        self._queue: deque[Submitted] = deque()
        self.queued_bytes = 0
        self._wake = asyncio.Event()
        #: Whether rows may wait to be written; while nobody says so nobody is asked.
        self._rows_due = True
        #: The store takes one write at a time.
        self._writing = asyncio.Lock()
        self.dispatcher: Dispatcher | None = None
        self.counts = dict.fromkeys(("accepted", "commits", "batches"), 0)

    # --- slots -------------------------------------------------------------------------------
    def expect(self, slots: Iterable[int]) -> None:
        """These slots, and no others, are granted and not open yet: keep their batches."""
        self._opening = set(slots)
        self.kick()  # those that are not expected any more have batches to be answered

    async def open_slots(self, epochs: Mapping[int, int]) -> dict[int, SlotTail]:
        """Read granted slots' tails and begin to accept; a grant that is gone is missing."""
        async with self._writing:
            tails = await self._log.open_slots(epochs)
        self._opening -= epochs.keys()
        self._owned |= {slot: OwnedSlot(tail) for slot, tail in tails.items()}
        self.kick()
        return tails

    def close_slot(self, slot: int) -> None:
        """Accept nothing more for a slot."""
        self._owned.pop(slot, None)
        self._opening.discard(slot)
        self.kick()

    def owned_epoch(self, slot: int) -> int | None:
        """Return the epoch a slot is open under, None if it is not."""
        owned = self._owned.get(slot)
        return None if owned is None else owned.epoch

    # --- what comes in -----------------------------------------------------------------------
    def submit(self, batch: Submitted) -> None:
        """Queue a batch; it is answered later, exactly once."""
        self._queue.append(batch)
        self.queued_bytes += len(batch.data)
        self._wake.set()

    def kick(self) -> None:
        """Rows may wait to be written, or batches to be answered."""
        self._rows_due = True
        self._wake.set()

    # --- the loop ----------------------------------------------------------------------------
    async def run(self) -> None:
        """Commit groups until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            batches = self._take_group()
            async with self._writing:
                try:
                    await self._commit_group(batches)
                except StoreUnavailable as error:
                    _log.warning("store_unavailable: %s", error)
                    await self._reopen_all()

    def _take_group(self) -> list[Submitted]:
        group: list[Submitted] = []
        size = 0
        later: deque[Submitted] = deque()
        while self._queue and len(group) < GROUP_BATCHES_MAX and size < GROUP_BYTES_MAX:
            batch = self._queue.popleft()
            if batch.header.slot in self._opening:
                batch.data = bytes(batch.data)  # a view would keep its whole frame for as long
                later.append(batch)
                continue
            group.append(batch)
            size += len(batch.data)
        self.queued_bytes -= size
        if self._queue:
            self._wake.set()
        self._queue.extendleft(reversed(later))
        return group

    async def _commit_group(self, batches: list[Submitted]) -> None:
        group = _Group(GroupPlan())
        try:
            group.plan = await self._plan(batches)
            self._collect(group)
            if group.plan.planned or group.works:
                refused = await self._log.commit(group.log_write())
                self.counts["commits"] += 1
            else:
                refused = frozenset()
        except StoreUnavailable:
            self._forget(group, batches)
            raise
        self._done(group, refused)

    async def _plan(self, batches: list[Submitted]) -> GroupPlan:
        keyed: list[tuple[Submitted, list[KeyedRecord]]] = []
        for batch in batches:
            try:
                keyed.append((batch, keyed_records(batch)))
            except CorruptData as error:
                _log.warning("batch_refused: slot %d: %s", batch.header.slot, error)
                batch.answer(AnswerStatus.REFUSED)
        planner = Planner(self._owned, await self._known_keys(keyed), self._clock.wall_ms())
        for batch, records in keyed:
            planner.add(batch, records)
        return planner.plan

    async def _known_keys(
        self, keyed: list[tuple[Submitted, list[KeyedRecord]]]
    ) -> dict[tuple[int, bytes], KeyRow]:
        wanted: dict[int, list[bytes]] = {}
        for batch, records in keyed:
            for record in records:
                wanted.setdefault(batch.header.slot, []).append(record.key)
        known: dict[tuple[int, bytes], KeyRow] = {}
        for slot, keys in wanted.items():
            found = await self._log.find_keys(slot, keys)
            known |= {(slot, key): row for key, row in found.items()}
        return known

    def _collect(self, group: _Group) -> None:
        """Add what the dispatcher wants written, and claims for what is being accepted."""
        now_ms = self._clock.wall_ms()
        works = self.dispatcher.works if self.dispatcher else {}
        if self._rows_due:
            self._rows_due = False
            for slot, work in works.items():
                if work.dirty and slot in self._owned:
                    group.works[slot] = (work, work.collect(now_ms))
        ends = {(a.stream, a.slot): a.base_seq + a.count for a in group.plan.planned}
        for (stream, slot), end_seq in ends.items():
            mark = works[slot].queues[stream].claim_ahead(end_seq) if slot in works else None
            if mark is not None:
                group.ahead[stream, slot] = mark

    def _done(self, group: _Group, refused: frozenset[int]) -> None:
        """The commit is durable: adopt, answer, hand on."""
        for slot in refused:
            _log.info("fenced: slot %d", slot)
            self.close_slot(slot)
            self._fenced(slot)
        for slot, owned in group.plan.slots.items():
            if slot in self._owned:
                self._owned[slot] = owned
        for batch, answer in group.plan.answers:
            if batch.header.slot in refused:
                batch.answer(AnswerStatus.NOT_OWNER)
            else:
                batch.answer(AnswerStatus.STORED, answer.base_seq, answer.exceptions)
        moved = self._hand_on(group, refused)
        if self.dispatcher and moved:
            self.dispatcher.pump()
            if any(work.dirty and work.slot in self._owned for work in moved):
                # What became durable may allow more (claims behind held messages).
                self.kick()

    def _hand_on(self, group: _Group, refused: frozenset[int]) -> set[SlotWork]:
        """Tell the slots what is durable; return those of which more can be done now."""
        moved: set[SlotWork] = set()
        events: list[Event] = []
        for slot, (work, write) in group.works.items():
            if slot not in refused:
                events += work.confirm(write)
                moved.add(work)
        works = self.dispatcher.works if self.dispatcher else {}
        for append in group.plan.planned:
            if append.slot in refused:
                continue
            self.counts["accepted"] += append.count
            self.counts["batches"] += 1
            if append.slot in works and self._dispatch(works[append.slot], append):
                moved.add(works[append.slot])
        for (stream, slot), mark in group.ahead.items():
            if slot not in refused and slot in works:
                works[slot].queues[stream].claimed_ahead(mark)
                moved.add(works[slot])
        if events:
            self._publish(events)
        return moved

    def _dispatch(self, work: SlotWork, append: Append) -> bool:
        """Hand a batch on; False when it only lengthened a backlog that is left in the store."""
        queue = work.queues[append.stream]
        loaded_to = queue.loaded_to
        if self.dispatcher is not None:
            self.dispatcher.appended(work, _stored(append))
        return queue.loaded_to != loaded_to or queue.wants_more

    # --- when the store does not know --------------------------------------------------------
    def _forget(self, group: _Group, batches: list[Submitted]) -> None:
        """Tell everybody to come again; what the dispatcher wanted written is collected again."""
        for work, write in group.works.values():
            work.restore(write)
        for batch in batches:
            batch.answer(AnswerStatus.BUSY)

    async def _reopen_all(self) -> None:
        """Read the tail of every open slot again: only the store knows what was committed."""
        while True:
            self._answer_all_busy()
            epochs = {slot: owned.epoch for slot, owned in self._owned.items()}
            try:
                tails = await self._log.open_slots(epochs)
            except StoreUnavailable:
                await asyncio.sleep(_REOPEN_DELAY_S)
                continue
            break
        for slot in epochs:
            self._reopened(slot, tails.get(slot))
        self.kick()

    def _reopened(self, slot: int, tail: SlotTail | None) -> None:
        if slot not in self._owned:
            return
        if tail is None:
            self.close_slot(slot)
            self._fenced(slot)
            return
        self._owned[slot] = OwnedSlot(tail)
        work = self.dispatcher.works.get(slot) if self.dispatcher else None
        if work is not None and self.dispatcher is not None:
            self.dispatcher.reloaded(work, tail)

    def _answer_all_busy(self) -> None:
        while self._queue:
            batch = self._queue.popleft()
            self.queued_bytes -= len(batch.data)
            batch.answer(AnswerStatus.BUSY)


def _stored(append: Append) -> StoredBatch:
    stream, slot, base_seq, count, _, _, accepted_at_ms, body, _, states = append
    return StoredBatch(stream, slot, base_seq, count, accepted_at_ms, body, states or bytes(count))
