"""The states of a queue's unsettled messages, batch by batch, and which of them must be written.

Pure. Compiled (docs/native.md).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from multiconnect.coreapp.batch_states import BatchStates
from multiconnect.model.log import Progress
from multiconnect.model.message import Stream


class Batches:
    """The batches of one stream of one slot that have unsettled messages, in sequence order."""

    def __init__(self, stream: Stream, slot: int) -> None:
        self._stream = stream
        self._slot = slot
        self._bases: list[int] = []
        self._by_base: dict[int, BatchStates] = {}
        self._changed: list[BatchStates] = []

    def add(self, batch: BatchStates) -> None:
        """Add a batch that lies above all others."""
        self._bases.append(batch.base_seq)
        self._by_base[batch.base_seq] = batch

    def holding(self, sequence: int) -> BatchStates | None:
        """Return the batch of a message."""
        at = bisect_right(self._bases, sequence) - 1
        batch = self._by_base[self._bases[at]] if at >= 0 else None
        if batch is None or sequence >= batch.base_seq + len(batch.states):
            return None
        return batch

    def first(self, default: int) -> int:
        """Return where the first batch begins; `default` if there is none."""
        return self._bases[0] if self._bases else default

    # --- what must be written ----------------------------------------------------------------
    def set(self, batch: BatchStates, sequence: int, state: int) -> None:
        """Set the state of a message."""
        batch.set(sequence, state)
        self.mark(batch)

    def mark(self, batch: BatchStates) -> None:
        """Note that a batch must be written."""
        if not batch.changed:
            batch.changed = True
            self._changed.append(batch)

    def has_changed(self) -> bool:
        """Whether `collect` would return anything."""
        return len(self._changed) > 0

    def collect(self, at_ms: int) -> list[Progress]:
        """Return the changed batches' rows; those that are settled are forgotten."""
        rows = []
        for batch in self._changed:
            settled, states = batch.unsettled == 0, bytes(batch.states)
            row = (self._stream, self._slot, batch.base_seq, states, settled, at_ms)
            # Not Progress(…): that is a Python function of its own.
            rows.append(tuple.__new__(Progress, row))
            batch.changed = False
            if settled and self._by_base.pop(batch.base_seq, None) is not None:
                del self._bases[bisect_left(self._bases, batch.base_seq)]
        self._changed = []
        return rows

    def restore(self, rows: list[Progress]) -> None:
        """Nobody knows whether these rows were written."""
        for row in rows:
            # Settled batches are the status book's by now; it writes them again.
            if not row.settled:
                self.mark(self._by_base[row.base_seq])
