"""States of settled batches that a webhook may still move forward (delivered, read).

Pure. Holds what was settled lately and what was read back for a late status; everything changed
here is written with the next commit. The book sees a batch the moment its queue lets go of it, so
a state is never read back from the store while a newer one is on its way there (invariant 15).
Compiled (docs/native.md).
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator
from contextlib import contextmanager

from multiconnect.coreapp.batch_states import BatchStates
from multiconnect.limits import SLOT_RECENT_BATCHES
from multiconnect.model.log import Progress, StoredBatch
from multiconnect.model.message import State, Stream


class StatusBook:
    """Settled batches of one stream of one slot, newest kept."""

    def __init__(self, stream: Stream, slot: int) -> None:
        self._stream = stream
        self._slot = slot
        self._bases: list[int] = []
        self._batches: dict[int, BatchStates] = {}
        #: Changed and not written; written but not known to be durable.
        self._dirty: set[int] = set()
        self._writing: set[int] = set()
        #: Sequences whose batch is being read from the store.
        self._reading: list[int] = []

    @property
    def dirty(self) -> bool:
        """Whether something must be written."""
        return bool(self._dirty)

    def settled(self, row: Progress) -> None:
        """A queue has let go of a batch whose last states are being written."""
        self._insert(BatchStates(row.base_seq, row.states))
        self._writing.add(row.base_seq)

    @contextmanager
    def reading(self, sequence: int) -> Iterator[None]:
        """Forget nothing of a message's batch in the block: it reads what may be older by then."""
        self._reading.append(sequence)
        try:
            yield
        finally:
            self._reading.remove(sequence)

    def loaded(self, batch: StoredBatch) -> None:
        """A batch was read back; what the book knows already is newer."""
        if batch.base_seq not in self._batches:
            self._insert(BatchStates(batch.base_seq, batch.states))

    def advance(self, sequence: int, state: State) -> bool | None:
        """Move a message forward; True if it changed, None if its batch is not in the book."""
        at = bisect_right(self._bases, sequence) - 1
        batch = self._batches[self._bases[at]] if at >= 0 else None
        if batch is None or sequence >= batch.base_seq + len(batch.states):
            return None
        changed = batch.advance(sequence, state)
        if changed:
            self._dirty.add(batch.base_seq)
        return changed

    def collect(self, at_ms: int) -> list[Progress]:
        """Return what changed; it is considered written until `restore`."""
        if not self._dirty:
            return []
        rows = [self._row(base_seq, at_ms) for base_seq in sorted(self._dirty)]
        self._writing |= self._dirty
        self._dirty = set()
        return rows

    def confirm(self) -> None:
        """Everything collected is durable."""
        if self._writing:
            self._writing = set()
        if len(self._bases) > SLOT_RECENT_BATCHES:
            self._forget_oldest()

    def restore(self) -> None:
        """Nobody knows whether it was written: collect it again."""
        self._dirty |= self._writing
        self._writing = set()

    def _row(self, base_seq: int, at_ms: int) -> Progress:
        states = bytes(self._batches[base_seq].states)
        return Progress(self._stream, self._slot, base_seq, states, True, at_ms)

    def _insert(self, batch: BatchStates) -> None:
        if batch.base_seq not in self._batches:
            insort(self._bases, batch.base_seq)
        self._batches[batch.base_seq] = batch

    def _forget_oldest(self) -> None:
        excess = len(self._bases) - SLOT_RECENT_BATCHES
        for base_seq in self._bases[: max(0, excess)]:
            end = base_seq + len(self._batches[base_seq].states)
            is_read = any(base_seq <= sequence < end for sequence in self._reading)
            if base_seq not in self._dirty and not is_read:
                self._bases.remove(base_seq)
                del self._batches[base_seq]
