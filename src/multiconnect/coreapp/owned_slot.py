"""What an owner knows of a slot's numbering: the next sequences, and the answers it has given.

Pure. Keeps invariant 4 (a batch is stored once per producer, slot and number) and the owner's half
of 5: a batch is admitted only if its number is the next one of its producer, so nothing that was
sent behind a refused batch can be stored before it. Compiled (docs/native.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from multiconnect.limits import ANSWERS_KEPT
from multiconnect.model.log import Answer, SlotTail
from multiconnect.model.message import Stream


@dataclass(frozen=True, slots=True)
class Next:
    """The batch is the next one: store it."""


@dataclass(frozen=True, slots=True)
class Gap:
    """The batch is not the next one; `expected` is."""

    expected: int


Admission = Next | Answer | Gap
NEXT = Next()


class OwnedSlot:
    """One slot under one epoch. Changes are made on a copy and adopted after the commit."""

    __slots__ = ("_answers", "_next_inbound", "_next_outbound", "epoch", "slot")

    def __init__(self, tail: SlotTail) -> None:
        self.slot = tail.slot
        self.epoch = tail.epoch
        self._next_outbound = tail.streams[Stream.OUTBOUND].next_seq
        self._next_inbound = tail.streams[Stream.INBOUND].next_seq
        self._answers = dict(tail.producers)

    def copy(self) -> OwnedSlot:
        """Return a copy to plan a group on; costs one dict copy, not one per message."""
        new: OwnedSlot = OwnedSlot.__new__(OwnedSlot)
        new.slot, new.epoch = self.slot, self.epoch
        new._next_outbound, new._next_inbound = self._next_outbound, self._next_inbound
        new._answers = self._answers.copy()
        return new

    def next_seq(self, stream: Stream) -> int:
        """Return the sequence the next message will get."""
        return self._next_inbound if stream else self._next_outbound

    def admit(self, stream: Stream, producer: int, producer_seq: int) -> Admission:
        """Say whether a batch is next, was stored before (its answer), or comes too early.

        A number whose answer is no longer kept is answered as a gap; a router never has that many
        batches in flight (limits.py), so only a foreign or broken one can ask.
        """
        answers = self._answers.get((stream, producer), ())
        last = answers[-1].producer_seq if answers else 0
        if producer_seq == last + 1:
            return NEXT
        if producer_seq <= last:
            for answer in answers:
                if answer.producer_seq == producer_seq:
                    return answer
        return Gap(last + 1)

    def store(
        self, stream: Stream, producer: int, answer: Answer, count: int
    ) -> tuple[Answer, ...]:
        """Take a batch as stored; return the answers to keep for its producer."""
        key = (stream, producer)
        kept = (*self._answers.get(key, ())[1 - ANSWERS_KEPT :], answer)
        self._answers[key] = kept
        end = answer.base_seq + count
        if stream:
            self._next_inbound = end
        else:
            self._next_outbound = end
        return kept
