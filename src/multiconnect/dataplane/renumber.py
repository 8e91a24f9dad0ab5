"""Give a sealed batch another producer id and number; its records stay as they are."""

from __future__ import annotations

import struct

from multiconnect._native import crc32c
from multiconnect._native.layout import BATCH_CRC_AT, BATCH_HEADER_BYTES, BATCH_PRODUCER_AT

_NUMBERING = struct.Struct("<QQ")
_CRC = struct.Struct("<I")


def renumbered(batch: bytes, producer: int, producer_seq: int) -> bytes:
    """Return the batch under another numbering, with its checksum made anew."""
    data = bytearray(batch)
    _NUMBERING.pack_into(data, BATCH_PRODUCER_AT, producer, producer_seq)
    checksum = crc32c(bytes(data[:BATCH_CRC_AT]))
    checksum = crc32c(bytes(data[BATCH_HEADER_BYTES:]), checksum)
    _CRC.pack_into(data, BATCH_CRC_AT, checksum)
    return bytes(data)
