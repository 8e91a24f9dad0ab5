"""The two connections of a store handle, and what is done about a frozen client in their way.

* `control`: steps of the control plane, snapshots, beats, LISTEN, and reading the log.
* `log`: commits. Only an owner needs it; a Master or a Web has one connection.

Guarantee: never more than two. When a step of one waits for a lock that a frozen client holds, the
other one ends that client's session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import asyncpg

from multiconnect.errors import Refused, StoreUnavailable
from multiconnect.limits import (
    STORE_ANSWER_MAX_S,
    STORE_LOCK_TRIES_MAX,
    STORE_LOCK_WAIT_S,
    STORE_TIMEOUT_S,
)
from multiconnect.store.postgres.dsn import Dsn
from multiconnect.store.postgres.failures import LockedOut
from multiconnect.store.postgres.frozen import FrozenWatch
from multiconnect.store.postgres.schema import prepare
from multiconnect.store.postgres.session import Connection, Session

_SELECT_STANDBY: Final = (
    "SELECT pg_is_in_recovery()"
    # What is acknowledged must be on the disk, even if the server's default is sloppier.
    " FROM set_config('synchronous_commit', CASE current_setting('synchronous_commit')"
    " WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false)"
)


class Sessions:
    """Both sessions of one handle."""

    def __init__(self, dsn: Dsn, heard: Callable[[str], None], lost: Callable[[], None]) -> None:
        self._dsn = dsn
        self._heard = heard
        self._cluster: int | None = None
        self._has_log = False
        self._watches: set[asyncio.Task[None]] = set()
        self.control = Session(
            dsn, answer_max_s=STORE_ANSWER_MAX_S, lock_wait_s=STORE_LOCK_WAIT_S,
            greet=self._greet_and_listen, on_lost=lost,
        )  # fmt: skip
        # A commit waits as long as it takes: who keeps it waiting is a single statement.
        self.log = Session(
            dsn, answer_max_s=STORE_TIMEOUT_S, lock_wait_s=STORE_TIMEOUT_S, greet=self._greet
        )

    async def start(self) -> None:
        """Bring the schema up to date and connect."""
        await self.control.open(lambda connection: prepare(connection, self._dsn))
        await self.control.fetchval("SELECT 1")

    async def warm_up_log(self) -> None:
        """Connect `log` now, rather than at the first commit, and keep it."""
        self._has_log = True
        await self.log.fetchval("SELECT 1")

    async def rename(self, incarnation: str) -> None:
        """Show in the server's list of sessions whose these are."""
        await self.control.rename(incarnation)
        await self.log.rename(incarnation)

    async def step(self, sql: str, *arguments: object) -> Any:
        """Run a step of the control plane, whoever is frozen in its way; return its value."""
        return await self._unblocked(self.control, self.log, sql, arguments)

    async def log_step(self, sql: str, *arguments: object) -> Any:
        """Run a step on the log's connection in the same way."""
        self._has_log = True
        return await self._unblocked(self.log, self.control, sql, arguments)

    async def aclose(self) -> None:
        """Close both; idempotent."""
        if self._watches:
            await asyncio.wait(self._watches)
        await self.log.aclose()
        await self.control.aclose()

    # --- greeting ----------------------------------------------------------------------------
    async def _greet(self, connection: Connection) -> None:
        """Check that this is a primary, and of the cluster that we know."""
        standby = await connection.fetchval(_SELECT_STANDBY)
        if standby:
            raise StoreUnavailable(f"{self._dsn.shown} is a standby")
        try:
            cluster = await connection.fetchval("SELECT cluster FROM cluster")
        except asyncpg.UndefinedTableError:
            cluster = None
        if cluster is None or self._cluster not in {None, cluster}:
            raise Refused(
                f"{self._dsn.shown} no longer holds the cluster that it held when this process "
                "started; was the database replaced? Start the processes again"
            )
        self._cluster = cluster

    async def _greet_and_listen(self, connection: Connection) -> None:
        await self._greet(connection)
        await connection.add_listener(f"multiconnect_{self._dsn.schema}", self._notified)

    def _notified(self, connection: object, pid: int, channel: str, payload: object) -> None:
        del connection, pid, channel
        self._heard(str(payload))

    # --- who is in the way -------------------------------------------------------------------
    async def _unblocked(
        self, session: Session, other: Session, sql: str, arguments: tuple[object, ...]
    ) -> Any:
        """Run one statement; from the second try on frozen clients in its way are ended."""
        watch = FrozenWatch(session, other)
        try:
            for tries in range(STORE_LOCK_TRIES_MAX):
                try:
                    return await session.fetchval(sql, *arguments)
                except LockedOut:
                    if tries == 0:
                        self._start(watch, other)
        finally:
            watch.stop()
        who = "; ".join(sorted(watch.met)) or "which is at work"
        raise StoreUnavailable(f"{self._dsn.shown}: a row stays locked by another session ({who})")

    def _start(self, watch: FrozenWatch, other: Session) -> None:
        task = asyncio.get_running_loop().create_task(self._watch(watch, other))
        self._watches.add(task)
        task.add_done_callback(self._watches.discard)

    async def _watch(self, watch: FrozenWatch, other: Session) -> None:
        await watch.run()
        if other is self.log and not self._has_log:
            await other.rest()
