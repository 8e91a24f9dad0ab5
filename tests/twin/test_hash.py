"""Recipients, slots and shards: against golden vectors, mmh3 and the readable twin."""

import itertools

import mmh3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiconnect import _native as native
from multiconnect.errors import InvalidRecipient, InvalidShards
from tests.twin.twins import (
    STEADY,
    at_the_edge,
    on_both,
    outcome,
    recipients,
    vectors,
)

SHARDS = (1, 2, 4, 8, 16, 32)
NOT_SHARDS = (0, -1, 3, 5, 31, 33, 64, 1 << 80, True, False, 8.0, "8", None, [8], b"8")


@pytest.mark.parametrize("row", vectors("hash"), ids=lambda row: row["note"])
def test_golden_hash(row):
    data = bytes.fromhex(row["data"])
    assert on_both("murmur3_32", data) == ("returned", row["murmur3"])
    assert on_both("crc32c", data) == ("returned", row["crc32c"])
    assert on_both("crc32c", data[3:], native.crc32c(data[:3])) == ("returned", row["crc32c"])


@pytest.mark.parametrize("row", vectors("recipients"), ids=lambda row: ascii(row["text"])[:20])
def test_golden_recipient(row):
    text = row["text"]
    if row["code"]:
        for name in ("canonical", "slot_of"):
            assert on_both(name, text) == ("raised", InvalidRecipient)
        return
    assert on_both("canonical", text) == ("returned", bytes.fromhex(row["canonical"]).decode())
    assert on_both("slot_of", text) == ("returned", row["slot"])
    for shards in SHARDS:
        assert on_both("shard_of", text, shards=shards) == ("returned", row["hash"] % shards)


@STEADY
@given(recipients)
def test_canonical(text):
    kind, value = on_both("canonical", text)
    if kind == "returned":
        assert 1 <= len(value.encode()) <= 255
        assert native.canonical(value) == value, "the canonical form is its own"


@STEADY
@given(recipients, st.sampled_from(SHARDS))
def test_shard_is_mmh3_of_the_canonical_form(text, shards):
    kind, value = on_both("shard_of", text, shards)
    if kind == "returned":
        hashed = mmh3.hash(native.canonical(text), 0, signed=False)
        assert value == hashed % shards == native.slot_of(text) % shards


@STEADY
@given(st.lists(recipients, max_size=20), st.sampled_from(SHARDS), st.sampled_from([list, tuple]))
def test_many_at_once(texts, shards, sequence):
    on_both("slots_of", sequence(texts))
    kind, value = on_both("shards_of", sequence(texts), shards=shards)
    if kind == "returned":
        assert list(value) == [native.shard_of(text, shards) for text in texts]
        assert native.shards_of(iter(texts), shards) == value


@STEADY
@given(st.integers(1, 40), st.integers(0, 60), st.sampled_from(SHARDS), st.randoms())
def test_packed(width, count, shards, random):
    data = random.randbytes(width * count)
    kind, value = on_both("shards_of_packed", data, width, shards)
    assert kind == "returned"
    split = [data[at : at + width] for at in range(0, len(data), width)]
    assert list(value) == [mmh3.hash(item, 0, signed=False) % shards for item in split]


@pytest.mark.parametrize(("width", "count"), [(3, 50), (11, 300), (12, 300), (255, 17)])
def test_packed_reads_no_further_than_its_buffer(width, count):
    data = bytes(i % 251 for i in range(width * count))
    with at_the_edge(data) as view:
        assert native.shards_of_packed(view, width, 32) == native.shards_of_packed(data, width, 32)


@pytest.mark.parametrize("size", [0, 1, 3, 8, 127, 383, 384, 3071, 3072, 4000])
def test_hashes_read_no_further_than_their_buffer(size):
    data = bytes(i % 251 for i in range(size))
    with at_the_edge(data) as view:
        assert native.crc32c(view) == native.crc32c(data)
        assert native.murmur3_32(view) == mmh3.hash(data, 0, signed=False)


@pytest.mark.parametrize("shards", NOT_SHARDS, ids=repr)
def test_wrong_shards(shards):
    for name, first in itertools.product(("shard_of", "shards_of"), ("1", [])):
        assert on_both(name, first, shards) == ("raised", InvalidShards)
    assert on_both("shards_of_packed", b"", 1, shards) == ("raised", InvalidShards)


@pytest.mark.parametrize("value", [None, 1, b"1", ["1"], "", "\ud800", "a\ud800", "x" * 1025])
def test_wrong_recipient(value):
    for name in ("canonical", "slot_of"):
        assert on_both(name, value) == ("raised", InvalidRecipient)
    assert on_both("shards_of", ["1", value], 2) == ("raised", InvalidRecipient)


def test_spaces_count_towards_the_length_that_is_looked_at():
    assert on_both("canonical", " " * 1023 + "1") == ("returned", "1")
    assert on_both("canonical", " " * 1024 + "1") == ("raised", InvalidRecipient)


@pytest.mark.parametrize("value", ["123", b"123", 5, None])
def test_one_value_where_many_are_expected(value):
    assert on_both("slots_of", value) == ("raised", TypeError)


def test_str_subclass_cannot_change_what_is_hashed():
    class Loud(str):
        __slots__ = ()

        def strip(self, *_):
            raise AssertionError("its own methods must not be called")

    for text in (" +1 631 555 0000", "16315550000", " é "):
        assert on_both("canonical", Loud(text)) == ("returned", native.canonical(text))
        assert type(native.canonical(Loud(text))) is str


@pytest.mark.parametrize("width", [0, -1, 256, 5, 1 << 70, 1.5, None])
def test_wrong_width(width):
    assert on_both("shards_of_packed", b"123456789012", width, 8)[0] == "raised"


def test_other_buffers():
    for data in (bytearray(b"123456789"), memoryview(b"123456789"), memoryview(b"x123456789")[1:]):
        assert on_both("crc32c", data) == ("returned", 0xE3069283)
    for wrong in ("text", None, 7, memoryview(b"123456")[::2]):
        assert on_both("crc32c", wrong)[0] == "raised"
    for value in (-1, 1 << 32, "1", 1.0):
        assert on_both("crc32c", b"", value)[0] == "raised"


def test_error_while_iterating_is_passed_on():
    def broken():
        yield "1"
        raise KeyError("from the caller")

    assert outcome(native.shards_of, broken(), 8) == ("raised", KeyError)
