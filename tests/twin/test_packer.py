"""Packing: both implementations do the same steps and must be in the same state after each."""

import struct
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiconnect import _native as native
from multiconnect._native import layout, reference
from multiconnect.errors import InvalidPayload, InvalidRecipient
from tests.twin.twins import STEADY, dumps, outcome, payloads, recipients, vectors

slots = st.integers(0, 31)
attributes = st.binary(max_size=20)
kinds = st.integers(0, 255)
steps = st.one_of(
    st.tuples(st.just("append"), recipients, payloads, attributes, kinds, st.booleans()),
    st.tuples(st.just("append_at"), slots, recipients, payloads, attributes, kinds, st.booleans()),
    st.tuples(
        st.just("extend"),
        st.lists(st.tuples(st.one_of(st.just("1"), recipients), payloads), max_size=8),
        attributes,
        kinds,
    ),
    st.tuples(st.just("take"), slots, *[st.integers(0, (1 << 64) - 1)] * 3),
)


class Twins:
    """A packer of each kind, driven together."""

    def __init__(self, stream=0):
        self.packers = (native.Packer(stream, dumps), reference.Packer(stream, dumps))

    def do(self, name, *args, **kwargs):
        compiled, readable = (
            outcome(getattr(packer, name), *args, **kwargs) for packer in self.packers
        )
        assert compiled == readable, f"{name}{args}"
        assert self.states()[0] == self.states()[1]
        return compiled

    def states(self):
        return [
            (p.pending, p.pending_bytes, [p.appended(slot) for slot in range(32)])
            for p in self.packers
        ]

    def drain(self):
        taken = []
        for slot in range(32):
            while (batch := self.do("take", slot, 1, 2, 3)[1]) is not None:
                taken.append(batch)
        assert self.states()[0][:2] == (0, 0)
        return taken


@STEADY
@given(st.lists(steps, max_size=12), st.sampled_from([0, 1]))
def test_same_steps_same_state(todo, stream):
    twins = Twins(stream)
    for name, *args in todo:
        twins.do(name, *args)
    for batch in twins.drain():
        [(header, body)] = native.split_batches(batch)
        assert body == batch
        assert header.stream == stream


@pytest.mark.parametrize("row", vectors("batch"), ids=lambda row: row["note"])
def test_golden_batch(row):
    twins = Twins(row["stream"])
    for kind, recipient, extra, payload in row["records"]:
        message = bytes.fromhex(payload), bytes.fromhex(extra), kind, bool(row["flags"])
        twins.do("append_at", row["slot"], recipient, *message)
    origin = row["producer"], row["producer_seq"], row["created_ms"]
    assert twins.do("take", row["slot"], *origin) == ("returned", bytes.fromhex(row["batch"]))


def test_payloads_of_every_kind():
    twins = Twins()
    content = b'{"a": 1}'
    forms = (content, bytearray(content), memoryview(content), array("B", content), {"a": 1})
    for payload in (*forms, memoryview(b"ab" * 8)[::2], "text", None, 5):
        assert twins.do("append", "16315550000", payload)[0] == "returned"
        assert twins.do("extend", [("16315550000", payload)])[0] == "returned"
    found = [record[3] for batch in twins.drain() for record in native.records(batch)]
    assert found[: 2 * len(forms)] == [content] * (2 * len(forms))


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"x" * layout.PAYLOAD_BYTES_MAX, None),
        (b"x" * (layout.PAYLOAD_BYTES_MAX + 1), InvalidPayload),
        ("x" * layout.PAYLOAD_BYTES_MAX, InvalidPayload),
        ({1, 2}, InvalidPayload),
        (object(), InvalidPayload),
    ],
    ids=["largest", "too large", "too large encoded", "not JSON", "an object"],
)
def test_payload_limits(payload, expected):
    twins = Twins()
    for name, *args in (("append", "1"), ("append_at", 3, "1")):
        kind, value = twins.do(name, *args, payload)
        assert (value if kind == "raised" else None) is expected
    kind, value = twins.do("extend", [("1", b"sound"), ("2", payload)])
    assert (value if kind == "raised" else None) is expected
    if expected:
        assert twins.states()[0] == (0, 0, [0] * 32), "nothing was appended"
    twins.drain()


