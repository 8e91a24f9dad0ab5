"""Receipts: each message's own id, computed when looked at; repeats and conflicts by name.

`Receipts` is checked against the obvious list, whatever batches the messages were packed into and
whoever else's records stood between them.
"""

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multiconnect._native import id_lines
from multiconnect.dataplane.receipts import ManySink, OneSink
from multiconnect.errors import Closed, IdempotencyConflict
from multiconnect.model.log import CONFLICTS, REPEATS
from multiconnect.model.message import Receipt, Stream
from multiconnect.model.message_id import MessageAddress, decode_id, encode_id

CLUSTER, SHARDS = 9, 4


@dataclass
class Answered:
    """One batch as its owner stored it."""

    first: int
    count: int
    base_seq: int


def receipt(slot, sequence, repeated=False):
    message_id = encode_id(CLUSTER, slot, sequence)
    return Receipt(message_id, slot, slot % SHARDS, sequence, repeated)


@st.composite
def stored_slots(draw):
    """Some messages over some slots, and per slot the batches that hold them and others' records.

    Ordinals count a slot's records over the router's life, sequences over the slot's.
    """
    slots = draw(st.binary(min_size=1, max_size=40).map(lambda raw: bytes(b % 5 for b in raw)))
    batches: dict[int, list[Answered]] = {}
    first_ordinals = {}
    for slot in set(slots):
        mine = slots.count(slot)
        before, after = draw(st.integers(0, 4)), draw(st.integers(0, 4))
        ordinal = draw(st.integers(0, 50))
        first_ordinals[slot] = ordinal + before
        sequence = draw(st.integers(0, 10**9))
        left = before + mine + after
        batches[slot] = []
        while left:
            count = draw(st.integers(1, left))
            sequence += draw(st.integers(0, 30))  # other routers' messages in between
            batches[slot].append(Answered(ordinal, count, sequence))
            ordinal, sequence, left = ordinal + count, sequence + count, left - count
    return slots, first_ordinals, batches


def expected(slots, first_ordinals, batches):
    """The receipts, the slow way."""
    seen = dict.fromkeys(slots, 0)
    found = []
    for slot in slots:
        ordinal = first_ordinals[slot] + seen[slot]
        seen[slot] += 1
        batch = next(b for b in batches[slot] if b.first <= ordinal < b.first + b.count)
        found.append(receipt(slot, batch.base_seq + ordinal - batch.first))
    return found


def many_sink(slots, first_ordinals):
    sink = ManySink(asyncio.Future(loop=LOOP), slots, 5.0, CLUSTER, SHARDS)
    for slot, first in first_ordinals.items():
        sink.expect(slot, first, slots.count(slot))
    return sink


def stored(sink, slot, first, count, base_seq):
    sink.parts[slot].stored(slot, first, count, base_seq, ())


LOOP = asyncio.new_event_loop()


@pytest.fixture(scope="module", autouse=True)
def _close_loop():
    yield
    LOOP.close()


def touches(batch, first, count):
    return batch.first < first + count and first < batch.first + batch.count


@settings(derandomize=True, max_examples=200)
@given(stored_slots(), st.randoms(use_true_random=False))
def test_receipts_are_those_of_the_messages_one_by_one(messages, rng):
    slots, first_ordinals, batches = messages
    sink = many_sink(slots, first_ordinals)
    waiting = {
        slot: [b for b in batches[slot] if touches(b, first_ordinals[slot], slots.count(slot))]
        for slot in set(slots)
    }
    while any(waiting.values()):
        assert not sink.future.done(), "only once every message is stored"
        slot = rng.choice([s for s in waiting if waiting[s]])
        batch = waiting[slot].pop(0)
        stored(sink, slot, batch.first, batch.count, batch.base_seq)
    receipts = sink.future.result()
    plain = expected(slots, first_ordinals, batches)
    assert list(receipts) == plain
    assert receipts.ids() == [one.id for one in plain]
    assert receipts.id_lines() == id_lines(receipts.ids(), 0)
    assert len(receipts) == len(plain)
    at = rng.randrange(-len(plain), len(plain))
    assert receipts[at] == plain[at]
    start, stop, step = (rng.randrange(-12, 12) for _ in range(3))
    assert receipts[start : stop : step or 1] == plain[start : stop : step or 1]
    assert list(reversed(receipts)) == plain[::-1]
    assert plain[0] in receipts


def test_an_index_beyond_the_end_is_refused():
    sink = many_sink(b"\x03", {3: 0})
    stored(sink, 3, 0, 1, 7)
    receipts = sink.future.result()
    for index in (1, -2):
        with pytest.raises(IndexError):
            receipts[index]
    assert repr(receipts) == "<Receipts of 1 messages>"


def test_who_was_told_of_an_error_is_not_told_again():
    sink = many_sink(b"\x03\x04", {3: 0, 4: 0})
    sink.fail(Closed("closed"))
    sink.fail(Closed("again"))
    stored(sink, 3, 0, 1, 7)
    stored(sink, 4, 0, 1, 8)
    assert str(sink.future.exception()) == "closed"


# --- one message -----------------------------------------------------------------------------
def one(ordinal=2, stream=Stream.OUTBOUND):
    return OneSink(asyncio.Future(loop=LOOP), ordinal, 5.0, CLUSTER, SHARDS, stream)


def test_one_message_gets_its_place_in_the_batch():
    sink = one(ordinal=12)
    sink.stored(6, 10, 5, 100, ())
    assert sink.future.result() == receipt(6, 102)


def test_a_repeat_gets_the_first_answer_again():
    sink = one()
    sink.stored(6, 0, 4, 100, ((1, CONFLICTS, 3), (2, REPEATS, 55)))
    assert sink.future.result() == receipt(6, 55, repeated=True)


def test_anothers_repeat_is_not_mine():
    sink = one()
    sink.stored(6, 0, 4, 100, ((1, REPEATS, 3), (3, CONFLICTS, 55)))
    assert sink.future.result() == receipt(6, 102)


@pytest.mark.parametrize("stream", Stream)
def test_a_conflict_names_the_first_message(stream):
    sink = one(stream=stream)
    sink.stored(6, 0, 4, 100, ((2, CONFLICTS, 55),))
    error = sink.future.exception()
    assert isinstance(error, IdempotencyConflict)
    named = next(word for word in str(error).split() if word.startswith("gBEG"))
    assert decode_id(named) == MessageAddress(CLUSTER, stream, 6, 55)


def test_an_inbound_message_has_an_id_of_its_stream():
    sink = one(stream=Stream.INBOUND)
    sink.stored(6, 0, 4, 100, ())
    address = MessageAddress(CLUSTER, Stream.INBOUND, 6, 102)
    assert decode_id(sink.future.result().id) == address


def test_a_cancelled_waiter_is_left_alone():
    sink = one()
    sink.future.cancel()
    sink.stored(6, 0, 4, 100, ())
    sink.fail(Closed("closed"))
    assert sink.future.cancelled()
