"""PostgreSQL only: lost connections and replies, frozen clients, full disks, and who may log in."""

import asyncio
import contextlib
import importlib
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import cast

import asyncpg
import pytest

from multiconnect.errors import Bug, InvalidSettings, Refused, StoreUnavailable
from multiconnect.limits import STORE_NOTIFY_POLL_S
from multiconnect.model.cluster import Beat, Move, NodeState, Role
from multiconnect.model.log import Failure, LogWrite, Retry, UpstreamId
from multiconnect.store.open import open_store
from multiconnect.store.port import LogStore, Store
from multiconnect.store.postgres import history, sessions
from multiconnect.store.postgres.dsn import parse_dsn
from multiconnect.store.postgres.failures import DRIVER_ERRORS
from multiconnect.store.postgres.log import PostgresLog
from tests.contract.cluster import OUT, Cluster, Stores, append, node
from tests.support.postgres import PASSWORD, SECRET_USER, PostgresServer
from tests.support.proxy import FaultProxy, Way

pytestmark = pytest.mark.postgres

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


@pytest.fixture
async def proxy(postgres_server: PostgresServer) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(postgres_server.address, "tcp:127.0.0.1:0") as proxy:
        yield proxy


@pytest.fixture
async def far(
    cluster: Cluster, proxy: FaultProxy, postgres_server: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Store]:  # fmt: skip
    """A handle that reaches the server through the proxy, and does not wait long for answers."""
    monkeypatch.setattr(sessions, "STORE_ANSWER_MAX_S", 0.4)
    monkeypatch.setattr(sessions, "STORE_TIMEOUT_S", 0.5)
    port = int(proxy.address.rpartition(":")[2])
    store = await open_store(postgres_server.url(SCHEMA, port=port), clock=cluster.clock)
    yield store
    proxy.resume()
    await store.aclose()


async def cut_connections(admin, *, but: str = "admin") -> int:
    """End every session of the store; return how many there were."""
    ended = await admin.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name LIKE 'multiconnect%' AND application_name <> $1",
        but,
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


# --- connections ---------------------------------------------------------------------------------


async def test_a_handle_has_at_most_two_connections_that_say_whose_they_are(cluster, stores, admin):
    async def names() -> list[str]:
        sql = "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'multi%'"
        return sorted(row[0] for row in await admin.fetch(sql))

    await stores.aclose()
    store = await stores.open()
    for name, role in (("web#1", Role.WEB), ("owner#1", Role.COREAPP)):
        await store.control.join(node(name, role=role))
    log = await store.log("web#1")
    assert await log.find_message(OUT, 0, 0) is None
    assert len(await names()) == 1
    await store.log("owner#1")
    assert await names() == ["multiconnect owner#1"] * 2
    for _ in range(3):
        await cut_connections(admin)
        await until(lambda: asyncio.gather(*(store.control.snapshot() for _ in range(8))))
        assert set(await names()) == {"multiconnect owner#1"}
        assert len(await names()) <= 2


async def test_what_a_cut_connection_left_open_is_opened_again(cluster, admin):
    await cluster.own("a", 0)
    await cluster.append("a", append(0, 0))
    log = await cluster.log("a")
    assert await cut_connections(admin) == 2
    with pytest.raises(StoreUnavailable):
        await log.commit(LogWrite({0: 1}, (append(0, 4),)))
    assert await next_seq(log, 0) == 4
    await cluster.append("a", append(0, 4))
    assert await next_seq(log, 0) == 8


async def knows_no_keys(log: LogStore) -> bool:
    return await log.find_keys(0, []) == {}


async def test_a_commit_is_not_sent_over_another_connection_than_its_slots_were_opened(
    cluster, admin
):
    """The server may have crashed in between; only reading the tail again tells."""
    await cluster.own("a", 0)
    log = await cluster.log("a")
    await cut_connections(admin)
    await until(lambda: knows_no_keys(log))
    with pytest.raises(StoreUnavailable, match="open the slots again"):
        await log.commit(LogWrite({0: 1}, (append(0, 0),)))
    assert await next_seq(log, 0) == 0


