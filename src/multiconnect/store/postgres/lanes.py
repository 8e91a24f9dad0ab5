"""Lanes (`stream << 5 | slot`), and numbers in the form that PostgreSQL has."""

from __future__ import annotations

from multiconnect.model.message import Stream


def lane_of(stream: Stream, slot: int) -> int:
    """Return the lane of one stream of a slot."""
    return stream << 5 | slot


def stream_of(lane: int) -> Stream:
    """Return the stream of a lane."""
    return Stream(lane >> 5)


def slot_of_lane(lane: int) -> int:
    """Return the slot of a lane."""
    return lane & 31


def lanes_of_slot(slot: int) -> list[int]:
    """Return the lanes of all streams of a slot."""
    return [lane_of(stream, slot) for stream in Stream]


def signed(number: int) -> int:
    """Return a u64 as the bigint of the same bits: there is no unsigned one."""
    return number - (1 << 64) if number >> 63 else number


def unsigned(number: int) -> int:
    """Return what `signed` was given."""
    return number + (1 << 64) if number < 0 else number
