"""Bringing a PostgreSQL schema to the newest version.

Guarantees: all steps are one transaction under an advisory lock, so of many processes that open a
new store at once one runs each step once; a schema that is newer than this code is refused.
"""

from __future__ import annotations

from typing import Final

from multiconnect.errors import InvalidSettings, Refused, StoreUnavailable
from multiconnect.store.migrate import Migration, migrations, pending
from multiconnect.store.postgres.dsn import Dsn
from multiconnect.store.postgres.session import Connection

#: Older ones are no longer maintained.
_SERVER_MIN: Final = 14
_PATIENCE: Final = """
    SET LOCAL lock_timeout = '30s';
    SET LOCAL statement_timeout = 0;
    SET LOCAL idle_in_transaction_session_timeout = '30s'
"""
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('multiconnect.' || $1, 0))"


async def prepare(connection: Connection, dsn: Dsn) -> None:
    """Check the server and bring the schema up to date.

    Raises Refused for a schema newer than this code or a server older than it needs,
    InvalidSettings for a database that is not in UTF-8, StoreUnavailable for a standby.
    """
    _check_server(connection, dsn)
    if not await _pending(connection, dsn):
        return
    if await connection.fetchval("SELECT pg_is_in_recovery()"):
        raise StoreUnavailable(f"{dsn.shown} is a standby; it has no schema to work with yet")
    async with connection.transaction():
        await connection.execute(_PATIENCE)
        await connection.execute(_LOCK, dsn.schema)
        if not await connection.fetchval("SELECT to_regnamespace($1)::oid", dsn.schema):
            await connection.execute(f'CREATE SCHEMA "{dsn.schema}"')
        # Asked again under the lock: another process may have been faster.
        for migration in await _pending(connection, dsn):
            await connection.execute(migration.sql)
            await _record(connection, migration)


def _check_server(connection: Connection, dsn: Dsn) -> None:
    version = connection.get_server_version()
    if version.major < _SERVER_MIN:
        raise Refused(f"{dsn.shown} runs PostgreSQL {version.major}; {_SERVER_MIN} or newer needed")
    encoding = connection.get_settings().server_encoding
    if encoding != "UTF8":
        raise InvalidSettings(f"{dsn.shown} has encoding {encoding}; make a database in UTF8")


async def _pending(connection: Connection, dsn: Dsn) -> list[Migration]:
    version = 0
    if await connection.fetchval("SELECT to_regclass($1)::oid", f"{dsn.schema}.schema_version"):
        version = await connection.fetchval("SELECT coalesce(max(version), 0) FROM schema_version")
    return pending(migrations("postgres", "store"), version, dsn.shown)


async def _record(connection: Connection, migration: Migration) -> None:
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_version"
        " (version integer PRIMARY KEY, name text NOT NULL)"
    )
    await connection.execute(
        "INSERT INTO schema_version VALUES ($1, $2)", migration.version, migration.name
    )
