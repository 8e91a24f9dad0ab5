"""Slots, terms and the wished-for shard count in SQLite: the compare-and-set steps.

Plain functions on a connection that is in a write transaction of the control file. They keep
invariants 1 (epochs per slot only grow, one owner each) and 11 (each change of the map carries the
term current at its commit and is audited with it).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw

from multiconnect.limits import AUDIT_ROWS_KEPT
from multiconnect.model.cluster import Move, Slot
from multiconnect.store.sqlite.nodes import is_alive

_COLUMNS = "slot, epoch, owner, drain_to, drained"

#: Slot, old and new epoch, old and new owner.
Place = tuple[int | None, int | None, int | None, str | None, str | None]


def read_slot(db: apsw.Connection, slot: int) -> Slot:
    """Return the row of one slot."""
    return _slot(db.execute(f"SELECT {_COLUMNS} FROM slot WHERE slot = ?", (slot,)).fetchone())


def read_slots(db: apsw.Connection) -> tuple[Slot, ...]:
    """Return all slots, by number."""
    rows: Any = db.execute(f"SELECT {_COLUMNS} FROM slot ORDER BY slot")
    return tuple(_slot(row) for row in rows)


def read_slots_of(db: apsw.Connection, owner: str) -> tuple[Slot, ...]:
    """Return the slots that an owner has or is to get, by number."""
    sql = f"SELECT {_COLUMNS} FROM slot WHERE ?1 IN (owner, drain_to) ORDER BY slot"
    rows: Any = db.execute(sql, (owner,))
    return tuple(_slot(row) for row in rows)


def _slot(row: Any) -> Slot:
    slot, epoch, owner, drain_to, drained = row
    return Slot(slot, epoch, owner, drain_to, bool(drained))


def read_term(db: apsw.Connection) -> int:
    """Return the term in force."""
    return _number(db, "SELECT term FROM cluster")


def take_term(db: apsw.Connection, incarnation: str, observed_term: int) -> int | None:
    """Make a live node Master if the term is still the observed one; return the new term."""
    if not is_alive(db, incarnation):
        return None
    db.execute(
        "UPDATE cluster SET term = term + 1, master = ? WHERE term = ?",
        (incarnation, observed_term),
    )
    return observed_term + 1 if db.changes() else None


def set_target(db: apsw.Connection, shards: int, observed_generation: int) -> int | None:
    """Wish for a shard count if the generation is still the observed one; return the new one."""
    db.execute(
        "UPDATE cluster SET target_shards = ?, generation = generation + 1 WHERE generation = ?",
        (shards, observed_generation),
    )
    return observed_generation + 1 if db.changes() else None


def may_assign(db: apsw.Connection, moves: Sequence[Move], term: int) -> bool:
    """Return whether the world is as these moves say, and every one of them is allowed."""
    distinct = len({move.slot for move in moves}) == len(moves)
    return read_term(db) == term and distinct and all(_may_move(db, move) for move in moves)


def _may_move(db: apsw.Connection, move: Move) -> bool:
    row = read_slot(db, move.slot)
    as_said = (row.epoch, row.owner) == (move.epoch, move.old_owner)
    # A live owner may have sends under way: only its own word that it has none moves a slot.
    may_leave = row.drained or not is_alive(db, row.owner)
    return as_said and may_leave and is_alive(db, move.new_owner)


def grant(
    db: apsw.Connection, moves: Sequence[Move], shards: int | None, reason: str, at_ms: int
) -> None:
    """Put checked moves (and a shard count) in force as one new version of the map."""
    _bump_map(db)
    for move in moves:
        epoch = move.epoch + 1
        db.execute(
            "UPDATE slot SET epoch = ?, owner = ?, drain_to = NULL, drained = 0 WHERE slot = ?",
            (epoch, move.new_owner, move.slot),
        )
        db.execute("INSERT INTO chain VALUES (?, ?, ?)", (move.slot, epoch, move.new_owner))
        _audit(db, at_ms, (move.slot, move.epoch, epoch, move.old_owner, move.new_owner), reason)
    if shards is not None:
        db.execute("UPDATE cluster SET shards = ?", (shards,))
        nowhere: Place = (None, None, None, None, None)
        _audit(db, at_ms, nowhere, f"{shards} shards in force: {reason}")
    _trim_audit(db)


def start_drain(db: apsw.Connection, slot: int, epoch: int, to: str, term: int) -> bool:
    """Ask a slot's owner to drain."""
    if read_term(db) != term:
        return False
    db.execute(
        "UPDATE slot SET drain_to = ?, drained = 0"
        " WHERE slot = ? AND epoch = ? AND drain_to IS NULL AND owner IS NOT NULL",
        (to, slot, epoch),
    )
    return db.changes() == 1


def cancel_drain(db: apsw.Connection, slot: int, epoch: int, term: int) -> bool:
    """Take the request back."""
    if read_term(db) != term:
        return False
    db.execute(
        "UPDATE slot SET drain_to = NULL, drained = 0"
        " WHERE slot = ? AND epoch = ? AND drain_to IS NOT NULL",
        (slot, epoch),
    )
    return db.changes() == 1


def report_drained(db: apsw.Connection, slot: int, epoch: int, incarnation: str) -> bool:
    """Note that nothing of a slot is in flight."""
    db.execute(
        "UPDATE slot SET drained = 1"
        " WHERE slot = ? AND epoch = ? AND owner = ? AND drain_to IS NOT NULL",
        (slot, epoch, incarnation),
    )
    return db.changes() == 1


def orphan(db: apsw.Connection, slot: Slot, reason: str, at_ms: int) -> None:
    """Take the owner out of a slot's row; the epoch stays until the next grant."""
    db.execute(
        "UPDATE slot SET owner = NULL, drain_to = NULL, drained = 0 WHERE slot = ?", (slot.slot,)
    )
    _bump_map(db)
    _audit(db, at_ms, (slot.slot, slot.epoch, None, slot.owner, None), reason)
    _trim_audit(db)


def _bump_map(db: apsw.Connection) -> None:
    db.execute("UPDATE cluster SET map_version = map_version + 1")


def _audit(db: apsw.Connection, at_ms: int, place: Place, reason: str) -> None:
    db.execute(
        "INSERT INTO audit (at_ms, map_version, term, slot, old_epoch, new_epoch, old_owner,"
        " new_owner, reason) SELECT ?, map_version, term, ?, ?, ?, ?, ?, ? FROM cluster",
        (at_ms, *place, reason),
    )


def _trim_audit(db: apsw.Connection) -> None:
    db.execute("DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - ?", (AUDIT_ROWS_KEPT,))


def _number(db: apsw.Connection, sql: str) -> int:
    row: Any = db.execute(sql).fetchone()
    return int(row[0])
