"""Frames and answers: cut anywhere they are the same, and garbage is refused for good."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiconnect import _native as native
from multiconnect._native import layout, reference
from multiconnect.errors import CorruptData
from tests.twin.twins import (
    STEADY,
    at_the_edge,
    changed,
    changes,
    on_both,
    outcome,
    vectors,
)

CORRUPT = ("raised", CorruptData)
READERS = (native.FrameReader, reference.FrameReader)
FRAMES = [(1, 1, b"hello"), (2, 2**64 - 1, b""), (255, 0, b"x" * 40), (0, 7, b"MC\x01\x00")]
STREAM = b"".join(
    native.frame_header(kind, number, len(body)) + body for kind, number, body in FRAMES
)

small_ids = st.integers(0, 31)
numbers = st.integers(0, (1 << 64) - 1)
exceptions = st.tuples(st.integers(0, 65534), st.sampled_from([1, 2]), numbers)
answers = st.tuples(
    small_ids,
    st.sampled_from([0, 1]),
    st.integers(0, 4),
    numbers,
    numbers,
    numbers,
    st.lists(exceptions, max_size=4).map(tuple),
)


def receive(reader, data):
    """Hand bytes over as an event loop does: into the reader's own buffer."""
    found = []
    while data:
        room = reader.get_buffer(-1)
        size = min(len(room), len(data))
        memoryview(room)[:size] = data[:size]
        found += reader.buffer_updated(size)
        data = data[size:]
    return found


ways = pytest.mark.parametrize("way", [lambda r, d: r.feed(d), receive], ids=["feed", "receive"])
readers = pytest.mark.parametrize("reader", READERS, ids=["native", "reference"])


@pytest.mark.parametrize("row", vectors("frame"), ids=lambda row: str(row["type"]))
def test_golden_frame(row):
    header = bytes.fromhex(row["header"])
    assert on_both("frame_header", row["type"], row["number"], row["payload_len"]) == (
        "returned",
        header,
    )
    if row["payload_len"] < 10:
        body = bytes(row["payload_len"])
        for reader in READERS:
            assert reader().feed(header + body) == [(row["type"], row["number"], body)]


@readers
@ways
def test_stream_cut_in_two_anywhere(reader, way):
    for cut in range(len(STREAM) + 1):
        cutter = reader()
        assert way(cutter, STREAM[:cut]) + way(cutter, STREAM[cut:]) == FRAMES


@readers
@ways
def test_stream_byte_by_byte(reader, way):
    cutter = reader()
    assert [f for i in range(len(STREAM)) for f in way(cutter, STREAM[i : i + 1])] == FRAMES


@STEADY
@given(st.lists(st.integers(1, 60), max_size=20), changes)
def test_damaged_stream_in_pieces(sizes, todo):
    damaged = changed(STREAM, todo)
    edges = [0, *itertools.accumulate(sizes), len(damaged)]
    pieces = [damaged[start:end] for start, end in itertools.pairwise(edges)]
    compiled, readable = native.FrameReader(), reference.FrameReader()
    for piece in pieces:
        with at_the_edge(piece) as view:
            assert outcome(compiled.feed, view) == outcome(readable.feed, view)


@STEADY
@given(st.binary(max_size=100))
def test_garbage(data):
    with at_the_edge(data) as view:
        assert outcome(native.FrameReader().feed, view) == outcome(
            reference.FrameReader().feed, view
        )
        on_both("decode_answers", view)


@readers
@pytest.mark.parametrize(
    ("position", "value"), [(0, 0), (1, 0), (2, 2), (7, 2)], ids=["M", "C", "version", "length"]
)
def test_broken_reader_stays_broken(reader, position, value):
    header = changed(native.frame_header(1, 2, layout.FRAME_BYTES_MAX), [(position, value)])
    cutter = reader()
    assert cutter.feed(STREAM) == FRAMES
    with pytest.raises(CorruptData, match=f"corrupt frame at byte {len(STREAM)}: "):
        cutter.feed(header)
    for call in (lambda: cutter.get_buffer(-1), lambda: cutter.buffer_updated(0)):
        assert outcome(call) == CORRUPT
    assert outcome(cutter.feed, STREAM) == CORRUPT


