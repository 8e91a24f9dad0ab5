"""A disk under SQLite that writes down what is done to it, and fails one call on command.

It is the default VFS for everything opened while it stands, and what segments, which SQLite knows
nothing of, are written and read through (disk_calls.py). Changes to files whose name holds
`watched` are kept in `ops`, in order; `cut` (tests/support/power.py) makes of them what a power cut
at any moment would leave. A sync that fails is written down as such: what had not reached the disk
by then never will by itself, however often it is synced again (Linux forgets the error with the
dirty pages).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import apsw

from multiconnect.store.sqlite import segment_file, segment_reader
from tests.support.disk_calls import DiskCalls
from tests.support.disk_ops import Change, Delete, Op, Sync, Truncate, Write

#: The calls that can be told to fail; a call of the list is counted if its file is watched.
FALLIBLE = ("xOpen", "xRead", "xWrite", "xTruncate", "xSync", "xFileSize", "xDelete", "xAccess")


class Disk(apsw.VFS):
    """The machine's own VFS, watched."""

    def __init__(self, watched: str = "nothing yet") -> None:
        self.base = apsw.vfs_names()[0]
        self.ops: list[Op] = []
        self.calls = 0
        self.failed_call = ""
        self.watched = watched
        self._fail_at: int | None = None
        self._error: type[apsw.Error] = apsw.IOError
        self._only: tuple[str, ...] = FALLIBLE
        super().__init__("watched", self.base, makedefault=True)
        _calls_of_segments(DiskCalls(self))

    def unregister(self) -> None:
        """Leave the disk to itself."""
        _calls_of_segments(os)
        super().unregister()

    # --- failing -----------------------------------------------------------------------------
    def fail(self, call: int, error: type[apsw.Error], only: tuple[str, ...] = FALLIBLE) -> None:
        """Let the call with this number (0 is the next one that counts) fail, once."""
        self.calls, self._fail_at, self._error, self._only = 0, call, error, only
        self.failed_call = ""

    def disarm(self) -> None:
        """Let everything succeed."""
        self._fail_at, self.failed_call = None, ""

    def call(self, name: str, path: str) -> None:
        """Count a call; raise if it is the one that fails."""
        if self.watched not in path or name not in self._only:
            return
        number, self.calls = self.calls, self.calls + 1
        if number == self._fail_at:
            self._fail_at, self.failed_call = None, name
            if name == "xSync":
                self.note(Sync(path, failed=True))
            raise self._error

    def note(self, op: Change) -> None:
        """Write an operation down."""
        if self.watched in op.path:
            self.ops.append(op)

    # --- the VFS -----------------------------------------------------------------------------
    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        """Open a file."""
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        self.call("xOpen", path)
        return _File(self, path, name, flags)

    def xDelete(self, name: str, syncdir: bool) -> None:  # noqa: N802
        """Delete a file."""
        self.call("xDelete", name)
        super().xDelete(name, syncdir)
        self.note(Delete(name))

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: N802
        """Look whether a file is there."""
        self.call("xAccess", pathname)
        return super().xAccess(pathname, flags)


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, path: str, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._path = path
        super().__init__(disk.base, name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        self._disk.call("xRead", self._path)
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._disk.call("xWrite", self._path)
        super().xWrite(data, offset)
        self._disk.note(Write(self._path, offset, bytes(data)))

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._disk.call("xTruncate", self._path)
        super().xTruncate(size)
        self._disk.note(Truncate(self._path, size))

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._disk.call("xSync", self._path)
        super().xSync(flags)
        self._disk.note(Sync(self._path))

    def xFileSize(self) -> int:  # noqa: N802
        self._disk.call("xFileSize", self._path)
        return super().xFileSize()


def _calls_of_segments(calls: Any) -> None:
    for module in (segment_file, segment_reader):
        module.os = calls  # type: ignore[attr-defined]


def contents(path: Path) -> dict[str, bytes]:
    """Return a file and its WAL as they are, for a power cut to start from."""
    places = (str(path), f"{path}-wal")
    return {place: Path(place).read_bytes() for place in places if Path(place).exists()}
