"""Reading batches: sound ones completely, damaged ones never, and nothing beyond their end."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiconnect import _native as native
from multiconnect._native import layout, reference
from multiconnect.errors import CorruptData
from tests.twin.twins import (
    STEADY,
    at_the_edge,
    batch_of,
    changed,
    changes,
    on_both,
    outcome,
    vectors,
)

CORRUPT = ("raised", CorruptData)
BATCH = batch_of(("16315550000", b"one"), ("é", b""), ("US.1", b"three" * 9), attributes=b"abc")


def resealed(batch):
    """Return the batch with a checksum that fits, so that what lies behind it is looked at."""
    head, body = batch[: layout.BATCH_CRC_AT], batch[layout.BATCH_HEADER_BYTES :]
    return head + native.crc32c(head + body).to_bytes(4, "little") + body


@pytest.mark.parametrize("row", vectors("batch"), ids=lambda row: row["note"])
def test_golden_batch(row):
    batch = bytes.fromhex(row["batch"])
    kind, header = on_both("read_header", batch)
    assert kind == "returned"
    assert header._asdict() == {
        "body_len": len(batch) - 48,
        **{name: row[name] for name in header._fields if name != "body_len"},
    }
    assert header.size == len(batch)
    assert on_both("split_batches", batch) == ("returned", [(header, batch)])
    expected = [
        (index, kind, recipient, bytes.fromhex(payload), bytes.fromhex(attributes))
        for index, (kind, recipient, attributes, payload) in enumerate(row["records"])
    ]
    assert on_both("records", batch) == ("returned", expected)


@pytest.mark.parametrize("position", range(len(BATCH)))
def test_one_wrong_byte_anywhere_is_refused(position):
    for difference in (0x01, 0x80, 0xFF):
        damaged = changed(BATCH, [(position, BATCH[position] ^ difference)])
        assert outcome(native.split_batches, damaged) == CORRUPT
        assert outcome(native.split_batches, BATCH + damaged) == CORRUPT


@pytest.mark.parametrize("size", range(1, len(BATCH)))
def test_batch_cut_anywhere_is_refused(size):
    with at_the_edge(BATCH[:size]) as view:
        assert on_both("split_batches", view) == CORRUPT
        assert on_both("records", view) == CORRUPT
    assert on_both("split_batches", BATCH + BATCH[:size]) == CORRUPT


@STEADY
@given(changes)
def test_damage_behind_a_sound_checksum(todo):
    damaged = resealed(changed(BATCH, todo))
    with at_the_edge(damaged) as view:
        kind = on_both("split_batches", view)[0]  # what it returned would keep the view alive
        on_both("records", view)
        on_both("records", view, 1, 1)
        if kind == "returned":
            assert on_both("records", view)[0] == "returned", "what was accepted can be read"


@STEADY
@given(st.binary(max_size=200), st.integers(-5, 210))
def test_garbage(data, offset):
    with at_the_edge(data) as view:
        on_both("read_header", view, offset)
        on_both("split_batches", view)
        on_both("records", view)


@STEADY
@given(st.integers(0, 6), st.integers(-2, 6))
def test_part_of_the_records(first, limit):
    kind, found = on_both("records", BATCH, first, limit)
    assert kind == "returned"
    assert found == native.records(BATCH)[first:][: limit if limit >= 0 else None]


@pytest.mark.parametrize("first", [-1, 1 << 70, "0", None], ids=repr)
def test_wrong_first(first):
    assert on_both("records", BATCH, first)[0] == "raised"


def test_bytes_after_a_batch():
    assert on_both("records", BATCH + b"\0") == CORRUPT
    assert on_both("split_batches", BATCH + b"\0") == CORRUPT
    assert on_both("split_batches", b"") == ("returned", [])


def test_many_batches_with_offsets():
    other = batch_of(("1", b"x"), slot=3)
    header, second = native.read_header(BATCH), native.read_header(other)
    joined = BATCH + other + BATCH
    assert on_both("split_batches", joined) == (
        "returned",
        [(header, BATCH), (second, other), (header, BATCH)],
    )
    assert on_both("read_header", joined, len(BATCH)) == ("returned", second)
    assert on_both("read_header", joined, len(joined)) == CORRUPT


def test_refusal_names_the_place():
    damaged = BATCH + changed(BATCH, [(60, 0xEE)])
    with pytest.raises(CorruptData, match=f"corrupt batch at byte {len(BATCH)}: the checksum"):
        native.split_batches(damaged)
    record_at = layout.BATCH_HEADER_BYTES + layout.RECORD_RECIPIENT_LEN_AT
    with pytest.raises(CorruptData, match="at byte 48: a record's recipient"):
        native.split_batches(resealed(changed(BATCH, [(record_at, 0)])))


def test_header_is_a_named_tuple():
    header = native.read_header(BATCH)
    assert isinstance(header, native.BatchHeader)
    assert header == reference.read_header(BATCH)
    assert header._replace(slot=3).slot == 3


@pytest.mark.parametrize("wrong", ["text", None, 5, memoryview(BATCH)[::2]], ids=repr)
def test_no_buffer(wrong):
    for name in ("read_header", "split_batches", "records", "ranks", "slot_counts"):
        assert on_both(name, wrong)[0] == "raised"


@STEADY
@given(st.binary(max_size=100))
def test_ranks(slots):
    kind, ranks = on_both("ranks", slots)
    assert kind == "returned"
    assert isinstance(ranks, array)
    assert ranks.typecode == "I"
    assert list(ranks) == [slots[:i].count(slot) for i, slot in enumerate(slots)]


@STEADY
@given(st.binary(max_size=100))
def test_slot_counts(slots):
    found = on_both("slot_counts", slots)
    assert found == ("returned", [(slot, slots.count(slot)) for slot in sorted(set(slots))])
