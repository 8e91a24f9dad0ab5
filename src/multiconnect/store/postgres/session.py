"""One connection to PostgreSQL: made when it is first needed, made again after it was lost.

Guarantees: statements go one after the other; each is answered within `answer_max_s` or the
connection is given up (a half-open one answers never); a caller that is cancelled does not learn
the result, but the statement is carried through; while the server is away, attempts to reach it
are spaced out and everybody is told at once. Every driver error leaves here as one of ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias, TypeVar

import asyncpg

from multiconnect.errors import Closed, InvalidSettings, MulticonnectError, StoreUnavailable
from multiconnect.limits import (
    CONNECT_TIMEOUT_S,
    STORE_RECONNECT_DELAY_MAX_S,
    STORE_RECONNECT_DELAY_MIN_S,
)
from multiconnect.store.postgres.dsn import Dsn
from multiconnect.store.postgres.failures import DRIVER_ERRORS, refused_at_start, translated

T = TypeVar("T")
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Greet: TypeAlias = Callable[[Connection], Awaitable[None]]

_NAME_CHARS_MAX: Final = 63
#: What every session runs with, whatever the server's defaults are.
_SETTINGS: Final = {
    # A fence that waited must look again; stricter levels would fail instead.
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    # Nothing of ours stays in a transaction between two statements.
    "idle_in_transaction_session_timeout": "1000",
    # A client whose host is gone is noticed in seconds, not in the hours of the kernel's defaults.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    # Compiling costs more than any of our statements takes.
    "jit": "off",
    # The bodies of one group commit pass through memory, not through a temporary file.
    "work_mem": "32MB",
}
_SET: Final = (
    "SELECT set_config(name, value, false) FROM unnest($1::text[], $2::text[])"
    " AS setting (name, value)"
)


class Session:
    """A connection that comes back."""

    def __init__(
        self, dsn: Dsn, *, answer_max_s: float, lock_wait_s: float, greet: Greet,
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._dsn = dsn
        self._answer_max_s = answer_max_s
        self._settings = {
            **_SETTINGS,
            "search_path": dsn.schema,
            "lock_timeout": f"{lock_wait_s * 1000:.0f}",
            # A little before we give up ourselves: then the connection need not be dropped.
            "statement_timeout": f"{answer_max_s * 900:.0f}",
        }
        self._greet = greet
        self._on_lost = on_lost
        self._name = "multiconnect"
        self._turn = asyncio.Lock()
        self._connection: Connection | None = None
        self._running: set[asyncio.Task[Any]] = set()
        self._closed = False
        self._failed = ""
        self._retry_at_s = 0.0
        self._delay_s = 0.0
        #: How many connections were made so far: what was known of an earlier one is in doubt.
        self.connections = 0

    @property
    def where(self) -> str:
        """The store, as messages may name it."""
        return self._dsn.shown

    @property
    def backend_pid(self) -> int | None:
        """The server process of the connection, None while there is none."""
        return None if self._connection is None else self._connection.get_server_pid()

    async def open(self, prepare: Greet) -> None:
        """Make a first connection and `prepare` the database over it; say plainly what is wrong.

        Raises InvalidSettings for a login, database or TLS that is refused, StoreUnavailable, and
        what `prepare` raises.
        """
        try:
            connection = await self._dial()
            try:
                await prepare(connection)
            finally:
                await _close(connection)
        except DRIVER_ERRORS as error:
            raise refused_at_start(error, self.where) from error
        except ValueError:
            # A port that is no number, say. The driver's words could quote a piece of a password.
            raise InvalidSettings(f"the driver cannot read the store's URL {self.where}") from None

    async def run(self, call: Callable[[Connection], Awaitable[T]]) -> T:
        """Run `call` on the connection when its turn has come.

        Raises StoreUnavailable (don't know), Bug, CorruptData, or Closed after `aclose`.
        """
        if self._closed:
            raise Closed("the store is closed")
        task = asyncio.get_running_loop().create_task(self._run(call))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def fetchval(self, sql: str, *arguments: object) -> Any:
        """Run one statement; return the first column of its first row."""
        return await self.run(lambda connection: connection.fetchval(sql, *arguments))

    async def fetch(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        """Run one statement; return its rows."""
        return await self.run(lambda connection: connection.fetch(sql, *arguments))

    async def rename(self, name: str) -> None:
        """Show `name` (an incarnation) in the server's list of sessions from now on."""
        name = f"multiconnect {name}"[:_NAME_CHARS_MAX]
        if name == self._name:
            return
        self._name = name
        if self._connection is not None:
            await self.fetchval("SELECT set_config('application_name', $1, false)", name)

    async def rest(self) -> None:
        """Close the connection until it is needed again."""
        async with self._turn:
            connection, self._connection = self._connection, None
            if connection is not None:
                await _close(connection)

    async def aclose(self) -> None:
        """Let what runs end, then close; idempotent."""
        self._closed = True
        if self._running:
            await asyncio.wait(self._running)
        await self.rest()

    # --- inside ------------------------------------------------------------------------------
    async def _run(self, call: Callable[[Connection], Awaitable[T]]) -> T:
        async with self._turn:
            connection = await self._connected()
            return await self._bounded(connection, call)

    async def _bounded(
        self, connection: Connection, call: Callable[[Connection], Awaitable[T]]
    ) -> T:
        loop = asyncio.get_running_loop()
        # Not by cancelling: the driver would then ask the server, over another connection, to
        # cancel the statement, and wait for that.
        alarm = loop.call_later(self._answer_max_s, connection.terminate)
        try:
            return await call(connection)
        except DRIVER_ERRORS as error:
            if not isinstance(error, asyncpg.PostgresError):
                # Not the server's word on the statement: who knows what state this leaves.
                connection.terminate()
            if loop.time() >= alarm.when():
                raise StoreUnavailable(
                    f"{self.where}: no answer within {self._answer_max_s:g} s"
                ) from error
            raise translated(error, self.where) from error
        except AttributeError as error:
            # The driver takes several steps, and trips when the connection is ended between two.
            if not connection.is_closed():
                raise
            raise StoreUnavailable(f"{self.where}: the connection was given up") from error
        finally:
            alarm.cancel()

    async def _connected(self) -> Connection:
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        self._connection = None
        now_s = asyncio.get_running_loop().time()
        if now_s < self._retry_at_s:
            raise StoreUnavailable(self._failed)
        try:
            connection = await self._connect()
        except MulticonnectError as error:
            self._back_off(error)
            raise
        self._delay_s = 0.0
        self._connection = connection
        self.connections += 1
        return connection

    def _back_off(self, error: MulticonnectError) -> None:
        self._delay_s = min(
            max(STORE_RECONNECT_DELAY_MIN_S, 2 * self._delay_s), STORE_RECONNECT_DELAY_MAX_S
        )
        self._retry_at_s = asyncio.get_running_loop().time() + self._delay_s
        self._failed = str(error)

    async def _connect(self) -> Connection:
        try:
            connection = await self._dial()
        except DRIVER_ERRORS as error:
            raise StoreUnavailable(f"{self.where} cannot be reached: {error!r}") from error
        try:
            await self._bounded(connection, self._greet)
        except BaseException:
            connection.terminate()
            raise
        connection.add_termination_listener(self._lost)
        return connection

    async def _dial(self) -> Connection:
        connection = await asyncpg.connect(
            self._dsn.driver,
            timeout=CONNECT_TIMEOUT_S,
            server_settings={"application_name": self._name},
            max_cached_statement_lifetime=0,
        )
        try:
            # Not with the connection: connection poolers refuse settings that they do not know.
            names, values = list(self._settings), list(self._settings.values())
            await connection.execute(_SET, names, values, timeout=CONNECT_TIMEOUT_S)
        except BaseException:
            connection.terminate()
            raise
        return connection

    def _lost(self, connection: object) -> None:
        del connection
        self._on_lost()


async def _close(connection: Connection) -> None:
    """Say goodbye if the server listens."""
    try:
        await connection.close(timeout=CONNECT_TIMEOUT_S)
    except DRIVER_ERRORS:
        connection.terminate()
