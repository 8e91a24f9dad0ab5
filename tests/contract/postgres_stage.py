"""What tests of PostgreSQL alone stand on: an empty store, a session beside it, patience."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

from multiconnect.errors import StoreUnavailable
from multiconnect.store.port import LogStore
from tests.contract.cluster import OUT, Stores
from tests.support.postgres import PASSWORD, SECRET_USER, PostgresServer

SCHEMA = "recycled"
DEADLINE_S = 15.0


@pytest.fixture
async def stores(tmp_path: Path, postgres_server: PostgresServer) -> AsyncIterator[Stores]:
    stores = Stores("postgres", tmp_path, await postgres_server.emptied_url())
    yield stores
    await stores.aclose()


@pytest.fixture
async def admin(postgres_server: PostgresServer) -> AsyncIterator["asyncpg.Connection"]:
    """A session beside the store's."""
    connection = await asyncpg.connect(
        postgres_server.url(SCHEMA).partition("&schema")[0],
        server_settings={"search_path": SCHEMA, "application_name": "admin"},
    )
    yield connection
    await connection.close()


async def cut_connections(admin: "asyncpg.Connection[asyncpg.Record]") -> int:
    """End every session of the store; return how many there were."""
    ended = await admin.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name LIKE 'multiconnect%'"
    )
    return len(ended)


async def until(holds: Callable[[], Awaitable[object]]) -> None:
    """Ask again and again, whether or not the store answers, until it holds."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            with contextlib.suppress(StoreUnavailable):
                if await holds():
                    return
            await asyncio.sleep(0.01)


async def next_seq(log: LogStore, slot: int, epoch: int = 1) -> int:
    """Return where a slot ends, trying again as an owner does."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            with contextlib.suppress(StoreUnavailable):
                tail = await log.open_slot(slot, epoch)
                assert tail is not None
                return tail.streams[OUT].next_seq
            await asyncio.sleep(0.02)


def plain_url(server: PostgresServer, schema: str) -> str:
    """Return the URL of a store for a role without any rights over others."""
    return server.url(schema, login=f"{SECRET_USER}:{PASSWORD}")
