"""The twin of hashing.pyx: from recipients to slots and shards."""

from __future__ import annotations

from collections.abc import Iterable

from multiconnect._native import refusals
from multiconnect._native.layout import (
    RECIPIENT_BYTES_MAX,
    RECIPIENT_CHARS_MAX,
    SHARD_COUNTS,
    SLOT_MASK,
)
from multiconnect._native.reference_values import Readable, flat, signed, unsigned

_MASK32 = 0xFFFFFFFF
_DIGITS = frozenset("0123456789")
_PHONE_PUNCTUATION = frozenset(" .-()")
_CRC32C_POLYNOMIAL = 0x82F63B78


def canonical(recipient: str) -> str:
    """Return the form in which a recipient is hashed and stored."""
    if not isinstance(recipient, str):
        raise refusals.recipient_type(recipient)
    if len(recipient) > RECIPIENT_CHARS_MAX:
        raise refusals.recipient_chars(recipient)
    text = str.strip(recipient)
    digits = "".join(c for c in text if c in _DIGITS)
    rest = text.removeprefix("+")
    if digits and all(c in _DIGITS or c in _PHONE_PUNCTUATION for c in rest):
        text = digits
    fault = _fault_of(text)
    if fault:
        raise refusals.recipient(recipient, fault)
    return text


def _fault_of(text: str) -> str:
    """Say why trimmed text is no canonical recipient; nothing if it is one."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "it cannot be encoded to UTF-8"
    if size == 0:
        return "it is empty"
    if any(c < " " for c in text):
        return "it contains a control character"
    if size > RECIPIENT_BYTES_MAX:
        return "it is too long"
    return ""


def slot_of(recipient: str) -> int:
    """Return the slot of one recipient, 0 to 31."""
    return murmur3_32(canonical(recipient).encode()) & SLOT_MASK


def shard_of(recipient: str, shards: int) -> int:
    """Return the shard of one recipient among `shards`."""
    count = _checked_shards(shards)
    return murmur3_32(canonical(recipient).encode()) % count


def slots_of(recipients: Iterable[str]) -> bytes:
    """Return the slot of each recipient, one byte each, in order."""
    return bytes(slot_of(recipient) for recipient in _many(recipients))


def shards_of(recipients: Iterable[str], shards: int) -> bytes:
    """Return the shard of each recipient, one byte each, in order."""
    count = _checked_shards(shards)
    return bytes(shard_of(recipient, count) for recipient in _many(recipients))


def shards_of_packed(buffer: Readable, width: int, shards: int) -> bytes:
    """Return the shard of each canonical recipient of a buffer with `width` bytes for each."""
    width = signed(width)
    count = _checked_shards(shards)
    data = flat(buffer)
    if not 1 <= width <= RECIPIENT_BYTES_MAX or len(data) % width:
        raise refusals.width(len(data), width)
    recipients = (data[at : at + width] for at in range(0, len(data), width))
    return bytes(murmur3_32(recipient) % count for recipient in recipients)


def murmur3_32(data: Readable) -> int:
    """Return MurmurHash3 x86_32 of bytes, seed 0."""
    text = flat(data)
    state = 0
    whole = len(text) // 4 * 4
    for at in range(0, whole, 4):
        state ^= _scramble(int.from_bytes(text[at : at + 4], "little"))
        state = (_rotate_left(state, 13) * 5 + 0xE6546B64) & _MASK32
    state ^= _scramble(int.from_bytes(text[whole:], "little"))
    state ^= len(text)
    state = ((state ^ (state >> 16)) * 0x85EBCA6B) & _MASK32
    state = ((state ^ (state >> 13)) * 0xC2B2AE35) & _MASK32
    return state ^ (state >> 16)


def crc32c(data: Readable, value: int = 0) -> int:
    """Return the CRC-32C of bytes, continuing from `value`."""
    crc = unsigned(value, 32) ^ _MASK32
    for byte in flat(data):
        crc = (crc >> 8) ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ _MASK32


def _scramble(block: int) -> int:
    return (_rotate_left((block * 0xCC9E2D51) & _MASK32, 15) * 0x1B873593) & _MASK32


def _rotate_left(value: int, by: int) -> int:
    return ((value << by) | (value >> (32 - by))) & _MASK32


def _crc_of_byte(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (_CRC32C_POLYNOMIAL if byte & 1 else 0)
    return byte


_CRC_TABLE = tuple(_crc_of_byte(byte) for byte in range(256))


def _checked_shards(shards: object) -> int:
    if isinstance(shards, int) and not isinstance(shards, bool) and shards in SHARD_COUNTS:
        return shards
    raise refusals.shards(shards)


def _many(recipients: Iterable[str]) -> Iterable[str]:
    if isinstance(recipients, str | bytes):
        raise refusals.recipients_type(recipients)
    return recipients
