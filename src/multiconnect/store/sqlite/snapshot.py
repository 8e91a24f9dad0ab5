"""Reading the control plane's data in SQLite: plain functions on a connection in a transaction."""

from __future__ import annotations

from typing import Any

import apsw

from multiconnect.model.cluster import AuditEntry, Cluster, Snapshot
from multiconnect.store.sqlite.nodes import read_nodes
from multiconnect.store.sqlite.slots import read_slots


def read_snapshot(db: apsw.Connection) -> Snapshot:
    """Return cluster, nodes and slots as they are in this transaction."""
    row: Any = db.execute(
        "SELECT cluster, shards, target_shards, generation, map_version, term, master FROM cluster"
    ).fetchone()
    return Snapshot(Cluster(*row), read_nodes(db), read_slots(db))


def read_audit(db: apsw.Connection, limit: int) -> list[AuditEntry]:
    """Return the newest changes of the map, newest first."""
    rows: Any = db.execute(
        "SELECT at_ms, map_version, term, slot, old_epoch, new_epoch, old_owner, new_owner, reason"
        " FROM audit ORDER BY id DESC LIMIT ?",
        (limit,),
    )
    return [AuditEntry(*row) for row in rows]
