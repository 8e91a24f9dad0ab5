"""All lanes of a router: what goes over which link, and what an answer from whom means.

Invariant 8 (what is known of an epoch never goes back), the router's half of 4, 5 and 12.
"""

import itertools

import orjson
import pytest

from multiconnect._native import Packer, split_batches
from multiconnect.dataplane.lane_set import (
    BUSY_REST_S,
    FRAME_FILL_BYTES,
    FRAMES_IN_FLIGHT_MAX,
    NOT_OWNER_REST_S,
    LaneSet,
)
from multiconnect.dataplane.wire import AnswerStatus
from multiconnect.limits import LINK_BYTES_IN_FLIGHT_MAX, PRODUCER_ROTATE_S, SLOTS
from multiconnect.model.message import Stream
from multiconnect.model.shard_map import Owner, ShardMap, SlotOwnership
from tests.unit.dataplane.cluster import Wire
from tests.unit.dataplane.waiting import WaiterFor


class Sink:
    deadline_s = 1e9

    def __init__(self):
        self.sequences = []

    def stored(self, slot, first_ordinal, count, base_seq, exceptions):
        self.sequences += range(base_seq, base_seq + count)

    def fail(self, error):
        raise AssertionError(error)


class Rig:
    """A lane set on fake wires; slot 3 belongs to "a", the others to "b" unless said."""

    def __init__(self, streams=(Stream.OUTBOUND,)):
        self.packers = {stream: Packer(stream, orjson.dumps) for stream in streams}
        self.packer = self.packers[Stream.OUTBOUND]
        self.wires = {}
        producers = itertools.count(1000, 1000)
        self.lanes = LaneSet(self.packers, lambda: next(producers), self.make_link)
        self.now_s = 50.0

    def make_link(self, owner):
        wire = self.wires[owner.incarnation] = Wire(owner)
        return wire

    def see(self, version, owner_of_3="a", epoch_of_3=1, heir_of_3=None):
        def owner(name):
            return Owner(name, name, "local:") if name else None

        slots = [SlotOwnership(1, owner("b"))] * SLOTS
        slots[3] = SlotOwnership(epoch_of_3, owner(owner_of_3), owner(heir_of_3))
        self.lanes.apply_map(ShardMap(version, 7, 1, tuple(slots)))

    def send(self, slot, payload=b"x", flush=True):
        sink = Sink()
        self.packer.append_at(slot, "1631", payload)
        ordinal = self.packer.appended(slot) - 1
        self.lanes.wait(Stream.OUTBOUND, slot, WaiterFor(ordinal, ordinal, sink))
        if flush:
            self.flush()
        return sink

    def flush(self, after_s=0.001):
        self.now_s += after_s
        self.lanes.flush(self.now_s, 0)

    def frames(self, name):
        """What went over a wire so far: per frame, (slot, producer, number) of its batches."""
        frames = [split_batches(frame) for frame in self.wires[name].frames]
        return [[(h.slot, h.producer, h.producer_seq) for h, _ in frame] for frame in frames]

    def lane(self, slot=3):
        return self.lanes.lanes[Stream.OUTBOUND, slot]

    def answer(self, name, status, number, value=0, slot=3):
        entry = (slot, Stream.OUTBOUND, status, self.lane(slot).producer, number, value, ())
        return self.lanes.answered(name, [entry], self.now_s)

    def frame_done(self, name):
        self.wires[name].frames_in_flight -= 1
        self.wires[name].frames.popleft()


@pytest.fixture
def rig():
    rig = Rig()
    rig.see(1)
    return rig


def test_one_frame_carries_the_batches_of_all_slots_of_an_owner(rig):
    for slot in (1, 2, 3, 4):
        rig.send(slot, flush=False)
    rig.flush()
    assert [[slot for slot, _, _ in frame] for frame in rig.frames("b")] == [[1, 2, 4]]
    assert [[slot for slot, _, _ in frame] for frame in rig.frames("a")] == [[3]]


def test_a_group_forms_while_frames_are_unanswered(rig):
    for _ in range(10):
        rig.send(3)
    assert len(rig.frames("a")) == FRAMES_IN_FLIGHT_MAX
    assert rig.lane().unanswered[-1].count == 1
    rig.answer("a", AnswerStatus.STORED, 1)
    rig.frame_done("a")
    rig.flush()
    assert rig.lane().unanswered[-1].count == 8, "all that waited went as one batch"


