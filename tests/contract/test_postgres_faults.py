"""PostgreSQL only: frozen clients, full disks, and values a database cannot hold."""

import asyncio
import contextlib
import logging
import os
import shutil
import subprocess
from collections.abc import Iterator

import asyncpg
import pytest

from multiconnect.errors import Bug, StoreUnavailable
from multiconnect.model.cluster import Beat, Move, NodeState
from multiconnect.model.log import Failure, LogWrite, Retry, UpstreamId
from multiconnect.store.open import open_store
from multiconnect.store.postgres import history, sessions
from multiconnect.store.postgres.failures import DRIVER_ERRORS
from tests.contract.cluster import OUT, Cluster, Stores, append, node
from tests.contract.postgres_stage import (
    DEADLINE_S,
    SCHEMA,
    admin,
    next_seq,
    plain_url,
    stores,
    until,
)
from tests.support.postgres import SECRET_USER, PostgresServer

__all__ = ["admin", "stores"]

pytestmark = pytest.mark.postgres


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
    store = await open_store(plain_url(postgres_server, "plain_role"))
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


async def test_a_death_is_noted_while_a_grant_waits_for_an_owner(
    postgres_server, admin, tmp_path, monkeypatch
):
    monkeypatch.setattr(sessions, "STORE_LOCK_TRIES_MAX", 1000)
    url = plain_url(postgres_server, "patient")
    cluster = await Cluster.start(Stores("postgres", tmp_path, url))
    await cluster.own("a", 0)
    await cluster.control.start_drain(0, 1, "b", 1)
    await cluster.control.report_drained(0, 1, "a")
    other = (await cluster.stores.open()).control
    await admin.execute("BEGIN; SELECT FROM patient.slot FOR SHARE")
    granting = asyncio.create_task(cluster.control.assign([Move(0, 1, "a", "b")], 1, ""))
    sql = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    await until(lambda: admin.fetchval(sql))
    assert await asyncio.wait_for(other.set_node_state("c", NodeState.DEAD, "exit"), DEADLINE_S)
    assert not granting.done()
    await admin.execute("ROLLBACK")
    assert await granting
    await cluster.stores.aclose()


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
