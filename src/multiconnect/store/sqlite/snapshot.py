"""Reading the control plane's data in SQLite: plain functions on a connection in a transaction."""

from __future__ import annotations

from typing import Any

import apsw

from multiconnect.model.cluster import AuditEntry, Cluster, Concern, Snapshot
from multiconnect.store.sqlite.nodes import Nodes, node_state
from multiconnect.store.sqlite.slots import read_slots, read_slots_of


def read_snapshot(db: apsw.Connection, nodes: Nodes) -> Snapshot:
    """Return cluster, nodes and slots as they are in this transaction."""
    row: Any = db.execute(
        "SELECT cluster, shards, target_shards, generation, map_version, term, master FROM cluster"
    ).fetchone()
    return Snapshot(Cluster(*row), nodes.read(db), read_slots(db))


def read_concern(db: apsw.Connection, incarnation: str) -> Concern:
    """Return what one owner acts on."""
    return Concern(node_state(db, incarnation), read_slots_of(db, incarnation))


def read_audit(db: apsw.Connection, limit: int) -> list[AuditEntry]:
    """Return the newest changes of the map, newest first."""
    rows: Any = db.execute(
        "SELECT at_ms, map_version, term, slot, old_epoch, new_epoch, old_owner, new_owner, reason"
        " FROM audit ORDER BY id DESC LIMIT ?",
        (limit,),
    )
    return [AuditEntry(*row) for row in rows]
