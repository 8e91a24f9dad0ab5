"""The log side of the memory store. Keeps invariants 2 and 5 as the port says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from multiconnect.errors import Bug, Closed
from multiconnect.limits import PRODUCER_KEEP_S
from multiconnect.model.log import (
    Append,
    KeyRow,
    LogWrite,
    Progress,
    SlotTail,
    StoredBatch,
    StoredMessage,
    StreamTail,
)
from multiconnect.model.message import Stream
from multiconnect.store.memory.garbage import collect
from multiconnect.store.memory.state import Fence, Lane, MemoryState
from multiconnect.store.rules import check_slots, first_progress, milliseconds, without_slots


class MemoryLog:
    """The log as one owner incarnation sees it."""

    def __init__(self, state: MemoryState, incarnation: str) -> None:
        self._shared = state
        self._incarnation = incarnation
        self._closed = False

    @property
    def _state(self) -> MemoryState:
        if self._closed:
            raise Closed("the log is closed")
        return self._shared

    async def open_slot(self, slot: int, epoch: int) -> SlotTail | None:
        """Take a granted slot into use and read its tail."""
        row = self._state.slots[slot]
        if (row.epoch, row.owner) != (epoch, self._incarnation):
            return None
        self._state.fences[slot] = Fence(self._incarnation, epoch)
        lanes = {stream: self._state.lanes[stream, slot] for stream in Stream}
        oldest_ms = self._state.clock.wall_ms() - milliseconds(PRODUCER_KEEP_S)
        return SlotTail(
            slot,
            epoch,
            {s: StreamTail(n.next_seq, n.watermark, n.settled_below) for s, n in lanes.items()},
            {
                (stream, producer): answers
                for stream, lane in lanes.items()
                for producer, (answers, at_ms) in sorted(lane.producers.items())
                if at_ms >= oldest_ms
            },
            tuple(lane.retries[seq] for lane in lanes.values() for seq in sorted(lane.retries)),
        )

    async def open_slots(self, epochs: Mapping[int, int]) -> dict[int, SlotTail]:
        """Take granted slots into use and read their tails."""
        tails = [await self.open_slot(slot, epoch) for slot, epoch in epochs.items()]
        return {tail.slot: tail for tail in tails if tail is not None}

    async def commit(self, write: LogWrite) -> frozenset[int]:
        """Write the rows of every slot whose fence stands."""
        fences = self._state.fences.items()
        mine = {
            slot: fence.epoch for slot, fence in fences if fence.incarnation == self._incarnation
        }
        refused = frozenset(s for s, epoch in write.epochs.items() if mine.get(s) != epoch)
        check_slots(write)
        allowed = without_slots(write, refused) if refused else write
        self._check_numbers(allowed)
        for append in allowed.appends:
            self._append(append)
        self._write_states(allowed)
        self._write_exceptional(allowed)
        return refused

    def _check_numbers(self, write: LogWrite) -> None:
        """Raise Bug, before anything is written, if an append does not continue its stream."""
        lanes, ends = self._state.lanes, dict[tuple[Stream, int], int]()
        for stream, slot, base_seq, count, *_ in write.appends:
            place = stream, slot
            expected = ends.get(place)
            if expected is None:
                expected = lanes[place].next_seq
            if base_seq != expected:
                raise Bug(f"an append at {base_seq} of {place}, expected {expected}")
            ends[place] = base_seq + count

    def _append(self, append: Append) -> None:
        stream, slot, base_seq, count, producer, answers, at_ms, _, keys, states = append
        lane = self._shared.lanes[stream, slot]
        lane.bases.append(base_seq)
        lane.batches[base_seq] = append
        lane.next_seq = base_seq + count
        lane.producers[producer] = (answers, at_ms)
        if states is not None and (progress := first_progress(append)) is not None:
            lane.progress[base_seq] = progress
        for row in keys:
            self._shared.keys[slot, row.key] = row

    def _write_states(self, write: LogWrite) -> None:
        for progress in write.progress:
            _put_progress(self._state.lanes[progress.stream, progress.slot], progress)
        for mark in write.marks:
            lane = self._state.lanes[mark.stream, mark.slot]
            lane.watermark = max(lane.watermark, mark.watermark)
            lane.settled_below = max(lane.settled_below, mark.settled_below)

    def _write_exceptional(self, write: LogWrite) -> None:
        lanes = self._state.lanes
        for retry in write.retries:
            lanes[retry.stream, retry.slot].retries[retry.sequence] = retry
        for stream, slot, sequence in write.retries_done:
            lanes[stream, slot].retries.pop(sequence, None)
        for failure in write.failures:
            lanes[failure.stream, failure.slot].failures[failure.sequence] = failure
        for given in write.upstream_ids:
            lanes[given.stream, given.slot].upstream_ids[given.sequence] = given.upstream_id

    async def find_keys(self, slot: int, keys: Sequence[bytes]) -> dict[bytes, KeyRow]:
        """Return the rows of those keys that are known."""
        known = self._state.keys
        return {key: known[slot, key] for key in keys if (slot, key) in known}

    async def read_batches(
        self, stream: Stream, slot: int, from_seq: int, limit_bytes: int
    ) -> list[StoredBatch]:
        """Return unsettled batches from `from_seq` on."""
        lane = self._state.lanes[stream, slot]
        found: list[StoredBatch] = []
        size = 0
        for batch in _unsettled(lane, max(from_seq, lane.settled_below)):
            found.append(batch)
            size += len(batch.body or b"")
            if size >= limit_bytes:
                break
        return found

    async def find_message(self, stream: Stream, slot: int, sequence: int) -> StoredMessage | None:
        """Return what is known of one message."""
        lane = self._state.lanes[stream, slot]
        batch = next(lane.batches_from(sequence), None)
        if batch is None or batch.base_seq > sequence:
            return None
        return StoredMessage(
            _stored(lane, batch),
            sequence,
            lane.upstream_ids.get(sequence),
            lane.retries.get(sequence),
            lane.failures.get(sequence),
        )

    async def collect_garbage(self, now_ms: int) -> int:
        """Drop what is past its retention."""
        return collect(self._state, now_ms)

    async def aclose(self) -> None:
        """Close this handle; the state belongs to whoever made it."""
        self._closed = True


def _put_progress(lane: Lane, progress: Progress) -> None:
    """Keep the newest states; what was settled once stays so."""
    before = lane.progress.get(progress.base_seq)
    if before is not None and before.settled and not progress.settled:
        progress = progress._replace(settled=True)
    lane.progress[progress.base_seq] = progress


def _unsettled(lane: Lane, from_seq: int) -> Iterator[StoredBatch]:
    for batch in lane.batches_from(from_seq):
        progress = lane.progress.get(batch.base_seq)
        if not (progress and progress.settled):
            yield _stored(lane, batch)


def _stored(lane: Lane, batch: Append) -> StoredBatch:
    progress = lane.progress.get(batch.base_seq)
    return StoredBatch(
        batch.stream,
        batch.slot,
        batch.base_seq,
        batch.count,
        batch.accepted_at_ms,
        None if batch.base_seq in lane.bodies_dropped else batch.body,
        progress.states if progress else bytes(batch.count),
    )
