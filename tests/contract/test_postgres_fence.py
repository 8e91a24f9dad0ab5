"""PostgreSQL: six ways in which a zombie's write could come after its time, against real locks.

Each case is played against the fence that is used, which must stop the write or let it in before
the grant; and against fences that look right and are not, which must let the zombie through: a case
that no wrong fence fails would prove nothing.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path

import asyncpg
import pytest

from multiconnect.errors import StoreUnavailable
from multiconnect.model.cluster import Move
from multiconnect.model.log import LogWrite, UpstreamId
from multiconnect.store.port import LogStore
from multiconnect.store.postgres import frozen, sessions, statement
from multiconnect.store.postgres.failures import DRIVER_ERRORS
from tests.contract.cluster import OUT, Cluster, Stores, append
from tests.support.postgres import PostgresServer

pytestmark = pytest.mark.postgres

DEADLINE_S = 10.0
SCHEMA = "recycled"

#: "UPDATE … WHERE EXISTS (epoch = mine)": a condition inside the write, without a lock.
EXISTS = statement.FENCE.replace("FOR SHARE OF slot", "")
#: "SELECT epoch, then write": the check was another statement, and said yes.
SELECT_FIRST = """
fence AS MATERIALIZED (
    SELECT planned.slot FROM unnest({0}::smallint[], {1}::bigint[], {2}::bigint[])
        AS planned (slot, epoch, opened) WHERE {3}::text IS NOT NULL
)"""
#: A lock too weak: an UPDATE of the epoch does not wait for it.
KEY_SHARE = statement.FENCE.replace("FOR SHARE", "FOR KEY SHARE")


@pytest.fixture(autouse=True)
def patience(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let steps wait for their locks as long as a case holds them, unless ending that is the case.

    On a busy machine the hands of these tests would be taken for frozen clients.
    """
    if request.node.callspec.params["case"] is not frozen_inside_a_transaction:
        for name in ("STORE_LOCK_WAIT_S", "STORE_ANSWER_MAX_S", "STORE_TIMEOUT_S"):
            monkeypatch.setattr(sessions, name, 2 * DEADLINE_S)
        monkeypatch.setattr(sessions, "STORE_LOCK_TRIES_MAX", 1000)
        monkeypatch.setattr(
            frozen, "_END_BLOCKERS", "SELECT 1, '', false WHERE $1 = 0 AND $2 < '0'"
        )


@pytest.fixture
async def stores(tmp_path: Path, postgres_server: PostgresServer) -> AsyncIterator[Stores]:
    stores = Stores("postgres", tmp_path, await postgres_server.emptied_url())
    yield stores
    await stores.aclose()


