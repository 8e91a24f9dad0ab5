"""Bodies in segments: what stands for one in a row, and reading it back."""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, Self

from multiconnect.errors import CorruptData
from multiconnect.model.log import Body
from multiconnect.store.sqlite.segment_file import segment_path, translating

_PLACE: Final = struct.Struct("<4sIQI")
#: Not the magic of a packed batch, which is what else a body column holds.
_MAGIC: Final = b"MCP1"


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


class SegmentReader:
    """Reads bodies; keeps the newest segment it read of each ledger open, as rows come in order."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[int, int]] = {}

    def __enter__(self) -> Self:
        """Begin with no file open."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close the files."""
        for ledger in list(self._files):
            self._close(ledger)

    def read(self, ledger: str, place: Place) -> bytes | None:
        """Return a body; None if its segment is gone."""
        with translating(segment_path(ledger, place.segment)):
            try:
                file = self._open(ledger, place.segment)
            except FileNotFoundError:
                return None
            body = _read(file, place)
        if len(body) != place.size:
            raise CorruptData(
                f"{segment_path(ledger, place.segment)} ends before {place.size} bytes at "
                f"{place.offset}; restore it from a copy"
            )
        return body

    def _open(self, ledger: str, number: int) -> int:
        opened = self._files.get(ledger)
        if opened is not None and opened[0] == number:
            return opened[1]
        self._close(ledger)
        file = os.open(segment_path(ledger, number), os.O_RDONLY)
        self._files[ledger] = number, file
        return file

    def _close(self, ledger: str) -> None:
        opened = self._files.pop(ledger, None)
        if opened is not None:
            with suppress(OSError):
                os.close(opened[1])


def _read(file: int, place: Place) -> bytes:
    """Read until the end of the file: a read that meets a bad sector returns what is before it."""
    body = os.pread(file, place.size, place.offset)
    while len(body) < place.size:
        more = os.pread(file, place.size - len(body), place.offset + len(body))
        if not more:
            break
        body += more
    return body


def lost(ledger: str, place: Place) -> CorruptData:
    """Return what is said when a body that is pending has no file."""
    path: Path = segment_path(ledger, place.segment)
    return CorruptData(f"{path} is missing; put it back from a copy")
