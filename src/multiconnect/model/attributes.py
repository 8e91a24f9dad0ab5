"""The optional attributes of a record: tag, length, value, repeated.

Rare and small, so they are packed in Python; the native core carries them as opaque bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from multiconnect.errors import CorruptData

_ACCOUNT, _IDEMPOTENCY_KEY, _EXPIRES_AT_MS = 1, 2, 3
_HEAD = struct.Struct("<BH")
_U64 = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a message carries beside recipient and payload."""

    account: str = ""
    idempotency_key: str = ""
    #: Milliseconds since 1970 after which the message must not be sent; 0 is never.
    expires_at_ms: int = 0

    def encode(self) -> bytes:
        """Return the attributes as bytes; none is the empty string."""
        parts = []
        if self.account:
            parts.append(_item(_ACCOUNT, self.account.encode()))
        if self.idempotency_key:
            parts.append(_item(_IDEMPOTENCY_KEY, self.idempotency_key.encode()))
        if self.expires_at_ms:
            parts.append(_item(_EXPIRES_AT_MS, _U64.pack(self.expires_at_ms)))
        return b"".join(parts)


NO_ATTRIBUTES = Attributes()


def decode_attributes(data: bytes) -> Attributes:
    """Return the attributes in `data`; unknown tags are passed over, garbage raises CorruptData."""
    if not data:
        return NO_ATTRIBUTES
    found: dict[int, bytes] = {}
    offset = 0
    while offset < len(data):
        if offset + _HEAD.size > len(data):
            raise CorruptData(f"attribute header cut off at byte {offset} of {len(data)}")
        tag, length = _HEAD.unpack_from(data, offset)
        offset += _HEAD.size
        if offset + length > len(data):
            raise CorruptData(f"attribute {tag} of {length} bytes ends beyond {len(data)}")
        found[tag] = data[offset : offset + length]
        offset += length
    return _attributes_of(found)


def _attributes_of(found: dict[int, bytes]) -> Attributes:
    try:
        return Attributes(
            account=found.get(_ACCOUNT, b"").decode(),
            idempotency_key=found.get(_IDEMPOTENCY_KEY, b"").decode(),
            expires_at_ms=_U64.unpack(found.get(_EXPIRES_AT_MS, bytes(8)))[0],
        )
    except (UnicodeDecodeError, struct.error) as error:
        raise CorruptData(f"attribute value is malformed: {error}") from error


def _item(tag: int, value: bytes) -> bytes:
    return _HEAD.pack(tag, len(value)) + value
