"""The FIFO of one slot inside a router: numbered batches, what is unanswered, who waits.

Pure: no I/O and no clock. It keeps the router's half of invariants 4 and 5: batches are numbered
without gaps, resent from the oldest unanswered one with the same bytes and number, and never
reordered. An answer that is not for the oldest batch is stale and changes nothing. Compiled
(docs/native.md).
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from multiconnect.limits import SLOT_BATCHES_IN_FLIGHT
from multiconnect.model.log import AnswerException


class Sink(Protocol):
    """Somebody who waits for records to be stored."""

    deadline_s: float

    def fail(self, error: Exception) -> None:
        """Nothing more will be said."""


class Waiter:
    """Waits for the records of a slot with these ordinals (both included)."""

    __slots__ = ("first", "last")

    def __init__(self, first: int, last: int) -> None:
        self.first = first
        self.last = last

    def sink(self) -> Sink:
        """Return for whom."""
        raise NotImplementedError

    def stored(
        self,
        slot: int,
        first_ordinal: int,
        count: int,
        base_seq: int,
        exceptions: Sequence[AnswerException],
    ) -> None:
        """Records [first_ordinal, first_ordinal + count) have sequences from `base_seq` on."""
        raise NotImplementedError


class Sealed:
    """A numbered batch that is not answered yet."""

    __slots__ = ("count", "data", "first_ordinal", "producer_seq", "sent")

    def __init__(self, producer_seq: int, first_ordinal: int, count: int, data: bytes) -> None:
        self.producer_seq = producer_seq
        self.first_ordinal = first_ordinal
        self.count = count
        self.data = data
        self.sent = True


class LaneVerdict(enum.Enum):
    """What an answer means for the lane."""

    DONE = "done"
    STALE = "stale"
    #: Send again from the oldest unanswered batch: at once, later, or after a new map.
    RESEND = "resend"
    #: The owner knows less than it acknowledged: the store went back in time.
    LOST_HISTORY = "lost_history"


class SlotLane:
    """One slot's queue towards whoever owns the slot."""

    __slots__ = (
        "held_until_s",
        "next_ordinal",
        "next_seq",
        "producer",
        "slot",
        "unanswered",
        "used_at_s",
        "waiters",
    )

    def __init__(self, slot: int, producer: int) -> None:
        self.slot = slot
        self.producer = producer
        self.next_seq = 1
        self.next_ordinal = 0
        self.unanswered: deque[Sealed] = deque()
        self.waiters: deque[Waiter] = deque()
        self.held_until_s = 0.0
        self.used_at_s = 0.0

    def has_room(self) -> bool:
        """Whether another batch may be numbered now."""
        return len(self.unanswered) < SLOT_BATCHES_IN_FLIGHT

    def wait(self, waiter: Waiter) -> None:
        """Tell it when its records are stored."""
        self.waiters.append(waiter)

    def sealed(self, data: bytes, count: int) -> None:
        """Take the batch that was just packed under `next_seq`, and is being sent."""
        self.unanswered.append(Sealed(self.next_seq, self.next_ordinal, count, data))
        self.next_seq += 1
        self.next_ordinal += count

    def unsent(self) -> list[Sealed]:
        """Return the batches to send, oldest first."""
        return [batch for batch in self.unanswered if not batch.sent]

    def rewind(self) -> None:
        """Nothing is in flight any more (lost link, other owner): all will be sent again."""
        for batch in self.unanswered:
            batch.sent = False

    def stored(
        self, producer: int, producer_seq: int, base_seq: int, exceptions: Sequence[AnswerException]
    ) -> int:
        """Take "stored" for a batch; return the bytes it frees, 0 when the answer is stale."""
        if not self._is_oldest(producer, producer_seq):
            return 0
        batch = self.unanswered.popleft()
        self._tell(batch, base_seq, exceptions)
        return len(batch.data)

    def refused(self, producer: int, producer_seq: int, expected_seq: int | None) -> LaneVerdict:
        """Take "not stored" (with the number the owner expects, for a gap)."""
        known = producer == self.producer and self.unanswered
        if not known or producer_seq < self.unanswered[0].producer_seq:
            return LaneVerdict.STALE
        if expected_seq is not None and expected_seq < self.unanswered[0].producer_seq:
            return LaneVerdict.LOST_HISTORY
        self.rewind()
        return LaneVerdict.RESEND

    def take_producer(self, producer: int) -> None:
        """Start a new numbering; only while nothing is unanswered."""
        if self.unanswered:
            raise AssertionError("a producer id may change only while nothing is unanswered")
        self.producer = producer
        self.next_seq = 1

    def expired(self, now_s: float) -> list[Sink]:
        """Remove and return the sinks whose deadline has passed; their batches stay queued."""
        late = [w.sink() for w in self.waiters if w.sink().deadline_s <= now_s]
        if late:
            self.waiters = deque(w for w in self.waiters if w.sink().deadline_s > now_s)
        return late

    def drop_all(self) -> list[Sink]:
        """Forget everything (close); return who was waiting."""
        sinks = [w.sink() for w in self.waiters]
        self.waiters.clear()
        self.unanswered.clear()
        return sinks

    def _is_oldest(self, producer: int, producer_seq: int) -> bool:
        if producer != self.producer or not self.unanswered:
            return False
        oldest = self.unanswered[0]
        return oldest.producer_seq == producer_seq

    def _tell(self, batch: Sealed, base_seq: int, exceptions: Sequence[AnswerException]) -> None:
        first, count = batch.first_ordinal, batch.count
        end = first + count
        waiters = self.waiters
        while waiters:
            waiter = waiters[0]
            if waiter.first >= end:
                break
            waiter.stored(self.slot, first, count, base_seq, exceptions)
            if waiter.last >= end:
                break
            waiters.popleft()
