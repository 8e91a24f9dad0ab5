"""The keys of a ledger's rows: lane = stream << 5 | slot, id = lane << 48 | sequence."""

from __future__ import annotations

from typing import Final

from multiconnect.model.message import Stream

_SEQUENCE_BITS: Final = 48
_SEQUENCE_MASK: Final = (1 << _SEQUENCE_BITS) - 1


def lane_of(stream: Stream, slot: int) -> int:
    """Return the lane of one stream of a slot."""
    return stream << 5 | slot


def id_of(stream: Stream, slot: int, sequence: int) -> int:
    """Return the id of a message, or of the batch that begins with it."""
    return (stream << 5 | slot) << _SEQUENCE_BITS | sequence


def sequence_of(row_id: int) -> int:
    """Return the sequence in an id."""
    return row_id & _SEQUENCE_MASK


def stream_of(row_id: int) -> Stream:
    """Return the stream in an id."""
    return Stream(row_id >> _SEQUENCE_BITS + 5)


def slot_of(row_id: int) -> int:
    """Return the slot in an id."""
    return row_id >> _SEQUENCE_BITS & 31


def lane_ids(lane: int) -> tuple[int, int]:
    """Return the first id of a lane and the first after it."""
    return lane << _SEQUENCE_BITS, (lane + 1) << _SEQUENCE_BITS


def signed(number: int) -> int:
    """Return a u64 as the i64 of the same bits: SQLite has no other."""
    return number - (1 << 64) if number >> 63 else number


def unsigned(number: int) -> int:
    """Return what `signed` was given."""
    return number + (1 << 64) if number < 0 else number
