"""A slot's numbering at its owner: a batch is stored once, and only if it is the next (4, 5)."""

from hypothesis import given, settings
from hypothesis import strategies as st

from multiconnect.coreapp.owned_slot import Gap, Next, OwnedSlot
from multiconnect.limits import ANSWERS_KEPT, SLOT_BATCHES_IN_FLIGHT
from multiconnect.model.log import Answer, SlotTail, StreamTail
from multiconnect.model.message import Stream

OUT, IN = Stream.OUTBOUND, Stream.INBOUND


def owned(producers=None, next_seq=0):
    tails = {OUT: StreamTail(next_seq), IN: StreamTail(7)}
    return OwnedSlot(SlotTail(4, 3, tails, producers or {}))


def stored(slot, count, producer=5, stream=OUT):
    """Store batches 1..count of a producer, two messages each."""
    kept = ()
    for number in range(1, count + 1):
        assert slot.admit(stream, producer, number) == Next()
        answer = Answer(number, slot.next_seq(stream))
        kept = slot.store(stream, producer, answer, 2)
    return kept


def test_the_first_batch_of_a_producer_is_number_one():
    slot = owned()
    assert slot.admit(OUT, 5, 1) == Next()
    assert slot.admit(OUT, 5, 0) == Gap(1)
    assert slot.admit(OUT, 5, 2) == Gap(1)


def test_a_batch_that_comes_too_early_changes_nothing():
    slot = owned()
    stored(slot, 2)
    assert slot.admit(OUT, 5, 4) == Gap(3)
    assert slot.admit(OUT, 5, 3) == Next()
    assert slot.next_seq(OUT) == 4


def test_a_resend_gets_the_first_answer():
    slot = owned()
    stored(slot, 3)
    assert slot.admit(OUT, 5, 2) == Answer(2, 2)
    assert slot.next_seq(OUT) == 6


def test_as_many_answers_are_kept_as_a_router_may_ask_for():
    slot = owned()
    kept = stored(slot, 20)
    assert len(kept) == ANSWERS_KEPT
    for number in range(20, 20 - 2 * SLOT_BATCHES_IN_FLIGHT, -1):
        assert slot.admit(OUT, 5, number) == Answer(number, 2 * (number - 1))
    assert slot.admit(OUT, 5, 20 - ANSWERS_KEPT) == Gap(21)


def test_producers_and_streams_are_numbered_apart():
    slot = owned()
    stored(slot, 2)
    assert slot.admit(OUT, 6, 1) == Next()
    assert slot.admit(IN, 5, 1) == Next()
    assert (slot.next_seq(OUT), slot.next_seq(IN)) == (4, 7)


def test_the_next_owner_answers_alike():
    first = owned()
    kept = stored(first, 12)
    second = owned({(OUT, 5): kept}, next_seq=24)
    for number in range(14):
        assert second.admit(OUT, 5, number) == first.admit(OUT, 5, number)
    assert second.next_seq(OUT) == first.next_seq(OUT)


def test_a_plan_is_made_on_a_copy():
    slot = owned()
    copy = slot.copy()
    stored(copy, 3)
    assert slot.admit(OUT, 5, 1) == Next()
    assert slot.next_seq(OUT) == 0
    assert (copy.slot, copy.epoch) == (slot.slot, slot.epoch)


@settings(derandomize=True)
@given(st.lists(st.tuples(st.integers(1, 2), st.integers(0, 12), st.integers(1, 5)), max_size=60))
def test_no_number_is_stored_twice_and_sequences_have_no_gaps(batches):
    slot, next_seq = owned(), 0
    seen: dict[int, list[int]] = {1: [], 2: []}
    for producer, number, count in batches:
        if slot.admit(OUT, producer, number) == Next():
            assert slot.next_seq(OUT) == next_seq
            slot.store(OUT, producer, Answer(number, next_seq), count)
            seen[producer].append(number)
            next_seq += count
    for numbers in seen.values():
        assert numbers == list(range(1, len(numbers) + 1))
