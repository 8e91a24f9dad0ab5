"""One slot's FIFO in a router: numbered without gaps, resent from the oldest, never reordered.

The router's half of invariants 4 and 5.
"""

import pytest

from multiconnect.dataplane.slot_lane import LaneVerdict, SlotLane
from multiconnect.limits import SLOT_BATCHES_IN_FLIGHT
from tests.unit.dataplane.waiting import WaiterFor

PRODUCER = 77


class Sink:
    def __init__(self, deadline_s=10.0):
        self.deadline_s = deadline_s
        self.told = []
        self.error = None

    def stored(self, slot, first_ordinal, count, base_seq, exceptions):
        self.told.append((first_ordinal, count, base_seq))

    def fail(self, error):
        self.error = error


def lane_with(*counts):
    lane = SlotLane(5, PRODUCER)
    for number, count in enumerate(counts, 1):
        lane.sealed(b"batch %d" % number, count)
        lane.unanswered[-1].sent = True
    return lane


def unsent(lane):
    return [batch.data for batch in lane.unsent()]


def test_batches_are_numbered_without_gaps():
    lane = lane_with(2, 1, 4)
    assert [(b.producer_seq, b.first_ordinal) for b in lane.unanswered] == [(1, 0), (2, 2), (3, 3)]


def test_a_lane_takes_only_as_many_batches_as_the_owner_remembers():
    lane = lane_with(*[1] * (SLOT_BATCHES_IN_FLIGHT - 1))
    assert lane.has_room()
    lane.sealed(b"x", 1)
    assert not lane.has_room()


def test_an_answer_frees_the_oldest_batch():
    lane = lane_with(1, 1)
    assert lane.stored(PRODUCER, 1, 0, ()) == len(b"batch 1")
    assert [b.producer_seq for b in lane.unanswered] == [2]


@pytest.mark.parametrize(
    ("producer", "number"),
    [(PRODUCER, 2), (PRODUCER, 0), (PRODUCER, 99), (PRODUCER + 1, 1)],
    ids=["not the oldest", "answered long ago", "never sent", "another numbering"],
)
def test_a_stale_answer_changes_nothing(producer, number):
    lane = lane_with(1, 1)
    sink = Sink()
    lane.waiters.append(WaiterFor(0, 1, sink))
    assert lane.stored(producer, number, 0, ()) == 0
    assert len(lane.unanswered) == 2
    assert not sink.told


@pytest.mark.parametrize("expected", [None, 1, 2], ids=["busy", "gap", "stored, answer lost"])
def test_a_refused_batch_and_all_behind_it_are_sent_again_as_they_were(expected):
    lane = lane_with(1, 1, 1)
    assert lane.refused(PRODUCER, 2, expected) is LaneVerdict.RESEND
    assert unsent(lane) == [b"batch 1", b"batch 2", b"batch 3"]


@pytest.mark.parametrize(
    ("producer", "number"), [(PRODUCER, 1), (PRODUCER + 1, 2)], ids=["answered", "renumbered"]
)
def test_a_stale_refusal_changes_nothing(producer, number):
    lane = lane_with(1, 1)
    lane.stored(PRODUCER, 1, 0, ())
    assert lane.refused(producer, number, 1) is LaneVerdict.STALE
    assert unsent(lane) == []


def test_a_refusal_with_nothing_unanswered_is_stale():
    assert SlotLane(5, PRODUCER).refused(PRODUCER, 1, None) is LaneVerdict.STALE


def test_an_owner_that_expects_what_it_acknowledged_has_lost_history():
    lane = lane_with(1, 1)
    lane.stored(PRODUCER, 1, 0, ())
    assert lane.refused(PRODUCER, 2, 1) is LaneVerdict.LOST_HISTORY


def test_a_numbering_begins_anew_only_while_nothing_is_unanswered():
    lane = lane_with(1)
    with pytest.raises(AssertionError):
        lane.take_producer(5)
    lane.stored(PRODUCER, 1, 0, ())
    lane.take_producer(5)
    assert (lane.producer, lane.next_seq, lane.next_ordinal) == (5, 1, 1)


def test_each_waiter_is_told_of_the_batches_it_is_part_of():
    lane = lane_with(2, 2, 1)
    one, many, last = Sink(), Sink(), Sink()
    lane.waiters.extend([WaiterFor(0, 0, one), WaiterFor(1, 3, many), WaiterFor(4, 4, last)])
    lane.stored(PRODUCER, 1, 100, ())
    assert (one.told, many.told, last.told) == ([(0, 2, 100)], [(0, 2, 100)], [])
    lane.stored(PRODUCER, 2, 150, ())
    assert (one.told, many.told, last.told) == ([(0, 2, 100)], [(0, 2, 100), (2, 2, 150)], [])
    lane.stored(PRODUCER, 3, 160, ())
    assert last.told == [(4, 1, 160)]
    assert not lane.waiters


def test_only_waiters_past_their_deadline_are_given_up():
    lane = lane_with(1, 1)
    late, patient = Sink(deadline_s=5.0), Sink(deadline_s=5.1)
    lane.waiters.extend([WaiterFor(0, 0, late), WaiterFor(1, 1, patient)])
    assert lane.expired(5.0) == [late]
    assert [w.sink() for w in lane.waiters] == [patient]
    # The batch of the late one stays queued: it may be stored all the same, and behind it order.
    assert len(lane.unanswered) == 2
    lane.stored(PRODUCER, 1, 0, ())
    lane.stored(PRODUCER, 2, 1, ())
    assert (late.told, patient.told) == ([], [(1, 1, 1)])


def test_closing_returns_who_waits():
    lane = lane_with(1)
    sink = Sink()
    lane.waiters.append(WaiterFor(0, 0, sink))
    assert lane.drop_all() == [sink]
    assert not lane.unanswered
    assert not lane.waiters
