"""Small versioned documents in SQLite: plain functions on a connection in a transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import apsw
import orjson

from multiconnect.model.log import Document


def put_document(
    db: apsw.Connection,
    kind: str,
    key: str,
    value: Mapping[str, object],
    observed_version: int | None,
) -> int | None:
    """Write a document if it is at the version observed (None: any); return its new version."""
    row: Any = db.execute(
        "SELECT version FROM document WHERE kind = ? AND key = ?", (kind, key)
    ).fetchone()
    version = int(row[0]) if row else 0
    if observed_version is not None and observed_version != version:
        return None
    db.execute(
        "INSERT OR REPLACE INTO document VALUES (?, ?, ?, ?)",
        (kind, key, version + 1, orjson.dumps(dict(value))),
    )
    return version + 1


def delete_document(db: apsw.Connection, kind: str, key: str) -> bool:
    """Delete a document; False if there is none."""
    db.execute("DELETE FROM document WHERE kind = ? AND key = ?", (kind, key))
    return db.changes() == 1


def read_document(db: apsw.Connection, kind: str, key: str) -> Document | None:
    """Return one document."""
    row: Any = db.execute(
        "SELECT key, version, value FROM document WHERE kind = ? AND key = ?", (kind, key)
    ).fetchone()
    return Document(row[0], row[1], orjson.loads(row[2])) if row else None


def read_documents(db: apsw.Connection, kind: str) -> list[Document]:
    """Return all documents of a kind, by key."""
    rows: Any = db.execute(
        "SELECT key, version, value FROM document WHERE kind = ? ORDER BY key", (kind,)
    )
    return [Document(key, version, orjson.loads(value)) for key, version, value in rows]
