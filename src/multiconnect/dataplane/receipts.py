"""Who waits for an acknowledgement, and what they get: one receipt, or many built on demand.

`send_many` costs one future whatever it carries: receipts of its messages are computed when they
are looked at, from the few (ordinal, base sequence) pairs the acknowledgements brought. Compiled
(docs/native.md): one is made with every `send`.
"""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, overload

from multiconnect._native import encode_ids, ranks, stored_lines
from multiconnect.dataplane.slot_lane import Waiter
from multiconnect.errors import DeadlineExceeded, IdempotencyConflict, MulticonnectError
from multiconnect.model.log import CONFLICTS, AnswerException
from multiconnect.model.message import Receipt
from multiconnect.model.message_id import encode_id


class Promise(Protocol):
    """Who is told, once, what became of one message; an asyncio.Future is one."""

    def done(self) -> bool:
        """Return whether it need not be told any more."""

    def set_result(self, result: Receipt, /) -> None:
        """Take the receipt."""

    def set_exception(self, exception: Exception, /) -> None:
        """Take the error."""


class OneSink(Waiter):
    """Waits for one message."""

    __slots__ = ("cluster", "deadline_s", "future", "shards", "stream")

    def __init__(
        self,
        future: Promise,
        ordinal: int,
        deadline_s: float,
        cluster: int,
        shards: int,
        stream: int,
    ) -> None:
        self.first = self.last = ordinal
        self.future = future
        self.deadline_s = deadline_s
        self.cluster = cluster
        self.shards = shards
        self.stream = stream

    def sink(self) -> OneSink:
        """Return itself."""
        return self

    def stored(
        self,
        slot: int,
        first_ordinal: int,
        count: int,
        base_seq: int,
        exceptions: Sequence[AnswerException],
    ) -> None:
        """Resolve the future with the receipt, or with the conflict."""
        if self.future.done():
            return
        index = self.first - first_ordinal
        sequence, repeated = base_seq + index, False
        for at, kind, known_seq in exceptions:
            if at == index:
                if kind == CONFLICTS:
                    first = encode_id(self.cluster, slot, known_seq, self.stream)
                    self.future.set_exception(_conflict(first))
                    return
                sequence, repeated = known_seq, True
        message_id = encode_id(self.cluster, slot, sequence, self.stream)
        # Not Receipt(…): that is a Python function of its own, three times as slow.
        said = (message_id, slot, slot % self.shards, sequence, repeated)
        self.future.set_result(tuple.__new__(Receipt, said))

    def fail(self, error: Exception) -> None:
        """Resolve the future with `error`."""
        if not self.future.done():
            self.future.set_exception(error)


def one_sink(
    future: Promise, ordinal: int, deadline_s: float, cluster: int, shards: int, stream: int
) -> OneSink:
    """Return what the class makes; calling a class is a detour."""
    sink: OneSink = OneSink.__new__(OneSink)
    sink.first = sink.last = ordinal
    sink.future = future
    sink.deadline_s = deadline_s
    sink.cluster = cluster
    sink.shards = shards
    sink.stream = stream
    return sink


class Receipts(Sequence[Receipt]):
    """The receipts of one `send_many`, in the order of its messages, built when looked at."""

    def __init__(
        self, slots: bytes, parts: Mapping[int, ManyPart], cluster: int, shards: int
    ) -> None:
        self._slots = slots
        self._parts = parts
        self._cluster = cluster
        self._shards = shards
        self._ranks: array[int] | None = None

    def __len__(self) -> int:
        """Return the number of messages."""
        return len(self._slots)

    @overload
    def __getitem__(self, index: int) -> Receipt: ...
    @overload
    def __getitem__(self, index: slice) -> list[Receipt]: ...
    def __getitem__(self, index: int | slice) -> Receipt | list[Receipt]:
        """Return one receipt, or a list for a slice."""
        if isinstance(index, slice):
            return [self._receipt(i) for i in range(*index.indices(len(self)))]
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(f"receipt {index} of {len(self)}")
        return self._receipt(at)

    def __iter__(self) -> Iterator[Receipt]:
        """Return the receipts one after the other."""
        return map(self._receipt, range(len(self)))

    def ids(self) -> list[str]:
        """Return the ids of the messages, in order; far quicker than receipt by receipt."""
        return encode_ids(self._cluster, self._slots, self._segments())

    def id_lines(self) -> bytes:
        """Return a line of JSON for each message: its index and its id."""
        return stored_lines(self._cluster, self._slots, self._segments())

    def __repr__(self) -> str:
        """Say how many; receipts are long."""
        return f"<Receipts of {len(self)} messages>"

    def _segments(self) -> dict[int, list[tuple[int, int]]]:
        return {slot: part.segments() for slot, part in self._parts.items()}

    def _receipt(self, index: int) -> Receipt:
        if self._ranks is None:
            self._ranks = ranks(self._slots)
        slot, rank = self._slots[index], self._ranks[index]
        sequence = self._parts[slot].sequence(rank)
        shard = slot % self._shards
        return Receipt(encode_id(self._cluster, slot, sequence), slot, shard, sequence)


