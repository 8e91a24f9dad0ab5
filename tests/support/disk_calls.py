"""The calls of the system that segments are written and read with, as a `Disk` sees and fails them.

It stands in the place of the module `os` in segment_file.py while a `Disk` stands. A call that is
to fail raises what the kernel would say: EIO, or ENOSPC where SQLite would say "full".
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import apsw

if TYPE_CHECKING:
    from tests.support.disk import Disk


class DiskCalls:
    """`os`, with the calls on files watched."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._paths: dict[int, str] = {}

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
        return file

    def pwrite(self, file: int, data: memoryview, offset: int) -> int:
        """Write."""
        self._call("xWrite", self._paths[file])
        written = os.pwrite(file, data, offset)
        self._disk.wrote(self._paths[file], offset, bytes(data[:written]))
        return written

    def fdatasync(self, file: int) -> None:
        """Sync a file."""
        self._call("xSync", self._paths[file])
        os.fdatasync(file)
        self._disk.synced(self._paths[file])

    def pread(self, file: int, size: int, offset: int) -> bytes:
        """Read."""
        self._call("xRead", self._paths[file])
        return os.pread(file, size, offset)
