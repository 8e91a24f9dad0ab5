"""Nodes and their beats in SQLite: plain functions on a connection that is in a transaction."""

from __future__ import annotations

from typing import Any

import apsw
import orjson

from multiconnect.model.cluster import Beat, Node, NodeState, Role
from multiconnect.store.rules import is_forward

_COLUMNS = (
    "incarnation, name, role, host, pid, address, generation, state, reason, start_ticks, boot_id"
)


def add_node(db: apsw.Connection, node: Node) -> bool:
    """Insert a node; False if its incarnation is there already."""
    db.execute(
        f"INSERT INTO node ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (
            node.incarnation, node.name, str(node.role), node.host, node.pid, node.address,
            node.generation, str(node.state), node.reason, node.start_ticks, node.boot_id,
        ),
    )  # fmt: skip
    return db.changes() == 1


def node_state(db: apsw.Connection, incarnation: str) -> NodeState | None:
    """Return a node's state, or None if it never joined (or is dead for so long)."""
    row = db.execute("SELECT state FROM node WHERE incarnation = ?", (incarnation,)).fetchone()
    return NodeState(row[0]) if row else None


def read_role(db: apsw.Connection, incarnation: str) -> Role | None:
    """Return a node's role, or None if it is not known."""
    row = db.execute("SELECT role FROM node WHERE incarnation = ?", (incarnation,)).fetchone()
    return Role(row[0]) if row else None


def is_alive(db: apsw.Connection, incarnation: str | None) -> bool:
    """Return whether a node joined and is not dead."""
    state = node_state(db, incarnation) if incarnation is not None else None
    return state is not None and state is not NodeState.DEAD


def advance_node(
    db: apsw.Connection, incarnation: str, state: NodeState, reason: str, at_ms: int
) -> bool:
    """Move a node forward; False if it is unknown or that is not forward."""
    before = node_state(db, incarnation)
    if before is None or not is_forward(before, state):
        return False
    db.execute(
        "UPDATE node SET state = ?, reason = ?, died_at_ms = ? WHERE incarnation = ?",
        (str(state), reason, at_ms if state is NodeState.DEAD else None, incarnation),
    )
    return True


def forget_the_long_dead(db: apsw.Connection, before_ms: int) -> list[str]:
    """Drop nodes dead since before `before_ms`, except those a slot row still names; say which."""
    rows: Any = db.execute(
        "DELETE FROM node WHERE died_at_ms < ?"
        " AND incarnation NOT IN (SELECT owner FROM slot WHERE owner IS NOT NULL)"
        " RETURNING incarnation",
        (before_ms,),
    )
    return [incarnation for (incarnation,) in rows]


class Nodes:
    """Reads all nodes again and again, and of a row that was read before only its key.

    What a row says changes with its state alone, states only go forward, and an incarnation is
    never used twice. The dead of a whole day are among them, so this is most of a snapshot.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Node] = {}

    def read(self, db: apsw.Connection) -> tuple[Node, ...]:
        """Return all nodes, by incarnation."""
        keys: Any = db.execute(
            "SELECT incarnation, state FROM node ORDER BY incarnation"
        ).fetchall()
        known = self._known
        found = {key: known[key] if key in known else read_node(db, key[0]) for key in keys}
        # Another thread may read at the same time: each returns what its own transaction saw.
        self._known = found
        return tuple(found.values())


def read_node(db: apsw.Connection, incarnation: str) -> Node:
    """Return the node of an incarnation that is there."""
    sql = f"SELECT {_COLUMNS} FROM node WHERE incarnation = ?"
    row: Any = db.execute(sql, (incarnation,)).fetchone()
    fields = dict(zip(_COLUMNS.split(", "), row, strict=True))
    fields |= {"role": Role(fields["role"]), "state": NodeState(fields["state"])}
    return Node(**fields)


def put_beat(db: apsw.Connection, beat: Beat) -> None:
    """Keep the last beat of a node."""
    db.execute(
        "INSERT OR REPLACE INTO beat VALUES (?, ?, ?)",
        (beat.incarnation, beat.count, orjson.dumps(beat.figures)),
    )


def beat_count(db: apsw.Connection, incarnation: str) -> int | None:
    """Return the count of a node's last beat, None if there is none."""
    row = db.execute("SELECT count FROM beat WHERE incarnation = ?", (incarnation,)).fetchone()
    return int(row[0]) if row else None


def read_beats(db: apsw.Connection) -> dict[str, Beat]:
    """Return the last beat of every node."""
    rows: Any = db.execute("SELECT incarnation, count, figures FROM beat")
    return {name: Beat(name, count, orjson.loads(figures)) for name, count, figures in rows}


def drop_beats(db: apsw.Connection, incarnations: list[str]) -> None:
    """Drop the beats of these nodes."""
    db.executemany("DELETE FROM beat WHERE incarnation = ?", [(name,) for name in incarnations])
