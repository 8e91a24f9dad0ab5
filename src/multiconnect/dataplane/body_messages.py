"""Messages that are still where they came in, in the body of a request: no object for each of them.

The compiled core has found where each lies, and packs them straight from there; whoever iterates
gets pairs like anybody else's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any, Final

from multiconnect._native import Packer

#: Where the recipient and the payload begin, each with its size behind it; see `cut_lines`.
_CUT: Final = struct.Struct("=4I")


class BodyMessages(Iterable[tuple[str, bytes]]):
    """The messages of a body in which `cut_lines` or `cut_array` found nothing else."""

    __slots__ = ("_body", "_cuts")

    def __init__(self, body: bytes, cuts: bytes) -> None:
        self._body = body
        self._cuts = cuts

    def __len__(self) -> int:
        """Return the number of messages."""
        return len(self._cuts) // _CUT.size

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """Return the messages one after the other, as (recipient, payload)."""
        body = self._body
        for name_at, name_size, at, size in _CUT.iter_unpack(self._cuts):
            yield body[name_at : name_at + name_size].decode(), body[at : at + size]

    def pack(self, packer: Packer, attributes: bytes, kind: int) -> bytes:
        """Do what `packer.extend` would do with the pairs."""
        return packer.extend_cuts(self._body, self._cuts, attributes, kind)


def extended(
    packer: Packer, items: Iterable[tuple[str, Any]], attributes: bytes, kind: int
) -> bytes:
    """Append many messages or, if one of them is refused, none; return their slots."""
    if isinstance(items, BodyMessages):
        return items.pack(packer, attributes, kind)
    return packer.extend(items, attributes, kind)