class ManyPart(Waiter):
    """Waits for those messages of a `send_many` that went to one slot."""

    __slots__ = ("_base_seq", "_many", "_more")

    #: The sequence of its first message.
    _base_seq: int
    _many: ManySink
    #: Of the batches after the first one: rank of the first message it holds, its sequence.
    _more: list[tuple[int, int]] | None

    def sink(self) -> ManySink:
        """Return who waits for all parts."""
        return self._many

    def stored(
        self,
        slot: int,
        first_ordinal: int,
        count: int,
        base_seq: int,
        exceptions: Sequence[AnswerException],
    ) -> None:
        """Note which of its messages a batch holds (`send_many` carries no idempotency keys)."""
        rank = first_ordinal - self.first
        if rank <= 0:
            self._base_seq = base_seq - rank
        elif self._more is None:
            self._more = [(rank, base_seq)]
        else:
            self._more.append((rank, base_seq))
        if first_ordinal + count > self.last:
            self._many.part_stored()

    def segments(self) -> list[tuple[int, int]]:
        """Return (rank of the first message it holds, its sequence) of each batch, ascending."""
        return [(0, self._base_seq), *(self._more or ())]

    def sequence(self, rank: int) -> int:
        """Return the sequence of one of its messages."""
        segments = self.segments()
        first, sequence = segments[bisect_right(segments, (rank, 1 << 63)) - 1]
        return sequence + rank - first


class ManySink:
    """Waits for all messages of one `send_many`."""

    __slots__ = ("_waiting", "cluster", "deadline_s", "future", "parts", "shards", "slots")

    def __init__(
        self,
        future: asyncio.Future[Receipts],
        slots: bytes,
        deadline_s: float,
        cluster: int,
        shards: int,
    ) -> None:
        self.future = future
        self.slots = slots
        self.deadline_s = deadline_s
        self.cluster = cluster
        self.shards = shards
        self.parts: dict[int, ManyPart] = {}
        self._waiting = 0

    def expect(self, slot: int, first_ordinal: int, count: int) -> ManyPart:
        """`count` of the messages went to `slot`, from this ordinal on: return who waits there."""
        part: ManyPart = ManyPart.__new__(ManyPart)
        part.first = first_ordinal
        part.last = first_ordinal + count - 1
        part._many = self
        part._more = None
        self.parts[slot] = part
        self._waiting += 1
        return part

    def part_stored(self) -> None:
        """Every message of one slot is stored; resolve once those of all slots are."""
        self._waiting -= 1
        if self._waiting == 0 and not self.future.done():
            receipts = Receipts(self.slots, self.parts, self.cluster, self.shards)
            self.future.set_result(receipts)

    def fail(self, error: Exception) -> None:
        """Resolve the future with `error`."""
        if not self.future.done():
            self.future.set_exception(error)


def _conflict(first: str) -> IdempotencyConflict:
    return IdempotencyConflict(
        f"the idempotency key was used before for message {first} with another body; "
        "use a new key, or send the same body"
    )


def late(problems: str = "") -> DeadlineExceeded:
    """Return what is said when the deadline came first; `problems` are those of the links."""
    return DeadlineExceeded(
        "no acknowledgement in time; the message may or may not be stored. Is a CoreApp "
        "running for its shard? See `multiconnect status`" + (problems and f" ({problems})")
    )


def again(error: MulticonnectError) -> MulticonnectError:
    """Return a copy to raise: a traceback belongs to one raise only."""
    copy = type(error)(*error.args)
    copy.__cause__ = error.__cause__
    return copy