@pytest.mark.parametrize(
    "change",
    [
        {"attributes": b"x" * 2049},
        {"attributes": "text"},
        {"attributes": None},
        {"kind": 256},
        {"kind": -1},
        {"kind": "a"},
        {"kind": 1 << 70},
    ],
    ids=repr,
)
def test_wrong_options(change):
    twins = Twins()
    assert twins.do("append", "1", b"x", **change)[0] == "raised"
    assert twins.do("append_at", 1, "1", b"x", **change)[0] == "raised"
    assert twins.do("extend", [("1", b"x")], **change)[0] == "raised"
    assert twins.states()[0] == (0, 0, [0] * 32)


@pytest.mark.parametrize("slot", [-1, 32, 1 << 70, None, "1", 1.0], ids=repr)
def test_wrong_slot(slot):
    twins = Twins()
    assert twins.do("append_at", slot, "1", b"x")[0] == "raised"
    assert twins.do("take", slot, 1, 2, 3)[0] == "raised"
    assert twins.do("appended", slot)[0] == "raised"


@pytest.mark.parametrize("number", [-1, 1 << 64, None, "1", 1.5], ids=repr)
def test_wrong_origin(number):
    twins = Twins()
    twins.do("append_at", 1, "1", b"x")
    for origin in ((number, 0, 0), (0, number, 0), (0, 0, number)):
        assert twins.do("take", 1, *origin)[0] == "raised"
    assert twins.do("take", 1, 0, 0, 0)[1] is not None, "a refused take takes nothing"


@pytest.mark.parametrize("stream", [-1, 2, None, "0"], ids=repr)
def test_wrong_stream(stream):
    expected = outcome(reference.Packer, stream, dumps)
    assert expected[0] == "raised"
    assert outcome(native.Packer, stream, dumps) == expected


@pytest.mark.parametrize(
    "item",
    [5, None, "12", ["1", b"x"], ("1",), ("1", b"x", 3), ("", b"x"), (5, b"x"), ("1", {1})],
    ids=repr,
)
def test_one_bad_item_refuses_all(item):
    twins = Twins()
    twins.do("append", "1", b"before")
    before = twins.states()[0]
    kind, error = twins.do("extend", [("2", b"x"), ("+3", {"a": 1}), item, ("4", b"y")])
    assert kind == "raised"
    assert error in {InvalidPayload, InvalidRecipient}
    assert twins.states()[0] == before
    for packer in twins.packers:
        with pytest.raises(error, match=r"^item 2: "):
            packer.extend([("2", b"x"), ("+3", {"a": 1}), item, ("4", b"y")])


@pytest.mark.parametrize("items", [5, None], ids=repr)
def test_extend_with_no_iterable(items):
    assert Twins().do("extend", items) == ("raised", TypeError)


def test_extend_takes_any_iterable():
    twins = Twins()
    items = [("1", b"x"), ("16315550000", b"y")]
    for form in (items, tuple(items), dict(items).items()):
        assert twins.do("extend", form) == ("returned", native.slots_of(["1", "16315550000"]))
    for packer in twins.packers:
        assert packer.extend(item for item in items) == native.slots_of(["1", "16315550000"])
        assert packer.extend([]) == b""


BODY = b"16315550000 12 " + b"7" * 300 + b" x"
places = st.one_of(st.integers(0, len(BODY) + 2), st.integers(0, (1 << 32) - 1))
sizes = st.one_of(st.sampled_from([0, 1, 2, 8, 11, 16, 255, 256]), st.integers(0, (1 << 32) - 1))
good_cuts = st.tuples(
    *(st.just(0), st.sampled_from([1, 7, 8, 11]), st.integers(0, 100), st.integers(0, 200))
)
any_cuts = st.tuples(st.sampled_from([0, 11, 12, 15, 300]), sizes, places, sizes)


def cuts_of(*cuts):
    return b"".join(struct.pack("=4I", *cut) for cut in cuts)


@STEADY
@given(st.lists(st.one_of(good_cuts, good_cuts, any_cuts), max_size=4), st.sampled_from([0, 0, 5]))
def test_cuts_are_packed_like_pairs_or_refused_as_a_whole(cuts, torn):
    twins, pairs = Twins(), Twins()
    kind, packed = twins.do("extend_cuts", BODY, cuts_of(*cuts) + b"x" * torn, b"attr", 3)
    if kind == "raised":
        assert (packed, twins.states()[0]) == (ValueError, (0, 0, [0] * 32))
        return
    items = [
        (BODY[at : at + size].decode(), BODY[start : start + length])
        for at, size, start, length in cuts
    ]
    assert pairs.do("extend", items, b"attr", 3) == (kind, packed)
    assert pairs.drain() == twins.drain()


