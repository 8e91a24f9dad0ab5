"""The store for many machines: PostgreSQL, through asyncpg.

Everything lies in one schema that all owners share; a handle has at most two connections. Import
this only when a PostgreSQL store is meant: it needs `multiconnect[postgres]`.
"""

from __future__ import annotations

from multiconnect.store.postgres.store import PostgresStore, open_postgres

__all__ = ["PostgresStore", "open_postgres"]
