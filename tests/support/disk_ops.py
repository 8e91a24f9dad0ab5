"""What is done to a disk, written down (disk.py) to be cut off at any moment (power.py)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes written at an offset."""

    path: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    """A file cut to a size."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Sync:
    """What was done to the file before is on the disk; not if it failed."""

    path: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Create:
    """A new file, which a power cut may leave without its name."""

    path: str


@dataclass(frozen=True, slots=True)
class Name:
    """The name of a new file is on the disk."""

    path: str


@dataclass(frozen=True, slots=True)
class Delete:
    """The file is gone."""

    path: str


@dataclass(frozen=True, slots=True)
class Returned:
    """Not the disk's: a call of the store returned, so its effect was promised."""

    step: int


Change = Write | Truncate | Sync | Create | Name | Delete
Op = Change | Returned
