"""What a caller hands over, as the bytes a record holds."""

from __future__ import annotations

import orjson

from multiconnect.errors import InvalidPayload
from multiconnect.model.attributes import Attributes


def attributes_of(account: str, idempotency_key: str, expires_at_ms: int) -> bytes:
    """Return the attributes of a record; nothing at all for most."""
    if not (account or idempotency_key or expires_at_ms):
        return b""
    return Attributes(account, idempotency_key, expires_at_ms).encode()


def dumps(payload: object) -> bytes:
    """Return a payload that is not bytes as JSON; raise InvalidPayload."""
    if not isinstance(payload, dict):
        kind = type(payload).__name__
        raise InvalidPayload(f"payload is {kind}; expected a dict, or bytes of JSON")
    try:
        return orjson.dumps(payload)
    except TypeError as error:
        raise InvalidPayload(f"payload cannot be written as JSON: {error}") from error
