"""PostgreSQL only: logins, schemas, servers that are no store, and the missing driver."""

import asyncio
import importlib
import logging
import sys
from collections.abc import Awaitable
from typing import cast

import pytest

from multiconnect.errors import InvalidSettings, Refused, StoreUnavailable
from multiconnect.store.open import open_store
from multiconnect.store.postgres import sessions
from multiconnect.store.postgres.dsn import parse_dsn
from multiconnect.store.postgres.log import PostgresLog
from tests.contract.cluster import Cluster
from tests.contract.postgres_stage import (
    admin,
    cut_connections,
    stores,
    until,
)
from tests.support.postgres import PASSWORD, SECRET_USER

__all__ = ["admin", "stores"]

pytestmark = pytest.mark.postgres


# --- opening -------------------------------------------------------------------------------------


async def test_the_password_is_shown_nowhere(postgres_server, caplog):
    place = f"127.0.0.1:{postgres_server.port}/postgres?sslmode=disable&schema=secrets"
    caplog.set_level(logging.DEBUG)
    with pytest.raises(InvalidSettings, match="refuses the login") as refused:
        await open_store(f"postgresql://{SECRET_USER}:{PASSWORD}X@{place}")
    assert PASSWORD not in str(refused.value)
    for login in (
        f"{SECRET_USER}:{PASSWORD}@{place}",
        f"{place}&user={SECRET_USER}&password={PASSWORD}",
    ):
        store = await open_store(f"postgresql://{login}")
        assert PASSWORD not in store.url
        assert "schema=secrets" in store.url
        assert PASSWORD not in repr(parse_dsn(f"postgresql://{login}"))
        await store.aclose()
    assert PASSWORD not in caplog.text


async def test_a_place_that_cannot_be_used_is_told_apart(postgres_server):
    port = postgres_server.port
    with pytest.raises(InvalidSettings, match="does not exist; make it with createdb"):
        await open_store(f"postgresql://multiconnect@127.0.0.1:{port}/nowhere?sslmode=disable")
    with pytest.raises(StoreUnavailable):
        await open_store("postgresql://multiconnect@127.0.0.1:9/postgres?sslmode=disable")
    with pytest.raises(InvalidSettings, match="SSL"):
        await open_store(f"postgresql://multiconnect@127.0.0.1:{port}/postgres?sslmode=require")


async def test_handles_that_open_a_new_store_at_once_make_one_cluster(postgres_server):
    url = postgres_server.url()
    stores = await asyncio.gather(*(open_store(url) for _ in range(6)))
    numbers = {(await store.control.snapshot()).cluster.cluster for store in stores}
    assert len(numbers) == 1
    for store in stores:
        await store.aclose()


async def test_a_newer_schema_is_refused(stores, admin):
    await stores.open()
    await admin.execute("INSERT INTO schema_version VALUES (99, 'of the future')")
    try:
        with pytest.raises(Refused, match="schema version 99"):
            await open_store(stores.url)
    finally:
        await admin.execute("DELETE FROM schema_version WHERE version = 99")


async def test_a_standby_is_no_store(stores, monkeypatch):
    monkeypatch.setattr(sessions, "_SELECT_STANDBY", "SELECT true")
    with pytest.raises(StoreUnavailable, match="standby"):
        await stores.open()


async def never(call: Awaitable[object]) -> bool:
    await call
    return False


async def test_a_database_that_was_replaced_is_noticed(postgres_server, admin):
    url = postgres_server.url()
    schema = url.rpartition("=")[2]
    store = await open_store(url)
    await admin.execute(f"DROP SCHEMA {schema} CASCADE")
    await (await open_store(url)).aclose()
    await cut_connections(admin)
    with pytest.raises(Refused, match="no longer holds the cluster"):
        await until(lambda: never(store.control.snapshot()))
    await store.aclose()


async def test_commits_are_durable_whatever_the_servers_default(stores, admin):
    await admin.execute("ALTER DATABASE postgres SET synchronous_commit = off")
    try:
        cluster = await Cluster.start(stores)
        await cluster.own("a", 0)
        # Taking a slot into use is not synced by itself; that must not outlast its statement.
        log = cast(PostgresLog, await cluster.log("a"))
        for session in (log._sessions.log, log._sessions.control):
            assert await session.fetchval("SHOW synchronous_commit") == "on"
            assert await session.fetchval("SHOW idle_in_transaction_session_timeout") == "1s"
            assert await session.fetchval("SHOW default_transaction_isolation") == "read committed"
            assert await session.fetchval("SHOW statement_timeout") != "0"
    finally:
        await admin.execute("ALTER DATABASE postgres RESET synchronous_commit")


async def test_a_store_without_its_driver_says_what_to_install(monkeypatch):
    for name in [n for n in sys.modules if n.startswith("multiconnect.store.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(InvalidSettings, match=r"pip install \"multiconnect\[postgres\]\""):
        await open_store("postgresql://h/d")
    monkeypatch.undo()
    importlib.import_module("multiconnect.store.postgres")
