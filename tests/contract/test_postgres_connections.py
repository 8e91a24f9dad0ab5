"""PostgreSQL only: lost, half-open and cut connections, and waking over them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from multiconnect.errors import StoreUnavailable
from multiconnect.model.cluster import Beat, Role
from multiconnect.model.log import LogWrite
from multiconnect.store.open import open_store
from multiconnect.store.port import LogStore, Store
from multiconnect.store.postgres import changes, sessions
from tests.contract.cluster import OUT, Cluster, append, node
from tests.contract.postgres_stage import (
    DEADLINE_S,
    SCHEMA,
    admin,
    cut_connections,
    next_seq,
    stores,
    until,
)
from tests.support.postgres import PostgresServer
from tests.support.proxy import FaultProxy, Way

__all__ = ["admin", "stores"]

pytestmark = pytest.mark.postgres


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
    monkeypatch.setattr(sessions, "STORE_ANSWER_MAX_S", 0.8)
    monkeypatch.setattr(sessions, "STORE_TIMEOUT_S", 0.8)
    port = int(proxy.address.rpartition(":")[2])
    store = await open_store(postgres_server.url(SCHEMA, port=port), clock=cluster.clock)
    yield store
    proxy.resume()
    await store.aclose()


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


async def test_a_connection_that_ends_between_two_steps_of_the_driver_is_dont_know(cluster):
    """The driver has looked whether it is open, and trips over what is no longer there."""
    session = cluster.control._sessions.control

    async def end_and_go_on(connection):
        connection.terminate()
        await connection._protocol.bind_execute()

    with pytest.raises(StoreUnavailable, match="given up"):
        await session.run(end_and_go_on)
    assert await session.fetchval("SELECT 1") == 1

    async def mistaken(connection):
        return connection.nothing_of_that_name

    with pytest.raises(AttributeError):
        await session.run(mistaken)


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


async def test_who_waits_over_a_lost_connection_is_woken_over_the_next(cluster, admin, monkeypatch):
    monkeypatch.setattr(changes, "STORE_NOTIFY_POLL_S", 2 * DEADLINE_S)
    watcher = (await cluster.stores.open()).control
    snapshot = await watcher.snapshot()
    await cut_connections(admin)
    waiting = asyncio.create_task(watcher.changed(2 * DEADLINE_S, snapshot))
    sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'multiconnect%'"
    await until(lambda: admin.fetchval(sql))
    await admin.execute("SELECT announce('{}')")
    with contextlib.suppress(StoreUnavailable):
        assert await asyncio.wait_for(waiting, DEADLINE_S)


async def test_a_change_without_a_notification_is_found_by_the_slow_poll(cluster, admin):
    await cluster.control.snapshot()
    waiting = asyncio.create_task(cluster.control.changed(2 * DEADLINE_S))
    await asyncio.sleep(0.02)
    await admin.execute("UPDATE revision SET number = number + 1")
    assert await asyncio.wait_for(waiting, DEADLINE_S)


async def test_a_store_rolled_back_is_news_once(cluster, admin):
    snapshot = await cluster.control.snapshot()
    await admin.execute("UPDATE revision SET number = 1")
    assert await cluster.control.changed(0.1, snapshot)
    snapshot = await cluster.control.snapshot()
    assert not await cluster.control.changed(0.05, snapshot)
    await admin.execute("SELECT announce('{}')")
    assert await cluster.control.changed(DEADLINE_S, snapshot)