class Stage:
    """A cluster in which A owns slot 0 and wrote a batch, and a hand on its database's locks."""

    def __init__(self, cluster: Cluster, server: PostgresServer) -> None:
        self.cluster = cluster
        self.server = server

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """A session beside the store's, as any client of the database may have one."""
        url = self.server.url(SCHEMA).partition("&schema")[0]
        one = await asyncpg.connect(url, server_settings={"search_path": SCHEMA})
        try:
            yield one
        finally:
            one.terminate()

    @contextlib.asynccontextmanager
    async def held(self, sql: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """Do `sql` in a transaction that stays open; yields what ends it (it changes nothing)."""
        async with self.connection() as one:
            await one.execute("BEGIN")
            await one.execute(sql)

            async def let_go() -> None:
                with contextlib.suppress(*DRIVER_ERRORS):
                    await one.execute("ROLLBACK")

            yield let_go

    def stalled_writes(self):
        """Stop whoever writes the upstream id of message 1, behind its fence, until let go."""
        return self.held("INSERT INTO upstream_id VALUES (0, 1, 'never committed')")

    async def waiting(self, sessions: int, *unless: asyncio.Task[object]) -> None:
        """Wait until this many sessions wait for a lock, or one of the tasks has ended."""
        sql = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
        async with asyncio.timeout(DEADLINE_S), self.connection() as one:
            while await one.fetchval(sql) < sessions:
                if any(task.done() for task in unless):
                    return
                await asyncio.sleep(0.002)

    async def write(self, log: LogStore, epoch: int, text: str) -> bool:
        """Write the upstream id of message 1; return whether the store said it did."""
        group = LogWrite({0: epoch}, (), upstream_ids=(UpstreamId(OUT, 0, 1, text),))
        try:
            return await log.commit(group) == frozenset()
        except StoreUnavailable:
            return False

    async def seen(self) -> str | None:
        """Return the upstream id of message 1."""
        found = await (await self.cluster.log("b")).find_message(OUT, 0, 1)
        assert found is not None
        return found.upstream_id

    async def grant(self, to: str) -> None:
        """Grant slot 0, whoever has it, and let it be opened."""
        control = self.cluster.control
        row = (await control.snapshot()).slots[0]
        if row.owner is not None:
            await control.start_drain(0, row.epoch, to, 1)
            await control.report_drained(0, row.epoch, row.owner)
        assert await control.assign([Move(0, row.epoch, row.owner, to)], 1, "test")
        assert await (await self.cluster.log(to)).open_slot(0, row.epoch + 1) is not None


Case = Callable[[Stage], Awaitable[bool]]


@pytest.fixture
async def stage(cluster: Cluster, postgres_server: PostgresServer) -> Stage:
    await cluster.own("a", 0)
    await cluster.append("a", append(0, 0))
    return Stage(cluster, postgres_server)


async def zombie_log(stage: Stage) -> LogStore:
    """A's log through a handle of its own, as a process of its own has."""
    log = await (await stage.cluster.stores.open()).log("a")
    assert await log.open_slot(0, 1) is not None
    return log


async def play(stage: Stage, step: Callable[[], Coroutine[None, None, None]]) -> bool:
    """A's write is under way while `step` ends its epoch; return whether it came too late."""
    log = await zombie_log(stage)
    async with stage.stalled_writes() as let_go:
        zombie = asyncio.create_task(stage.write(log, 1, "late"))
        await stage.waiting(1)
        ending = asyncio.create_task(step())
        await stage.waiting(2, ending)
        if not ending.done():
            # The step waits for the write, as it should.
            await let_go()
        await ending
        before = await stage.seen()
        await let_go()
        # What the zombie was told is stored is there in any case.
        assert not await zombie or await stage.seen() == "late"
        return await stage.seen() != before


# --- the cases: each returns whether something was written after its time ------------------------


async def under_way_at_a_takeover(stage: Stage) -> bool:
    """The zombie has passed its fence and is writing when the next owner is granted the slot."""
    return await play(stage, lambda: stage.grant("b"))


async def begun_before_the_grant_was_committed(stage: Stage) -> bool:
    """The zombie's statement begins while the grant is made, and goes on after it."""
    log = await zombie_log(stage)
    async with (
        stage.held("SELECT * FROM revision FOR UPDATE") as let_the_grant_go,
        stage.stalled_writes() as let_go,
    ):
        moving = asyncio.create_task(drained_move(stage))
        await stage.waiting(1, moving)
        zombie = asyncio.create_task(stage.write(log, 1, "late"))
        await stage.waiting(2)
        await let_the_grant_go()
        await moving
        before = await stage.seen()
        await let_go()
        await zombie
        return await stage.seen() != before


async def drained_move(stage: Stage) -> None:
    """Grant slot 0 to B in one call, which may be repeated."""
    assert await stage.cluster.control.assign([Move(0, 1, "a", "b")], 1, "test")


async def frozen_inside_a_transaction(stage: Stage) -> bool:
    """The zombie did its check and its write, and froze before COMMIT."""
    fence = statement.FENCE.format("ARRAY[0]", "ARRAY[1]", "ARRAY[NULL]", "'a'")
    async with stage.connection() as stopped:
        await stopped.execute("BEGIN")
        assert await stopped.fetchval(f"WITH {fence} SELECT slot FROM fence") == 0
        await stopped.execute("INSERT INTO upstream_id VALUES (0, 1, 'late')")
        await stage.grant("b")
        before = await stage.seen()
        with contextlib.suppress(*DRIVER_ERRORS):
            await stopped.execute("COMMIT")
        return await stage.seen() != before


async def away_and_back_to_the_same_process(stage: Stage) -> bool:
    """A → B → A while the write of A's first tenure is under way."""

    async def to_and_fro() -> None:
        await stage.grant("b")
        await stage.grant("a")

    return await play(stage, to_and_fro)


async def given_up_by_its_owner(stage: Stage) -> bool:
    """The owner releases the slot while a write of its own is under way elsewhere."""

    async def release() -> None:
        assert await stage.cluster.control.release(0, 1, "a", "leaving")

    return await play(stage, release)


async def taken_into_use_again_after_a_lost_reply(stage: Stage) -> bool:
    """The reply to a commit was lost; the owner reads its tail while the server still works."""

    async def open_again() -> None:
        log = await (await stage.cluster.stores.open()).log("a")
        assert await log.open_slot(0, 1) is not None

    return await play(stage, open_again)


CASES = (
    under_way_at_a_takeover,
    begun_before_the_grant_was_committed,
    frozen_inside_a_transaction,
    away_and_back_to_the_same_process,
    given_up_by_its_owner,
    taken_into_use_again_after_a_lost_reply,
)


@pytest.fixture
async def drained(stage: Stage) -> Stage:
    """For the case in which the grant itself is held up: nothing else may be left to do then."""
    await stage.cluster.control.start_drain(0, 1, "b", 1)
    await stage.cluster.control.report_drained(0, 1, "a")
    return stage


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_no_write_comes_after_its_time(drained: Stage, case: Case):
    assert not await case(drained)


@pytest.mark.parametrize("naive", [EXISTS, SELECT_FIRST], ids=["exists", "select first"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_a_fence_that_does_not_lock_lets_the_zombie_through(
    drained: Stage, case: Case, naive: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(statement, "FENCE", naive)
    assert await case(drained)


@pytest.mark.parametrize(
    "case",
    [given_up_by_its_owner, taken_into_use_again_after_a_lost_reply],
    ids=lambda case: case.__name__,
)
async def test_a_key_share_lock_does_not_stop_an_update(
    drained: Stage, case: Case, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(statement, "FENCE", KEY_SHARE)
    assert await case(drained)
