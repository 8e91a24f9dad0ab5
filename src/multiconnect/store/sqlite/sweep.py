"""Retention inside one ledger: what goes by its age alone, and the order of it all."""

from __future__ import annotations

from multiconnect.limits import (
    GARBAGE_ROWS_MAX,
    PRODUCER_KEEP_S,
    RETAIN_BODIES_S,
    RETAIN_IDEMPOTENCY_S,
    RETAIN_STATES_S,
)
from multiconnect.store.rules import milliseconds
from multiconnect.store.sqlite.ledger import Ledger
from multiconnect.store.sqlite.retire import Others, drop_bodies, drop_states


def sweep(ledger: Ledger, others: Others, now_ms: int) -> int:
    """Drop what is past its retention, within the limits of one call; return the rows dropped."""
    ledger.settle()
    return (
        _drop_keys(ledger, now_ms - milliseconds(RETAIN_IDEMPOTENCY_S))
        + _drop_producers(ledger, now_ms - milliseconds(PRODUCER_KEEP_S))
        + drop_bodies(ledger, others, now_ms - milliseconds(RETAIN_BODIES_S))
        + drop_states(ledger, others, now_ms - milliseconds(RETAIN_STATES_S))
        + ledger.drop_segments()
    )


def _drop_keys(ledger: Ledger, before_ms: int) -> int:
    return _drop(
        ledger,
        "SELECT id FROM (SELECT id, at_ms FROM key ORDER BY id LIMIT ?) WHERE at_ms < ?",
        (GARBAGE_ROWS_MAX, before_ms),
        "DELETE FROM key WHERE id = ?",
    )


def _drop_producers(ledger: Ledger, before_ms: int) -> int:
    return _drop(
        ledger,
        "SELECT lane, producer FROM producer WHERE at_ms < ? LIMIT ?",
        (before_ms, GARBAGE_ROWS_MAX),
        "DELETE FROM producer WHERE lane = ? AND producer = ?",
    )


def _drop(ledger: Ledger, find: str, bounds: tuple[int, int], drop: str) -> int:
    # Looked up in a read transaction: most calls find nothing and must not sync the disk.
    with ledger.read() as db:
        rows = db.execute(find, bounds).fetchall()
    if rows:
        with ledger.write() as db:
            db.executemany(drop, rows)
    return len(rows)
