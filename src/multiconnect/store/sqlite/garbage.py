"""What one log does about garbage: its own ledger, and one dead owner's per call.

A dead owner's ledger is deleted once nothing in it is needed: its rows are past their retention and
each of its slots was taken up by a later ledger. It leaves the chains first and the disk second, so
a crash in between leaves a file that no chain names, which is deleted by whoever looks next.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, Final

import apsw

from multiconnect.errors import CorruptData
from multiconnect.store.sqlite.database import Database
from multiconnect.store.sqlite.files import Files
from multiconnect.store.sqlite.ledger import Ledger
from multiconnect.store.sqlite.ledgers import Ledgers, read_chain
from multiconnect.store.sqlite.nodes import is_alive
from multiconnect.store.sqlite.segment_file import remove_segment, stored_segments
from multiconnect.store.sqlite.sweep import sweep
from multiconnect.store.sqlite.takeover import newest_written

_KEPT_TABLES: Final = ("recent", "batch", "progress", "key", "failure", "upstream_id")


class Collector:
    """Collects garbage on behalf of one incarnation; bounded work per call."""

    def __init__(self, files: Files, control: Database, ledgers: Ledgers, incarnation: str) -> None:
        self._files = files
        self._control = control
        self._ledgers = ledgers
        self._incarnation = incarnation
        self._turns = itertools.count()

    def collect(self, now_ms: int) -> int:
        """Drop rows past their retention, and ledgers nobody needs; return the rows dropped."""
        dropped = self._sweep(self._incarnation, now_ms)
        dead = self._dead()
        if dead:
            # One after the other: the first of them may have to stay for days.
            dropped += self._visit(dead[next(self._turns) % len(dead)], now_ms)
        self._ledgers.trim()
        return dropped

    def _dead(self) -> list[str]:
        with self._control.read() as control:
            names = self._files.stored_ledgers()
            return [name for name in names if not is_alive(control, name)]

    def _visit(self, name: str, now_ms: int) -> int:
        dropped = 0
        if self._is_in_a_chain(name):
            dropped = self._sweep(name, now_ms)
            if dropped or not self._is_superfluous(name):
                return dropped
            with self._control.write() as control:
                control.execute("DELETE FROM chain WHERE ledger = ?", (name,))
        self._ledgers.forget(name)
        _unlink(self._files.ledger(name))
        return dropped + 1

    def _sweep(self, name: str, now_ms: int) -> int:
        ledger = self._ledgers.get(name)
        if ledger is None:
            return 0
        dropped = sweep(ledger, lambda slot: self._others(slot, name), now_ms)
        if dropped and name != self._incarnation:
            # Its owner, who would do this, is dead.
            ledger.open().wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        self._shorten_chains(name, ledger)
        return dropped

    def _shorten_chains(self, name: str, ledger: Ledger) -> None:
        """Drop a ledger's links of tenures before the one it took up last: nobody asks for them."""
        with ledger.read() as db:
            rows: Any = db.execute("SELECT DISTINCT lane & 31, epoch FROM position").fetchall()
        sql = "SELECT 1 FROM chain WHERE slot = ? AND epoch < ? AND ledger = ?"
        with self._control.read() as control:
            old = [(*row, name) for row in rows if control.execute(sql, (*row, name)).fetchone()]
        if old:
            with self._control.write() as control:
                control.executemany(
                    "DELETE FROM chain WHERE slot = ? AND epoch < ? AND ledger = ?", old
                )

    def _others(self, slot: int, name: str) -> list[Ledger]:
        with self._control.read() as control:
            names = {tenure.ledger for tenure in read_chain(control, slot)} - {name}
        found = [self._ledgers.get(other) for other in sorted(names)]
        return [ledger for ledger in found if ledger is not None]

    def _is_in_a_chain(self, name: str) -> bool:
        with self._control.read() as control:
            sql = "SELECT 1 FROM chain WHERE ledger = ? LIMIT 1"
            return control.execute(sql, (name,)).fetchone() is not None

    def _is_superfluous(self, name: str) -> bool:
        with self._control.read() as control:
            # An epoch that is still granted was not sealed: its owner, dead only by hearsay, could
            # go on writing to the deleted file.
            if control.execute("SELECT 1 FROM slot WHERE owner = ?", (name,)).fetchone():
                return False
        ledger = self._ledgers.get(name)
        if ledger is None:
            return True
        with ledger.read() as db:
            for table in _KEPT_TABLES:
                if db.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone():
                    return False
            lanes: Any = db.execute("SELECT DISTINCT lane & 31 FROM position").fetchall()
        return all(self._is_continued(slot, ledger) for (slot,) in lanes)

    def _is_continued(self, slot: int, ledger: Ledger) -> bool:
        """Return whether a later ledger has taken the slot up, positions and all."""

        def chain() -> list[Any]:
            with self._control.read() as control:
                return list(read_chain(control, slot))

        try:
            newest = newest_written(self._ledgers, slot, chain)
        except CorruptData:
            # A ledger is missing that should not be: this is no time to delete another.
            return False
        return newest is not None and newest is not ledger


def _unlink(ledger: Path) -> None:
    for number in stored_segments(ledger):
        remove_segment(ledger, number)
    for suffix in ("-wal", "-shm", ""):
        ledger.with_name(ledger.name + suffix).unlink(missing_ok=True)
