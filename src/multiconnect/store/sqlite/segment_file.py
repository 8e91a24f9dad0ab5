"""The file of one segment: appended to, synced, read in pieces; where a piece lies, as bytes.

A driver in the sense of database.py: every error of the system leaves here as one of ours. A file
that saw one is never written again, because a second sync after a failed one would report success
for pages that the kernel has dropped.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from multiconnect.errors import CorruptData, StoreUnavailable
from multiconnect.model.log import Body

_INFIX: Final = "-bodies-"
_PLACE: Final = struct.Struct("<4sIQI")
#: Not the magic of a packed batch, which is what else a body column holds.
_MAGIC: Final = b"MCP1"
#: Parts that one call of the system takes at most (IOV_MAX of Linux).
_PARTS_MAX: Final = 1024


class Place(NamedTuple):
    """Where a body lies: in which segment of its ledger, from which byte on, how many bytes."""

    segment: int
    offset: int
    size: int

    def encode(self) -> bytes:
        """Return what stands in a body column instead of the body."""
        return _PLACE.pack(_MAGIC, *self)


def place_of(body: Body | None) -> Place | None:
    """Return the place that stands in a body column, None if that holds the body itself."""
    if body is None or len(body) != _PLACE.size or bytes(body[:4]) != _MAGIC:
        return None
    return Place(*_PLACE.unpack(body)[1:])


def segment_path(ledger: str | Path, number: int) -> Path:
    """Return the file of a segment of a ledger."""
    return Path(f"{ledger}{_INFIX}{number}")


def stored_segments(ledger: str | Path) -> list[int]:
    """Return the numbers of the segments of a ledger that are on the disk."""
    path = Path(ledger)
    prefix = path.name + _INFIX
    names = [found.name for found in path.parent.iterdir() if found.name.startswith(prefix)]
    return sorted(int(name.removeprefix(prefix)) for name in names)


class SegmentFile:
    """A new file that is only appended to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        with _translating(path):
            # Open to this user only: it holds message bodies.
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            _sync_folder(path.parent)

    def append(self, parts: Sequence[Body]) -> None:
        """Write the parts one after the other; they are safe once `sync` has returned."""
        with _translating(self.path):
            for at in range(0, len(parts), _PARTS_MAX):
                self._append(parts[at : at + _PARTS_MAX])

    def _append(self, parts: Sequence[Body]) -> None:
        size = sum(map(len, parts))
        written = os.pwritev(self._file, parts, self.size)
        if written < size:
            # What is left is written, or says why it cannot be (a full disk).
            rest = memoryview(b"".join(parts))[written:]
            while rest:
                more = os.pwrite(self._file, rest, self.size + written)
                rest, written = rest[more:], written + more
        self.size += size

    def sync(self) -> None:
        """Return when everything appended is on the disk."""
        with _translating(self.path):
            os.fdatasync(self._file)

    @property
    def is_removed(self) -> bool:
        """Whether somebody has deleted it."""
        return os.fstat(self._file).st_nlink == 0

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def read_piece(ledger: str | Path, place: Place) -> bytes | None:
    """Return a body; None if its segment is gone."""
    path = segment_path(ledger, place.segment)
    with _translating(path):
        try:
            file = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            body = os.pread(file, place.size, place.offset)
        finally:
            os.close(file)
    if len(body) != place.size:
        raise CorruptData(
            f"{path} ends before {place.size} bytes at {place.offset}; restore it from a copy"
        )
    return body


@contextmanager
def _translating(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreUnavailable(
                f"{path}: the disk is full, nothing was written; free some space"
            ) from error
        raise StoreUnavailable(f"{path}: {error.strerror}") from error


def _sync_folder(folder: Path) -> None:
    """Make the name of a new file survive a loss of power."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
