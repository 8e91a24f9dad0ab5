"""Retention in the memory store: the same rules as on disk, applied by walking everything."""

from __future__ import annotations

from multiconnect.limits import (
    GARBAGE_ROWS_MAX,
    PRODUCER_KEEP_S,
    RETAIN_BODIES_S,
    RETAIN_IDEMPOTENCY_S,
    RETAIN_STATES_S,
)
from multiconnect.store.memory.state import Lane, MemoryState
from multiconnect.store.rules import milliseconds


def collect(state: MemoryState, now_ms: int) -> int:
    """Drop bodies, states, keys and producers past their retention; return the rows dropped."""
    dropped = _drop_keys(state, now_ms - milliseconds(RETAIN_IDEMPOTENCY_S))
    for lane in state.lanes.values():
        dropped += _drop_bodies(lane, now_ms - milliseconds(RETAIN_BODIES_S))
        dropped += _drop_states(lane, now_ms - milliseconds(RETAIN_STATES_S))
        dropped += _drop_producers(lane, now_ms - milliseconds(PRODUCER_KEEP_S))
    return dropped


def _drop_keys(state: MemoryState, before_ms: int) -> int:
    old = [place for place, row in state.keys.items() if row.at_ms < before_ms]
    for place in old[:GARBAGE_ROWS_MAX]:
        del state.keys[place]
    return len(old[:GARBAGE_ROWS_MAX])


def _settled_before(lane: Lane, before_ms: int) -> list[int]:
    rows = lane.progress.items()
    return [base for base, row in rows if row.settled and row.at_ms < before_ms]


def _drop_bodies(lane: Lane, before_ms: int) -> int:
    old = [b for b in _settled_before(lane, before_ms) if b not in lane.bodies_dropped]
    lane.bodies_dropped.update(old[:GARBAGE_ROWS_MAX])
    return len(old[:GARBAGE_ROWS_MAX])


def _drop_states(lane: Lane, before_ms: int) -> int:
    old = _settled_before(lane, before_ms)[:GARBAGE_ROWS_MAX]
    for base in old:
        del lane.progress[base]
        lane.bodies_dropped.discard(base)
        batch = lane.batches.pop(base, None)
        if batch is None:
            continue
        for sequence in range(base, base + batch.count):
            lane.upstream_ids.pop(sequence, None)
            lane.failures.pop(sequence, None)
            lane.retries.pop(sequence, None)
    lane.bases = [base for base in lane.bases if base in lane.batches]
    return len(old)


def _drop_producers(lane: Lane, before_ms: int) -> int:
    old = [producer for producer, (_, at_ms) in lane.producers.items() if at_ms < before_ms]
    for producer in old:
        del lane.producers[producer]
    return len(old)
