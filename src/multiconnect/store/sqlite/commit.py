"""One group commit into a ledger: few statements, each over many rows, none per message.

Keeps invariants 2 (the fence is checked in the transaction that writes) and 5 (a lane's sequence
numbers continue without a gap or an overlap, checked against its position).
"""

from __future__ import annotations

from collections.abc import Callable

import apsw
import orjson

from multiconnect.errors import Bug
from multiconnect.limits import RECENT_COMMIT_BYTES_MAX
from multiconnect.model.log import Append, LogWrite, Progress
from multiconnect.store.answers import encode_answers
from multiconnect.store.rules import check_slots, first_progress, without_slots
from multiconnect.store.sqlite.fence import refused_slots
from multiconnect.store.sqlite.ids import id_of, lane_of, signed
from multiconnect.store.sqlite.recent import BATCH, PRODUCER, PROGRESS, UPSTREAM_ID, Row, Rows
from multiconnect.store.sqlite.segment_file import SUPPORTED
from multiconnect.store.sqlite.segments import count_places

# What nearly every commit does to many rows is one statement: each row of an `executemany` gives
# the interpreter away and waits for it, which takes longer than the row (docs/performance.md).
_MOVE_POSITIONS = (
    "UPDATE position SET next_seq = moved.value ->> 2 FROM json_each(?) AS moved"
    " WHERE lane = moved.value ->> 0 AND next_seq = moved.value ->> 1"
)
_RAISE_MARKS = (
    "UPDATE position SET watermark = max(watermark, highest),"
    " settled_below = max(settled_below, settled)"
    " FROM (SELECT value ->> 0 AS marked, max(value ->> 1) AS highest, max(value ->> 2) AS settled"
    " FROM json_each(?) GROUP BY 1) WHERE lane = marked"
)


def is_large(write: LogWrite) -> bool:
    """Whether the bodies of a group are worth a sync of their own, in a segment."""
    size = sum(len(append.body) for append in write.appends)
    return SUPPORTED and size > RECENT_COMMIT_BYTES_MAX


def write_group(
    db: apsw.Connection, write: LogWrite, leave: Callable[[Rows], None]
) -> frozenset[int]:
    """Write what the fences allow; return the slots of which nothing was written.

    Rows of the large tables go through `leave`, to wait for their place (recent.py).
    Raises Bug, with nothing written, for an append that does not continue its lane, or a row whose
    slot the group names no epoch for.
    """
    check_slots(write)
    refused = refused_slots(db, write.epochs)
    if refused:
        write = without_slots(write, refused)
    rows: Rows = {PROGRESS: [], UPSTREAM_ID: _upstream_id_rows(write)}
    if write.appends:
        rows |= _write_appends(db, write)
        rows[PROGRESS] += _first_progress_rows(write)
    rows[PROGRESS] += [_progress_row(write, row) for row in write.progress]
    if any(rows.values()):
        leave(rows)
    if write.marks:
        _write_marks(db, write)
    if write.retries or write.retries_done:
        _write_retries(db, write)
    if write.failures:
        _write_failures(db, write)
    return refused


def _write_appends(db: apsw.Connection, write: LogWrite) -> Rows:
    """Move the lanes' positions and write the keys; return the rows that may wait."""
    batches: list[Row] = []
    producers: dict[tuple[int, int], Append] = {}
    ends: dict[int, tuple[int, int]] = {}
    for append in write.appends:
        lane = lane_of(append.stream, append.slot)
        epoch = write.epochs[append.slot]
        row_id = id_of(append.stream, append.slot, append.base_seq)
        batches.append((row_id, epoch, append.count, append.accepted_at_ms, append.body))
        # Only the newest answers of a producer matter: one row, however many batches.
        producers[lane, signed(append.producer)] = append
        ends[lane] = _continued(ends.get(lane), append)
    _move_positions(db, ends)
    count_places(db, (append.body for append in write.appends))
    _write_keys(db, write)
    newest = [(*key, a.accepted_at_ms, encode_answers(a.answers)) for key, a in producers.items()]
    return {BATCH: batches, PRODUCER: newest}


def _continued(so_far: tuple[int, int] | None, append: Append) -> tuple[int, int]:
    """Return (first, next) sequence of a lane's part in this group."""
    first, expected = so_far or (append.base_seq, append.base_seq)
    if append.base_seq != expected:
        raise Bug(f"an append to slot {append.slot} at {append.base_seq}, expected {expected}")
    return first, expected + append.count


def _move_positions(db: apsw.Connection, ends: dict[int, tuple[int, int]]) -> None:
    before = db.total_changes()
    moves = [(lane, first, after) for lane, (first, after) in ends.items()]
    db.execute(_MOVE_POSITIONS, (orjson.dumps(moves).decode(),))
    if db.total_changes() - before != len(ends):
        raise Bug(f"appends to lanes {sorted(ends)} do not continue where the lanes end")


def _write_keys(db: apsw.Connection, write: LogWrite) -> None:
    keys = [
        (append.slot, row.key, write.epochs[append.slot], row.sequence, row.body_hash, row.at_ms)
        for append in write.appends
        for row in append.keys
    ]
    if keys:
        db.executemany(
            "INSERT OR REPLACE INTO key (slot, key, epoch, sequence, body_hash, at_ms)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            keys,
        )


def _first_progress_rows(write: LogWrite) -> list[Row]:
    """Return the states that some appends come with."""
    first = (first_progress(append) for append in write.appends)
    return [_progress_row(write, row) for row in first if row is not None]


def _progress_row(write: LogWrite, row: Progress) -> Row:
    row_id = id_of(row.stream, row.slot, row.base_seq)
    return row_id, write.epochs[row.slot], int(row.settled), row.at_ms, row.states


def _write_marks(db: apsw.Connection, write: LogWrite) -> None:
    marks = [(lane_of(m.stream, m.slot), m.watermark, m.settled_below) for m in write.marks]
    db.execute(_RAISE_MARKS, (orjson.dumps(marks).decode(),))


def _write_retries(db: apsw.Connection, write: LogWrite) -> None:
    rows = [
        (id_of(r.stream, r.slot, r.sequence), r.attempts, r.due_at_ms, r.code, r.reason)
        for r in write.retries
    ]
    db.executemany("INSERT OR REPLACE INTO retry VALUES (?, ?, ?, ?, ?)", rows)
    done = [(id_of(*place),) for place in write.retries_done]
    db.executemany("DELETE FROM retry WHERE id = ?", done)


def _write_failures(db: apsw.Connection, write: LogWrite) -> None:
    rows = [
        (id_of(f.stream, f.slot, f.sequence), write.epochs[f.slot], f.attempts, f.at_ms, f.code,
         f.reason)
        for f in write.failures
    ]  # fmt: skip
    db.executemany("INSERT OR REPLACE INTO failure VALUES (?, ?, ?, ?, ?, ?)", rows)


def _upstream_id_rows(write: LogWrite) -> list[Row]:
    return [
        (id_of(u.stream, u.slot, u.sequence), write.epochs[u.slot], u.upstream_id.encode())
        for u in write.upstream_ids
    ]
