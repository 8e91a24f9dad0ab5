"""A handle on a SQLite store."""

from __future__ import annotations

import asyncio

import apsw

from multiconnect.clock import Clock
from multiconnect.errors import Closed, Refused, StoreUnavailable
from multiconnect.store.sqlite.control import SqliteControl
from multiconnect.store.sqlite.files import Files, files_of
from multiconnect.store.sqlite.log import SqliteLog
from multiconnect.store.sqlite.version import parse_version, unfit_because


async def open_sqlite(url: str, clock: Clock) -> SqliteStore:
    """Open the store at `url`, making its directories (0700), files and schema if needed."""
    reason = unfit_because(parse_version(apsw.sqlite_lib_version()))
    if reason is not None:
        raise Refused(f"{reason}; upgrade the apsw package")
    files = files_of(url)
    try:
        await asyncio.to_thread(files.make_directories)
    except OSError as error:
        raise StoreUnavailable(f"cannot make the directories of {url}: {error}") from error
    store = SqliteStore(url, files, clock)
    try:
        await store.control.start()
    except BaseException:
        await store.aclose()
        raise
    return store


class SqliteStore:
    """One handle: its control side and the logs opened through it."""

    def __init__(self, url: str, files: Files, clock: Clock) -> None:
        self.url = url
        self._files = files
        self._clock = clock
        self._control = SqliteControl(files, clock)
        self._logs: list[SqliteLog] = []
        self._closed = False

    @property
    def control(self) -> SqliteControl:
        """The control side."""
        return self._control

    async def log(self, incarnation: str) -> SqliteLog:
        """Open the log as that incarnation."""
        if self._closed:
            raise Closed("the store is closed")
        log = SqliteLog(self._files, self._clock, incarnation)
        self._logs.append(log)
        await log.start()
        return log

    async def aclose(self) -> None:
        """Close everything opened through this handle; idempotent."""
        self._closed = True
        for log in self._logs:
            await log.aclose()
        await self._control.aclose()
