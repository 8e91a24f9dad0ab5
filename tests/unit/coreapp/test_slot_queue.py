"""One stream of one slot: directed cases that a random history reaches too rarely.

Invariants 5 and 6: order per recipient, and nothing is handed out that is not claimed durably.
"""

import pytest

from multiconnect.coreapp.slot_queue import SlotQueue
from multiconnect.limits import SLOT_WINDOW_MESSAGES, WATERMARK_STEP
from multiconnect.model.log import StoredBatch, StreamTail
from multiconnect.model.message import DUPLICATE_FLAG, State, Stream

OUT = Stream.OUTBOUND


class Queue:
    """A queue whose commits all succeed at once."""

    def __init__(self, tail=None):
        self.queue = SlotQueue(OUT, 4, tail or StreamTail())
        self.base = self.queue.end

    def append(self, *recipients, states=None):
        """Accept a batch, claimed by the very commit as far as there is room."""
        count, base = len(recipients), self.base
        self.base += count
        ahead = self.queue.claim_ahead(self.base)
        states = states or bytes(count)
        if self.queue.appended(base, count):
            self.load(base, recipients, states)
        if ahead is not None:
            self.queue.claimed_ahead(ahead)
        return base

    def load(self, base, recipients, states):
        batch = StoredBatch(OUT, 4, base, len(recipients), 0, b"body", states)
        rows = [(n, 0, recipient, b"x", b"") for n, recipient in enumerate(recipients)]
        return self.queue.offer(batch, rows)

    def commit(self):
        write = self.queue.collect(0)
        self.queue.confirm(write)
        return write

    def commit_all(self):
        while self.queue.dirty:
            self.commit()

    def take(self, limit=1000):
        return self.queue.take(limit)


def sequences(entries):
    return [entry.sequence for entry in entries]


def wants_more(queue):
    return queue.queue.wants_more


@pytest.fixture
def queue():
    return Queue()


def test_a_message_is_claimed_by_the_commit_that_accepts_it(queue):
    queue.append("a", "b")
    assert not queue.queue.dirty, "no second commit is needed before it is sent"
    assert sequences(queue.take()) == [0, 1]


def test_one_message_per_recipient_is_in_flight(queue):
    queue.append("a", "a", "b")
    first, other = queue.take()
    assert sequences([first, other]) == [0, 2]
    assert queue.take() == []
    queue.queue.settle(first, State.SENT)
    assert sequences(queue.take()) == [1]


def test_at_most_a_step_is_claimed(queue):
    queue.append(*[f"r{n}" for n in range(3 * WATERMARK_STEP)])
    taken = queue.take()
    assert len(taken) == WATERMARK_STEP
    queue.commit_all()
    assert queue.take() == []
    for entry in taken[:10]:
        queue.queue.settle(entry, State.SENT)
    queue.commit_all()
    assert len(queue.take()) == 10


def test_a_retry_holds_its_recipient_back_and_nobody_else(queue):
    queue.append("a", "a", "b")
    first, other = queue.take()
    queue.queue.hold(first, ambiguous=False)
    queue.commit_all()
    assert queue.take() == []
    queue.queue.settle(other, State.SENT)
    queue.append("b", "a")
    queue.commit_all()
    assert sequences(queue.take()) == [3], "b goes on, a waits in line"
    queue.queue.release(first)
    queue.commit_all()
    assert sequences(queue.take()) == [0]


def test_messages_behind_a_held_one_use_up_no_claims(queue):
    """One recipient with a long line that waits for a retry does not stop the slot."""
    queue.append("a", *["a"] * (2 * WATERMARK_STEP), *["b"] * 3)
    (first,) = queue.take()
    queue.queue.hold(first, ambiguous=False)
    queue.commit_all()
    assert sequences(queue.take()) == [1 + 2 * WATERMARK_STEP], "b, behind all of a's"
    assert queue.queue._claims.count == 3


def test_the_write_that_holds_a_line_is_followed_by_the_next_claims(queue):
    """There is more to write after it, although nothing is in flight that would say so."""
    queue.append("a", *["a"] * WATERMARK_STEP, "b")
    (first,) = queue.take()
    queue.queue.hold(first, ambiguous=False)
    queue.commit()
    assert queue.queue.dirty


def test_an_ambiguous_attempt_marks_the_message_before_the_next(queue):
    queue.append("a")
    (entry,) = queue.take()
    queue.queue.hold(entry, ambiguous=True)
    queue.queue.release(entry)
    write = queue.commit()
    assert write.progress[0].states == bytes([State.SENDING | DUPLICATE_FLAG])
    assert queue.take() == [entry]


def test_a_plain_retry_marks_nothing(queue):
    queue.append("a")
    (entry,) = queue.take()
    queue.queue.hold(entry, ambiguous=False)
    queue.queue.release(entry)
    assert queue.commit().progress[0].states == bytes([State.SENDING])


def test_a_claim_of_its_own_counts_only_once_it_is_durable(queue):
    queue.append("a")
    (entry,) = queue.take()
    queue.queue.hold(entry, ambiguous=False)
    queue.commit()
    queue.queue.release(entry)
    write = queue.queue.collect(0)
    assert queue.take() == []
    queue.queue.restore(write)
    assert queue.take() == []
    queue.commit_all()
    assert queue.take() == [entry]


