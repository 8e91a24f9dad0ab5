"""From a store URL to an opened store: the only place that knows which implementations exist."""

from __future__ import annotations

from multiconnect.clock import Clock, SystemClock
from multiconnect.errors import InvalidSettings
from multiconnect.store.memory import MemoryState, MemoryStates, MemoryStore
from multiconnect.store.port import Store

_SUPPORTED = (
    "sqlite:///relative/path.db, sqlite:////absolute/path.db, postgresql://USER@HOST/DATABASE, "
    "memory:// or memory://NAME"
)


async def open_store(
    url: str, *, clock: Clock | None = None, memories: MemoryStates | None = None
) -> Store:
    """Open the store at `url`, making it (and its schema) if it does not exist.

    `memory://NAME` handles share their state through `memories`; plain `memory://` is always new.
    Raises InvalidSettings for a URL that names no store, Refused for a schema or an SQLite that
    must not be used, StoreUnavailable when the store does not answer.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise InvalidSettings(f"store {url!r} is not a URL; use {_SUPPORTED}")
    if scheme == "memory":
        return _memory(rest, clock, memories)
    if scheme == "sqlite":
        # Imported here: a cluster on another store need not load SQLite.
        from multiconnect.store.sqlite import open_sqlite  # noqa: PLC0415

        return await open_sqlite(url, clock or SystemClock())
    if scheme in {"postgresql", "postgres"}:
        return await _postgres(url, clock or SystemClock())
    raise InvalidSettings(f"store scheme {scheme!r} is unknown; use {_SUPPORTED}")


async def _postgres(url: str, clock: Clock) -> Store:
    try:
        # Imported here: the driver is an extra that other stores do without.
        from multiconnect.store.postgres import open_postgres  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        raise InvalidSettings(
            'a postgresql store needs asyncpg: pip install "multiconnect[postgres]"'
        ) from error
    return await open_postgres(url, clock)


def _memory(name: str, clock: Clock | None, memories: MemoryStates | None) -> MemoryStore:
    if not name:
        return MemoryStore(MemoryState(clock))
    if memories is None:
        raise InvalidSettings(
            f"memory://{name} is shared by name inside one process and needs the MemoryStates "
            "that hold it; use memory:// for a store of its own"
        )
    return MemoryStore(memories.state(name), f"memory://{name}")
