"""How far back a slot's chain is read for what is not settled: usually one ledger, seldom more.

Bodies stay for an hour, so after many failovers a chain is long; opening all of it would hold up
the commits of an owner that has just taken over.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from multiconnect.store.sqlite.ledgers import Ledgers, Tenure


def ledgers_from(ledgers: Ledgers, chain: Iterable[Tenure], lane: int, from_seq: int) -> list[str]:
    """Return the ledgers, newest first, that know of unsettled messages from `from_seq` on.

    A tenure begins where the next older one ended, and what is known of a message lies in the
    ledger it was written to and in newer ones. So the first one that ended at or below what is
    asked for, and all behind it, have nothing to say.
    """
    names: list[str] = []
    for tenure in chain:
        ledger = ledgers.get(tenure.ledger)
        if ledger is None:
            continue
        with ledger.read() as db:
            # Of another epoch: this tenure was never taken up, and says nothing of where it ended.
            row: Any = db.execute(
                "SELECT next_seq, settled_below FROM position WHERE lane = ? AND epoch = ?",
                (lane, tenure.epoch),
            ).fetchone()
        if row is not None:
            end, settled_below = row
            from_seq = max(from_seq, settled_below)
            if end <= from_seq:
                break
        names.append(tenure.ledger)
    return names