def test_what_a_predecessor_claimed_is_in_doubt():
    """ACCEPTED up to its watermark, and SENDING; what it held or never claimed is not."""
    queue = Queue(StreamTail(next_seq=6, watermark=2))
    states = bytes([State.SENT, State.ACCEPTED, State.HELD, State.SENDING, State.ACCEPTED, 0])
    loaded = queue.load(0, "abcdef", states)
    assert sequences(loaded.in_doubt) == [1, 3]
    assert sequences(loaded.held) == [2]
    for entry in loaded.in_doubt:
        queue.queue.resend_in_doubt(entry)
    queue.commit_all()
    taken = queue.take()
    assert {e.sequence for e in taken if e.possible_duplicate} == {1, 3}
    assert {e.sequence for e in taken} == {1, 3, 4, 5}


def test_a_drained_queue_has_written_back_what_it_claimed(queue):
    queue.append("a", "a", "b", "c")
    a, b, c = queue.take()
    queue.queue.drain()
    assert queue.take() == []
    for entry in (a, b, c):
        assert not queue.queue.drained
        queue.queue.settle(entry, State.SENT)
    assert not queue.queue.drained, "the outcomes are not written yet"
    write = queue.commit()
    assert write.progress[0].states == bytes([State.SENT, State.HELD, State.SENT, State.SENT])
    assert queue.queue.drained
    queue.append("d")
    assert queue.queue.drained, "it goes on accepting"
    queue.queue.resume()
    queue.commit_all()
    assert sequences(queue.take()) == [1, 4]


def test_a_watermark_that_turned_out_to_be_written_is_taken_for_granted(queue):
    """After "don't know" the tail shows an append and its claim; they are loaded and sent."""
    queue.queue.claim_ahead(2)
    queue.queue.extended(StreamTail(next_seq=2, watermark=1))
    assert queue.queue.wants_more
    queue.queue.drain()
    assert not queue.queue.drained, "the next owner would doubt them"
    queue.load(0, "ab", bytes(2))
    write = queue.commit()
    assert write.progress[0].states == bytes([State.HELD, State.HELD])
    assert queue.queue.drained


def test_claims_that_are_not_loaded_are_loaded_whatever_the_room(monkeypatch):
    """Else a full window of held messages would wait for claims, and these for the window."""
    monkeypatch.setattr("multiconnect.coreapp.slot_queue.SLOT_WINDOW_MESSAGES", 2)
    queue = Queue(StreamTail(next_seq=2))
    loaded = queue.load(0, "ab", bytes([State.HELD, State.HELD]))
    for entry in loaded.held:
        queue.queue.release(entry)
    assert not wants_more(queue)
    end = 2 + WATERMARK_STEP
    queue.queue.extended(StreamTail(next_seq=end, watermark=end - 1))
    assert wants_more(queue)
    queue.load(2, [f"r{n}" for n in range(WATERMARK_STEP)], bytes(WATERMARK_STEP))
    taken = queue.take()
    assert len(taken) == WATERMARK_STEP
    queue.queue.settle(taken[0], State.SENT)
    queue.commit_all()
    assert sequences(queue.take()) == [0]


def test_a_queue_takes_in_only_what_it_has_room_for(queue):
    many = [f"r{n}" for n in range(SLOT_WINDOW_MESSAGES)]
    queue.append(*many)
    late = queue.append("x")
    assert queue.queue.loaded_to == late
    assert not queue.queue.wants_more
    (entry, *_) = queue.take()
    queue.queue.settle(entry, State.SENT)
    assert queue.queue.wants_more


def test_messages_behind_a_blocked_one_leave_room_for_others(queue):
    queue.append("a", *["a"] * SLOT_WINDOW_MESSAGES)
    assert not queue.queue.wants_more
    base = queue.append("b")
    (first,) = queue.take()
    queue.queue.hold(first, ambiguous=False)
    assert queue.queue.wants_more
    queue.load(base, ["b"], bytes(1))
    queue.commit_all()
    assert sequences(queue.take()) == [base]


def test_a_batch_is_loaded_once(queue):
    queue.append("a")
    queue.load(0, ["a"], bytes(1))
    assert sequences(queue.take()) == [0]
    assert queue.queue.backlog == 1


def test_unreadable_records_stay_pending_and_do_not_stop_the_rest():
    queue = Queue(StreamTail(next_seq=3, watermark=2))
    lost = StoredBatch(OUT, 4, 0, 2, 0, None, bytes(2))
    assert queue.queue.offer(lost, []).in_doubt == []
    (entry,) = queue.load(2, ["a"], bytes(1)).in_doubt
    queue.queue.resend_in_doubt(entry)
    queue.commit_all()
    assert queue.take() == [entry]
    queue.queue.settle(entry, State.SENT)
    write = queue.commit()
    assert write.mark is None, "a next owner still finds what could not be read"


def test_messages_behind_one_given_up_use_up_no_claims(queue):
    queue.append("r")
    (first,) = queue.take()
    queue.queue.hold(first, ambiguous=False)
    queue.append("r")
    queue.commit_all()
    queue.queue.release(first)
    queue.commit_all()
    assert queue.take() == [first]
    queue.queue.settle(first, State.FAILED)
    queue.append(*["r"] * WATERMARK_STEP)
    queue.commit_all()
    queue.queue.let_next(first)
    queue.commit_all()
    assert sequences(queue.take()) == [1], "the held one must find room for its claim"
