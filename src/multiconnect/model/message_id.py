"""A message id leads straight to its record: encode(cluster, slot, sequence), nothing looked up.

Layout before base64url: 3 bytes that give the ids the look of the original's (`gBEG…`), then
cluster (u32), stream and slot (u8: stream in the top bit), sequence (u64), check (u16).
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from typing import NamedTuple

from multiconnect._native import encode_id
from multiconnect.limits import SLOTS

__all__ = ["MessageAddress", "decode_id", "encode_id"]

_PREFIX = base64.urlsafe_b64decode(b"gBEG")
_BODY = struct.Struct(">IBQ")
_ID_CHARS = 24
_ID_BYTES = 18


class MessageAddress(NamedTuple):
    """Where a message's record lies."""

    cluster: int
    stream: int
    slot: int
    sequence: int


def decode_id(message_id: str) -> MessageAddress | None:
    """Return the address in `message_id`, or None when it is not one of ours."""
    if len(message_id) != _ID_CHARS or not message_id.isascii():
        return None
    try:
        raw = base64.b64decode(message_id, altchars=b"-_", validate=True)
    except binascii.Error:
        return None
    body, check = raw[3:16], int.from_bytes(raw[16:], "big")
    if len(raw) != _ID_BYTES or raw[:3] != _PREFIX or zlib.crc32(body) & 0xFFFF != check:
        return None
    cluster, place, sequence = _BODY.unpack(body)
    address = MessageAddress(cluster, place >> 7, place & 0x7F, sequence)
    # Base64 has several spellings of the same bytes ("+" for "-", padding); one of them is ours.
    is_ours = address.slot < SLOTS and message_id == encode_id(
        cluster, address.slot, sequence, address.stream
    )
    return address if is_ours else None
