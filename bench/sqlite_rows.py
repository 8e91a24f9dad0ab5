"""The reference of row 6: one SQLite row per message, one transaction per batch.

What a Python user would write, with a fast driver: WAL, synchronous=FULL, `executemany`, no index
beyond the primary key. It is one thread of one process: nothing is hashed, sent or acknowledged.
"""

from __future__ import annotations

from pathlib import Path

import apsw

from bench.traffic import Item

#: Slot, recipient, payload.
Row = tuple[int, str, bytes]


def rows_of(batches: list[list[Item]]) -> list[list[Row]]:
    """Return what `store` takes, made outside the clock."""
    return [[(at % 32, *item) for at, item in enumerate(batch)] for batch in batches]


class SqliteRows:
    """A table of messages, each with the slot it is for and the state it is in."""

    def __init__(self, path: Path) -> None:
        self._connection = apsw.Connection(str(path))
        self._connection.pragma("journal_mode", "wal")
        self._connection.pragma("synchronous", "FULL")
        self._connection.execute(
            "CREATE TABLE message (id INTEGER PRIMARY KEY, slot INTEGER NOT NULL,"
            " state INTEGER NOT NULL DEFAULT 0, recipient TEXT NOT NULL, payload BLOB NOT NULL)"
        )

    def store(self, batches: list[list[Row]]) -> int:
        """Commit batch after batch; return the rows stored."""
        before = self._connection.total_changes()
        for batch in batches:
            with self._connection:
                self._connection.executemany(
                    "INSERT INTO message (slot, recipient, payload) VALUES (?, ?, ?)", batch
                )
        return self._connection.total_changes() - before

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
