"""Message ids: both implementations make the same ones."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from multiconnect import _native as native
from tests.twin.twins import STEADY, on_both

U32, U64 = st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 64) - 1)
IDS = st.builds(native.encode_id, U32, st.integers(0, 31), U64, st.integers(0, 1))


@STEADY
@given(U32, st.integers(0, 127), U64, st.integers(0, 1))
@example(0, 0, 0, 0)
@example((1 << 32) - 1, 127, (1 << 64) - 1, 1)
def test_one_id(cluster, slot, sequence, stream):
    kind, text = on_both("encode_id", cluster, slot, sequence, stream)
    assert kind == "returned"
    assert text.startswith("gBEG")
    assert len(text) == 24


@pytest.mark.parametrize(
    "arguments",
    [
        *((-1, 0, 0), (1 << 32, 0, 0), (0, 128, 0), (0, -1, 0), (0, 0, -1), (0, 0, 1 << 64)),
        *((0, 0, 0, 2), (0.0, 0, 0), (0, 0.0, 0), (0, 0, "0")),
    ],
)
def test_what_does_not_fit_is_refused(arguments):
    assert on_both("encode_id", *arguments)[0] == "raised"


@st.composite
def stored(draw):
    """Return slots, and for each of them segments as acknowledgements bring them."""
    slots = draw(st.lists(st.sampled_from([0, 3, 31]), max_size=30))
    segments = {}
    for slot in set(slots):
        inner = draw(st.sets(st.integers(1, 12), max_size=4))
        segments[slot] = [(rank, draw(st.integers(0, 1 << 40))) for rank in sorted({0, *inner})]
    return bytes(slots), segments


@STEADY
@given(U32, stored())
def test_the_ids_of_many(cluster, many):
    slots, segments = many
    kind, ids = on_both("encode_ids", cluster, slots, segments)
    assert kind == "returned"
    assert len(ids) == len(slots)
    assert on_both("stored_lines", cluster, slots, segments)[1] == native.id_lines(ids, 0)


def test_slots_without_segments_are_a_mistake():
    assert on_both("encode_ids", 1, b"\x03", {}) == ("raised", KeyError)
    assert on_both("encode_ids", 1, b"\x20", {32: [(0, 1)]}) == ("raised", ValueError)
    assert on_both("stored_lines", 1, b"\x03", {}) == ("raised", KeyError)
    assert on_both("stored_lines", 1, b"\xff", {255: [(0, 1)]}) == ("raised", ValueError)


@STEADY
@given(st.lists(IDS, max_size=5), st.integers(0, 1 << 40))
def test_lines(ids, first):
    kind, lines = on_both("id_lines", ids, first)
    assert kind == "returned"
    assert lines.count(b"\n") == len(ids)


def test_a_line_holds_an_id():
    ids = [native.encode_id(1, 2, 3)]
    assert native.id_lines(ids, 7) == b'{"index":7,"id":"%b"}\n' % ids[0].encode()
    assert on_both("id_lines", ids, -1) == ("raised", ValueError)
    assert on_both("id_lines", ["short"], 0) == ("raised", ValueError)
    assert on_both("id_lines", ["é" * 23], 0) == ("raised", ValueError)
