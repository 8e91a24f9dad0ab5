"""What the core says when it refuses: one wording for the compiled code and for its twin.

Each function builds an exception for the caller to raise. A message says what was seen, what was
expected and what to do. Only reached when something is wrong, so nothing here needs to be fast.
"""

from __future__ import annotations

import reprlib

from multiconnect._native.layout import (
    ATTRIBUTES_BYTES_MAX,
    PAYLOAD_BYTES_MAX,
    RECIPIENT_BYTES_MAX,
    RECIPIENT_CHARS_MAX,
)
from multiconnect.errors import CorruptData, InvalidPayload, InvalidRecipient, InvalidShards

_REPR_CHARS_MAX = 40


def shortened(value: object) -> str:
    """Return the repr of a value, whatever it is, in at most 40 characters."""
    if isinstance(value, str | bytes):
        text = repr(value[:_REPR_CHARS_MAX])
        text += "" if len(value) <= _REPR_CHARS_MAX else "..."
    else:
        try:
            text = reprlib.repr(value)
        except Exception:  # a value is free to fail here, an int of 5,000 digits does
            text = f"<{type(value).__name__}>"
    return text if len(text) <= _REPR_CHARS_MAX else text[: _REPR_CHARS_MAX - 3] + "..."


def recipient(value: object, reason: str) -> InvalidRecipient:
    """Refuse a recipient."""
    return InvalidRecipient(
        f"recipient {shortened(value)} is refused because {reason}; expected text of 1 to "
        f"{RECIPIENT_BYTES_MAX} bytes of UTF-8 without control characters, such as "
        f"'+1 631 555 0000' or a user id: correct the recipient and send again"
    )


def recipient_type(value: object) -> InvalidRecipient:
    """Refuse a recipient that is not text at all."""
    return recipient(value, f"it is of type {type(value).__name__}, not str")


def recipient_chars(value: str) -> InvalidRecipient:
    """Refuse a recipient that is too long to be looked at."""
    return recipient(value, f"it has {len(value)} characters, more than {RECIPIENT_CHARS_MAX}")


def recipients_type(value: object) -> TypeError:
    """Refuse one text where many are expected: its characters are no recipients."""
    return TypeError(
        f"expected an iterable of recipients, got one {type(value).__name__}, "
        f"{shortened(value)}: put it in a list, or call the function for a single recipient"
    )


def shards(value: object) -> InvalidShards:
    """Refuse a shard count."""
    return InvalidShards(
        f"shards={shortened(value)} is refused: pass one of the integers 1, 2, 4, 8, 16 or 32"
    )


def width(size: int, value: int) -> InvalidRecipient:
    """Refuse packed recipients that do not fill their buffer."""
    return InvalidRecipient(
        f"{size} bytes cannot hold recipients of width {value}: pass a width of 1 to "
        f"{RECIPIENT_BYTES_MAX} bytes and a buffer of a multiple of it"
    )


def payload_size(size: int) -> InvalidPayload:
    """Refuse a payload that is too large."""
    return InvalidPayload(
        f"payload of {size} bytes is larger than the limit of {PAYLOAD_BYTES_MAX} bytes: "
        f"send a link to the content instead, or split it"
    )


def attributes_size(size: int) -> InvalidPayload:
    """Refuse attributes that are too large."""
    return InvalidPayload(
        f"attributes of {size} bytes are larger than the limit of {ATTRIBUTES_BYTES_MAX} bytes: "
        f"shorten the idempotency key or the account name"
    )


def payload_encoding(value: object, error: Exception) -> InvalidPayload:
    """Refuse a payload that could not be turned into bytes; raise it from `error`."""
    if isinstance(error, InvalidPayload):
        # The encoder has said it in its own words.
        return InvalidPayload(str(error))
    return InvalidPayload(
        f"payload of type {type(value).__name__} could not be encoded "
        f"({type(error).__name__}: {error}): pass bytes, or a value the encoder accepts"
    )


def payload_encoder(value: object) -> InvalidPayload:
    """Refuse what an encoder returned in place of bytes."""
    return InvalidPayload(
        f"the encoder returned {shortened(value)} of type {type(value).__name__}, not bytes: "
        f"pass a `dumps` that returns bytes"
    )


def item_shape(value: object) -> InvalidPayload:
    """Refuse an item that is no pair."""
    return InvalidPayload(
        f"expected a tuple (recipient, payload), got {shortened(value)} of type "
        f"{type(value).__name__}: pass pairs"
    )


def at_item(index: int, error: Exception) -> Exception:
    """Return the same refusal with the index of the item it is about."""
    return type(error)(f"item {index}: {error}")


def out_of_range(name: str, value: int, highest: int) -> ValueError:
    """Refuse a small number outside its field."""
    return ValueError(f"{name}={value} is refused: pass an integer from 0 to {highest}")


def corrupt(what: str, offset: int, reason: str) -> CorruptData:
    """Refuse bytes that break the layout."""
    return CorruptData(
        f"corrupt {what} at byte {offset}: {reason}; the data was damaged, cut off or written by "
        f"something else: discard it and get it from its source again"
    )
