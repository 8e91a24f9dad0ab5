"""Bodies of large commits: written once, to segments beside the ledger, before their commit.

SQLite writes what it is given twice, into its WAL and from there into the file, and takes each page
in hand for it. That is the price of changing things, and bodies never change. So the bodies of a
large commit are appended to the newest segment and synced; then the ledger's transaction, which
alone checks the fence and alone makes them count, writes their places (segment_reader.py). What no
transaction refers to was never acknowledged, and goes with its segment.

`segment` counts the bodies that are referred to. A segment goes when none are left; the newest is
closed before, by a higher number. Nobody can refer to one that is closed, not even an owner that
does not know yet that it was: each commit checks in its transaction that its segment is the newest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw

from multiconnect.errors import StoreUnavailable
from multiconnect.limits import SEGMENT_AGE_MAX_S, SEGMENT_BYTES_MAX
from multiconnect.model.log import LogWrite
from multiconnect.store.rules import milliseconds
from multiconnect.store.sqlite.segment_file import SegmentFile, segment_path, stored_segments
from multiconnect.store.sqlite.segment_reader import Place, place_of


class SegmentWriter:
    """The segment that the owner of a ledger is writing."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._file: SegmentFile | None = None
        self._number = 0
        self._began_ms = 0

    def place(self, write: LogWrite, newest: Callable[[], int]) -> LogWrite:
        """Make the bodies of a group durable; return the group with their places instead.

        `newest` is asked for the highest number in use when a segment is begun. Raises
        StoreUnavailable, with nothing that counts written.
        """
        bodies = [append.body for append in write.appends]
        file = self._current(write.appends[0].accepted_at_ms, newest)
        try:
            at = file.append(bodies)
            file.sync()
        except StoreUnavailable:
            file.take_back()
            self.close()
            raise
        appends = []
        for append in write.appends:
            place = Place(self._number, at, len(append.body))
            appends.append(append._replace(body=place.encode()))
            at += place.size
        return replace(write, appends=tuple(appends))

    def close(self) -> None:
        """Write no more to this segment; the next group begins another."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def close_any_of(self, numbers: Collection[int]) -> None:
        """Write no more to segments that are about to go."""
        if self._number in numbers:
            self.close()

    def _current(self, now_ms: int, newest: Callable[[], int]) -> SegmentFile:
        if self._file is not None and self._is_over(self._file, now_ms):
            self.close()
        if self._file is None:
            self._number = max(newest(), *stored_segments(self._ledger), 0) + 1
            self._file = SegmentFile(segment_path(self._ledger, self._number))
            self._began_ms = now_ms
        return self._file

    def _is_over(self, file: SegmentFile, now_ms: int) -> bool:
        old = now_ms - self._began_ms >= milliseconds(SEGMENT_AGE_MAX_S)
        return old or file.size >= SEGMENT_BYTES_MAX


def count_places(db: apsw.Connection, bodies: Iterable[Any]) -> None:
    """Inside the transaction that refers to them: count bodies that lie in the newest segment.

    Raises StoreUnavailable if their segment was closed meanwhile, by whoever took this owner for
    dead.
    """
    places = [place for place in map(place_of, bodies) if place is not None]
    if not places:
        return
    number = places[0].segment
    before = db.total_changes()
    db.execute(
        "INSERT INTO segment SELECT ?1, ?2"
        " WHERE ?1 >= (SELECT coalesce(max(number), 0) FROM segment)"
        " ON CONFLICT DO UPDATE SET bodies = bodies + excluded.bodies",
        (number, len(places)),
    )
    if db.total_changes() == before:
        raise StoreUnavailable(f"segment {number} was closed; its owner is taken for dead")


def discount(db: apsw.Connection, bodies: Iterable[Any]) -> None:
    """Inside the transaction that drops them: bodies are referred to no more."""
    gone = Counter(place.segment for place in map(place_of, bodies) if place is not None)
    db.executemany(
        "UPDATE segment SET bodies = bodies - ? WHERE number = ?",
        [(count, number) for number, count in gone.items()],
    )


def newest_segment(db: apsw.Connection) -> int:
    """Return the highest number in use, 0 if there is none."""
    return max(_bodies(db), default=0)


def empty_segments(db: apsw.Connection, ledger: Path) -> list[int]:
    """Return the segments on the disk that nothing refers to, the newest among them if so."""
    bodies = _bodies(db)
    newest = max(bodies, default=0)
    return [n for n in stored_segments(ledger) if n <= newest and not bodies.get(n)]


def close_empty(db: apsw.Connection, numbers: Iterable[int]) -> list[int]:
    """Inside a transaction: close those that are still empty, for good; their files may go."""
    bodies = _bodies(db)
    empty = [number for number in numbers if not bodies.get(number)]
    newest = max(bodies, default=0)
    if newest in empty:
        db.execute("INSERT INTO segment VALUES (?, 0)", (newest + 1,))
    db.execute(
        "DELETE FROM segment WHERE bodies = 0 AND number < (SELECT max(number) FROM segment)"
    )
    return empty


def _bodies(db: apsw.Connection) -> dict[int, int]:
    rows: Any = db.execute("SELECT number, bodies FROM segment")
    return dict(rows)
