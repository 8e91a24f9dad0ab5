"""Random histories: whatever is done, SQLite says exactly what the memory store says."""

import asyncio
import shutil

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from multiconnect.limits import RETAIN_BODIES_S, RETAIN_IDEMPOTENCY_S, RETAIN_STATES_S
from multiconnect.model.cluster import Move, NodeState
from multiconnect.model.log import (
    Answer,
    Failure,
    LogWrite,
    Mark,
    Progress,
    Retry,
    UpstreamId,
)
from multiconnect.model.message import State, Stream
from multiconnect.store.memory import MemoryState, MemoryStore
from multiconnect.store.open import open_store
from multiconnect.store.rules import all_settled
from tests.contract.cluster import SetClock, append, key_row, new_folder, node

NAMES = st.sampled_from("abc")
SLOTS = st.sampled_from([0, 1, 31])
SLIP = st.sampled_from([0, 0, 0, 0, -1, 1])
STATES = st.sampled_from(list(State))


class TwoStores(RuleBasedStateMachine):
    """Does everything to both stores; the memory store also tells what would be a legal write."""

    @initialize()
    def start(self):
        self.folder = new_folder()
        self.clock = SetClock()
        self.runner = asyncio.Runner()
        self.url = f"sqlite:///{self.folder}/m.db"
        self.sqlite = self.run(open_store(self.url, clock=self.clock))
        number = self.run(self.sqlite.control.snapshot()).cluster.cluster
        self.state = MemoryState(self.clock, number)
        self.memory = MemoryStore(self.state)
        self.logs = {}
        self.born = 0
        for name in "abc":
            self.both(lambda s, name=name: s.control.join(node(name)))
        self.both(lambda s: s.control.take_term("a", 0))
        self.grant({0, 1, 31}, "a", "start")

    def teardown(self):
        if hasattr(self, "runner"):
            self.run(self.sqlite.aclose())
            self.runner.close()
            shutil.rmtree(self.folder)

    def run(self, call):
        return self.runner.get_loop().run_until_complete(call)

    def both(self, ask):
        answers = [self.run(ask(store)) for store in (self.memory, self.sqlite)]
        assert answers[0] == answers[1]
        return answers[0]

    def log(self, name):
        if name not in self.logs:
            self.logs[name] = [self.run(s.log(name)) for s in (self.memory, self.sqlite)]
        return self.logs[name]

    def both_logs(self, name, ask):
        answers = [self.run(ask(log)) for log in self.log(name)]
        assert answers[0] == answers[1]
        return answers[0]

    # --- control -----------------------------------------------------------------------------

    def now(self, name):
        """Return the living incarnation of a node: names stay, incarnations do not."""
        return max((node for node in self.alive() if node[0] == name), default=name)

    def alive(self):
        nodes = self.state.nodes.values()
        return [n.incarnation for n in nodes if n.state is not NodeState.DEAD]

    def die(self, incarnation):
        if not self.both(lambda s: s.control.set_node_state(incarnation, NodeState.DEAD, "exit")):
            return
        self.born += 1
        successor = f"{incarnation[0]}#{self.born:03}"
        self.both(lambda s: s.control.join(node(successor)))

    def grant(self, slots, name, reason, shards=None, slip=0):
        rows, term, new = self.state.slots, self.state.cluster.term, self.now(name)
        moves = [Move(s, rows[s].epoch + slip, rows[s].owner, new) for s in sorted(slots)]
        if self.both(lambda s: s.control.assign(moves, term, reason, shards=shards)):
            for move in moves:
                self.both_logs(new, lambda log, m=move: log.open_slot(m.slot, m.epoch + 1))

    def drain(self, row, to):
        if row.owner is not None:
            term = self.state.cluster.term
            self.both(lambda s: s.control.start_drain(row.slot, row.epoch, to, term))
            self.both(lambda s: s.control.report_drained(row.slot, row.epoch, row.owner))

    @rule(slots=st.sets(SLOTS, min_size=1), name=NAMES)
    def hand_over(self, slots, name):
        for slot in sorted(slots):
            self.drain(self.state.slots[slot], name)
        self.grant(slots, name, "planned", shards=4)

    @rule(slot=SLOTS, name=NAMES)
    def die_and_be_replaced(self, slot, name):
        owner = self.state.slots[slot].owner
        if owner is not None:
            self.die(owner)
        self.grant({r.slot for r in self.state.slots if r.owner == owner} & {0, 31}, name, "dead")

    @rule(slot=SLOTS, name=NAMES, slip=SLIP, step=st.integers(0, 9))
    def control_step(self, slot, name, slip, step):
        """Do one of the small things, often with a number that is not the one in force."""
        row, cluster, who = self.state.slots[slot], self.state.cluster, self.now(name)
        epoch, term = row.epoch + slip, cluster.term + slip
        generation = cluster.generation + slip
        steps = [
            lambda s: s.control.set_node_state(who, NodeState.LEAVING, "step"),
            lambda s: s.control.set_node_state(who, NodeState.READY, "step"),
            lambda s: s.control.take_term(who, term),
            lambda s: s.control.start_drain(slot, row.epoch, who, term),
            lambda s: s.control.cancel_drain(slot, epoch, cluster.term),
            lambda s: s.control.release(slot, epoch, row.owner or who, "step"),
            lambda s: s.control.set_target(8, generation),
            lambda s: s.control.put_document("kind", name, {"v": slip}, slip if slip > 0 else None),
            lambda s: s.control.delete_document("kind", name),
            lambda s: s.control.assign([Move(slot, epoch, row.owner, who)], cluster.term, "step"),
        ]
        self.both(steps[step])

    # --- log ---------------------------------------------------------------------------------

    @rule(data=st.data(), slots=st.sets(SLOTS, min_size=1))
    def write(self, data, slots):
        """The owner of a slot writes to it; to other slots too, some of which it does not own."""
        owner = self.state.slots[min(slots)].owner
        if owner is None or self.now(owner[0]) != owner:
            self.grant({min(slots)}, "c", "orphan")
        self.commit(data, slots, self.state.slots[min(slots)].owner or "a", 0)

    @rule(data=st.data(), slots=st.sets(SLOTS, min_size=1), name=NAMES, slip=SLIP)
    def write_astray(self, data, slots, name, slip):
        self.commit(data, slots, self.now(name), slip)

    def commit(self, data, slots, who, slip):
        epochs = {slot: self.state.slots[slot].epoch for slot in slots}
        epochs[min(slots)] += slip
        lanes = [(stream, slot) for stream in Stream for slot in sorted(slots)]
        picked = data.draw(st.lists(st.sampled_from(lanes), unique=True, min_size=1))
        write = LogWrite(
            epochs,
            appends=tuple(a for lane in picked for a in self.appends(data, *lane)),
            progress=tuple(p for lane in lanes for p in self.progress(data, *lane)),
            **self.sparse_rows(data, lanes),
        )
        self.both_logs(who, lambda log: log.commit(write))

    def appends(self, data, stream, slot):
        base = self.state.lanes[stream, slot].next_seq
        for count in data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=2)):
            producer = data.draw(st.sampled_from([1, 2**64 - 1]))
            keys = (key_row("k", base, self.clock.now_ms),) if count == 2 else ()
            states = bytes([State.REPEATED, *bytes(count - 1)]) if count != 2 else None
            yield append(
                slot, base, count, stream=stream, producer=producer, keys=keys, states=states,
                answers=(Answer(base, base, ((0, 1, 7),)),), accepted_at_ms=self.clock.now_ms,
            )  # fmt: skip
            base += count

    def progress(self, data, stream, slot):
        lane = self.state.lanes[stream, slot]
        if not lane.bases or not data.draw(st.integers(0, 3)):
            return
        base = data.draw(st.sampled_from(lane.bases))
        known = lane.progress.get(base)
        states = bytes([data.draw(STATES)]) * lane.batches[base].count
        # States only move forward: what is settled stays so.
        settled = all_settled(states) or (known is not None and known.settled)
        yield Progress(stream, slot, base, states, settled, self.clock.now_ms)

    def sparse_rows(self, data, lanes):
        stream, slot = data.draw(st.sampled_from(lanes))
        lane = self.state.lanes[stream, slot]
        if not lane.bases:
            return {}
        place = (stream, slot, data.draw(st.sampled_from(lane.bases)))
        other = (stream, slot, data.draw(st.sampled_from(lane.bases)))
        at_ms = self.clock.now_ms
        rows = {
            "marks": (Mark(stream, slot, data.draw(st.integers(-1, 9)), _settled_below(lane)),),
            "retries": (Retry(*place, data.draw(st.integers(1, 3)), at_ms, None, "later"),),
            "retries_done": (other,),
            "failures": (Failure(*place, 1, at_ms, data.draw(st.integers(1, 3)), "no"),),
            "upstream_ids": (UpstreamId(*place, data.draw(st.sampled_from("uvw"))),),
        }
        return {kind: rows[kind] for kind in data.draw(st.sets(st.sampled_from(sorted(rows))))}

    @rule(name=NAMES, limit=st.sampled_from([1, 15, 9_999]))
    def read(self, name, limit):
        who = self.now(name)
        for (stream, slot), lane in self.state.lanes.items():
            if lane.next_seq:
                self.read_lane(who, stream, slot, limit)

    def read_lane(self, who, stream, slot, limit):
        end, row = self.state.lanes[stream, slot].next_seq, self.state.slots[slot]
        for f in {0, end // 2, end}:
            self.both_logs(who, lambda log, f=f: log.read_batches(stream, slot, f, limit))
        for seq in range(end + 1):
            self.both_logs(who, lambda log, seq=seq: log.find_message(stream, slot, seq))
        self.both_logs(who, lambda log: log.find_keys(slot, [key_row("k", 0).key]))
        if row.owner is not None:
            self.both_logs(row.owner, lambda log: log.open_slot(slot, row.epoch))

    # --- time --------------------------------------------------------------------------------

    @rule(
        seconds=st.sampled_from(
            [60, RETAIN_BODIES_S + 1, RETAIN_IDEMPOTENCY_S + 1, RETAIN_STATES_S + 1]
        )
    )
    def let_time_pass(self, seconds):
        """In SQLite each live node collects its own garbage and that of the dead."""
        self.clock.advance(seconds)
        self.run(self.log("a")[0].collect_garbage(self.clock.now_ms))
        for _ in range(50):
            logs = [self.log(name)[1] for name in self.alive()] * 4
            dropped = [self.run(log.collect_garbage(self.clock.now_ms)) for log in logs]
            if not any(dropped):
                return
        raise AssertionError("collecting never ends")

    @rule()
    def close_and_reopen(self):
        self.run(self.sqlite.aclose())
        self.sqlite = self.run(open_store(self.url, clock=self.clock))
        self.logs = {}

    @invariant()
    def both_say_the_same(self):
        if hasattr(self, "runner"):
            self.both(lambda s: s.control.snapshot())
            self.both(lambda s: s.control.audit(20))
            self.both(lambda s: s.control.documents("kind"))


def _settled_below(lane):
    """Return a true mark: everything below it is settled."""
    for base in lane.bases:
        progress = lane.progress.get(base)
        if progress is None or not progress.settled:
            return base
    return lane.next_seq


TestTwoStores = TwoStores.TestCase
TestTwoStores.settings = settings(
    max_examples=25,
    stateful_step_count=50,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