async def test_a_lost_reply_leaves_a_whole_commit_and_never_two(cluster, far, proxy):
    await cluster.own("a", 0)
    log = await far.log("a")
    assert await next_seq(log, 0) == 0
    # The first of its form is prepared before it is executed: two replies.
    assert await log.commit(LogWrite({0: 1}, (append(0, 0),))) == frozenset()
    proxy.blackhole(way=Way.BACK)
    with pytest.raises(StoreUnavailable):
        await log.commit(LogWrite({0: 1}, (append(0, 4),)))
    proxy.resume()
    # It reached the server, so it is there; the resend of an owner finds that out by its tail.
    assert await next_seq(log, 0) == 8
    assert await log.commit(LogWrite({0: 1}, (append(0, 8),))) == frozenset()
    found = await log.read_batches(OUT, 0, 0, 9_999)
    assert [batch.base_seq for batch in found] == [0, 4, 8]


async def test_a_commit_delayed_on_its_way_does_not_come_after_a_fresh_start(cluster, far, proxy):
    """Held by a pool or a network, it arrives when its owner has long read its tail anew."""
    await cluster.own("a", 0)
    log = await far.log("a")
    assert await next_seq(log, 0) == 0
    await log.commit(LogWrite({0: 1}))
    group = LogWrite({0: 1}, (append(0, 0, body=b"late"),))
    # As a statement that its client has given up: sent whole, on a connection nobody reads.
    late = await (await cluster.stores.open()).log("a")
    assert await next_seq(late, 0) == 0
    fresh = await (await cluster.stores.open()).log("a")
    assert await next_seq(fresh, 0) == 0
    assert await late.commit(group) == {0}
    assert await fresh.commit(LogWrite({0: 1}, (append(0, 0, body=b"fresh"),))) == frozenset()
    assert [b.body for b in await fresh.read_batches(OUT, 0, 0, 9_999)] == [b"fresh"]


async def test_a_half_open_connection_is_given_up_and_made_anew(cluster, far, proxy):
    assert await far.control.beat(Beat("a", 1))
    proxy.blackhole()
    with pytest.raises(StoreUnavailable, match="no answer within"):
        await far.control.beat(Beat("a", 2))
    # Nobody hangs in a queue behind it: who asks next is told at once or tries to connect.
    with pytest.raises(StoreUnavailable):
        await asyncio.wait_for(far.control.snapshot(), DEADLINE_S)
    proxy.resume()
    await until(lambda: far.control.beat(Beat("a", 3)))
    assert (await far.control.beats())["a"].count == 3


async def test_a_cancelled_caller_leaves_the_connection_in_order(cluster):
    await cluster.own("a", 0)
    log = await cluster.log("a")
    for base in range(0, 40, 4):
        commit = asyncio.create_task(log.commit(LogWrite({0: 1}, (append(0, base),))))
        await asyncio.sleep(0)
        commit.cancel()
        with pytest.raises(asyncio.CancelledError):
            await commit
        # Carried through all the same.
        assert await log.commit(LogWrite({0: 1})) == frozenset()
        assert await next_seq(log, 0) == base + 4


# --- waking --------------------------------------------------------------------------------------


async def test_who_waits_over_a_lost_connection_is_woken_over_the_next(cluster, admin):
    watcher = (await cluster.stores.open()).control
    snapshot = await watcher.snapshot()
    await cut_connections(admin)
    waiting = asyncio.create_task(watcher.changed(DEADLINE_S, snapshot))
    sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'multiconnect%'"
    await until(lambda: admin.fetchval(sql))
    await admin.execute("SELECT announce()")
    with contextlib.suppress(StoreUnavailable):
        assert await asyncio.wait_for(waiting, STORE_NOTIFY_POLL_S * 0.8)


async def test_a_change_without_a_notification_is_found_by_the_slow_poll(cluster, admin):
    await cluster.control.snapshot()
    waiting = asyncio.create_task(cluster.control.changed(DEADLINE_S))
    await asyncio.sleep(0.02)
    await admin.execute("UPDATE revision SET number = number + 1")
    assert await asyncio.wait_for(waiting, 4 * STORE_NOTIFY_POLL_S)


async def test_a_store_rolled_back_is_news_once(cluster, admin):
    snapshot = await cluster.control.snapshot()
    await admin.execute("UPDATE revision SET number = 1")
    assert await cluster.control.changed(0.1, snapshot)
    snapshot = await cluster.control.snapshot()
    assert not await cluster.control.changed(0.05, snapshot)
    await admin.execute("SELECT announce()")
    assert await cluster.control.changed(DEADLINE_S, snapshot)


# --- frozen clients ------------------------------------------------------------------------------


