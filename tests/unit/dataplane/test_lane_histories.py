"""Any mix of loss, resends, hand-overs and deaths: each message is stored once, in order.

The router's half of invariants 3, 4, 5, 8 and 12, against owners that use the real planner and a
log that keeps the fence.
"""

import itertools

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from multiconnect._native import Packer
from multiconnect.dataplane.lane_set import LaneSet
from multiconnect.limits import PRODUCER_ROTATE_S
from multiconnect.model.message import Stream
from tests.unit.dataplane.cluster import FakeOwner, FencedLog, Wire

SLOTS = st.sampled_from([0, 1, 31])
OWNERS = st.sampled_from(["a", "b", "c"])
FAR_S = 1e12


class Sent:
    """A sink that checks what it is told against the log."""

    deadline_s = FAR_S

    def __init__(self, log, slot, ordinal, payload):
        self._log = log
        self._place = slot, ordinal, payload
        self.sequence = None

    def stored(self, slot, first_ordinal, count, base_seq, exceptions):
        mine, ordinal, payload = self._place
        assert slot == mine
        assert first_ordinal <= ordinal < first_ordinal + count
        assert self.sequence is None, "told once"
        assert not exceptions
        self.sequence = base_seq + ordinal - first_ordinal
        assert self._log.slots[slot].messages[self.sequence] == payload, "acknowledged is stored"

    def fail(self, error):
        raise AssertionError(error)


