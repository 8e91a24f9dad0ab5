"""A refusal says what was seen, what was expected and what to do."""

from typing import Any, cast

import pytest

from multiconnect import _native
from multiconnect._native import refusals
from multiconnect.errors import CorruptData, InvalidPayload, InvalidRecipient, InvalidShards


def message(error, call, *args):
    with pytest.raises(error) as caught:
        call(*args)
    assert isinstance(caught.value, ValueError)
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "it is empty"),
        (" \t", "it is empty"),
        ("a\0b", "it contains a control character"),
        ("x" * 256, "it is too long"),
        ("x" * 1025, "it has 1025 characters, more than 1024"),
        ("\ud800", "it cannot be encoded to UTF-8"),
        (b"1", "it is of type bytes, not str"),
        (None, "it is of type NoneType, not str"),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_recipient(value, reason):
    text = message(InvalidRecipient, _native.slot_of, value)
    assert reason in text
    assert refusals.shortened(value) in text
    assert "expected text of 1 to 255 bytes" in text
    assert "correct the recipient" in text


@pytest.mark.parametrize(
    "value",
    ["x" * 500, "\n" * 39, b"y" * 500, 10**100, 10**5000, list(range(100)), object()],
    ids=["text", "escapes", "bytes", "number", "number without repr", "list", "object"],
)
def test_value_is_shortened(value):
    assert 1 <= len(refusals.shortened(value)) <= 40


def test_short_value_is_whole():
    assert [refusals.shortened(value) for value in ("a b", b"a", 5, None)] == [
        "'a b'",
        "b'a'",
        "5",
        "None",
    ]


def test_value_whose_repr_fails():
    class Broken:
        def __repr__(self):
            raise RuntimeError("no repr")

    assert "InvalidRecipient" in type(refusals.recipient_type(Broken())).__name__


def test_shards():
    text = message(InvalidShards, _native.shard_of, "1", 5)
    assert "shards=5" in text
    assert "1, 2, 4, 8, 16 or 32" in text


def test_shards_without_a_repr():
    assert "shards=<int> is refused" in message(InvalidShards, _native.shard_of, "1", 10**5000)


def test_packed_width():
    text = message(InvalidRecipient, _native.shards_of_packed, b"12345", 2, 8)
    assert "5 bytes cannot hold recipients of width 2" in text


def test_sizes():
    packer = _native.Packer(0, bytes)
    assert "262145 bytes is larger than the limit of 262144" in message(
        InvalidPayload, packer.append, "1", b"x" * 262145
    )
    assert "2049 bytes are larger than the limit of 2048" in message(
        InvalidPayload, packer.append, "1", b"", b"x" * 2049
    )


def test_encoder():
    def fails(_):
        raise KeyError("inner reason")

    assert "type set could not be encoded (KeyError: 'inner reason')" in message(
        InvalidPayload, _native.Packer(0, fails).append, "1", {1}
    )
    assert "returned '{}' of type str, not bytes" in message(
        InvalidPayload, _native.Packer(0, cast(Any, repr)).append, "1", {}
    )


def test_item_of_many():
    packer = _native.Packer(0, bytes)
    text = message(InvalidPayload, packer.extend, [("1", b"x"), ("2", b"x" * 262145)])
    assert text.startswith("item 1: payload of 262145 bytes")
    assert message(InvalidPayload, packer.extend, ["12"]).startswith("item 0: expected a tuple")


def test_range():
    packer = _native.Packer(0, bytes)
    assert message(ValueError, packer.appended, 32) == (
        "slot=32 is refused: pass an integer from 0 to 31"
    )


def test_corrupt():
    text = message(CorruptData, _native.split_batches, b"x" * 100)
    assert text.startswith("corrupt batch at byte 0: the magic number is wrong")
    assert "get it from its source again" in text
