"""What a packer owns: nothing leaks, nothing is shared, and running out of memory loses nothing."""

import gc
import sys
import tracemalloc

import pytest

from multiconnect import _native

# CPython's own means to let an allocation fail; it has no stubs.
_testcapi = pytest.importorskip(
    "_testcapi", reason="this Python was built without its test modules"
)

SMALLEST_OBJECT = sys.getsizeof(object())
MESSAGES = [(f"{index:011d}", bytes([index % 251]) * 200) for index in range(1000)]


def drain(packer):
    taken = []
    for slot in range(32):
        while (batch := packer.take(slot, 1, 2, 3)) is not None:
            taken.append(batch)
    return taken


def state(packer):
    return packer.pending, packer.pending_bytes, [packer.appended(slot) for slot in range(32)]


def is_refused(call, value):
    """Tell whether a call raises; pytest.raises() leaves cycles that would be counted here."""
    try:
        call(value)
    except ValueError:
        return True
    return False


def leaked_bytes(work):
    """Return by how much the memory in use grows with each further round of some work."""
    used = []
    gc.collect()
    tracemalloc.start()
    try:
        for rounds in (300, 200):
            for _ in range(rounds):
                work()
            gc.collect()
            used.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    return (used[1] - used[0]) / 200


def test_packing_leaks_nothing():
    def work():
        packer = _native.Packer(0, bytes)
        packer.extend(MESSAGES[:100])
        packer.append(" +1 2", b"x")
        for bad in ([("1", b"x"), ("", b"y")], [("1", object())], [("1", b"x" * 300_000)]):
            assert is_refused(packer.extend, bad)
        packer.append_at(1, "1", b"x" * 10_000)
        packer.take(1, 1, 2, 3)

    assert leaked_bytes(work) < SMALLEST_OBJECT


def test_reading_leaks_nothing():
    packer = _native.Packer(0, bytes)
    packer.extend(MESSAGES)
    joined = b"".join(drain(packer))
    batch = _native.split_batches(joined)[0][1]
    answers = _native.encode_answers([(1, 0, 0, 5, 6, 7, ((1, 1, 1),))] * 10)

    def work():
        _native.split_batches(joined)
        _native.records(batch)
        _native.read_header(batch)
        _native.decode_answers(answers)
        for call in (_native.split_batches, _native.records, _native.decode_answers):
            assert is_refused(call, batch[:-1])

    assert leaked_bytes(work) < SMALLEST_OBJECT


def test_references_are_given_back():
    recipient, payload = "16315550000", b"a payload of its own"
    items = [(recipient, payload)]
    counts = [sys.getrefcount(value) for value in (recipient, payload, items, items[0])]
    packer = _native.Packer(0, bytes)
    for _ in range(100):
        packer.extend(items)
        packer.append(recipient, payload)
        drain(packer)
        with pytest.raises(ValueError, match="item 1"):
            packer.extend([*items, ("", b"")])
    assert counts == [sys.getrefcount(value) for value in (recipient, payload, items, items[0])]


def test_taken_batches_are_nobody_elses():
    packer = _native.Packer(0, bytes)
    kept = []
    for size in (1, 100, 3000, 5000, 40_000, 200_000):
        for letter in b"ab":
            packer.append_at(5, "1", bytes([letter]) * size)
            batch = packer.take(5, 1, 2, 3)
            assert batch is not None
            assert sys.getrefcount(batch) == 2
            kept.append((batch, bytes(batch), hash(batch)))
    for batch, copy, hashed in kept:
        assert batch == copy
        assert hash(batch) == hash(copy) == hashed


def test_batches_are_as_large_as_they_say():
    packer = _native.Packer(0, bytes)
    for size in (0, 10, 1000, 3000, 4000, 5000, 70_000, 260_000):
        for repeat in (1, 3):
            for _ in range(repeat):
                packer.append_at(5, "1", b"x" * size)
            [batch] = drain(packer)
            assert sys.getsizeof(batch) == sys.getsizeof(b"") + 48 + repeat * (9 + size)


def out_of_memory_at(allocation, work):
    """Let exactly one allocation of `work` fail; True if it did."""
    _testcapi.set_nomemory(allocation, allocation + 1)
    try:
        work()
    except MemoryError:
        return True
    finally:
        _testcapi.remove_mem_hooks()
    return False


@pytest.mark.parametrize("waiting", [0, 900], ids=["empty", "half full"])
def test_no_memory_appends_nothing_at_all(waiting):
    """Whichever allocation fails, extend() puts back every slot it had already touched."""
    packer = _native.Packer(0, bytes)
    packer.extend(MESSAGES[:waiting])
    packer.extend([("1", b"x" * 200_000)] * 4)
    before = state(packer)
    many = MESSAGES + [("1", b"y" * 250_000)] * 3

    failures = 0
    while out_of_memory_at(failures, lambda: packer.extend(many)):
        assert state(packer) == before
        failures += 1
        assert failures < 2000, "it never succeeds"

    assert failures > 10, "slots need memory of their own"
    found = [(r[2], r[3]) for batch in drain(packer) for r in _native.records(batch)]
    expected = MESSAGES[:waiting] + [("1", b"x" * 200_000)] * 4 + many
    assert sorted(found) == sorted(expected)


def test_no_memory_for_one_message():
    packer = _native.Packer(0, bytes)
    failures = 0
    while out_of_memory_at(failures, lambda: packer.append("1", b"x" * 5000)):
        assert state(packer) == (0, 0, [0] * 32)
        failures += 1
    assert failures >= 2
    assert len(drain(packer)) == 1
