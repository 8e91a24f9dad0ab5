"""The one writer of an owner: everything that must be durable goes through here, in groups.

While one group is being committed the next one gathers, so the batch size follows the load.
Outcomes, which nobody waits for, may wait a little for a group that comes. After the commit, and
only then, senders get their answers (invariant 3) and what became durable is acted on. A slot whose
fence refused is given up at once (invariant 2). When the store says "don't know", everybody is told
"busy", and each slot's tail is read anew before the next write.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from multiconnect.clock import Clock
from multiconnect.coreapp.dispatcher import Dispatcher
from multiconnect.coreapp.group import (
    GroupPlan,
    KeyedRecord,
    Planner,
    Submitted,
    keyed_batches,
    keyed_records,
)
from multiconnect.coreapp.group_commit import GroupCommit
from multiconnect.coreapp.owned_slot import OwnedSlot
from multiconnect.coreapp.slot_work import SlotWork
from multiconnect.dataplane.wire import AnswerStatus
from multiconnect.errors import CorruptData, StoreUnavailable
from multiconnect.limits import GROUP_BATCHES_MAX, GROUP_BYTES_MAX, OUTCOMES_LINGER_S
from multiconnect.model.log import KeyRow, SlotTail
from multiconnect.model.message import Event
from multiconnect.store.port import LogStore

_log = logging.getLogger("multiconnect.commit")

#: How long to wait before asking a store again that did not answer.
_REOPEN_DELAY_S = 0.1


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
        """These slots, and no others, are ours before long and not open: keep their batches."""
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
            await self._linger()
            batches = self._take_group()
            async with self._writing:
                try:
                    await self._commit_group(batches)
                except StoreUnavailable as error:
                    _log.warning("store_unavailable: %s", error)
                    await self._reopen_all()

    async def _linger(self) -> None:
        """Let rows that nobody waits for be written with what comes in next, if that is soon.

        A commit of theirs alone costs as much as any, and who submits meanwhile waits for it.
        """
        loop = asyncio.get_running_loop()
        end_s = loop.time() + OUTCOMES_LINGER_S
        while not self._queue and not self._is_waited_for():
            try:
                async with asyncio.timeout_at(end_s):
                    await self._wake.wait()
            except TimeoutError:
                return
            self._wake.clear()

    def _is_waited_for(self) -> bool:
        return self.dispatcher is None or any(w.urgent for w in self.dispatcher.works.values())

    def _take_group(self) -> list[Submitted]:
        group: list[Submitted] = []
        size = 0
        later: deque[Submitted] = deque()
        while self._queue and len(group) < GROUP_BATCHES_MAX and size < GROUP_BYTES_MAX:
            batch = self._queue.popleft()
            if batch.slot in self._opening:
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
        group = GroupCommit(GroupPlan())
        try:
            group = GroupCommit(await self._plan(batches))
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
        keyed = self._keyed(batches)
        planner = Planner(self._owned, await self._known_keys(keyed), self._clock.wall_ms())
        planner.add_all(batches, keyed)
        return planner.plan

    def _keyed(self, batches: list[Submitted]) -> dict[Submitted, list[KeyedRecord]]:
        """Return the records with a key of each batch that has any; refuse what is corrupt."""
        found: dict[Submitted, list[KeyedRecord]] = {}
        for batch in keyed_batches(batches):
            try:
                found[batch] = keyed_records(batch)
            except CorruptData as error:
                _log.warning("batch_refused: slot %d: %s", batch.slot, error)
                batch.answer(AnswerStatus.REFUSED)
        return found

    async def _known_keys(
        self, keyed: dict[Submitted, list[KeyedRecord]]
    ) -> dict[tuple[int, bytes], KeyRow]:
        wanted: dict[int, list[bytes]] = {}
        for batch, records in keyed.items():
            for record in records:
                wanted.setdefault(batch.slot, []).append(record.key)
        known: dict[tuple[int, bytes], KeyRow] = {}
        for slot, keys in wanted.items():
            found = await self._log.find_keys(slot, keys)
            known |= {(slot, key): row for key, row in found.items()}
        return known

    def _collect(self, group: GroupCommit) -> None:
        """Add what the dispatcher wants written, and claims for what is being accepted."""
        works = self.dispatcher.works if self.dispatcher else {}
        if self._rows_due:
            self._rows_due = False
            now_ms = self._clock.wall_ms()
            for slot, work in works.items():
                if work.dirty and slot in self._owned:
                    group.works[slot] = (work, work.collect(now_ms))
        group.claim_ahead(works)

    def _done(self, group: GroupCommit, refused: frozenset[int]) -> None:
        """The commit is durable: adopt, answer, hand on."""
        for slot in refused:
            _log.info("fenced: slot %d", slot)
            self.close_slot(slot)
            self._fenced(slot)
        for slot, owned in group.plan.slots.items():
            if slot in self._owned:
                self._owned[slot] = owned
        group.plan.answer(refused)
        moved: set[SlotWork] = set()
        events = group.confirm(refused, moved)
        if self.dispatcher:
            group.hand_on(self.dispatcher.works, refused, self.dispatcher.offer, moved)
        self.counts["accepted"] += group.accepted
        self.counts["batches"] += group.batches
        if events:
            self._publish(events)
        if self.dispatcher and moved:
            self.dispatcher.pump()
            if any(work.dirty and work.slot in self._owned for work in moved):
                # What became durable may allow more (claims behind held messages).
                self.kick()

    # --- when the store does not know --------------------------------------------------------
    def _forget(self, group: GroupCommit, batches: list[Submitted]) -> None:
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
