"""States of settled batches: the newest copy is the one in memory, and it is written (15)."""

import pytest

from multiconnect.coreapp.batch_states import BatchStates
from multiconnect.coreapp.status_book import StatusBook
from multiconnect.limits import SLOT_RECENT_BATCHES
from multiconnect.model.log import Progress, StoredBatch
from multiconnect.model.message import DUPLICATE_FLAG, SETTLED, State, Stream

OUT = Stream.OUTBOUND
SENT, DELIVERED, READ, FAILED = State.SENT, State.DELIVERED, State.READ, State.FAILED


def stored(base, *states):
    return StoredBatch(OUT, 4, base, len(states), 0, None, bytes(states))


@pytest.fixture
def book():
    return StatusBook(OUT, 4)


def test_a_batch_read_back_moves_forward_and_is_written(book):
    book.loaded(stored(10, SENT, READ))
    assert book.advance(10, DELIVERED) is True
    assert book.advance(11, DELIVERED) is False
    assert book.collect(77) == [Progress(OUT, 4, 10, bytes([DELIVERED, READ]), True, 77)]
    book.confirm()
    assert not book.dirty


def test_what_is_not_in_the_book_is_none(book):
    book.loaded(stored(10, SENT, SENT))
    assert [book.advance(n, DELIVERED) for n in (9, 12)] == [None, None]


def test_what_the_book_knows_is_newer_than_what_was_read(book):
    book.loaded(stored(10, SENT))
    book.advance(10, READ)
    book.loaded(stored(10, SENT))
    assert book.advance(10, DELIVERED) is False
    assert book.collect(0)[0].states == bytes([READ])


def test_an_unsure_write_is_written_again_with_what_came_since(book):
    book.settled(Progress(OUT, 4, 0, bytes([SENT, SENT]), True, 0))
    book.advance(1, DELIVERED)
    book.restore()
    assert book.collect(1)[0].states == bytes([SENT, DELIVERED])
    book.restore()
    assert book.collect(2)[0].states == bytes([SENT, DELIVERED])


def test_a_change_during_a_write_waits_for_the_next(book):
    book.loaded(stored(0, SENT))
    book.advance(0, DELIVERED)
    book.collect(0)
    book.advance(0, READ)
    book.confirm()
    assert book.dirty
    assert book.collect(0)[0].states == bytes([READ])


def test_the_book_is_bounded_and_keeps_the_newest(book):
    for base in range(SLOT_RECENT_BATCHES + 10):
        book.settled(Progress(OUT, 4, base, bytes([SENT]), True, 0))
        book.confirm()
    assert book.advance(9, DELIVERED) is None
    assert book.advance(10, DELIVERED) is True


def test_nothing_unwritten_is_forgotten(book):
    book.loaded(stored(0, SENT))
    book.advance(0, DELIVERED)
    for base in range(1, SLOT_RECENT_BATCHES + 10):
        book.settled(Progress(OUT, 4, base, bytes([SENT]), True, 0))
        book.confirm()
    assert book.advance(0, READ) is True


def test_a_batch_that_is_being_read_is_not_forgotten(book):
    """What the reader gets may be older than what was written and forgotten meanwhile."""
    with book.reading(1):
        book.settled(Progress(OUT, 4, 0, bytes([SENT, READ]), True, 0))
        for base in range(2, SLOT_RECENT_BATCHES + 10):
            book.settled(Progress(OUT, 4, base, bytes([SENT]), True, 0))
            book.confirm()
        assert book.advance(1, DELIVERED) is False, "known here as read"
    book.confirm()
    assert book.advance(1, DELIVERED) is None


# --- one batch -------------------------------------------------------------------------------
@pytest.mark.parametrize("before", State)
@pytest.mark.parametrize("after", State)
def test_a_settled_state_only_moves_forward(before, after):
    batch = BatchStates(5, bytes([before | DUPLICATE_FLAG]))
    forward = {
        SENT: {DELIVERED, READ, FAILED},
        DELIVERED: {READ},
        State.UNKNOWN: {SENT, DELIVERED, READ, FAILED},
    }
    may = after in forward.get(before, ())
    assert batch.advance(5, after) is may
    assert batch.get(5) == (after if may else before) | DUPLICATE_FLAG


def test_unsettled_messages_are_counted():
    batch = BatchStates(0, bytes(State))
    assert batch.unsettled == len(State) - len(SETTLED)


def test_a_mark_stays_whatever_the_state():
    batch = BatchStates(0, bytes([State.HELD]))
    batch.add_flag(0, DUPLICATE_FLAG)
    batch.set(0, State.SENDING)
    assert batch.get(0) == State.SENDING | DUPLICATE_FLAG
