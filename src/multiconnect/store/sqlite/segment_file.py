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
from mmap import mmap
from pathlib import Path
from typing import Final, NamedTuple, Self

from multiconnect.errors import CorruptData, StoreUnavailable
from multiconnect.model.log import Body

_INFIX: Final = "-bodies-"
_PLACE: Final = struct.Struct("<4sIQI")
#: Not the magic of a packed batch, which is what else a body column holds.
_MAGIC: Final = b"MCP1"
#: Whether this system writes files at an offset and syncs folders; Windows does not.
SUPPORTED: Final = hasattr(os, "pwrite")
#: What reads and writes past the page cache must be multiples of, on any disk.
_BLOCK_BYTES: Final = 4096
#: Memory that bodies are gathered in for one call of the system.
_STAGE_BYTES: Final = 1024 * 1024


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
    """A new file that is only appended to.

    Past the page cache where the file system can: nobody reads soon what was just written, and on a
    virtual machine a page that was never touched costs more than the disk (docs/performance.md).
    So memory and places are those of whole blocks, and each `append` begins a new one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._stage = memoryview(mmap(-1, _STAGE_BYTES))
        with _translating(path):
            self._file = _create(path)
            _sync_folder(path.parent)

    def append(self, parts: Sequence[Body]) -> int:
        """Write the parts one after the other; return where. They are safe after `sync`."""
        begin = self.size
        with _translating(self.path):
            for piece in self._pieces(parts):
                self._write(piece)
        return begin

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
            # What does not fit is tried again, and then says why (a full disk).
            written = os.pwrite(self._file, piece, self.size)
            piece, self.size = piece[written:], self.size + written

    def sync(self) -> None:
        """Return when everything appended is on the disk."""
        with _translating(self.path):
            # macOS has no fdatasync.
            getattr(os, "fdatasync", os.fsync)(self._file)

    @property
    def is_removed(self) -> bool:
        """Whether somebody has deleted it."""
        return os.fstat(self._file).st_nlink == 0

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


class SegmentReader:
    """Reads pieces; keeps the files it has opened, because pieces of a slot lie here and there."""

    def __init__(self) -> None:
        self._files: dict[tuple[str, int], int | None] = {}

    def __enter__(self) -> Self:
        """Begin with no file open."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close the files."""
        for file in self._files.values():
            if file is not None:
                os.close(file)

    def read(self, ledger: str, place: Place) -> bytes | None:
        """Return a body; None if its segment is gone."""
        with _translating(ledger):
            file = self._open(ledger, place.segment)
            body = None if file is None else os.pread(file, place.size, place.offset)
        if body is not None and len(body) != place.size:
            raise CorruptData(
                f"{segment_path(ledger, place.segment)} ends before {place.size} bytes at "
                f"{place.offset}; restore it from a copy"
            )
        return body

    def _open(self, ledger: str, number: int) -> int | None:
        key = ledger, number
        if key not in self._files:
            try:
                self._files[key] = os.open(segment_path(ledger, number), os.O_RDONLY)
            except FileNotFoundError:
                self._files[key] = None
        return self._files[key]


@contextmanager
def _translating(path: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreUnavailable(
                f"{path}: the disk is full, nothing was written; free some space"
            ) from error
        raise StoreUnavailable(f"{path}: {error.strerror}") from error


def _create(path: Path) -> int:
    # Open to this user only: it holds message bodies.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        return os.open(path, flags | getattr(os, "O_DIRECT", 0), 0o600)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    # A file system that knows only its page cache may have made the file before it said so.
    return os.open(path, flags & ~os.O_EXCL, 0o600)


def _sync_folder(folder: Path) -> None:
    """Make the name of a new file survive a loss of power."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
