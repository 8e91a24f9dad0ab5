"""Reading what was written under all epochs of a slot: views are open ledgers, newest tenure first.

Of two rows about one thing the one with the higher epoch is the newer; the order of the ledgers
says nothing, because a slot may have come back to an older one.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import apsw

from multiconnect.model.log import Failure, KeyRow, StoredBatch
from multiconnect.model.message import Stream
from multiconnect.store.sqlite.ids import id_of, lane_ids, lane_of, sequence_of
from multiconnect.store.sqlite.segment_reader import SegmentReader, lost, place_of

_FIND_KEY = "SELECT epoch, sequence, body_hash, at_ms FROM key WHERE slot = ? AND key = ?"

Views = Sequence[apsw.Connection]


class _Row(NamedTuple):
    #: The file of the ledger that it lies in.
    ledger: str
    row_id: int
    messages: int
    accepted_at_ms: int
    #: The body or its place (segment_file.py).
    body: bytes | None


class _States(NamedTuple):
    epoch: int
    settled: int
    states: bytes


def find_keys(views: Views, slot: int, keys: Sequence[bytes]) -> dict[bytes, KeyRow]:
    """Return the newest row of each key that is known: it may be used again after its retention."""
    found: dict[bytes, KeyRow] = {}
    for key in keys:
        rows: list[Any] = [row for db in views for row in db.execute(_FIND_KEY, (slot, key))]
        if rows:
            found[key] = KeyRow(key, *max(rows, key=itemgetter(0))[1:])
    return found


def read_unsettled(
    views: Views, stream: Stream, slot: int, from_seq: int, limit_bytes: int
) -> list[StoredBatch]:
    """Return unsettled batches from `from_seq` on, in sequence order over all ledgers."""
    start = id_of(stream, slot, max(from_seq, _settled_below(views, lane_of(stream, slot))))
    end = lane_ids(lane_of(stream, slot))[1]
    found: list[StoredBatch] = []
    size = 0
    rows = heapq.merge(*(_candidates(db, start, end) for db in views), key=attrgetter("row_id"))
    with SegmentReader() as segments:
        for row in rows:
            states = _newest_states(views, row.row_id)
            if states is not None and states.settled:
                continue
            batch = _batch(stream, slot, row, states, segments)
            found.append(batch)
            size += len(batch.body or b"")
            if size >= limit_bytes:
                break
    return found


def find_batch(views: Views, stream: Stream, slot: int, sequence: int) -> StoredBatch | None:
    """Return the batch that holds a message, whichever ledger it lies in."""
    row_id = id_of(stream, slot, sequence)
    for db in views:
        row = _holding(db, row_id)
        if row is not None:
            states = _newest_states(views, row.row_id)
            with SegmentReader() as segments:
                return _batch(stream, slot, row, states, segments)
    return None


def find_upstream_id(views: Views, row_id: int) -> str | None:
    """Return the newest id the upstream gave to a message."""
    rows: list[Any] = [
        row
        for db in views
        for row in db.execute("SELECT epoch, upstream_id FROM upstream_id WHERE id = ?", (row_id,))
    ]
    return max(rows)[1] if rows else None


def find_failure(views: Views, stream: Stream, slot: int, sequence: int) -> Failure | None:
    """Return the newest reason why a message failed."""
    rows: list[Any] = [
        row
        for db in views
        for row in db.execute(
            "SELECT epoch, attempts, at_ms, code, reason FROM failure WHERE id = ?",
            (id_of(stream, slot, sequence),),
        )
    ]
    newest = max(rows, key=itemgetter(0), default=None)
    return Failure(stream, slot, sequence, *newest[1:]) if newest else None


def _settled_below(views: Views, lane: int) -> int:
    # It only grows, so the greatest is the newest.
    rows: list[Any] = [
        row
        for db in views
        for row in db.execute("SELECT settled_below FROM position WHERE lane = ?", (lane,))
    ]
    return max((row[0] for row in rows), default=0)


def _candidates(db: apsw.Connection, start: int, end: int) -> Iterator[_Row]:
    """Yield a ledger's batches from `start` on that are not settled as far as it knows itself."""
    holding = _holding(db, start, "NULL")
    first = holding.row_id if holding else start
    rows: Any = db.execute(
        "SELECT batch.id, count, accepted_at_ms, body FROM batch"
        " LEFT JOIN progress ON progress.id = batch.id"
        " WHERE batch.id >= ? AND batch.id < ? AND coalesce(settled, 0) = 0 ORDER BY batch.id",
        (first, end),
    )
    return (_Row(db.filename, *row) for row in rows)


def _holding(db: apsw.Connection, row_id: int, body: str = "body") -> _Row | None:
    """Return the batch of a ledger in whose range an id lies."""
    lane_begin = lane_ids(row_id >> 48)[0]
    row: Any = db.execute(
        f"SELECT id, count, accepted_at_ms, {body} FROM batch WHERE id <= ? AND id >= ?"
        " ORDER BY id DESC LIMIT 1",
        (row_id, lane_begin),
    ).fetchone()
    return _Row(db.filename, *row) if row and row[0] + row[1] > row_id else None


def _newest_states(views: Views, row_id: int) -> _States | None:
    rows: list[Any] = [
        row
        for db in views
        for row in db.execute("SELECT epoch, settled, states FROM progress WHERE id = ?", (row_id,))
    ]
    if not rows:
        return None
    epoch, _, states = max(rows, key=itemgetter(0))
    # What was settled once stays so, whoever said it.
    return _States(epoch, max(settled for _, settled, _ in rows), states)


def _batch(
    stream: Stream, slot: int, row: _Row, states: _States | None, segments: SegmentReader
) -> StoredBatch:
    return StoredBatch(
        stream,
        slot,
        sequence_of(row.row_id),
        row.messages,
        row.accepted_at_ms,
        _body(row, states, segments),
        states.states if states else bytes(row.messages),
    )


def _body(row: _Row, states: _States | None, segments: SegmentReader) -> bytes | None:
    place = place_of(row.body)
    if place is None:
        return row.body
    body = segments.read(row.ledger, place)
    # It may be dropped between the look at the row and the look at the file, but not while pending.
    if body is None and not (states and states.settled):
        raise lost(row.ledger, place)
    return body
