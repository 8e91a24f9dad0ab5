"""The file of one owner's log, whose commits wait in a heap before they take their place.

What waits is in place before anybody reads what it changes: `write` begins with that, which is also
how a ledger is sealed, so the tenures of earlier owners are always complete; who reads the tables
of a living ledger calls `settle` before. Only `append` adds to what waits. Positions and fences
never wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from multiconnect.errors import StoreUnavailable
from multiconnect.limits import RECENT_BYTES_MAX, STORE_TIMEOUT_S
from multiconnect.model.log import LogWrite
from multiconnect.store.sqlite.database import LEDGER, Database
from multiconnect.store.sqlite.recent import Rows, is_waiting, keep, put_in_place
from multiconnect.store.sqlite.segment_file import remove_segment
from multiconnect.store.sqlite.segments import (
    SegmentWriter,
    close_empty,
    empty_segments,
    newest_segment,
)


class Ledger(Database):
    """A ledger and, once it was used, the connection to it."""

    def __init__(
        self, path: Path, *, busy_s: float = STORE_TIMEOUT_S, visitor: bool = False
    ) -> None:
        super().__init__(path, LEDGER, busy_s=busy_s, visitor=visitor)
        #: Bytes that wait, at most: somebody else may have put them in place.
        self._waiting_bytes = 0
        self._segment = SegmentWriter(path)

    @contextmanager
    def write(self) -> Iterator[apsw.Connection]:
        """Run the block in a write transaction that begins with everything in its place."""
        with super().write() as db:
            put_in_place(db)
            yield db
        self._waiting_bytes = 0

    @contextmanager
    def append(self) -> Iterator[apsw.Connection]:
        """Run the block in a write transaction that leaves waiting what waits."""
        if self._waiting_bytes > RECENT_BYTES_MAX:
            self.settle()
        try:
            with super().write() as db:
                yield db
        except StoreUnavailable:
            # Perhaps because its segment was closed: what comes next gets another.
            self._segment.close()
            raise

    def leave(self, rows: Rows) -> None:
        """Inside `append`: let rows wait with the others."""
        self._waiting_bytes += keep(self.open(), rows)

    def place_bodies(self, write: LogWrite) -> LogWrite:
        """Make the bodies of a group durable beside this file; return it with their places."""
        return self._segment.place(write, self._newest_segment)

    def _newest_segment(self) -> int:
        with self.read() as db:
            return newest_segment(db)

    def drop_segments(self) -> int:
        """Remove the segments that nothing refers to; return how many."""
        with self.read() as db:
            empty = empty_segments(db, self.path)
        if not empty:
            return 0
        self._segment.close_any_of(empty)
        with self.write() as db:
            gone = close_empty(db, empty)
        for number in gone:
            remove_segment(self.path, number)
        return len(gone)

    def close(self) -> None:
        """Close the connection and the segment; the next use opens others."""
        self._segment.close()
        super().close()

    def settle(self) -> None:
        """Put what waits in its place; a ledger where nothing does is not written to."""
        with self.read() as db:
            waiting = is_waiting(db)
        if waiting:
            with self.unsynced(), self.write():
                pass
