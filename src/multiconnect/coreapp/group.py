"""Plan one group commit: which batches get which sequences, and what each sender is answered.

Pure: the plan is made on copies of the slots' numbering and adopted only once it is durable
(invariant 3: acknowledged means stored). Idempotency keys are decided here (invariant 4): a repeat
uses up its number, is stored as REPEATED and never sent; its answer names the first message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from multiconnect._native import records
from multiconnect._native.layout import FLAG_KEYED, BatchHeader
from multiconnect.coreapp.owned_slot import Next, OwnedSlot
from multiconnect.dataplane.wire import AnswerStatus
from multiconnect.model.attributes import decode_attributes
from multiconnect.model.log import (
    CONFLICTS,
    REPEATS,
    Answer,
    AnswerException,
    Append,
    Body,
    KeyRow,
)
from multiconnect.model.message import State, Stream

#: (slot, stream, status, producer, producer_seq, value, exceptions)
Entry = tuple[int, int, int, int, int, int, Sequence[AnswerException]]

_STREAMS = tuple(Stream)


@dataclass(slots=True, eq=False)
class Submitted:
    """A batch as it arrived; it is answered once, later answers are dropped."""

    header: BatchHeader
    data: Body
    answer_to: Callable[[Entry], None]
    answered: bool = False

    def answer(
        self, status: AnswerStatus, value: int = 0, exceptions: Sequence[AnswerException] = ()
    ) -> None:
        """Answer the batch, unless it was answered before."""
        if self.answered:
            return
        self.answered = True
        h = self.header
        self.answer_to((h.slot, h.stream, status, h.producer, h.producer_seq, value, exceptions))


@dataclass(slots=True)
class KeyedRecord:
    """A record that carries an idempotency key."""

    index: int
    key: bytes
    body_hash: bytes


def keyed_records(batch: Submitted) -> list[KeyedRecord]:
    """Return the records of a batch that carry a key; the scope is account and recipient."""
    if not batch.header.flags & FLAG_KEYED:
        return []
    found = []
    for index, kind, recipient, payload, raw in records(batch.data):
        attributes = decode_attributes(raw)
        if attributes.idempotency_key:
            scope = (attributes.account, recipient, attributes.idempotency_key)
            key = _hash(*(part.encode() for part in scope))
            found.append(KeyedRecord(index, key, _hash(bytes([kind]), payload)))
    return found


def _hash(*parts: bytes) -> bytes:
    digest = blake2b(digest_size=16)
    for part in parts:
        # With its length: no part can pass for the end of another.
        digest.update(len(part).to_bytes(4, "little") + part)
    return digest.digest()


@dataclass(slots=True)
class GroupPlan:
    """What one commit would do. Nothing in here has happened yet."""

    slots: dict[int, OwnedSlot] = field(default_factory=dict)
    #: Batches that are stored if their slot's fence lets the commit pass.
    planned: list[Append] = field(default_factory=list)
    #: Answers that hold only if the slot's fence lets the commit pass.
    answers: list[tuple[Submitted, Answer]] = field(default_factory=list)

    def appends(self) -> tuple[Append, ...]:
        """Return the batches to store."""
        return tuple(self.planned)


class Planner:
    """Plans batches one after the other, in the order in which they arrived."""

    def __init__(
        self, owned: Mapping[int, OwnedSlot], keys: Mapping[tuple[int, bytes], KeyRow], now_ms: int
    ) -> None:
        self._owned = owned
        self._keys: dict[tuple[int, bytes], KeyRow] = dict(keys)
        self._now_ms = now_ms
        self.plan = GroupPlan()

    def add(self, batch: Submitted, keyed: Sequence[KeyedRecord]) -> None:
        """Plan one batch."""
        header = batch.header
        owned = self._owned.get(header.slot)
        if owned is None:
            batch.answer(AnswerStatus.NOT_OWNER)
            return
        slot = self.plan.slots.get(header.slot)
        if slot is None:
            slot = self.plan.slots[header.slot] = owned.copy()
        stream = _STREAMS[header.stream]
        verdict = slot.admit(stream, header.producer, header.producer_seq)
        if isinstance(verdict, Next):
            self._store(batch, slot, stream, keyed)
        elif isinstance(verdict, Answer):
            self.plan.answers.append((batch, verdict))
        else:
            batch.answer(AnswerStatus.GAP, verdict.expected)

    def _store(
        self, batch: Submitted, slot: OwnedSlot, stream: Stream, keyed: Sequence[KeyedRecord]
    ) -> None:
        header = batch.header
        base_seq = slot.next_seq(stream)
        exceptions, new_keys = self._judge_keys(header.slot, base_seq, keyed)
        answer = Answer(header.producer_seq, base_seq, exceptions)
        kept = slot.store(stream, header.producer, answer, header.count)
        append = Append(
            stream,
            header.slot,
            base_seq,
            header.count,
            header.producer,
            kept,
            self._now_ms,
            batch.data,
            new_keys,
            _states(header.count, exceptions),
        )
        self.plan.planned.append(append)
        self.plan.answers.append((batch, answer))

    def _judge_keys(
        self, slot: int, base_seq: int, keyed: Sequence[KeyedRecord]
    ) -> tuple[tuple[AnswerException, ...], tuple[KeyRow, ...]]:
        if not keyed:
            return (), ()
        exceptions: list[AnswerException] = []
        rows: list[KeyRow] = []
        for record in keyed:
            first = self._keys.get((slot, record.key))
            if first is None:
                row = KeyRow(record.key, base_seq + record.index, record.body_hash, self._now_ms)
                self._keys[slot, record.key] = row
                rows.append(row)
            else:
                kind = REPEATS if first.body_hash == record.body_hash else CONFLICTS
                exceptions.append((record.index, kind, first.sequence))
        return tuple(exceptions), tuple(rows)


def _states(count: int, exceptions: Sequence[AnswerException]) -> bytes | None:
    if not exceptions:
        return None
    states = bytearray(count)
    for index, _kind, _sequence in exceptions:
        states[index] = State.REPEATED
    return bytes(states)