@pytest.mark.parametrize(
    ("cut", "fits"),
    [
        *(((0, 11, 0, 315), True), ((12, 2, 317, 0), True), ((15, 255, 0, 1), True)),
        *(((15, 256, 0, 1), False), ((11, 2, 0, 1), False), ((12, 3, 0, 1), False)),
        *(((0, 0, 0, 1), False), ((0, 11, 317, 1), False), ((317, 1, 0, 1), False)),
        *(((0, 11, (1 << 32) - 1, 5), False), (((1 << 32) - 1, 11, 0, 1), False)),
    ],
)
def test_cuts_that_do_not_fit_are_refused(cut, fits):
    twins = Twins()
    assert (twins.do("extend_cuts", BODY, cuts_of(cut))[0] == "returned") == fits
    assert twins.do("extend_cuts", BODY, cuts_of((0, 11, 0, 1), cut))[0] == (
        "returned" if fits else "raised"
    )


def test_a_payload_that_is_too_large_is_no_cut():
    body = b"1" * (layout.PAYLOAD_BYTES_MAX + 1)
    for size in (layout.PAYLOAD_BYTES_MAX, layout.PAYLOAD_BYTES_MAX + 1):
        found = Twins().do("extend_cuts", body, cuts_of((0, 5, 0, size)))
        assert found[0] == ("returned" if size <= layout.PAYLOAD_BYTES_MAX else "raised")


@pytest.mark.parametrize("change", [{"attributes": b"x" * 2049}, {"kind": 256}], ids=repr)
def test_wrong_options_for_cuts(change):
    assert Twins().do("extend_cuts", BODY, cuts_of((0, 11, 0, 1)), **change)[0] == "raised"


def test_full_batch_is_closed_and_the_next_opened():
    twins = Twins()
    payload = b"x" * 100_000
    for _ in range(25):
        twins.do("append_at", 4, "1", payload)
    counts = [native.read_header(batch).count for batch in twins.drain()]
    assert counts == [10, 10, 5]


def test_batch_filled_to_the_last_byte():
    twins = Twins()
    largest = layout.PAYLOAD_BYTES_MAX
    for _ in range(3):
        twins.do("append_at", 4, "1", b"x" * largest)
    rest = layout.BATCH_BYTES_MAX - 3 * (9 + largest)
    twins.do("append_at", 4, "1", b"x" * (rest - 9))
    twins.do("append_at", 4, "1", b"")
    sizes = [native.read_header(batch).body_len for batch in twins.drain()]
    assert sizes == [layout.BATCH_BYTES_MAX, 9]


def test_batch_of_the_most_records():
    twins = Twins()
    twins.do("extend", [("1", b"")] * (layout.BATCH_RECORDS_MAX + 5))
    counts = [native.read_header(batch).count for batch in twins.drain()]
    assert counts == [layout.BATCH_RECORDS_MAX, 5]


def test_keyed_flag_belongs_to_the_batch():
    twins = Twins()
    flags = []
    for keyed in (False, True, False):
        twins.do("append_at", 1, "1", b"x")
        twins.do("append_at", 1, "1", b"x", b"", 0, keyed)
        flags += [native.read_header(batch).flags for batch in twins.drain()]
    assert flags == [0, layout.FLAG_KEYED, 0]


@pytest.mark.parametrize("returned", ["text", None, bytearray(b"x"), 5])
def test_encoder_must_return_bytes(returned):
    for make in (native.Packer, reference.Packer):
        packer = make(0, lambda _: returned)
        assert outcome(packer.append, "1", {}) == ("raised", InvalidPayload)
        assert outcome(packer.extend, [("1", {})]) == ("raised", InvalidPayload)


def test_error_of_the_encoder_is_kept_as_the_cause():
    for make in (native.Packer, reference.Packer):
        packer = make(0, dumps)
        with pytest.raises(InvalidPayload) as caught:
            packer.append("1", {1, 2})
        assert isinstance(caught.value.__cause__, TypeError)


def test_encoder_may_use_the_packer():
    """It runs before anything is touched, so what it appends comes first and nothing breaks."""
    assert nested_use(native.Packer) == nested_use(reference.Packer)


def nested_use(make):
    items = [("1", {}), ("16315550000", b"direct")]

    def nested(_):
        packer.append_at(7, "2", b"from the encoder")
        items.clear()
        return b"encoded"

    packer = make(0, nested)
    slots = packer.extend(items)
    packer.append_at(7, "3", {})
    return slots, [packer.take(slot, 1, 2, 3) for slot in range(32)]
