"""The optional attributes of a record: tag, length, value, repeated.

Rare and small, so they are packed in Python; the native core carries them as opaque bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from multiconnect.errors import CorruptData, InvalidPayload
from multiconnect.limits import ACCOUNT_BYTES_MAX, IDEMPOTENCY_KEY_BYTES_MAX

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
        """Return the attributes as bytes; none is the empty string. Raises InvalidPayload."""
        parts = []
        if self.account:
            account = _text("account", self.account, ACCOUNT_BYTES_MAX)
            parts.append(_item(_ACCOUNT, account))
        if self.idempotency_key:
            key = _text("idempotency key", self.idempotency_key, IDEMPOTENCY_KEY_BYTES_MAX)
            parts.append(_item(_IDEMPOTENCY_KEY, key))
        if self.expires_at_ms:
            parts.append(_item(_EXPIRES_AT_MS, _time(self.expires_at_ms)))
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


def _text(name: str, value: object, bytes_max: int) -> bytes:
    try:
        data = value.encode() if isinstance(value, str) else None
    except UnicodeEncodeError:
        data = None
    if data is None:
        raise InvalidPayload(f"{name} is not text that can be written as UTF-8")
    if len(data) > bytes_max:
        raise InvalidPayload(f"{name} of {len(data)} bytes; at most {bytes_max} are allowed")
    return data


def _time(value: object) -> bytes:
    if not isinstance(value, int) or not 0 < value < 1 << 63:
        raise InvalidPayload(f"expires_at_ms is {value!r}; expected milliseconds since 1970")
    return _U64.pack(value)


def _item(tag: int, value: bytes) -> bytes:
    return _HEAD.pack(tag, len(value)) + value
