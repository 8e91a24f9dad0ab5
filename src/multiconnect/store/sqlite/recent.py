"""Commits: one row for all they wrote, put into its place later together with others.

A ledger's rows lie by lane, so that a slot is read in one piece. A commit of twenty messages to as
many slots would change a page of 8 KiB for each of them, in each table: half a megabyte
for five kilobytes. So it writes one row of `recent` instead. When enough have gathered, or anybody
is about to look, they are put into the tables they belong to, in one transaction.

Nothing is decided here: the fence was asked, and lanes were continued, in the transaction that
wrote the row (commit.py). Rows are replayed in the order they were written in.
"""

from __future__ import annotations

import struct
from itertools import chain
from operator import itemgetter
from typing import Any, Final, NamedTuple

import apsw

from multiconnect.errors import CorruptData

#: Whole numbers, and bytes at the end.
Row = tuple[Any, ...]


class Table(NamedTuple):
    """A table that may wait: how a row is written there, and how many numbers it begins with."""

    insert: str
    numbers: int


BATCH: Final = Table("INSERT INTO batch VALUES (?, ?, ?, ?, ?)", 4)
PRODUCER: Final = Table("INSERT OR REPLACE INTO producer VALUES (?, ?, ?, ?)", 3)
PROGRESS: Final = Table(
    "INSERT INTO progress VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET epoch = excluded.epoch,"
    # Settled stays settled, and a body that is gone stays gone.
    " settled = max(settled, excluded.settled), at_ms = excluded.at_ms, states = excluded.states",
    4,
)
UPSTREAM_ID: Final = Table("INSERT OR REPLACE INTO upstream_id VALUES (?, ?, CAST(? AS TEXT))", 2)

_TABLES: Final = (BATCH, PRODUCER, PROGRESS, UPSTREAM_ID)
_COUNTS: Final = struct.Struct(f"<{len(_TABLES)}q")

#: Rows by the table they belong to.
Rows = dict[Table, list[Row]]


def write_in_place(db: apsw.Connection, rows: Rows) -> None:
    """Write rows into their tables."""
    for table, of_table in rows.items():
        if of_table:
            db.executemany(table.insert, of_table)


def keep(db: apsw.Connection, rows: Rows) -> int:
    """Write all rows as one row of `recent`; return its size in bytes."""
    data = _encode(rows)
    db.execute("INSERT INTO recent (rows) VALUES (?)", (data,))
    return len(data)


def put_in_place(db: apsw.Connection) -> None:
    """Write what was kept into its tables, inside a write transaction."""
    kept: list[Any] = db.execute("SELECT rows FROM recent ORDER BY id").fetchall()
    if not kept:
        return
    rows: Rows = {table: [] for table in _TABLES}
    for (data,) in kept:
        for table, of_table in zip(_TABLES, _decode(data), strict=True):
            rows[table] += of_table
    rows[PRODUCER] = list({row[:2]: row for row in rows[PRODUCER]}.values())
    for of_table in rows.values():
        # By key, so that each page is changed once; rows of one key stay in their order.
        of_table.sort(key=itemgetter(0))
    write_in_place(db, rows)
    db.execute("DELETE FROM recent")


def is_waiting(db: apsw.Connection) -> bool:
    """Whether anything is kept that is not in its place."""
    return db.execute("SELECT 1 FROM recent LIMIT 1").fetchone() is not None


def _encode(rows: Rows) -> bytes:
    """Return how many rows each table has, then table by table their columns.

    The last column is that of the lengths of the bytes, which follow when all tables are through.
    """
    numbers: list[int] = [len(rows.get(table, ())) for table in _TABLES]
    ends: list[Any] = []
    for table in _TABLES:
        of_table = rows.get(table)
        if of_table:
            *columns, bodies = zip(*of_table, strict=True)
            numbers += chain(*columns, map(len, bodies))
            ends += bodies
    return b"".join((struct.pack(f"<{len(numbers)}q", *numbers), *ends))


def _decode(data: bytes) -> list[list[Row]]:
    """Return the rows of each table; raise CorruptData for what `_encode` does not make."""
    counts = _COUNTS.unpack_from(data) if len(data) >= _COUNTS.size else (-1,)
    total = sum(count * (table.numbers + 1) for table, count in zip(_TABLES, counts, strict=False))
    ends_at = _COUNTS.size + 8 * total
    if min(counts) < 0 or ends_at > len(data):
        raise CorruptData(f"a row of recent has {len(data)} bytes and claims {counts} rows")
    numbers = struct.unpack_from(f"<{total}q", data, _COUNTS.size)
    found, at = [], 0
    for table, count in zip(_TABLES, counts, strict=True):
        end = at + count * table.numbers
        columns = [numbers[begin : begin + count] for begin in range(at, end, count or 1)]
        at = end + count
        bodies, ends_at = _cut(data, ends_at, numbers[end:at])
        found.append(list(zip(*columns, bodies, strict=True)) if count else [])
    if ends_at != len(data):
        raise CorruptData(f"a row of recent has {len(data)} bytes, {ends_at} were expected")
    return found


def _cut(data: bytes, at: int, lengths: tuple[int, ...]) -> tuple[list[bytes], int]:
    """Return so many pieces of `data` from `at` on, and where they end."""
    bodies = []
    for length in lengths:
        if not 0 <= length <= len(data) - at:
            raise CorruptData(f"a row of recent claims {length} bytes at {at} of {len(data)}")
        bodies.append(data[at : at + length])
        at += length
    return bodies, at
