"""Any mix of loss, resends, hand-overs and deaths: each message is stored once, in order.

The router's half of invariants 3, 4, 5 and 12, against owners that use the real planner and a log
that keeps the fence. A history is a seeded walk: long ones find more than many short ones.
"""

import itertools
import random

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from multiconnect._native import Packer
from multiconnect.dataplane.lane_set import LaneSet
from multiconnect.limits import PRODUCER_ROTATE_S
from multiconnect.model.message import Stream
from multiconnect.model.shard_map import ShardMap
from tests.unit.dataplane.cluster import FakeOwner, FencedLog, Wire
from tests.unit.dataplane.waiting import WaiterFor

STEPS = 400
OWNERS = ("a", "b", "c")


class Sent:
    """A sink that checks what it is told against the log."""

    deadline_s = 1e12

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


class LaneHistory:
    def __init__(self, rng):
        self.rng = rng
        self.log = FencedLog()
        self.numbers = itertools.count(1)
        self.wires: list[Wire] = []
        self.maps: list[ShardMap] = []
        self.packer = Packer(Stream.OUTBOUND, orjson.dumps)
        producers = itertools.count(101)
        packers = {Stream.OUTBOUND: self.packer}
        self.lanes = LaneSet(packers, lambda: next(producers), self.make_link)
        self.now_s = 1.0
        self.sent: dict[int, list[bytes]] = {0: [], 1: [], 31: []}
        self.sinks = []
        self.owners = {name: FakeOwner(name, self.log) for name in OWNERS}
        for slot in self.sent:
            self.grant(slot, rng.choice(OWNERS))
        for owner in self.owners.values():
            owner.follow()
        self.lanes.apply_map(self.maps[-1])

    def make_link(self, owner):
        wire = Wire(owner)
        self.wires.append(wire)
        return wire

    def grant(self, slot, owner):
        self.log.grant(slot, owner)
        self.maps.append(self.log.map())

    def flush(self, pause_s=0.001):
        self.now_s += pause_s
        self.lanes.flush(self.now_s, 0)

    # --- what may happen ---------------------------------------------------------------------
    def send(self):
        slot = self.rng.choice(list(self.sent))
        for _ in range(self.rng.randint(1, 3)):
            payload = b"%d" % next(self.numbers)
            self.packer.append_at(slot, "1631", payload)
            ordinal = self.packer.appended(slot) - 1
            sink = Sent(self.log, slot, ordinal, payload)
            self.lanes.wait(Stream.OUTBOUND, slot, WaiterFor(ordinal, ordinal, sink))
            self.sent[slot].append(payload)
            self.sinks.append(sink)
        self.flush()

    def wait(self):
        self.flush(self.rng.choice([0.03, 0.06, 0.06, 1.1, PRODUCER_ROTATE_S + 1]))

    def frame_arrives(self):
        busy = [w for w in self.wires if w.frames]
        if busy:
            wire = self.rng.choice(busy)
            wire.deliver_to(self.owners[wire.owner.name])

    def answers_arrive(self):
        busy = [w for w in self.wires if w.answers]
        if busy:
            wire = self.rng.choice(busy)
            entries = wire.take_answers(self.rng.randint(1, 5))
            self.lanes.answered(wire.owner.incarnation, entries, self.now_s)
            self.flush()

    def connection_is_lost(self):
        self.lose([w for w in self.wires if w.ready][:1])

    def lose(self, wires):
        for wire in wires:
            wire.lose()
            self.lanes.link_lost(wire)
            wire.ready = self.rng.random() < 0.5
        self.flush()

    def reconnect(self):
        for wire in self.wires:
            wire.ready = not wire.closed
        self.flush()

    def commit(self):
        owner = self.rng.choice([o for o in self.owners.values() if o.queue] or [self.owners["a"]])
        most = self.rng.randint(1, 5)
        if self.rng.random() < 0.7:
            owner.commit(most)
        else:
            owner.commit_in_doubt(most, applied=self.rng.random() < 0.5)

    def slot_moves(self):
        self.grant(self.rng.choice(list(self.sent)), self.rng.choice([*OWNERS, None]))
        for owner in self.owners.values():
            if self.rng.random() < 0.5:
                owner.follow()

    def router_sees_a_map(self):
        """Mostly the newest, sometimes one of the last few again (a slow reader)."""
        self.lanes.apply_map(self.rng.choice([*self.maps[-3:], *[self.maps[-1]] * 5]))
        self.flush()

    def owner_follows(self):
        self.rng.choice(list(self.owners.values())).follow()

    def owner_dies(self):
        """A process dies with all it had in memory; another takes its place under its name."""
        name = self.rng.choice(OWNERS)
        self.owners[name] = FakeOwner(name, self.log)
        self.lose([w for w in self.wires if w.owner.name == name and not w.closed])
        self.owners[name].follow()

    WEIGHTS = {  # noqa: RUF012
        send: 20, frame_arrives: 20, commit: 20, answers_arrive: 20, wait: 10, reconnect: 5,
        connection_is_lost: 3, slot_moves: 4, router_sees_a_map: 8, owner_follows: 8, owner_dies: 1,
    }  # fmt: skip

    # --- what must hold ----------------------------------------------------------------------
    def check(self):
        assert self.lanes.history_lost == 0
        assert (self.lanes.parked_bytes == 0) == all(s.sequence is not None for s in self.sinks)
        for slot, payloads in self.sent.items():
            stored = self.log.slots[slot].messages
            assert stored == payloads[: len(stored)], "once each, in the order of submission"
            lane = self.lanes.lanes[Stream.OUTBOUND, slot]
            numbers = [batch.producer_seq for batch in lane.unanswered]
            assert numbers == list(range(lane.next_seq - len(numbers), lane.next_seq))
            assert len(numbers) <= 4
        assert all(w.frames_in_flight <= 2 for w in self.wires)

    def heal(self):
        """After the last fault everything arrives."""
        for slot in self.sent:
            self.grant(slot, "a")
        self.owners["a"].follow()
        for _ in range(60):
            self.lanes.apply_map(self.maps[-1])
            self.reconnect()
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


@settings(derandomize=True, max_examples=60)
@given(st.integers(0, 1 << 32))
def test_every_message_is_stored_once_in_order_whatever_happens(seed):
    rng = random.Random(seed)
    history = LaneHistory(rng)
    steps, weights = zip(*LaneHistory.WEIGHTS.items(), strict=True)
    for step in rng.choices(steps, weights, k=STEPS):
        step(history)
        history.check()
    history.heal()
    history.check()
