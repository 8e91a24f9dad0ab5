"""Settled batches grow old: first the body goes, much later the states and all that hangs on them.

The ledger that holds a batch's newest settled progress answers for the batch, wherever in the chain
its rows lie. It deletes them elsewhere first and its own progress row last, so that a crash in
between is repaired by doing it again, and a settled batch never looks pending once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import apsw

from multiconnect.limits import GARBAGE_BYTES_MAX, GARBAGE_ROWS_MAX
from multiconnect.store.sqlite.ids import slot_of
from multiconnect.store.sqlite.ledger import Ledger
from multiconnect.store.sqlite.segments import discount

#: From a slot to the other ledgers in its chain.
Others = Callable[[int], Sequence[Ledger]]

_TABLES = ("batch", "upstream_id", "failure", "retry", "progress")


class Settled(NamedTuple):
    """A settled batch; `messages` is None while its row was not found."""

    row_id: int
    epoch: int
    messages: int | None
    body_bytes: int

    @property
    def span(self) -> tuple[int, int]:
        """The first id of the batch and the first after it."""
        return self.row_id, self.row_id + (self.messages or 1)


def drop_bodies(ledger: Ledger, others: Others, before_ms: int) -> int:
    """Drop the bodies of batches settled before `before_ms`; return how many."""
    with ledger.read() as db:
        rows = list(_within_bytes(_settled(db, 1, before_ms)))
    going, superseded = _go_elsewhere(rows, others, _drop_bodies_elsewhere)
    if rows:
        ids = [(row.row_id,) for row in going]
        with ledger.write() as db:
            _forget_bodies(db, ids)
            db.executemany("UPDATE progress SET settled = 2 WHERE id = ?", ids)
            _delete_progress(db, superseded)
    return len(rows)


def drop_states(ledger: Ledger, others: Others, before_ms: int) -> int:
    """Drop batches settled before `before_ms`, their states, ids and failures; return how many."""
    with ledger.read() as db:
        rows = _settled(db, 2, before_ms)
    going, superseded = _go_elsewhere(rows, others, _delete_elsewhere)
    if rows:
        with ledger.write() as db:
            _delete(db, going)
            _delete_progress(db, superseded)
    return len(rows)


def _settled(db: apsw.Connection, settled: int, before_ms: int) -> list[Settled]:
    rows: Any = db.execute(
        "SELECT progress.id, progress.epoch, batch.count, length(batch.body) FROM progress"
        " LEFT JOIN batch ON batch.id = progress.id"
        # The first term is what lets SQLite use the partial index.
        " WHERE settled > 0 AND settled = ? AND at_ms < ? ORDER BY at_ms LIMIT ?",
        (settled, before_ms, GARBAGE_ROWS_MAX),
    )
    return [Settled(row_id, epoch, count, size or 0) for row_id, epoch, count, size in rows]


def _within_bytes(rows: Iterable[Settled]) -> Iterator[Settled]:
    size = 0
    for row in rows:
        yield row
        size += row.body_bytes
        if size >= GARBAGE_BYTES_MAX:
            return


def _go_elsewhere(
    rows: Sequence[Settled],
    others: Others,
    drop: Callable[[Ledger, Sequence[Settled]], None],
) -> tuple[list[Settled], list[Settled]]:
    """Drop rows in the other ledgers of their slots; return (rows to drop here, superseded rows).

    A row is superseded when a later owner saw its batch change since: that owner's ledger answers
    for the batch now, and the row here only has to go.
    """
    going: list[Settled] = []
    superseded: list[Settled] = []
    for slot in sorted({slot_of(row.row_id) for row in rows}):
        theirs = [row for row in rows if slot_of(row.row_id) == slot]
        elsewhere = others(slot)
        newer: set[int] = set()
        for other in elsewhere:
            other.settle()
            newer |= _known_newer(other, theirs)
            theirs = _measured(other, theirs)
        superseded += [row for row in theirs if row.row_id in newer]
        theirs = [row for row in theirs if row.row_id not in newer]
        for other in elsewhere:
            drop(other, theirs)
        going += theirs
    return going, superseded


def _known_newer(other: Ledger, rows: Sequence[Settled]) -> set[int]:
    sql = "SELECT 1 FROM progress WHERE id = ? AND epoch > ? AND settled > 0"
    with other.read() as db:
        return {r.row_id for r in rows if db.execute(sql, (r.row_id, r.epoch)).fetchone()}


def _measured(other: Ledger, rows: Sequence[Settled]) -> list[Settled]:
    """Return the rows, with their number of messages where the other ledger has the batch."""
    sql = "SELECT count FROM batch WHERE id = ?"
    with other.read() as db:
        found: Any = {row.row_id: db.execute(sql, (row.row_id,)).fetchone() for row in rows}
    return [
        row._replace(messages=found[row.row_id][0]) if found[row.row_id] else row for row in rows
    ]


def _drop_bodies_elsewhere(other: Ledger, rows: Sequence[Settled]) -> None:
    sql = "SELECT 1 FROM batch WHERE id = ? AND body IS NOT NULL"
    with other.read() as db:
        ids = [(row.row_id,) for row in rows if db.execute(sql, (row.row_id,)).fetchone()]
    # Looked up first: the other ledger's owner may be alive, and need not wait for nothing.
    if ids:
        with other.write() as db:
            _forget_bodies(db, ids)


def _forget_bodies(db: apsw.Connection, ids: Sequence[tuple[int]]) -> None:
    sql = "SELECT body FROM batch WHERE id = ?"
    discount(db, (body for one in ids for (body,) in db.execute(sql, one)))
    db.executemany("UPDATE batch SET body = NULL WHERE id = ?", ids)


def _delete_elsewhere(other: Ledger, rows: Sequence[Settled]) -> None:
    with other.read() as db:
        there = [row for row in rows if any(_has(db, table, row) for table in _TABLES)]
    if there:
        with other.write() as db:
            _delete(db, there)


def _has(db: apsw.Connection, table: str, row: Settled) -> bool:
    sql = f"SELECT 1 FROM {table} WHERE id >= ? AND id < ?"
    return db.execute(sql, row.span).fetchone() is not None


def _delete(db: apsw.Connection, rows: Sequence[Settled]) -> None:
    spans = [row.span for row in rows]
    sql = "SELECT body FROM batch WHERE id >= ? AND id < ?"
    discount(db, (body for span in spans for (body,) in db.execute(sql, span)))
    for table in _TABLES:
        db.executemany(f"DELETE FROM {table} WHERE id >= ? AND id < ?", spans)


def _delete_progress(db: apsw.Connection, rows: Sequence[Settled]) -> None:
    db.executemany("DELETE FROM progress WHERE id = ?", [(row.row_id,) for row in rows])
