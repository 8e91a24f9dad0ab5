"""The answers an owner keeps for one producer, as the bytes that stores keep them in.

Little-endian u64s: per answer its producer sequence, base sequence and number of exceptions, then
three numbers per exception.
"""

from __future__ import annotations

import struct

from multiconnect.errors import CorruptData
from multiconnect.model.log import Answer, AnswerException


def encode_answers(answers: tuple[Answer, ...]) -> bytes:
    """Return the answers as bytes."""
    numbers: list[int] = []
    for answer in answers:
        numbers += (answer.producer_seq, answer.base_seq, len(answer.exceptions))
        for exception in answer.exceptions:
            numbers += exception
    return struct.pack(f"<{len(numbers)}Q", *numbers)


def decode_answers(data: bytes) -> tuple[Answer, ...]:
    """Return the answers in `data`; raise CorruptData if it is not what `encode_answers` makes."""
    if len(data) % 8:
        raise CorruptData(f"answers of {len(data)} bytes are not whole numbers")
    numbers = struct.unpack(f"<{len(data) // 8}Q", data)
    answers = []
    at = 0
    while at < len(numbers):
        end = at + 3
        if end > len(numbers) or (end := end + 3 * numbers[at + 2]) > len(numbers):
            raise CorruptData(f"answers end in the middle, after {len(numbers)} numbers")
        exceptions: tuple[AnswerException, ...] = tuple(
            (numbers[i], numbers[i + 1], numbers[i + 2]) for i in range(at + 3, end, 3)
        )
        answers.append(Answer(numbers[at], numbers[at + 1], exceptions))
        at = end
    return tuple(answers)
