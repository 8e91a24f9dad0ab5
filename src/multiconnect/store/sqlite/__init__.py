"""The embedded store: SQLite files on one host, through apsw.

One small control file, one file of beats beside it, and one ledger per owner (see docs/store.md).
"""

from __future__ import annotations

from multiconnect.store.sqlite.store import SqliteStore, open_sqlite

__all__ = ["SqliteStore", "open_sqlite"]
