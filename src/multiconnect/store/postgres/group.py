"""A group as rows for each table: what the one statement that stores it is given.

One statement can change a row only once, so rows about one thing are merged here, the later one
winning; a mark and the end of a lane's new batches are one row of `position`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from multiconnect.errors import Bug
from multiconnect.model.log import Append, LogWrite, Progress
from multiconnect.store.answers import encode_answers
from multiconnect.store.postgres.lanes import lane_of, signed
from multiconnect.store.postgres.texts import storable
from multiconnect.store.rules import first_progress

Row: TypeAlias = tuple[Any, ...]
#: By table, in the order of its columns in statement.py; tables without rows are not there.
Rows: TypeAlias = Mapping[str, list[Row]]


def rows_of(write: LogWrite) -> Rows:
    """Return the rows of a group; raises Bug if batches of one lane do not follow each other."""
    done = {(lane_of(stream, slot), seq) for stream, slot, seq in write.retries_done}
    rows: dict[str, list[Row]] = {
        "position": _positions(write),
        "batch": [
            (lane_of(a.stream, a.slot), a.base_seq, a.count, a.accepted_at_ms, a.body)
            for a in write.appends
        ],
        "producer": _producers(write),
        "key": _keys(write),
        "progress": _progress(write),
        "retry": [row for row in _retries(write) if row[:2] not in done],
        "retry_done": sorted(done),
        "failure": _failures(write),
        "upstream_id": _upstream_ids(write),
    }
    return {table: found for table, found in rows.items() if found}


def _positions(write: LogWrite) -> list[Row]:
    ends: dict[int, tuple[int, int]] = {}
    for append in write.appends:
        lane = lane_of(append.stream, append.slot)
        ends[lane] = _continued(ends.get(lane), append)
    marks: dict[int, tuple[int, int]] = {}
    for mark in write.marks:
        lane = lane_of(mark.stream, mark.slot)
        watermark, settled_below = marks.get(lane, (-1, 0))
        marks[lane] = max(watermark, mark.watermark), max(settled_below, mark.settled_below)
    return [
        (lane, *ends.get(lane, (None, None)), *marks.get(lane, (-1, 0)))
        for lane in sorted(ends.keys() | marks.keys())
    ]


def _continued(so_far: tuple[int, int] | None, append: Append) -> tuple[int, int]:
    """Return (first, next) sequence of a lane's part in this group."""
    first, expected = so_far or (append.base_seq, append.base_seq)
    if append.base_seq != expected:
        raise Bug(f"an append to slot {append.slot} at {append.base_seq}, expected {expected}")
    return first, expected + append.count


def _producers(write: LogWrite) -> list[Row]:
    newest = {(lane_of(a.stream, a.slot), signed(a.producer)): a for a in write.appends}
    return [
        (*place, append.accepted_at_ms, encode_answers(append.answers))
        for place, append in newest.items()
    ]


def _keys(write: LogWrite) -> list[Row]:
    rows = {(a.slot, row.key): row for a in write.appends for row in a.keys}
    return [(*place, row.sequence, row.body_hash, row.at_ms) for place, row in rows.items()]


def _progress(write: LogWrite) -> list[Row]:
    rows: dict[tuple[int, int], Row] = {}
    first = [row for append in write.appends if (row := first_progress(append))]
    for row in (*first, *write.progress):
        place = lane_of(row.stream, row.slot), row.base_seq
        before = rows.get(place)
        rows[place] = _progress_row(place, row, was_settled=bool(before and before[2]))
    return list(rows.values())


def _progress_row(place: tuple[int, int], row: Progress, *, was_settled: bool) -> Row:
    return (*place, int(row.settled or was_settled), row.at_ms, row.states)


def _retries(write: LogWrite) -> list[Row]:
    rows = {(lane_of(r.stream, r.slot), r.sequence): r for r in write.retries}
    return [
        (*place, r.attempts, r.due_at_ms, r.code, storable(r.reason)) for place, r in rows.items()
    ]


def _failures(write: LogWrite) -> list[Row]:
    rows = {(lane_of(f.stream, f.slot), f.sequence): f for f in write.failures}
    return [(*place, f.attempts, f.at_ms, f.code, storable(f.reason)) for place, f in rows.items()]


def _upstream_ids(write: LogWrite) -> list[Row]:
    rows = {(lane_of(u.stream, u.slot), u.sequence): u.upstream_id for u in write.upstream_ids}
    return [(*place, storable(upstream_id)) for place, upstream_id in rows.items()]
