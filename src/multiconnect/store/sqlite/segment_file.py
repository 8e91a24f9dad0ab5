"""The file of one segment, and its name: made, appended to, synced, removed.

A driver in the sense of database.py: what the system refuses leaves here as one of our errors.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from mmap import mmap
from pathlib import Path
from typing import Final

from multiconnect.errors import StoreUnavailable
from multiconnect.model.log import Body

_INFIX: Final = "-bodies-"
#: Whether this system writes files at an offset and syncs folders; Windows does not.
SUPPORTED: Final = hasattr(os, "pwrite")
#: What reads and writes past the page cache must be multiples of, on nearly any disk.
_BLOCK_BYTES: Final = 4096
#: Memory that bodies are gathered in for one call of the system.
_STAGE_BYTES: Final = 1024 * 1024


def segment_path(ledger: str | Path, number: int) -> Path:
    """Return the file of a segment of a ledger."""
    return Path(f"{ledger}{_INFIX}{number}")


def stored_segments(ledger: Path) -> list[int]:
    """Return the numbers of the segments of a ledger that are on the disk."""
    prefix = ledger.name + _INFIX
    with translating(ledger.parent), os.scandir(ledger.parent) as found:
        names = [entry.name for entry in found if entry.name.startswith(prefix)]
    ends = [name.removeprefix(prefix) for name in names]
    # Somebody's copy beside it (`…-3.old`) is none of ours.
    return sorted(int(end) for end in ends if end.isascii() and end.isdigit())


def remove_segment(ledger: Path, number: int) -> None:
    """Remove the file of a segment, if it is there."""
    path = segment_path(ledger, number)
    with translating(path), suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108 -- all calls of this file are the system's own


class SegmentFile:
    """A new file that is only appended to, by one writer.

    Past the page cache where the file system can: nobody reads soon what was just written, and on a
    virtual machine a page that was never touched costs more than the disk (docs/store.md). So
    memory and places are those of whole blocks, and each `append` begins a new one.

    After an error only `take_back` and `close` may follow: a second sync behind a failed one would
    report success for what the kernel has dropped.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = self._synced_size = 0
        self._is_direct = True
        with translating(path):
            self._stage = memoryview(mmap(-1, _STAGE_BYTES))
            # Open to this user only: it holds message bodies.
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                _sync_folder(path.parent)
            except OSError:
                self.close()
                raise
        self._reopen(getattr(os, "O_DIRECT", 0))

    def append(self, parts: Sequence[Body]) -> int:
        """Write the parts one after the other; return where. They are safe after `sync`.

        What was appended before must have been synced.
        """
        self._synced_size = self.size
        with translating(self.path):
            for piece in self._pieces(parts):
                self._write(piece)
        return self._synced_size

    def _pieces(self, parts: Sequence[Body]) -> Iterator[memoryview]:
        """Yield the parts as whole blocks, the last one filled up with zeros."""
        stage, filled = self._stage, 0
        for part in parts:
            rest = memoryview(part)
            while rest:
                taken = min(len(rest), len(stage) - filled)
                stage[filled : filled + taken] = rest[:taken]
                rest, filled = rest[taken:], filled + taken
                if filled == len(stage):
                    yield stage
                    filled = 0
        if filled:
            end = -(-filled // _BLOCK_BYTES) * _BLOCK_BYTES
            stage[filled:end] = bytes(end - filled)
            yield stage[:end]

    def _write(self, piece: memoryview) -> None:
        while piece:
            try:
                # What does not fit is tried again, and then says why (a full disk).
                written = os.pwrite(self._file, piece, self.size)
            except OSError as error:
                if error.errno != errno.EINVAL or not self._is_direct:
                    raise
                # A disk of larger blocks, or a file system that says so only now.
                self._is_direct = False
                self._reopen(0)
                continue
            piece, self.size = piece[written:], self.size + written

    def _reopen(self, flags: int) -> None:
        """Go on with the same file opened in another way, where the system allows it."""
        with suppress(OSError):
            file = os.open(self.path, os.O_WRONLY | flags)
            self.close()
            self._file = file

    def sync(self) -> None:
        """Return when everything appended is on the disk."""
        with translating(self.path):
            # macOS has no fdatasync.
            getattr(os, "fdatasync", os.fsync)(self._file)

    def take_back(self) -> None:
        """Give back the space of what was appended last, as far as the disk still lets us."""
        with suppress(OSError):
            os.ftruncate(self._file, self._synced_size)

    def close(self) -> None:
        """Close the file. What counts of it was synced, so an error says nothing."""
        with suppress(OSError):
            os.close(self._file)


@contextmanager
def translating(path: str | Path) -> Iterator[None]:
    """Raise the system's errors as ours."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreUnavailable(
                f"{path}: the disk is full, nothing was stored; free some space"
            ) from error
        raise StoreUnavailable(f"{path}: {error.strerror}") from error


def _sync_folder(folder: Path) -> None:
    """Make the name of a new file survive a loss of power."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