async def was_named(caplog: pytest.LogCaptureFixture) -> bool:
    return any(getattr(r, "application", "") == "sitting here" for r in caplog.records)


@pytest.mark.parametrize("doing", ["nothing", "sleeping"])
async def test_whoever_sits_on_a_fence_is_ended(cluster, postgres_server, caplog, doing):
    await cluster.own("a", 0, 1)
    await cluster.control.set_node_state("a", NodeState.DEAD, "silent")
    url = postgres_server.url(SCHEMA).partition("&schema")[0]
    frozen = await asyncpg.connect(url, server_settings={"application_name": "sitting here"})
    await frozen.execute(f"BEGIN; SET search_path = {SCHEMA}; SELECT FROM slot FOR SHARE")
    sleep = None
    if doing == "sleeping":
        sleep = asyncio.create_task(frozen.execute("SELECT pg_sleep(60)"))
    moves = [Move(slot, 1, "a", "b") for slot in (0, 1)]
    caplog.set_level(logging.WARNING)
    assert await cluster.control.assign(moves, 1, "takeover")
    await until(lambda: was_named(caplog))
    with pytest.raises(DRIVER_ERRORS):
        await (sleep or frozen.execute("COMMIT"))
    assert await (await cluster.log("b")).open_slot(0, 2) is not None
    frozen.terminate()


async def test_who_may_not_be_ended_is_named(cluster, postgres_server, admin):
    """Our role has no right over a superuser's session."""
    place = f"127.0.0.1:{postgres_server.port}/postgres?sslmode=disable&schema=plain_role"
    store = await open_store(f"postgresql://{SECRET_USER}:{PASSWORD}@{place}")
    await store.control.join(node("master"))
    term = (await store.control.snapshot()).cluster.term
    await admin.execute("BEGIN; SELECT FROM plain_role.cluster FOR UPDATE")
    with pytest.raises(StoreUnavailable, match=r"stays locked by another session \(admin, pid"):
        await store.control.take_term("master", term)
    await admin.execute("ROLLBACK")
    assert await store.control.take_term("master", term) == term + 1
    # The connection over which they were looked for is not kept.
    sql = "SELECT count(*) = 1 FROM pg_stat_activity WHERE usename = $1"
    await until(lambda: admin.fetchval(sql, SECRET_USER))
    await store.aclose()


async def test_a_death_is_noted_while_a_grant_waits_for_a_frozen_owner(cluster, admin):
    await cluster.own("a", 0)
    await cluster.control.start_drain(0, 1, "b", 1)
    await cluster.control.report_drained(0, 1, "a")
    other = (await cluster.stores.open()).control
    await admin.execute("BEGIN; SELECT FROM slot FOR SHARE")
    granting = asyncio.create_task(cluster.control.assign([Move(0, 1, "a", "b")], 1, ""))
    await asyncio.sleep(0.05)
    assert await other.set_node_state("c", NodeState.DEAD, "exit")
    assert not granting.done()
    with contextlib.suppress(*DRIVER_ERRORS):
        await admin.execute("ROLLBACK")
    assert await granting


# --- disks ---------------------------------------------------------------------------------------

FULL = """
CREATE FUNCTION be_full() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';
END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON batch FOR EACH ROW EXECUTE FUNCTION be_full();
"""


async def test_a_full_disk_takes_nothing_half_and_recovers(cluster, admin):
    await cluster.own("a", 0, 1)
    await cluster.append("a", append(0, 0))
    log = await cluster.log("a")
    await admin.execute(FULL)
    try:
        group = LogWrite({0: 1, 1: 1}, (append(0, 4),), upstream_ids=(UpstreamId(OUT, 0, 0, "x"),))
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="disk is full"):
                await log.commit(group)
        assert await next_seq(log, 0) == 4
        assert (await log.find_message(OUT, 0, 0)).upstream_id is None
        # Beats and steps of the control plane go on.
        assert await cluster.control.beat(Beat("a", 1))
    finally:
        await admin.execute("DROP TRIGGER full_disk ON batch; DROP FUNCTION be_full()")
    await cluster.append("a", append(0, 4))


