"""Readable twin of ids: message ids, one or many, and the lines that tell them."""

from __future__ import annotations

import base64
import struct
import zlib
from bisect import bisect_right
from typing import Final

from multiconnect._native.reference_values import small, unsigned

ID_CHARS: Final = 24
_PREFIX: Final = base64.urlsafe_b64decode(b"gBEG")
_BODY: Final = struct.Struct(">IBQ")


def encode_id(cluster: int, slot: int, sequence: int, stream: int = 0) -> str:
    """Return the id of message `sequence` of `slot`."""
    place = small("slot", slot, 127) | small("stream", stream, 1) << 7
    body = _BODY.pack(unsigned(cluster, 32), place, unsigned(sequence, 64))
    check = zlib.crc32(body) & 0xFFFF
    return base64.urlsafe_b64encode(_PREFIX + body + check.to_bytes(2, "big")).decode()


def encode_ids(cluster: int, slots: bytes, segments: dict[int, list[tuple[int, int]]]) -> list[str]:
    """Return the ids of messages by their slots, in order."""
    ranks = dict.fromkeys(range(32), 0)
    found = []
    for slot in slots:
        small("slot", slot, 31)
        rank, known = ranks[slot], segments[slot]
        first, sequence = known[bisect_right(known, (rank, 1 << 64)) - 1]
        found.append(encode_id(cluster, slot, sequence + rank - first))
        ranks[slot] += 1
    return found


def id_lines(ids: list[str], first: int) -> bytes:
    """Return a line {"index":N,"id":"…"} for each id, N from `first` on."""
    if first < 0:
        raise ValueError(f"first is {first}; expected the index of a message")
    for one in ids:
        if len(one.encode()) != ID_CHARS:
            raise ValueError(f"{one!r} is no message id; expected {ID_CHARS} letters")
    return b"".join(
        b'{"index":%d,"id":"%b"}\n' % (first + at, one.encode()) for at, one in enumerate(ids)
    )


def stored_lines(cluster: int, slots: bytes, segments: dict[int, list[tuple[int, int]]]) -> bytes:
    """Return id_lines(encode_ids(cluster, slots, segments), 0), without making the ids."""
    return id_lines(encode_ids(cluster, slots, segments), 0)
