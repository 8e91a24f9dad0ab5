"""One connection to one SQLite file, its transactions and its errors.

Guarantees: a write transaction is committed whole or rolled back; a connection that saw a disk
error is never used again (a second fsync after a failed one would report success for pages that the
kernel has dropped); every driver error leaves here as one of ours, with the driver's as its cause.
Blocking: only to be used from a worker thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from multiconnect.errors import Bug, CorruptData, MulticonnectError, StoreUnavailable
from multiconnect.limits import LOCK_POLL_S, STORE_TIMEOUT_S
from multiconnect.store.sqlite.schema import migrate


@dataclass(frozen=True, slots=True)
class FileKind:
    """How a file of one family is kept."""

    family: str
    page_bytes: int
    #: "FULL" syncs at every commit. "NORMAL" only when the WAL is copied back: a crash of the
    #: machine may then lose the newest commits but cannot corrupt the file, which "OFF" could.
    synchronous: str
    #: The WAL is copied back into the file when it has grown to this.
    checkpoint_bytes: int


CONTROL: Final = FileKind("control", 4096, "FULL", 1024 * 1024)
BEATS: Final = FileKind("beats", 4096, "NORMAL", 1024 * 1024)
#: Pages were measured with commits of 8 batches of 128 x 200 B (2 cores, virtio disk): 8 KiB took
#: 1.2 times the messages of 4 KiB and 1.5 to 3 times those of 16 and 32 KiB. The WAL with commits
#: of 2 MiB: at 4, 8, 16, 32 and 64 MiB 0.66, 1.29, 1.70, 1.80 and 2.00 million messages a second,
#: as a large commit fills a small WAL by itself and then waits for two files each time. The worst
#: commit took 40 ms from 8 to 32 MiB, 60 ms at 64; a dead owner's WAL is read in 3 ms at 16 MiB.
LEDGER: Final = FileKind("ledger", 8192, "FULL", 16 * 1024 * 1024)

_BUGS: Final = (
    apsw.SQLError,
    apsw.ConstraintError,
    apsw.MisuseError,
    apsw.MismatchError,
    apsw.RangeError,
    apsw.BindingsError,
    apsw.ThreadingViolationError,
)
_DISK_ERRORS: Final = (apsw.IOError, apsw.CorruptError, apsw.NotADBError)


def poll_for_lock(limit_s: float) -> Callable[[int], bool]:
    """Return a busy handler that asks again every LOCK_POLL_S, for at least `limit_s`."""
    attempts_max = int(limit_s / LOCK_POLL_S)

    def wait(attempts: int) -> bool:
        time.sleep(LOCK_POLL_S)
        return attempts < attempts_max

    return wait


class Database:
    """A file and, once it was used, the connection to it.

    A `visitor` reads or fences a file that another process works on: it creates nothing and leaves
    checkpoints to that process. `committed` is called after each COMMIT and may not fail.
    """

    def __init__(
        self,
        path: Path,
        kind: FileKind,
        *,
        busy_s: float = STORE_TIMEOUT_S,
        visitor: bool = False,
        committed: Callable[[], None] = lambda: None,
    ) -> None:
        self.path = path
        self._kind = kind
        self._busy_s = busy_s
        self._visitor = visitor
        self._committed = committed
        self._connection: apsw.Connection | None = None

    def open(self) -> apsw.Connection:
        """Return the connection, opening it (and upgrading the file's schema) if there is none."""
        if self._connection is None:
            with self._translating():
                self._connection = self._connect()
        return self._connection

    def exists(self) -> bool:
        """Return whether the file is there."""
        return self.path.exists()

    @contextmanager
    def write(self) -> Iterator[apsw.Connection]:
        """Run the block in a write transaction: COMMIT after it, ROLLBACK if it raises."""
        connection = self.open()
        with self._translating():
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                self._roll_back(connection)
                raise
        self._committed()

    @contextmanager
    def read(self) -> Iterator[apsw.Connection]:
        """Run the block on one unchanging view of the file; inside `write`, on what it sees."""
        connection = self.open()
        if connection.in_transaction:
            yield connection
            return
        with self._translating():
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                self._roll_back(connection)

    @contextmanager
    def unsynced(self) -> Iterator[None]:
        """Let the transactions of the block be durable only together with the next one after it.

        For what only moves: a crash before that leaves everything where it was.
        """
        self._set_synchronous(self.open(), "NORMAL")
        try:
            yield
        finally:
            # A connection that was given up is opened again with the right setting by itself.
            if self._connection is not None:
                self._set_synchronous(self._connection, self._kind.synchronous)

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close(True)

    def _roll_back(self, connection: apsw.Connection) -> None:
        # SQLite ends the transaction by itself after the gravest errors.
        if connection.in_transaction:
            connection.execute("ROLLBACK")

    def _connect(self) -> apsw.Connection:
        flags = apsw.SQLITE_OPEN_READWRITE | (0 if self._visitor else apsw.SQLITE_OPEN_CREATE)
        is_new = not self.path.exists()
        connection = apsw.Connection(str(self.path), flags=flags)
        try:
            if is_new:
                # Before the -wal and -shm files exist: they take over this mode.
                self.path.chmod(0o600)
            connection.set_busy_handler(poll_for_lock(self._busy_s))
            self._configure(connection)
            migrate(connection, self._kind.family)
        except BaseException:
            connection.close(True)
            raise
        return connection

    def _configure(self, connection: apsw.Connection) -> None:
        kind = self._kind
        connection.pragma("page_size", kind.page_bytes)
        _set_wal(connection, self._busy_s)
        connection.pragma("synchronous", kind.synchronous)
        pages = 0 if self._visitor else kind.checkpoint_bytes // kind.page_bytes
        connection.wal_autocheckpoint(pages)
        if self._visitor:
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)

    def _set_synchronous(self, connection: apsw.Connection, value: str) -> None:
        with self._translating():
            connection.pragma("synchronous", value)

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except apsw.Error as error:
            if isinstance(error, _DISK_ERRORS):
                self._abandon()
            raise _translated(error, self.path) from error

    def _abandon(self) -> None:
        try:
            self.close()
        except apsw.Error:
            # The disk is failing: the handle is gone either way, and the first error is the news.
            self._connection = None


def _set_wal(connection: apsw.Connection, limit_s: float) -> None:
    """Switch to WAL; SQLite calls no busy handler while several processes do this at once."""
    for _ in range(int(limit_s / LOCK_POLL_S)):
        try:
            if connection.pragma("journal_mode", "wal") == "wal":
                return
        except apsw.BusyError:
            pass
        time.sleep(LOCK_POLL_S)
    raise apsw.BusyError("could not switch to WAL")


def _translated(error: apsw.Error, path: Path) -> MulticonnectError:
    if isinstance(error, _BUGS):
        return Bug(f"{path}: {error}")
    if isinstance(error, apsw.CorruptError | apsw.NotADBError):
        return CorruptData(f"{path} is damaged ({error}); restore it from a copy")
    if isinstance(error, apsw.FullError):
        return StoreUnavailable(f"{path}: the disk is full, nothing was written; free some space")
    if isinstance(error, apsw.BusyError):
        return StoreUnavailable(
            f"{path}: another process keeps it locked; if that one is frozen, end it"
        )
    return StoreUnavailable(f"{path}: {error}")