@readers
@ways
@pytest.mark.parametrize(
    "size", [63 * 1024, 65_520, 65_521, 256 * 1024, 700_000, layout.FRAME_BYTES_MAX]
)
def test_large_frames(reader, way, size):
    if reader is reference.FrameReader:
        size = min(size, 700_000)
    body = (bytes(range(256)) * (size // 256 + 1))[:size]
    large = native.frame_header(9, 10, len(body)) + body
    cutter = reader()
    assert way(cutter, STREAM + large + STREAM) == [*FRAMES, (9, 10, body), *FRAMES]
    assert way(cutter, large) == [(9, 10, body)]


@readers
@pytest.mark.parametrize("nbytes", [-1, 1 << 40, 1 << 70, "1", None], ids=repr)
def test_wrong_number_of_bytes(reader, nbytes):
    cutter = reader()
    cutter.get_buffer(-1)
    assert outcome(cutter.buffer_updated, nbytes)[0] == "raised"
    assert cutter.feed(STREAM) == FRAMES, "a wrong call changes nothing"


@pytest.mark.parametrize(
    "args",
    [
        *[(256, 0, 0), (-1, 0, 0), (None, 0, 0)],
        *[(0, -1, 0), (0, 1 << 64, 0), (0, "1", 0)],
        *[(0, 0, -1), (0, 0, (16 << 20) + 1), (0, 0, 1.0)],
    ],
    ids=repr,
)
def test_wrong_frame_header(args):
    assert on_both("frame_header", *args)[0] == "raised"


@pytest.mark.parametrize("row", vectors("answers"), ids=lambda row: row["note"])
def test_golden_answer(row):
    entry = (
        *(row[name] for name in ("slot", "stream", "status", "producer", "producer_seq", "value")),
        tuple(map(tuple, row["exceptions"])),
    )
    data = bytes.fromhex(row["answer"])
    assert on_both("encode_answers", [entry]) == ("returned", data)
    assert on_both("decode_answers", data) == ("returned", [entry])


@STEADY
@given(st.lists(answers, max_size=5), changes)
def test_answers_there_and_back(entries, todo):
    kind, data = on_both("encode_answers", entries)
    assert kind == "returned"
    assert on_both("decode_answers", data) == ("returned", entries)
    for size in range(len(data)):
        with at_the_edge(data[:size]) as view:
            on_both("decode_answers", view)
    if data:
        with at_the_edge(changed(data, todo)) as view:
            on_both("decode_answers", view)


def test_answer_cut_short_is_refused():
    data = native.encode_answers([(1, 0, 0, 5, 6, 7, [(0, 1, 2), (3, 2, 4)])])
    for size in range(1, len(data)):
        assert on_both("decode_answers", data[:size]) == CORRUPT


@pytest.mark.parametrize(
    "entry",
    [
        (32, 0, 0, 1, 1, 1, ()),
        (256, 0, 0, 1, 1, 1, ()),
        (0, 2, 0, 1, 1, 1, ()),
        (0, 0, 5, 1, 1, 1, ()),
        (0, 0, 256, 1, 1, 1, ()),
        (-1, 0, 0, 1, 1, 1, ()),
        (0, 0, 0, 1 << 64, 1, 1, ()),
        (0, 0, 0, 1, -1, 1, ()),
        (0, 0, 0, 1, 1, "1", ()),
        (0, 0, 0, 1, 1, 1, ((0, 0, 0),)),
        (0, 0, 0, 1, 1, 1, ((0, 3, 0),)),
        (0, 0, 0, 1, 1, 1, ((65535, 1, 0),)),
        (0, 0, 0, 1, 1, 1, ((1 << 32, 1, 0),)),
        (0, 0, 0, 1, 1, 1, ((0, 1, -1),)),
        (0, 0, 0, 1, 1, 1, ((0, 1),)),
        (0, 0, 0, 1, 1, 1, None),
        (0, 0, 0, 1, 1, 1),
        None,
    ],
    ids=repr,
)
def test_wrong_answer(entry):
    assert on_both("encode_answers", [entry])[0] == "raised"


def test_too_many_exceptions():
    entry = (0, 0, 0, 1, 1, 1, ((0, 1, 0),) * 65536)
    assert on_both("encode_answers", [entry]) == ("raised", ValueError)
