"""Who waits for an acknowledgement, and what they get: one receipt, or many built on demand.

`send_many` costs one future whatever it carries: receipts of its messages are computed when they
are looked at, from the few (ordinal, base sequence) pairs the acknowledgements brought.
"""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Protocol, overload

from multiconnect._native import encode_ids, ranks
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


class OneSink:
    """Waits for one message."""

    __slots__ = ("cluster", "deadline_s", "future", "ordinal", "shards", "stream")

    def __init__(
        self,
        future: Promise,
        ordinal: int,
        deadline_s: float,
        cluster: int,
        shards: int,
        stream: int,
    ) -> None:
        self.future = future
        self.ordinal = ordinal
        self.deadline_s = deadline_s
        self.cluster = cluster
        self.shards = shards
        self.stream = stream

    def stored(
        self,
        slot: int,
        first_ordinal: int,
        count: int,
        base_seq: int,
        exceptions: Sequence[AnswerException],
    ) -> None:
        """Resolve the future with the receipt, or with the conflict."""
        del count
        if self.future.done():
            return
        index = self.ordinal - first_ordinal
        sequence, repeated = base_seq + index, False
        for at, kind, known_seq in exceptions:
            if at == index:
                if kind == CONFLICTS:
                    first = encode_id(self.cluster, slot, known_seq, self.stream)
                    self.future.set_exception(_conflict(first))
                    return
                sequence, repeated = known_seq, True
        message_id = encode_id(self.cluster, slot, sequence, self.stream)
        self.future.set_result(Receipt(message_id, slot, slot % self.shards, sequence, repeated))

    def fail(self, error: Exception) -> None:
        """Resolve the future with `error`."""
        if not self.future.done():
            self.future.set_exception(error)


class Receipts(Sequence[Receipt]):
    """The receipts of one `send_many`, in the order of its messages, built when looked at."""

    def __init__(
        self, slots: bytes, segments: dict[int, list[tuple[int, int]]], cluster: int, shards: int
    ) -> None:
        self._slots = slots
        #: slot → [(rank of the first message it holds, its sequence)], ascending.
        self._segments = segments
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
        return encode_ids(self._cluster, self._slots, self._segments)

    def __repr__(self) -> str:
        """Say how many; receipts are long."""
        return f"<Receipts of {len(self)} messages>"

    def _receipt(self, index: int) -> Receipt:
        if self._ranks is None:
            self._ranks = ranks(self._slots)
        slot, rank = self._slots[index], self._ranks[index]
        segments = self._segments[slot]
        first, sequence = segments[bisect_right(segments, (rank, 1 << 63)) - 1]
        sequence += rank - first
        shard = slot % self._shards
        return Receipt(encode_id(self._cluster, slot, sequence), slot, shard, sequence)


class ManySink:
    """Waits for all messages of one `send_many`."""

    __slots__ = (
        "cluster",
        "deadline_s",
        "first_ordinals",
        "future",
        "remaining",
        "segments",
        "shards",
        "slots",
    )

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
        self.first_ordinals: dict[int, int] = {}
        self.remaining: dict[int, int] = {}
        self.segments: dict[int, list[tuple[int, int]]] = {}

    def expect(self, slot: int, first_ordinal: int, count: int) -> None:
        """`count` of the messages went to `slot`, from this ordinal on."""
        self.first_ordinals[slot] = first_ordinal
        self.remaining[slot] = count
        self.segments[slot] = []

    def stored(
        self,
        slot: int,
        first_ordinal: int,
        count: int,
        base_seq: int,
        exceptions: Sequence[AnswerException],
    ) -> None:
        """Note the part of a batch that is ours; resolve once every message is stored."""
        del exceptions  # send_many carries no idempotency keys
        mine = self.first_ordinals[slot]
        start = max(first_ordinal, mine)
        rank = start - mine
        self.segments[slot].append((rank, base_seq + start - first_ordinal))
        left = self.remaining[slot] - (first_ordinal + count - start)
        if left > 0:
            self.remaining[slot] = left
            return
        del self.remaining[slot]
        if not self.remaining and not self.future.done():
            receipts = Receipts(self.slots, self.segments, self.cluster, self.shards)
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
