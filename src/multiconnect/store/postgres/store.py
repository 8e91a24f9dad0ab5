"""A handle on a PostgreSQL store."""

from __future__ import annotations

from multiconnect.clock import Clock
from multiconnect.errors import Closed
from multiconnect.model.cluster import Role
from multiconnect.store.postgres.changes import Changes
from multiconnect.store.postgres.control import PostgresControl
from multiconnect.store.postgres.dsn import parse_dsn
from multiconnect.store.postgres.log import PostgresLog
from multiconnect.store.postgres.sessions import Sessions


async def open_postgres(url: str, clock: Clock) -> PostgresStore:
    """Open the store at `url`, making its schema if needed (the database must exist).

    Raises InvalidSettings for a URL, login or database that is refused, Refused for a newer schema
    or an older server, StoreUnavailable when the server does not answer.
    """
    dsn = parse_dsn(url)
    changes = Changes()
    sessions = Sessions(dsn, changes.heard, changes.wake)
    store = PostgresStore(dsn.shown, sessions, PostgresControl(sessions, changes, clock), clock)
    try:
        await sessions.start()
    except BaseException:
        await store.aclose()
        raise
    return store


class PostgresStore:
    """One handle: at most two connections, however many logs are opened through it."""

    def __init__(
        self, url: str, sessions: Sessions, control: PostgresControl, clock: Clock
    ) -> None:
        #: Without its password.
        self.url = url
        self._sessions = sessions
        self._control = control
        self._clock = clock
        self._logs: list[PostgresLog] = []
        self._closed = False

    @property
    def control(self) -> PostgresControl:
        """The control side."""
        return self._control

    async def log(self, incarnation: str) -> PostgresLog:
        """Open the log as that incarnation; an owner's second connection is made now."""
        if self._closed:
            raise Closed("the store is closed")
        log = PostgresLog(self._sessions, self._clock, incarnation)
        self._logs.append(log)
        role = await self._sessions.control.fetchval(
            "SELECT role FROM node WHERE incarnation = $1", incarnation
        )
        if role == Role.COREAPP:
            await self._sessions.warm_up_log()
            await self._sessions.rename(incarnation)
        return log

    async def aclose(self) -> None:
        """Close everything opened through this handle; idempotent."""
        self._closed = True
        for log in self._logs:
            await log.aclose()
        await self._control.aclose()