async def test_a_tablespace_that_is_really_full(postgres_server, admin, tmp_path):
    url = postgres_server.url()
    schema = url.rpartition("=")[2]
    with small_disk(postgres_server) as folder:
        cluster = await Cluster.start(Stores("postgres", tmp_path, url))
        await cluster.own("a", 0)
        await admin.execute(f"CREATE TABLESPACE small LOCATION '{folder}'")
        await admin.execute(f"ALTER TABLE {schema}.batch SET TABLESPACE small")
        log = await cluster.log("a")
        stored = 0

        async def fill() -> None:
            nonlocal stored
            while stored < 400:
                await log.commit(LogWrite({0: 1}, (append(0, stored, body=bytes(100_000)),)))
                stored += 4

        with pytest.raises(StoreUnavailable, match="disk is full"):
            await fill()
        assert stored > 0
        assert await next_seq(log, 0) == stored
        assert await cluster.control.beat(Beat("a", 1))
        await admin.execute(f"ALTER TABLE {schema}.batch SET TABLESPACE pg_default")
        await cluster.append("a", append(0, stored))
        found = await log.read_batches(OUT, 0, 0, 2**40)
        assert [batch.base_seq for batch in found] == list(range(0, stored + 4, 4))
        await cluster.stores.aclose()
        await admin.execute("DROP TABLESPACE small")


@contextlib.contextmanager
def small_disk(server: PostgresServer) -> Iterator[str]:
    """Yield a folder that holds 2 MB and belongs to the server."""
    folder = server.folder / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0777", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs the right to mount")
    try:
        # The server wants the folder for itself.
        shutil.chown(folder, server.data.stat().st_uid, server.data.stat().st_gid)
        folder.chmod(0o700)
        yield str(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


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


# --- values --------------------------------------------------------------------------------------


async def test_texts_that_the_database_cannot_hold_are_stored_all_the_same(cluster):
    await cluster.own("a", 0)
    ugly = "nul \0, half \ud83d, whole \U0001f600"
    shown = "nul \ufffd, half ?, whole \U0001f600"
    await cluster.append(
        "a",
        append(0, 0),
        retries=(Retry(OUT, 0, 1, 1, 5, None, ugly),),
        failures=(Failure(OUT, 0, 2, 1, 5, -(2**40), ugly),),
        upstream_ids=(UpstreamId(OUT, 0, 3, ugly),),
    )
    log = await cluster.log("a")
    found = [await log.find_message(OUT, 0, sequence) for sequence in (1, 2, 3)]
    assert (found[0].retry.reason, found[1].failure.reason, found[2].upstream_id) == (shown,) * 3
    assert await cluster.control.set_node_state("c", NodeState.DEAD, ugly)
    await cluster.control.put_document("k", "x", {"text": "nul \0"}, None)
    assert (await cluster.control.document("k", "x")).value == {"text": "nul \0"}


async def test_rows_about_one_thing_may_come_twice_in_a_group(cluster):
    """One statement can change a row only once."""
    await cluster.own("a", 0)
    retry, again = (Retry(OUT, 0, 1, n, n, None, "") for n in (1, 2))
    failures = tuple(Failure(OUT, 0, 2, n, n, None, "") for n in (1, 2))
    await cluster.append("a", append(0, 0), retries=(retry, again), failures=failures)
    log = await cluster.log("a")
    assert (await log.find_message(OUT, 0, 1)).retry == again
    assert (await log.find_message(OUT, 0, 2)).failure == failures[1]
    write = LogWrite({0: 1}, retries=(retry,), retries_done=((OUT, 0, 1),) * 2)
    assert await log.commit(write) == frozenset()
    assert (await log.find_message(OUT, 0, 1)).retry is None


async def test_a_gap_that_only_the_server_sees_is_a_bug_and_stores_nothing(cluster):
    await cluster.own("a", 0, 1)
    log = await cluster.log("a")
    with pytest.raises(Bug, match="does not continue"):
        await log.commit(LogWrite({0: 1, 1: 1}, (append(0, 0), append(1, 4))))
    assert await next_seq(log, 0) == 0


async def test_reading_goes_on_past_the_rows_of_one_statement(cluster, monkeypatch):
    monkeypatch.setattr(history, "LOAD_ROWS", 3)
    await cluster.own("a", 0)
    await cluster.append("a", *(append(0, 4 * n, body=b"." * 10) for n in range(10)))
    log = await cluster.log("a")
    for limit, expected in ((1, 1), (30, 3), (31, 4), (60, 6), (9_999, 10)):
        assert len(await log.read_batches(OUT, 0, 0, limit)) == expected
