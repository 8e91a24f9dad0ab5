"""The fence rows of a ledger: which slots it may write, under which epoch.

Invariant 2 rests on two rules. A grant of epoch e + 1 is committed only after epoch e was *sealed*
in the ledger of its owner: from then on no write tagged e commits there. And a seal is a tombstone,
not a deletion: an owner that installs its fence late, after it was sealed, finds it and gives up.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any

import apsw
import orjson

from multiconnect.limits import SEAL_TIMEOUT_S
from multiconnect.store.sqlite.files import Files
from multiconnect.store.sqlite.ledger import Ledger


class Fence(enum.Enum):
    """What came of installing a fence."""

    REFUSED = "refused"
    INSTALLED = "installed"
    #: It stood already, under the same epoch.
    STANDING = "standing"


def install(ledger: apsw.Connection, slot: int, epoch: int) -> Fence:
    """Let this ledger write to a slot under `epoch`, unless that or a later epoch was sealed."""
    row: Any = ledger.execute("SELECT epoch, sealed FROM fence WHERE slot = ?", (slot,)).fetchone()
    if row and row[0] == epoch and not row[1]:
        return Fence.STANDING
    if row and row[0] >= epoch:
        return Fence.REFUSED
    ledger.execute("INSERT OR REPLACE INTO fence VALUES (?, ?, 0)", (slot, epoch))
    return Fence.INSTALLED


def refused_slots(ledger: apsw.Connection, epochs: Mapping[int, int]) -> frozenset[int]:
    """Return the slots that may not be written under the epochs given."""
    # In one row, because every row costs a change of threads (docs/store.md).
    sql = "SELECT json_group_array(epoch << 5 | slot) FROM fence WHERE sealed = 0"
    row: Any = ledger.execute(sql).fetchone()
    standing = set(orjson.loads(row[0]))
    return frozenset(slot for slot, epoch in epochs.items() if epoch << 5 | slot not in standing)


def seal(files: Files, incarnation: str, fences: Iterable[tuple[int, int]]) -> None:
    """Seal (slot, epoch) pairs in the ledger of their owner, in one durable transaction.

    Also when the owner never installed them, or never made its ledger. Raises StoreUnavailable when
    the ledger stays locked for SEAL_TIMEOUT_S, as it does while its owner is frozen in a commit.
    The transaction also puts in place what small commits left waiting: the next owner finds it all.
    """
    path = files.ledger(incarnation)
    ledger = Ledger(path, busy_s=SEAL_TIMEOUT_S, visitor=path.exists())
    try:
        with ledger.write() as db:
            db.executemany(
                "INSERT INTO fence VALUES (?, ?, 1)"
                " ON CONFLICT DO UPDATE SET epoch = excluded.epoch, sealed = 1"
                " WHERE fence.epoch <= excluded.epoch",
                fences,
            )
    finally:
        ledger.close()
