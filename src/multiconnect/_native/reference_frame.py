"""The twin of frame.pyx: frames and answers."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import final

from multiconnect._native import refusals
from multiconnect._native.layout import (
    ANSWER_BYTES,
    BATCH_RECORDS_MAX,
    EXCEPTION_BYTES,
    EXCEPTION_CONFLICT,
    EXCEPTION_DUPLICATE,
    FRAME_BYTES_MAX,
    FRAME_HEADER_BYTES,
    FRAME_MAGIC,
    FRAME_VERSION,
    SLOT_MASK,
    SLOTS,
    STATUS_MAX,
    STREAM_INBOUND,
)
from multiconnect._native.reference_values import Readable, flat, signed, small, unsigned
from multiconnect.errors import CorruptData

#: Magic, version, type, payload length, number.
FRAME = struct.Struct("<HBBIQ")
#: Slot, stream, status, zero, exception count, producer, producer sequence, value.
ANSWER = struct.Struct("<BBBBIQQQ")
#: Index, kind, sequence.
EXCEPTION = struct.Struct("<IIQ")

_RECEIVE_BYTES = 64 * 1024

AnswerException = tuple[int, int, int]
Answer = tuple[int, int, int, int, int, int, tuple[AnswerException, ...]]
AnswerLike = tuple[int, int, int, int, int, int, Iterable[AnswerException]]


def frame_header(type: int, number: int, payload_len: int) -> bytes:  # noqa: A002
    """Return the header of a frame, to be followed by its payload."""
    size, kind, number = unsigned(payload_len, 64), small("type", type, 255), unsigned(number, 64)
    if size > FRAME_BYTES_MAX:
        raise refusals.out_of_range("payload_len", size, FRAME_BYTES_MAX)
    return FRAME.pack(FRAME_MAGIC, FRAME_VERSION, kind, size, number)


@final
class FrameReader:
    """Cuts a byte stream into frames."""

    def __init__(self) -> None:
        self._received = b""
        self._room = bytearray(_RECEIVE_BYTES)
        self._passed = 0
        self._fault = ""

    def get_buffer(self, sizehint: int = -1) -> memoryview:
        """Return free space for the loop to receive into."""
        self._refuse_if_broken()
        return memoryview(self._room)

    def buffer_updated(self, nbytes: int) -> list[tuple[int, int, bytes]]:
        """Take note of received bytes; return (type, number, payload) of each complete frame."""
        nbytes = signed(nbytes)
        self._refuse_if_broken()
        if not 0 <= nbytes <= len(self._room):
            raise ValueError(f"nbytes={nbytes} is refused: the buffer handed out was smaller")
        return self.feed(self._room[:nbytes])

    def feed(self, data: Readable) -> list[tuple[int, int, bytes]]:
        """Take bytes from anywhere; return (type, number, payload) of each complete frame."""
        self._refuse_if_broken()
        self._received += flat(data)
        found = []
        while self._is_header_sound() and len(self._received) >= FRAME_HEADER_BYTES:
            _, _, kind, size, number = FRAME.unpack_from(self._received)
            end = FRAME_HEADER_BYTES + size
            if len(self._received) < end:
                break
            found.append((kind, number, self._received[FRAME_HEADER_BYTES:end]))
            self._received = self._received[end:]
            self._passed += end
        return found

    def _refuse_if_broken(self) -> None:
        if self._fault:
            raise CorruptData(self._fault)

    def _is_header_sound(self) -> bool:
        """Check as much of the next header as has arrived; break down if it is wrong."""
        head = self._received[:FRAME_HEADER_BYTES]
        fault = ""
        if len(head) >= 2 and head[:2] != FRAME_MAGIC.to_bytes(2, "little"):
            fault = "the magic number is wrong"
        elif len(head) >= 3 and head[2] != FRAME_VERSION:
            fault = "the format version is unknown"
        elif len(head) == FRAME_HEADER_BYTES and FRAME.unpack(head)[3] > FRAME_BYTES_MAX:
            fault = "the frame is longer than the limit"
        if fault:
            error = refusals.corrupt("frame", self._passed, fault)
            self._fault = str(error)
            raise error
        return True


def encode_answers(entries: Iterable[AnswerLike]) -> bytes:
    """Return answers, each (slot, stream, status, producer, producer_seq, value, exceptions)."""
    parts = []
    for slot, stream, status, producer, producer_seq, value, exceptions in entries:
        listed = tuple(exceptions)
        place = (
            small("slot", slot, SLOT_MASK),
            small("stream", stream, STREAM_INBOUND),
            small("status", status, STATUS_MAX),
        )
        numbers = unsigned(producer, 64), unsigned(producer_seq, 64), unsigned(value, 64)
        fault = _answer_fault(*place, len(listed))
        if fault:
            raise ValueError(f"an answer cannot be encoded because {fault}")
        parts.append(ANSWER.pack(*place, 0, len(listed), *numbers))
        parts += [_encoded_exception(exception) for exception in listed]
    return b"".join(parts)


def decode_answers(data: Readable) -> list[Answer]:
    """Return the answers in `data`, the exceptions of each as a tuple."""
    view = flat(data)
    found = []
    at = 0
    while at < len(view):
        if at + ANSWER_BYTES > len(view):
            raise refusals.corrupt("answer", at, "the data ends too early")
        slot, stream, status, reserved, count, *numbers = ANSWER.unpack_from(view, at)
        fault = "a reserved field is not zero" if reserved else ""
        fault = fault or _answer_fault(slot, stream, status, count)
        if not fault and at + ANSWER_BYTES + count * EXCEPTION_BYTES > len(view):
            fault = "the data ends too early"
        if fault:
            raise refusals.corrupt("answer", at, fault)
        at += ANSWER_BYTES
        exceptions = _decoded_exceptions(view, at, count)
        at += count * EXCEPTION_BYTES
        producer, producer_seq, value = numbers
        found.append((slot, stream, status, producer, producer_seq, value, exceptions))
    return found


def _answer_fault(slot: int, stream: int, status: int, exception_count: int) -> str:
    if slot >= SLOTS:
        return "the slot is outside 0..31"
    if stream > STREAM_INBOUND:
        return "the stream is unknown"
    if status > STATUS_MAX:
        return "the answer's status is unknown"
    if exception_count > BATCH_RECORDS_MAX:
        return "the record count is impossible"
    return ""


def _is_possible(index: int, kind: int) -> bool:
    return index < BATCH_RECORDS_MAX and kind in {EXCEPTION_DUPLICATE, EXCEPTION_CONFLICT}


def _encoded_exception(exception: AnswerException) -> bytes:
    index, kind, seq = exception
    index, kind, seq = unsigned(index, 32), unsigned(kind, 32), unsigned(seq, 64)
    if not _is_possible(index, kind):
        raise ValueError("an answer cannot be encoded because an answer's exception is impossible")
    return EXCEPTION.pack(index, kind, seq)


def _decoded_exceptions(view: bytes, at: int, count: int) -> tuple[AnswerException, ...]:
    found = []
    for place in range(at, at + count * EXCEPTION_BYTES, EXCEPTION_BYTES):
        index, kind, seq = EXCEPTION.unpack_from(view, place)
        if not _is_possible(index, kind):
            raise refusals.corrupt("answer", place, "an answer's exception is impossible")
        found.append((index, kind, seq))
    return tuple(found)
