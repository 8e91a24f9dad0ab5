"""Attributes of a record: they survive the road, and garbage from a peer is CorruptData."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multiconnect._native import layout
from multiconnect.errors import CorruptData, InvalidPayload
from multiconnect.limits import ACCOUNT_BYTES_MAX, IDEMPOTENCY_KEY_BYTES_MAX
from multiconnect.model.attributes import Attributes, decode_attributes

SHORT = st.text(st.characters(codec="utf-8"), max_size=60)
ATTRIBUTES = st.builds(
    Attributes, account=SHORT, idempotency_key=SHORT, expires_at_ms=st.integers(0, (1 << 63) - 1)
)


@settings(derandomize=True)
@given(ATTRIBUTES)
def test_what_is_written_is_read(attributes):
    assert decode_attributes(attributes.encode()) == attributes


def test_none_is_the_empty_string():
    assert Attributes().encode() == b""
    assert decode_attributes(b"") == Attributes()


@settings(derandomize=True, max_examples=300)
@given(st.binary(max_size=40))
def test_garbage_is_corrupt_or_harmless(data):
    try:
        found = decode_attributes(data)
    except CorruptData:
        return
    # What could be read can be written again: nothing impossible got in.
    decode_attributes(struct.pack("<BH", 77, 2) + b"xx" + data)
    assert isinstance(found, Attributes)


@settings(derandomize=True, max_examples=200)
@given(ATTRIBUTES, st.data())
def test_damaged_attributes_never_raise_anything_else(attributes, data):
    raw = attributes.encode()
    if not raw:
        return
    at = data.draw(st.integers(0, len(raw) - 1))
    cut = data.draw(st.integers(0, len(raw)))
    damaged = (raw[:at] + bytes([raw[at] ^ data.draw(st.integers(1, 255))]) + raw[at + 1 :])[:cut]
    try:
        decode_attributes(damaged)
    except CorruptData:
        pass


def test_tags_of_a_later_version_are_passed_over():
    known = Attributes("acme", "k1", 5).encode()
    assert decode_attributes(known + struct.pack("<BH", 200, 3) + b"abc") == Attributes(
        "acme", "k1", 5
    )


@pytest.mark.parametrize(
    "attributes",
    [
        Attributes(account="x" * (ACCOUNT_BYTES_MAX + 1)),
        Attributes(account="x" * 70_000),
        Attributes(idempotency_key="é" * (IDEMPOTENCY_KEY_BYTES_MAX // 2 + 1)),
        Attributes(account="\ud800"),
        Attributes(idempotency_key="\ud800"),
        Attributes(idempotency_key=7),  # type: ignore[arg-type]
        Attributes(expires_at_ms=-1),
        Attributes(expires_at_ms=1 << 64),
        Attributes(expires_at_ms=1.5),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_written_is_an_invalid_payload(attributes):
    with pytest.raises(InvalidPayload):
        attributes.encode()


def test_the_largest_attributes_fit_a_record():
    largest = Attributes("a" * ACCOUNT_BYTES_MAX, "k" * IDEMPOTENCY_KEY_BYTES_MAX, (1 << 63) - 1)
    assert len(largest.encode()) <= layout.ATTRIBUTES_BYTES_MAX
