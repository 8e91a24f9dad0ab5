"""What a power cut leaves of a run that a `Disk` wrote down.

`Surface` follows the operations and knows of each file what is surely on the disk and what is not.
At any moment `left(mode)` returns the files as they may be found when the power comes back:

    synced   everything that was not synced is gone
    torn     everything got there, but the last write only in part
    mixed    of what was not synced some 512-byte sectors got there and some did not, in any order
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from tests.support.disk_ops import Create, Delete, Name, Op, Returned, Sync, Truncate, Write

MODES = ("synced", "torn", "mixed")
_SECTOR_BYTES = 512


class Surface:
    """The files of one run, at one moment of it."""

    def __init__(self, begin: Mapping[str, bytes], seed: int = 0) -> None:
        self._rng = random.Random(seed)
        self._safe: dict[str, bytearray] = {path: bytearray(data) for path, data in begin.items()}
        self._loose: dict[str, list[Write | Truncate]] = {path: [] for path in begin}
        #: New files whose folder was not synced: a power cut may lose all of them.
        self._nameless: set[str] = set()
        self.returned = 0

    def apply(self, op: Op) -> None:
        """Let an operation happen."""
        match op:
            case Returned(step):
                self.returned = step
            case Write() | Truncate():
                self._loose.setdefault(op.path, []).append(op)
            case Sync(path, failed):
                if not failed:
                    safe = self._safe.setdefault(path, bytearray())
                    for change in self._loose.get(path, []):
                        _change(safe, change)
                # After a failure too nothing is loose any more: it was dropped, or is on the disk.
                self._loose[path] = []
            case Create(path):
                self._nameless.add(path)
            case Name(path):
                self._nameless.discard(path)
            case Delete(path):
                self._safe.pop(path, None)
                self._loose.pop(path, None)

    def left(self, mode: str) -> dict[str, bytes]:
        """Return what is found after a power cut now."""
        found = {}
        for path in self._safe.keys() | self._loose.keys():
            loose = self._loose.get(path, [])
            if path not in self._safe and (mode == "synced" or not loose):
                continue  # its name was never written
            if path in self._nameless and mode == "synced":
                continue
            data = bytearray(self._safe.get(path, b""))
            for change in self._arrived(loose, mode):
                _change(data, change)
            found[path] = bytes(data)
        return found

    def _arrived(self, loose: list[Write | Truncate], mode: str) -> list[Write | Truncate]:
        if mode == "synced":
            return []
        if mode == "torn":
            *whole, last = loose or [Truncate("", 0)]
            if isinstance(last, Truncate):
                return loose
            return [*whole, self._torn(last)]
        sectors = [part for change in loose for part in _sectors(change)]
        kept = [part for part in sectors if self._rng.random() < 0.5]
        self._rng.shuffle(kept)
        return kept

    def _torn(self, write: Write) -> Write:
        kept = self._rng.randrange(len(write.data)) if write.data else 0
        return Write(write.path, write.offset, write.data[:kept])


def _sectors(change: Write | Truncate) -> list[Write | Truncate]:
    if isinstance(change, Truncate):
        return [change]
    data, offset = change.data, change.offset
    ends = range(_SECTOR_BYTES - offset % _SECTOR_BYTES, len(data) + _SECTOR_BYTES, _SECTOR_BYTES)
    starts = [0, *ends]
    return [
        Write(change.path, offset + start, data[start:end])
        for start, end in zip(starts, ends, strict=False)
        if data[start:end]
    ]


def _change(data: bytearray, change: Write | Truncate) -> None:
    if isinstance(change, Truncate):
        if change.size <= len(data):
            del data[change.size :]
        else:
            data.extend(bytes(change.size - len(data)))
        return
    if change.offset > len(data):
        data.extend(bytes(change.offset - len(data)))
    data[change.offset : change.offset + len(change.data)] = change.data