class LaneHistory(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.log = FencedLog()
        self.numbers = itertools.count(1)
        self.wires = []
        self.maps = [self.log.map()]
        self.packer = Packer(Stream.OUTBOUND, None)
        producers = itertools.count(101)
        packers = {Stream.OUTBOUND: self.packer}
        self.lanes = LaneSet(packers, lambda: next(producers), self.make_link)
        self.now_s = 1.0
        self.sent = {0: [], 1: [], 31: []}
        self.sinks = []
        self.epochs_seen = {}
        self.owners = {name: FakeOwner(name, self.log) for name in "abc"}
        self.lanes.apply_map(self.maps[0])

    def make_link(self, owner):
        wire = Wire(owner)
        self.wires.append(wire)
        return wire

    @initialize(owners=st.lists(OWNERS, min_size=3, max_size=3))
    def begin(self, owners):
        for slot, owner in zip(self.sent, owners, strict=True):
            self.grant(slot, owner)
        for owner in self.owners.values():
            owner.follow()
        self.lanes.apply_map(self.maps[-1])

    def grant(self, slot, owner):
        self.log.grant(slot, owner)
        self.maps.append(self.log.map())

    def flush(self, pause_s=0.001):
        self.now_s += pause_s
        self.lanes.flush(self.now_s, 0)

    # --- the router --------------------------------------------------------------------------
    @rule(slot=SLOTS, counts=st.lists(st.integers(1, 2), min_size=1, max_size=4))
    def send(self, slot, counts):
        for count in counts:
            for _ in range(count):
                self.send_one(slot)
            self.flush()

    def send_one(self, slot):
        payload = b"%d" % next(self.numbers)
        self.packer.append_at(slot, "1631", payload)
        ordinal = self.packer.appended(slot) - 1
        sink = Sent(self.log, slot, ordinal, payload)
        self.lanes.wait(Stream.OUTBOUND, slot, ordinal, ordinal, sink)
        self.sent[slot].append(payload)
        self.sinks.append(sink)

    @rule(pause_s=st.sampled_from([0.03, 0.06, 1.1, PRODUCER_ROTATE_S + 1]))
    def wait(self, pause_s):
        self.flush(pause_s)

    # --- the network -------------------------------------------------------------------------
    @rule(which=st.integers(0, 5), frames=st.integers(0, 2), most=st.integers(0, 4))
    def carry(self, which, frames, most):
        """Some wire carries frames one way or answers the other, or both."""
        busy = [w for w in self.wires if w.frames or w.answers]
        if not busy:
            return
        wire = busy[which % len(busy)]
        for _ in range(min(frames, len(wire.frames))):
            wire.deliver_to(self.owners[wire.owner.name])
        self.lanes.answered(wire.owner.incarnation, wire.take_answers(most), self.now_s)
        self.flush()

    @rule(which=st.integers(0, 5), again=st.booleans())
    def lose_connection(self, which, again):
        ready = [w for w in self.wires if w.ready]
        if ready:
            wire = ready[which % len(ready)]
            wire.lose()
            self.lanes.link_lost(wire)
            wire.ready = again
            self.flush()

    @rule()
    def reconnect(self):
        for wire in self.wires:
            wire.ready = not wire.closed
        self.flush()

    # --- the owners and their store ----------------------------------------------------------
    @rule(owner=OWNERS, most=st.integers(1, 5), sure=st.sampled_from([True, True, None, False]))
    def commit(self, owner, most, sure):
        """Commit; or the store does not say, and did (None) or did not (False)."""
        if sure:
            self.owners[owner].commit(most)
        else:
            self.owners[owner].commit_in_doubt(most, applied=sure is None)

    @rule(
        slot=SLOTS, owner=st.sampled_from(["a", "b", "c", None]), seen_by=st.sets(OWNERS),
        seen=st.booleans(),
    )  # fmt: skip
    def move(self, slot, owner, seen_by, seen):
        """A grant or a release; some notice at once."""
        self.grant(slot, owner)
        for name in sorted(seen_by):
            self.owners[name].follow()
        if seen:
            self.see_map(-1)

    @rule(which=st.integers(-4, -1))
    def see_map(self, which):
        """The newest map, or one of the last few again (a slow reader)."""
        self.lanes.apply_map(self.maps[max(which, -len(self.maps))])
        self.flush()

    @rule(owner=OWNERS, dies=st.sampled_from([False, False, True]))
    def notice(self, owner, dies):
        """An owner reads the slot rows; or dies, and another takes its place under its name."""
        if dies:
            self.owners[owner] = FakeOwner(owner, self.log)
            for wire in self.wires:
                if wire.owner.name == owner and not wire.closed:
                    wire.lose()
                    self.lanes.link_lost(wire)
        self.owners[owner].follow()

    # --- what must hold ----------------------------------------------------------------------
    @invariant()
    def stored_is_a_prefix_of_what_was_sent(self):
        for slot, payloads in self.sent.items():
            stored = self.log.slots[slot].messages
            assert stored == payloads[: len(stored)], "once each, in the order of submission"

    @invariant()
    def no_history_was_lost(self):
        assert self.lanes.history_lost == 0

    @invariant()
    def bounds_hold(self):
        waiting = [s for s in self.sinks if s.sequence is None]
        assert self.lanes.parked_bytes >= 0
        assert (self.lanes.parked_bytes == 0) == (not waiting)
        for lane in self.lanes.lanes.values():
            assert len(lane.unanswered) <= 4
            numbers = [b.producer_seq for b in lane.unanswered]
            assert numbers == list(range(lane.next_seq - len(numbers), lane.next_seq))
        assert all(w.frames_in_flight <= 2 for w in self.wires)

    def teardown(self):
        """After the last fault everything arrives."""
        for slot in self.sent:
            self.grant(slot, "a")
        for _ in range(40):
            self.see_map(-1)
            self.reconnect()
            self.owners["a"].follow()
            for wire in self.wires:
                while wire.frames:
                    wire.deliver_to(self.owners[wire.owner.name])
            for owner in self.owners.values():
                owner.commit(1000)
            for wire in self.wires:
                self.lanes.answered(wire.owner.incarnation, wire.take_answers(1000), self.now_s)
            self.flush(1.1)
        assert {slot: self.log.slots[slot].messages for slot in self.sent} == self.sent
        assert all(sink.sequence is not None for sink in self.sinks)
        self.no_history_was_lost()
        assert self.lanes.parked_bytes == 0


TestLaneHistory = LaneHistory.TestCase
TestLaneHistory.settings = settings(derandomize=True, max_examples=120, stateful_step_count=60)
