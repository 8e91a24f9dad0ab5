"""What one commit of an owner carries, and what follows in memory once it is durable.

Pure. Compiled (docs/native.md): every batch passes here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from multiconnect.coreapp.group import GroupPlan
from multiconnect.coreapp.slot_queue import SlotQueue
from multiconnect.coreapp.slot_work import SlotWork, WorkWrite
from multiconnect.model.log import Append, LogWrite, Mark, StoredBatch
from multiconnect.model.message import Event, Stream


class GroupCommit:
    """The batches of a plan, the rows of slots, and the claims that go with the batches."""

    __slots__ = ("_ahead", "accepted", "batches", "plan", "works")

    def __init__(self, plan: GroupPlan) -> None:
        self.plan = plan
        #: By slot, what it wants written.
        self.works: dict[int, tuple[SlotWork, WorkWrite]] = {}
        self._ahead: dict[tuple[Stream, int], Mark] = {}
        #: Messages and batches that became durable, see `hand_on`.
        self.accepted = self.batches = 0

    def claim_ahead(self, works: Mapping[int, SlotWork]) -> None:
        """Claim, with the commit that accepts them, messages that can be sent at once."""
        for (stream, slot), end_seq in self.plan.ends.items():
            work = works.get(slot)
            if work is not None:
                mark = work.queue(stream).claim_ahead(end_seq)
                if mark is not None:
                    self._ahead[stream, slot] = mark

    def log_write(self) -> LogWrite:
        """Return it as the store wants it."""
        epochs = {slot: owned.epoch for slot, owned in self.plan.slots.items()}
        if not self.works:
            return LogWrite(epochs, self.plan.appends(), marks=tuple(self._ahead.values()))
        epochs |= {slot: work.epoch for slot, (work, _) in self.works.items()}
        writes = [write for _, write in self.works.values()]
        marks = {(m.stream, m.slot): m for write in writes for m in write.marks()}
        return LogWrite(
            epochs=epochs,
            appends=self.plan.appends(),
            progress=tuple(row for write in writes for row in write.progress()),
            marks=tuple((marks | self._ahead).values()),
            retries=tuple(row for write in writes for row in write.rows.retries.values()),
            retries_done=tuple(
                (stream, slot, sequence)
                for slot, (_, write) in self.works.items()
                for stream, sequence in write.rows.retries_done
            ),
            failures=tuple(row for write in writes for row in write.rows.failures),
            upstream_ids=tuple(row for write in writes for row in write.rows.upstream_ids),
        )

    # --- once it is durable ------------------------------------------------------------------
    def confirm(self, refused: frozenset[int], moved: set[SlotWork]) -> list[Event]:
        """Tell the slots that their rows are durable; return what may now be told."""
        events: list[Event] = []
        for slot, (work, write) in self.works.items():
            if slot not in refused:
                events += work.confirm(write)
                moved.add(work)
        return events

    def hand_on(
        self,
        works: Mapping[int, SlotWork],
        refused: frozenset[int],
        offer: Callable[[SlotWork, SlotQueue, StoredBatch], None],
        moved: set[SlotWork],
    ) -> None:
        """Give the slots their batches; one that only lengthens a backlog stays in the store."""
        for append in self.plan.planned:
            slot, base_seq, count = append.slot, append.base_seq, append.count
            if slot in refused:
                continue
            self.accepted += count
            self.batches += 1
            work = works.get(slot)
            if work is None:
                continue
            queue = work.queue(append.stream)
            if queue.appended(base_seq, count):
                offer(work, queue, _stored(append))
                moved.add(work)
            elif queue.wants_more:
                moved.add(work)
        self._claimed_ahead(works, refused, moved)

    def _claimed_ahead(
        self, works: Mapping[int, SlotWork], refused: frozenset[int], moved: set[SlotWork]
    ) -> None:
        for (stream, slot), mark in self._ahead.items():
            work = works.get(slot)
            if work is not None and slot not in refused:
                work.queue(stream).claimed_ahead(mark)
                moved.add(work)


def _stored(append: Append) -> StoredBatch:
    stream, slot, base_seq, count, _, _, accepted_at_ms, body, _, states = append
    return StoredBatch(stream, slot, base_seq, count, accepted_at_ms, body, states or bytes(count))
