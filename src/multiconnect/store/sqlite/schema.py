"""Bringing a SQLite file to the newest schema.

Guarantees: all steps are one transaction; two processes that open a new file at once run each step
once.
"""

from __future__ import annotations

from typing import Any

import apsw

from multiconnect.store.migrate import Migration, migrations, pending


def migrate(connection: apsw.Connection, family: str) -> None:
    """Bring the connected file to the newest schema; raise Refused if it is newer than that."""
    if not _pending(connection, family):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Asked again under the lock: another process may have been faster.
        for migration in _pending(connection, family):
            connection.execute(migration.sql)
            _record(connection, migration)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _pending(connection: apsw.Connection, family: str) -> list[Migration]:
    version = _version(connection)
    return pending(migrations("sqlite", family), version, connection.filename)


def _version(connection: apsw.Connection) -> int:
    # A query, because the schema that the connection has in its cache may be out of date.
    sql = "SELECT 1 FROM sqlite_schema WHERE name = 'schema_version'"
    if connection.execute(sql).fetchone() is None:
        return 0
    row: Any = connection.execute("SELECT max(version) FROM schema_version").fetchone()
    return int(row[0] or 0)


def _record(connection: apsw.Connection, migration: Migration) -> None:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_version"
        " (version INTEGER PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID"
    )
    connection.execute(
        "INSERT INTO schema_version VALUES (?, ?)", (migration.version, migration.name)
    )
