"""Any mix of loss, resends, hand-overs and deaths: each message is stored once, in order.

The router's half of invariants 3, 4, 5, 8 and 12, against owners that use the real planner and a
log that keeps the fence.
"""

import itertools

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

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
            self.move(slot, owner)
        self.owners_follow("a")
        self.owners_follow("b")
        self.owners_follow("c")
        self.see_map(-1)

    # --- the router --------------------------------------------------------------------------
    @rule(slot=SLOTS, count=st.integers(1, 3))
    def send(self, slot, count):
        for _ in range(count):
            payload = b"%d" % next(self.numbers)
            self.packer.append_at(slot, "1631", payload)
            ordinal = self.packer.appended(slot) - 1
            sink = Sent(self.log, slot, ordinal, payload)
            self.lanes.wait(Stream.OUTBOUND, slot, ordinal, ordinal, sink)
            self.sent[slot].append(payload)
            self.sinks.append(sink)

    @rule()
    def flush(self):
        self.now_s += 0.001
        self.lanes.flush(self.now_s, 0)

    @rule(pause_s=st.sampled_from([0.06, 1.1, PRODUCER_ROTATE_S + 1]))
    def wait(self, pause_s):
        self.now_s += pause_s
        self.lanes.flush(self.now_s, 0)

    @rule(which=st.integers(-4, -1))
    def see_map(self, which):
        """The newest map, or one of the last few again (a slow reader)."""
        self.lanes.apply_map(self.maps[max(which, -len(self.maps))])

    # --- the network -------------------------------------------------------------------------
    @precondition(lambda self: any(w.frames for w in self.wires))
    @rule(data=st.data())
    def deliver_frame(self, data):
        wire = data.draw(st.sampled_from([w for w in self.wires if w.frames]))
        wire.deliver_to(self.owners[wire.owner.name])

    @precondition(lambda self: any(w.answers for w in self.wires))
    @rule(data=st.data(), most=st.integers(1, 4))
    def deliver_answers(self, data, most):
        wire = data.draw(st.sampled_from([w for w in self.wires if w.answers]))
        entries = wire.take_answers(most)
        self.lanes.answered(wire.owner.incarnation, entries, self.now_s)

    @precondition(lambda self: any(w.ready for w in self.wires))
    @rule(data=st.data())
    def lose_connection(self, data):
        wire = data.draw(st.sampled_from([w for w in self.wires if w.ready]))
        wire.lose()
        self.lanes.link_lost(wire)

    @rule()
    def reconnect(self):
        for wire in self.wires:
            wire.ready = not wire.closed
        self.lanes.flush(self.now_s, 0)

    # --- the owners and their store ----------------------------------------------------------
    @rule(owner=OWNERS, most=st.integers(1, 5))
    def commit(self, owner, most):
        self.owners[owner].commit(most)

    @rule(owner=OWNERS, most=st.integers(1, 3), applied=st.booleans())
    def commit_in_doubt(self, owner, most, applied):
        self.owners[owner].commit_in_doubt(most, applied=applied)

    @rule(slot=SLOTS, owner=OWNERS)
    def move(self, slot, owner):
        self.log.grant(slot, owner)
        self.maps.append(self.log.map())

    @rule(slot=SLOTS)
    def release(self, slot):
        self.log.grant(slot, None)
        self.maps.append(self.log.map())

    @rule(owner=OWNERS)
    def owners_follow(self, owner):
        self.owners[owner].follow()

    @rule(owner=OWNERS)
    def kill(self, owner):
        """A process dies with all it had in memory; another takes its place under the same name."""
        self.owners[owner] = FakeOwner(owner, self.log)
        for wire in self.wires:
            if wire.owner.name == owner and not wire.closed:
                wire.lose()
                self.lanes.link_lost(wire)

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
            self.move(slot, "a")
        for _ in range(40):
            self.see_map(-1)
            self.reconnect()
            self.owners_follow("a")
            for wire in self.wires:
                while wire.frames:
                    wire.deliver_to(self.owners[wire.owner.name])
            for owner in self.owners.values():
                owner.commit(1000)
            for wire in self.wires:
                self.lanes.answered(wire.owner.incarnation, wire.take_answers(1000), self.now_s)
            self.wait(1.1)
        assert {slot: self.log.slots[slot].messages for slot in self.sent} == self.sent
        assert all(sink.sequence is not None for sink in self.sinks)
        self.no_history_was_lost()
        assert self.lanes.parked_bytes == 0


TestLaneHistory = LaneHistory.TestCase
TestLaneHistory.settings = settings(derandomize=True, max_examples=120, stateful_step_count=60)