def test_nothing_is_sent_while_a_link_is_not_ready_or_full(rig):
    wire = rig.wires["a"]
    wire.ready = False
    rig.send(3)
    assert not wire.frames
    wire.ready, wire.bytes_in_flight = True, LINK_BYTES_IN_FLIGHT_MAX
    rig.flush()
    assert not wire.frames
    wire.bytes_in_flight = 0
    rig.flush()
    assert len(wire.frames) == 1


def test_a_frame_stays_far_below_the_largest_a_peer_takes(rig):
    for slot in range(SLOTS):
        for _ in range(10):
            rig.send(slot, b"x" * 200_000, flush=False)
    rig.flush()
    sizes = [len(frame) for frame in rig.wires["b"].frames]
    assert sizes
    assert max(sizes) < 2 * FRAME_FILL_BYTES + (1 << 20)


def test_an_empty_map_keeps_messages_until_there_is_an_owner():
    rig = Rig()
    sink = rig.send(3)
    rig.see(1)
    rig.flush()
    rig.answer("a", AnswerStatus.STORED, 1, value=40)
    assert sink.sequences == [40]


def test_a_lost_connection_sends_again_the_same_bytes_under_the_same_numbers(rig):
    rig.send(3)
    rig.send(3)
    before = list(rig.wires["a"].frames)
    rig.wires["a"].lose()
    rig.lanes.link_lost(rig.wires["a"])
    rig.wires["a"].ready = True
    rig.flush()
    assert b"".join(rig.wires["a"].frames) == b"".join(before)


def test_a_new_owner_gets_everything_unanswered_first_and_in_order(rig):
    for _ in range(2):
        rig.send(3)
    rig.answer("a", AnswerStatus.STORED, 1)
    rig.send(3, flush=False)
    rig.see(2, owner_of_3="b", epoch_of_3=2)
    rig.flush()
    assert [number for frame in rig.frames("b") for _, _, number in frame] == [2, 3]


def test_links_to_who_owns_nothing_are_closed(rig):
    rig.see(2, owner_of_3="b", epoch_of_3=2)
    assert rig.wires["a"].closed
    assert set(rig.lanes.links) == {"b"}


def test_an_heir_is_connected_to_in_advance_and_gets_nothing_before_its_grant(rig):
    rig.see(1, heir_of_3="c")
    rig.send(3)
    assert (len(rig.frames("a")), rig.frames("c")) == (1, [])
    link = rig.wires["c"]
    rig.see(2, owner_of_3="c", epoch_of_3=2)
    rig.flush()
    assert rig.wires["c"] is link
    assert len(rig.frames("c")) == 1


def test_a_link_to_an_heir_that_gets_nothing_is_closed(rig):
    rig.see(1, heir_of_3="c")
    rig.see(1)
    assert "c" not in rig.lanes.links
    assert set(rig.lanes.links) == {"a", "b"}


# --- invariant 8 -----------------------------------------------------------------------------
def test_an_epoch_never_goes_back(rig):
    rig.see(2, owner_of_3="b", epoch_of_3=2)
    rig.see(1)
    rig.send(3)
    assert rig.frames("b")
    assert rig.lanes.map.version == 2


def test_a_released_slot_does_not_get_its_owner_back_from_an_older_map(rig):
    """A release leaves the epoch as it is: only the version tells which map is newer."""
    rig.see(2, owner_of_3=None, epoch_of_3=1)
    rig.see(1)
    rig.send(3)
    assert not rig.wires["a"].frames


# --- answers ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("status", "rest_s"),
    [(AnswerStatus.BUSY, BUSY_REST_S), (AnswerStatus.NOT_OWNER, NOT_OWNER_REST_S)],
)
def test_a_refused_lane_rests_and_resends(rig, status, rest_s):
    rig.send(3)
    rig.frame_done("a")
    assert rig.answer("a", status, 1) == (status is AnswerStatus.NOT_OWNER)
    rig.flush(rest_s / 2)
    assert not rig.frames("a")
    rig.flush(rest_s)
    assert rig.frames("a") == [[(3, rig.lane().producer, 1)]]
    assert rig.lanes.has_work() is False


def test_a_gap_is_resent_at_once(rig):
    rig.send(3)
    rig.frame_done("a")
    rig.answer("a", AnswerStatus.GAP, 1, value=1)
    assert rig.lanes.has_work()
    rig.flush()
    assert rig.frames("a") == [[(3, rig.lane().producer, 1)]]


def test_a_new_owner_ends_the_rest(rig):
    rig.send(3)
    rig.answer("a", AnswerStatus.NOT_OWNER, 1)
    rig.see(2, owner_of_3="b", epoch_of_3=2)
    rig.flush(0.0)
    assert rig.frames("b")


