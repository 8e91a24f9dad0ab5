"""Plan one group commit: which batches get which sequences, and what each sender is answered.

Pure: the plan is made on copies of the slots' numbering and adopted only once it is durable
(invariant 3: acknowledged means stored). Idempotency keys are decided here (invariant 4): a repeat
uses up its number, is stored as REPEATED and never sent; its answer names the first message.
Compiled (docs/native.md): every batch passes here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
_STORED, _NOT_OWNER = AnswerStatus.STORED, AnswerStatus.NOT_OWNER
#: Exceptions, rows and states of a batch in which no record has a key.
_NOTHING_KEYED: tuple[tuple[AnswerException, ...], tuple[KeyRow, ...], bytes | None] = (), (), None


class Submitted:
    """A batch as it arrived; it is answered once, later answers are dropped."""

    __slots__ = (
        *("answer_to", "answered", "data", "header"),
        *("count", "flags", "producer", "producer_seq", "slot", "stream"),
    )

    def __init__(self, header: BatchHeader, data: Body, answer_to: Callable[[Entry], None]) -> None:
        self.header = header
        self.data = data
        self.answer_to = answer_to
        self.answered = False
        # Asked for several times on the way: a named tuple is slow to ask.
        self.stream, self.slot, self.flags, self.count, _, self.producer, self.producer_seq, _ = (
            header
        )

    def answer(
        self, status: AnswerStatus, value: int = 0, exceptions: Sequence[AnswerException] = ()
    ) -> None:
        """Answer the batch, unless it was answered before."""
        if self.answered:
            return
        self.answered = True
        self.answer_to(
            (self.slot, self.stream, status, self.producer, self.producer_seq, value, exceptions)
        )


@dataclass(slots=True)
class KeyedRecord:
    """A record that carries an idempotency key."""

    index: int
    key: bytes
    body_hash: bytes


def keyed_batches(batches: list[Submitted]) -> list[Submitted]:
    """Return the batches in which a record carries a key."""
    return [batch for batch in batches if batch.flags & FLAG_KEYED]


def keyed_records(batch: Submitted) -> list[KeyedRecord]:
    """Return the records of a batch that carry a key; the scope is account and recipient."""
    if not batch.flags & FLAG_KEYED:
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


class GroupPlan:
    """What one commit would do. Nothing in here has happened yet."""

    __slots__ = ("answers", "ends", "planned", "slots")

    def __init__(self) -> None:
        self.slots: dict[int, OwnedSlot] = {}
        #: Batches that are stored if their slot's fence lets the commit pass.
        self.planned: list[Append] = []
        #: The sequence after the last of them, by stream and slot.
        self.ends: dict[tuple[Stream, int], int] = {}
        #: Answers that hold only if the slot's fence lets the commit pass.
        self.answers: list[tuple[Submitted, Answer]] = []

    def appends(self) -> tuple[Append, ...]:
        """Return the batches to store."""
        return tuple(self.planned)

    def answer(self, refused: frozenset[int]) -> None:
        """Tell the senders, now that it is durable but for the slots whose fence refused."""
        for batch, answer in self.answers:
            if batch.slot in refused:
                batch.answer(_NOT_OWNER)
            else:
                batch.answer(_STORED, answer.base_seq, answer.exceptions)


class Planner:
    """Plans batches one after the other, in the order in which they arrived."""

    __slots__ = ("_keys", "_now_ms", "_owned", "plan")

    def __init__(
        self, owned: Mapping[int, OwnedSlot], keys: Mapping[tuple[int, bytes], KeyRow], now_ms: int
    ) -> None:
        self._owned = owned
        self._keys: dict[tuple[int, bytes], KeyRow] = dict(keys)
        self._now_ms = now_ms
        self.plan = GroupPlan()

    def add_all(
        self, batches: list[Submitted], keyed: Mapping[Submitted, Sequence[KeyedRecord]]
    ) -> None:
        """Plan the batches that were not answered yet; `keyed` are the keys of those with any."""
        for batch in batches:
            if not batch.answered:
                self.add(batch, keyed.get(batch, ()) if keyed else ())

    def add(self, batch: Submitted, keyed: Sequence[KeyedRecord]) -> None:
        """Plan one batch."""
        number = batch.slot
        slot = self.plan.slots.get(number)
        if slot is None:
            owned = self._owned.get(number)
            if owned is None:
                batch.answer(AnswerStatus.NOT_OWNER)
                return
            slot = self.plan.slots[number] = owned.copy()
        stream = _STREAMS[batch.stream]
        verdict = slot.admit(stream, batch.producer, batch.producer_seq)
        if isinstance(verdict, Next):
            self._store(batch, slot, stream, keyed)
        elif isinstance(verdict, Answer):
            self.plan.answers.append((batch, verdict))
        else:
            batch.answer(AnswerStatus.GAP, verdict.expected)

    def _store(
        self, batch: Submitted, slot: OwnedSlot, stream: Stream, keyed: Sequence[KeyedRecord]
    ) -> None:
        plan, count, producer = self.plan, batch.count, batch.producer
        base_seq = slot.next_seq(stream)
        exceptions, new_keys, states = _NOTHING_KEYED
        if keyed:
            exceptions, new_keys = self._judge_keys(batch.slot, base_seq, keyed)
            states = _states(count, exceptions)
        # Named tuples by hand: their own way to be made is a Python function.
        answer = tuple.__new__(Answer, (batch.producer_seq, base_seq, exceptions))
        kept = slot.store(stream, producer, answer, count)
        row = (
            *(stream, batch.slot, base_seq, count, producer),
            *(kept, self._now_ms, batch.data, new_keys, states),
        )
        plan.planned.append(tuple.__new__(Append, row))
        plan.ends[stream, batch.slot] = base_seq + count
        plan.answers.append((batch, answer))

    def _judge_keys(
        self, slot: int, base_seq: int, keyed: Sequence[KeyedRecord]
    ) -> tuple[tuple[AnswerException, ...], tuple[KeyRow, ...]]:
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
