"""The frames a router and an owner exchange, and what is inside those that are not hot.

HELLO/WELCOME open a connection, with CHALLENGE/PROOF in between where a secret is shared
(challenge.py); PING asks for a PONG when nothing else was heard. SUBMIT carries packed batches,
back to back; ANSWERS carries one entry per batch (several ANSWERS frames may answer one SUBMIT:
they share its number); EVENTS is a JSON array. SUBMIT and ANSWERS bodies are laid out in native
code, see docs/native.md.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any, Final

import orjson

from multiconnect._native import frame_header
from multiconnect.errors import CorruptData
from multiconnect.model.message import Event

PROTOCOL_VERSION: Final = 1


class FrameType(enum.IntEnum):
    """The type byte of a frame."""

    HELLO = 1
    WELCOME = 2
    SUBMIT = 3
    ANSWERS = 4
    EVENTS = 5
    CHALLENGE = 6
    PROOF = 7
    PING = 8
    PONG = 9


class AnswerStatus(enum.IntEnum):
    """What an owner says of one batch."""

    STORED = 0
    NOT_OWNER = 1
    GAP = 2
    BUSY = 3
    REFUSED = 4


def json_frame(frame_type: FrameType, value: Any) -> bytes:
    """Return a whole frame with a JSON body."""
    return whole_frame(frame_type, orjson.dumps(value))


def whole_frame(frame_type: FrameType, body: bytes = b"") -> bytes:
    """Return a frame with its header; nobody asks for its number."""
    return frame_header(frame_type, 0, len(body)) + body


def json_body(data: bytes, expected: type) -> Any:
    """Return the decoded JSON body; raise CorruptData when it is not an `expected`."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise CorruptData(f"frame body is not JSON: {error}") from error
    if not isinstance(value, expected):
        raise CorruptData(f"frame body is {type(value).__name__}, expected {expected.__name__}")
    return value


def events_frame(events: Sequence[Event]) -> bytes:
    """Return an EVENTS frame."""
    rows = [
        [e.type, e.id, e.recipient, e.slot, e.timestamp_ms, e.possible_duplicate, dict(e.data)]
        for e in events
    ]
    return json_frame(FrameType.EVENTS, rows)


def events_of(body: bytes) -> list[Event]:
    """Return the events of an EVENTS frame; raise CorruptData for another shape."""
    try:
        return [Event(*row) for row in json_body(body, list)]
    except TypeError as error:
        raise CorruptData(f"an event has another shape: {error}") from error