def test_a_late_refusal_of_an_earlier_owner_proves_nothing(rig):
    """The old owner once missed batch 2 and said so; the new one has stored 1 to 3 since.

    Its words arrive last. Taken for the present they would mean "history lost", and batch 4, which
    the new owner is just storing, would be sent again under another number: stored twice.
    """
    for _ in range(4):
        rig.send(3, flush=False)
        rig.flush()
        rig.wires["a"].frames_in_flight = 0
    producer = rig.lane().producer
    rig.see(2, owner_of_3="b", epoch_of_3=2)
    rig.flush()
    for number in (1, 2, 3):
        rig.answer("b", AnswerStatus.STORED, number, value=number)
    rig.answer("a", AnswerStatus.GAP, 4, value=2)
    assert rig.lanes.history_lost == 0
    assert rig.lane().producer == producer
    assert not rig.lanes.has_work(), "what is on its way to the new owner stays on its way"


def test_a_late_acknowledgement_of_an_earlier_owner_holds(rig):
    sink = rig.send(3)
    rig.see(2, owner_of_3="b", epoch_of_3=2)
    rig.answer("a", AnswerStatus.STORED, 1, value=9)
    assert sink.sequences == [9]
    assert rig.lanes.parked_bytes == 0


def test_a_store_that_went_back_gets_the_rest_under_a_fresh_numbering(rig):
    """What is unanswered goes on, in order, in batches that a peer accepts as whole."""
    sinks = [rig.send(3, b"%d" % number, flush=False) for number in range(5)]
    rig.flush()
    rig.answer("a", AnswerStatus.STORED, 1)
    rig.frame_done("a")
    old = rig.lane().producer
    later = [rig.send(3, b"%d" % number) for number in (5, 6)]
    assert [batch.producer_seq for batch in rig.lane().unanswered] == [2, 3]
    for _ in range(2):
        rig.frame_done("a")
    rig.answer("a", AnswerStatus.GAP, 2, value=1)
    assert rig.lanes.history_lost == 1
    rig.flush()
    new = rig.lane().producer
    assert new != old
    assert rig.frames("a") == [[(3, new, 1), (3, new, 2)]], "checked sums, numbered from 1"
    rig.answer("a", AnswerStatus.STORED, 1, value=70)
    rig.answer("a", AnswerStatus.STORED, 2, value=71)
    assert [sink.sequences for sink in later] == [[70], [71]]
    assert all(sink.sequences for sink in sinks)
    assert rig.lanes.parked_bytes == 0


def test_a_long_idle_lane_takes_a_new_numbering(rig):
    """Its owner forgets producers; a new one is taken long before (limits.py)."""
    rig.send(3)
    rig.answer("a", AnswerStatus.STORED, 1)
    rig.frame_done("a")
    first = rig.lane().producer
    rig.now_s += PRODUCER_ROTATE_S - 1
    rig.send(3)
    assert rig.lane().producer == first
    rig.now_s += PRODUCER_ROTATE_S + 1
    rig.flush()
    rig.send(3, flush=False)
    assert rig.lane().producer == first, "not while a batch is unanswered"
    rig.answer("a", AnswerStatus.STORED, 2)
    rig.frame_done("a")
    rig.now_s += PRODUCER_ROTATE_S + 1
    rig.flush()
    assert rig.lane().producer != first
    assert rig.frames("a")[-1] == [(3, rig.lane().producer, 1)]


def test_parked_bytes_are_what_is_not_acknowledged(rig):
    assert rig.lanes.parked_bytes == 0
    rig.send(3, b"x" * 100, flush=False)
    packed = rig.lanes.parked_bytes
    assert packed > 100
    rig.flush()
    assert rig.lanes.parked_bytes == packed, "sent is not acknowledged"
    rig.answer("a", AnswerStatus.STORED, 1)
    assert rig.lanes.parked_bytes == 0


def test_closing_forgets_packed_and_sent_alike(rig):
    sinks = [rig.send(3), rig.send(4, flush=False)]
    assert sorted(map(id, rig.lanes.drop_all())) == sorted(map(id, sinks))
    assert rig.lanes.parked_bytes == 0
    assert not rig.lanes.has_work()


def test_the_streams_of_a_slot_are_numbered_apart():
    rig = Rig(streams=tuple(Stream))
    rig.see(1)
    for stream, packer in rig.packers.items():
        packer.append_at(3, "1631", b"%d" % stream)
    rig.flush()
    batches = split_batches(rig.wires["a"].frames[0])
    assert [(h.stream, h.producer_seq) for h, _ in batches] == [(0, 1), (1, 1)]
    assert len({h.producer for h, _ in batches}) == 2
