"""The calls of the system that segments are written and read with, as a `Disk` sees and fails them.

It stands in the place of the module `os` in segment_file.py and segment_reader.py while a `Disk`
stands. The name of a new file is on the disk once its folder was synced. A call that is
to fail raises what the kernel would say: EIO, or ENOSPC where SQLite would say "full".
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw

from tests.support.disk_ops import Create, Delete, Name, Sync, Truncate, Write

if TYPE_CHECKING:
    from tests.support.disk import Disk


class DiskCalls:
    """`os`, with the calls on files watched."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._paths: dict[int, str] = {}
        self._nameless: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        """Whatever is not watched is the system's."""
        return getattr(os, name)

    def _call(self, name: str, path: str) -> None:
        try:
            self._disk.call(name, path)
        except apsw.FullError as error:
            raise OSError(errno.ENOSPC, "No space left on device") from error
        except apsw.Error as error:
            raise OSError(errno.EIO, "Input/output error") from error

    def open(self, path: Any, flags: int, mode: int = 0o777) -> int:
        """Open a file."""
        self._call("xOpen", str(path))
        file = os.open(path, flags, mode)
        self._paths[file] = str(path)
        if flags & os.O_CREAT:
            self._nameless.add(str(path))
            self._disk.note(Create(str(path)))
        return file

    def fsync(self, folder: int) -> None:
        """Sync a folder."""
        for path in sorted(self._nameless):
            self._call("xSync", path)
        os.fsync(folder)
        for path in self._nameless:
            self._disk.note(Name(path))
        self._nameless.clear()

    def ftruncate(self, file: int, size: int) -> None:
        """Cut a file."""
        self._call("xTruncate", self._paths[file])
        os.ftruncate(file, size)
        self._disk.note(Truncate(self._paths[file], size))

    def unlink(self, path: Any) -> None:
        """Delete a file."""
        self._call("xDelete", str(path))
        Path(path).unlink()
        self._disk.note(Delete(str(path)))

    def scandir(self, path: Any) -> Any:
        """List a folder."""
        self._call("xAccess", self._disk.watched)
        return os.scandir(path)

    def pwrite(self, file: int, data: memoryview, offset: int) -> int:
        """Write."""
        self._call("xWrite", self._paths[file])
        written = os.pwrite(file, data, offset)
        self._disk.note(Write(self._paths[file], offset, bytes(data[:written])))
        return written

    def fdatasync(self, file: int) -> None:
        """Sync a file."""
        self._call("xSync", self._paths[file])
        os.fdatasync(file)
        self._disk.note(Sync(self._paths[file]))

    def pread(self, file: int, size: int, offset: int) -> bytes:
        """Read."""
        self._call("xRead", self._paths[file])
        return os.pread(file, size, offset)
