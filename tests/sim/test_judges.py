"""The judges themselves: each is shown what it must find, and what it must not."""

import random
from dataclasses import replace

import pytest

from multiconnect._native import Packer, slot_of
from multiconnect.model.cluster import Move, Node, NodeState, Role
from multiconnect.model.log import Append, LogWrite, Mark, Progress
from multiconnect.model.message import DUPLICATE_FLAG, Event, Message, Receipt, State, Stream
from multiconnect.model.message_id import encode_id
from multiconnect.store.memory import MemoryState
from multiconnect.store.memory.control import MemoryControl
from tests.sim.judges.bench import Bench
from tests.sim.judges.log import is_forward
from tests.sim.ledger import Ledger
from tests.sim.loop import SimLoop
from tests.sim.process import SimProcess
from tests.sim.store import run_at_once

RECIPIENT = "16315550001"
SLOT = slot_of(RECIPIENT)


class Court:
    """A cluster of two owners and two Masters without any code of the product but the store."""

    def __init__(self):
        self.loop = SimLoop(random.Random(1))
        self.state = MemoryState(self.process("clock"), cluster=7)
        self.ledger = Ledger()
        self.found: list[str] = []
        self.bench = Bench(self.state, self.ledger, lambda what, text: self.found.append(what))
        self.control = MemoryControl(self.state)
        self.people = {name: self.process(name) for name in ("a", "b", "m", "n")}
        for name, person in self.people.items():
            role = Role.COREAPP if name in "ab" else Role.MASTER
            node = Node(
                person.incarnation, name, role, "host", 1, f"unix:{name}", 0, NodeState.JOINING
            )
            self.call(name, "join", node)
            self.call(name, "set_node_state", person.incarnation, NodeState.READY, "")
            person.lease_until_s = float("inf")
        self.call("m", "take_term", "m.1", 0)
        self.grant("a")
        self.producer_seq = 0

    def process(self, name):
        return SimProcess(self.loop, name, f"{name}.1", "host", "seed")

    # --- what happens ------------------------------------------------------------------------
    def call(self, who, name, *args, **kwargs):
        result = run_at_once(getattr(self.control, name)(*args, **kwargs))
        self.bench.served(self.people[who], name, args, result)
        return result

    def grant(self, to, by="m", term=1):
        row = self.state.slots[SLOT]
        return self.call(
            by, "assign", [Move(SLOT, row.epoch, row.owner, f"{to}.1")], term, "a reason"
        )

    def hand_over(self, to):
        row = self.state.slots[SLOT]
        self.call("m", "start_drain", SLOT, row.epoch, f"{to}.1", 1)
        self.call(str(row.owner)[0], "report_drained", SLOT, row.epoch, row.owner)
        self.grant(to)

    def submit(self, router="web.1", **options):
        return self.ledger.submit(RECIPIENT, router, **options)

    def write(self, who="a", epoch=None, appends=(), progress=(), marks=()):
        row = self.state.slots[SLOT]
        epochs = {SLOT: row.epoch if epoch is None else epoch}
        write = LogWrite(epochs, tuple(appends), tuple(progress), tuple(marks))
        self.bench.served(self.people[who], "commit", (write,), frozenset())

    def store(self, *messages, who="a", states=None, **options):
        packer = Packer(Stream.OUTBOUND, str.encode)
        for sent in messages:
            packer.append(sent.recipient, sent.payload)
        base = len(self.bench.log.states[Stream.OUTBOUND, SLOT])
        data = packer.take(SLOT, 1, 1, 0) or b""
        append = Append(Stream.OUTBOUND, SLOT, base, len(messages), 1, (), 0, data, (), states)
        self.write(who, appends=[append], **options)

    def become(self, sequence, *states, settled=False):
        row = Progress(Stream.OUTBOUND, SLOT, sequence, bytes(states), settled, 0)
        self.write(progress=[row])

    def claim(self, watermark):
        self.write(marks=[Mark(Stream.OUTBOUND, SLOT, watermark, 0)])

    def message(self, sent, marked=False, body=None):
        return Message(
            encode_id(7, SLOT, sent.sequence), RECIPIENT, body or sent.payload, slot=SLOT,
            sequence=sent.sequence, possible_duplicate=marked,
        )  # fmt: skip

    def send(self, sent, who="a", marked=False):
        self.bench.effects.started(self.people[who], self.message(sent, marked))
        self.bench.effects.arrived(self.message(sent, marked))

    def receipt(self, sent, sequence=None):
        at = sent.sequence if sequence is None else sequence
        return Receipt(encode_id(7, SLOT, at), SLOT, 0, at)


@pytest.fixture
def court():
    court = Court()
    yield court
    court.loop.close()


def test_an_honest_life_is_not_objected_to(court):
    first, second = court.submit(), court.submit()
    court.store(first, second)
    court.bench.routers.acknowledged(first, court.receipt(first))
    court.claim(1)
    court.send(first)
    court.become(0, State.SENT, State.ACCEPTED)
    court.hand_over("b")
    court.people["a"].lease_until_s = 0.0
    court.write(who="b", progress=[
        Progress(Stream.OUTBOUND, SLOT, 0, bytes([State.SENT, State.SENDING | DUPLICATE_FLAG]),
                 False, 0)])  # fmt: skip
    court.send(second, who="b", marked=True)
    court.write(who="b", progress=[
        Progress(Stream.OUTBOUND, SLOT, 0, bytes([State.DELIVERED, State.SENT | DUPLICATE_FLAG]),
                 True, 0)])  # fmt: skip
    assert court.found == []
    assert court.bench.log.unsettled == 0


# --- the map -----------------------------------------------------------------------------------
def change_row(court, who="m", **changes):
    court.state.slots[SLOT] = replace(court.state.slots[SLOT], **changes)
    court.state.change(map_version=court.state.cluster.map_version + 1)
    court.bench.served(court.people[who], "assign", ([], 1, ""), True)


@pytest.mark.parametrize(
    ("changes", "invariant"),
    [
        ({"epoch": 0}, "1"),
        ({"owner": "b.1"}, "1"),
        ({"owner": "b.1", "epoch": 2}, "9"),
        ({"owner": "nobody.1", "epoch": 2}, "1"),
    ],
)
def test_rows_that_change_as_they_may_not(court, changes, invariant):
    change_row(court, **changes)
    assert invariant in court.found


def test_a_change_that_is_not_in_the_audit(court):
    change_row(court, owner="b.1", epoch=2, drain_to="b.1", drained=True)
    assert "11" in court.found


def test_a_map_that_changes_without_a_version(court):
    court.state.slots[SLOT] = replace(court.state.slots[SLOT], owner=None)
    court.state.change()
    court.bench.served(court.people["a"], "release", (), True)
    assert "9" in court.found


def test_a_count_in_force_over_shards_that_are_not_whole(court):
    court.call("m", "assign", [], 1, "too soon", shards=2)
    assert court.found == ["9"] * 15


def test_a_change_by_a_master_of_an_earlier_term(court):
    court.call("n", "take_term", "n.1", 1)
    court.call("m", "start_drain", SLOT, 1, "b.1", 2)
    assert court.found == ["11"]  # by m, with n's term


def test_a_second_master_of_a_term(court):
    court.state.change(master="n.1")
    court.bench.served(court.people["n"], "take_term", (), 1)
    assert court.found == ["11"]


def test_a_slot_that_comes_to_a_generation_twice(court):
    for name in ("a", "b"):
        node = court.state.nodes[f"{name}.1"]
        court.state.nodes[f"{name}.1"] = replace(node, generation=1 if name == "b" else 0)
    court.hand_over("b")
    assert court.found == []
    court.hand_over("a")
    assert court.found == ["9"]


# --- the log -----------------------------------------------------------------------------------
def test_a_write_under_an_old_epoch(court):
    court.hand_over("b")
    court.store(court.submit(), who="a", epoch=1)
    assert court.found == ["2"]


def test_a_message_stored_twice(court):
    sent = court.submit()
    court.store(sent)
    court.store(sent)
    assert court.found == ["4"]


def test_a_repeat_is_no_second_message_but_the_first_must_be_there(court):
    sent = court.submit(key="k")
    court.store(sent, states=bytes([State.REPEATED]))
    assert court.found == ["4"]
    court.store(sent)
    court.store(sent, states=bytes([State.REPEATED]))
    assert court.found == ["4"]


def test_messages_of_one_router_stored_out_of_order(court):
    first, second = court.submit(), court.submit()
    court.store(second)
    court.store(first)
    assert court.found == ["5"]


def test_a_stored_message_that_nobody_submitted(court):
    sent = court.submit()
    del court.ledger.by_payload[sent.payload]
    court.store(sent)
    assert court.found == ["3"]


@pytest.mark.parametrize(
    ("old", "new", "fine"),
    [
        (State.ACCEPTED, State.HELD, True),
        (State.HELD, State.SENDING, True),
        (State.SENDING, State.HELD, True),
        (State.SENDING, State.SENT, True),
        (State.SENT, State.READ, True),
        (State.UNKNOWN, State.SENT, True),
        (State.HELD, State.ACCEPTED, False),
        (State.SENT, State.SENDING, False),
        (State.READ, State.DELIVERED, False),
        (State.FAILED, State.SENT, False),
        (State.SENDING | DUPLICATE_FLAG, State.SENT, False),
        (State.SENDING | DUPLICATE_FLAG, State.SENT | DUPLICATE_FLAG, True),
    ],
)
def test_states_that_go_forward_and_back(court, old, new, fine):
    assert is_forward(old, new) == fine
    court.store(court.submit())
    court.become(0, old)
    court.become(0, new)
    assert court.found == ([] if fine else ["15"])


def test_a_batch_called_settled_that_is_not(court):
    court.store(court.submit(), court.submit())
    court.become(0, State.SENT, State.HELD, settled=True)
    court.write(marks=[Mark(Stream.OUTBOUND, SLOT, 1, 2)])
    assert court.found == ["16", "16"]


# --- effects -----------------------------------------------------------------------------------
@pytest.fixture
def sent(court):
    sent = court.submit()
    court.store(sent)
    court.claim(0)
    return sent


def test_a_send_after_the_lease(court, sent):
    court.people["a"].lease_until_s = 0.0
    court.send(sent)
    assert court.found == ["7"]


def test_a_send_by_who_was_relieved(court, sent):
    court.hand_over("b")
    court.send(sent, who="a")
    assert court.found == ["7"]


def test_a_send_without_a_claim(court):
    sent = court.submit()
    court.store(sent)
    court.send(sent)
    assert court.found == ["6"]


def test_a_second_send_without_a_mark(court, sent):
    court.send(sent)
    court.send(sent)
    assert court.found == ["6", "6"]  # as it starts, and as it arrives


def test_a_second_effect_needs_the_mark_in_the_store(court, sent):
    court.send(sent)
    court.send(sent, marked=True)
    assert court.found == ["6"]


def test_a_late_first_effect_out_of_order(court, sent):
    later = court.submit()
    court.store(later)
    court.claim(1)
    court.send(later)
    court.send(sent)
    assert court.found == ["5"]


def test_a_late_effect_of_what_was_given_up_has_no_place_in_the_order(court, sent):
    later = court.submit()
    court.store(later)
    court.claim(1)
    court.become(0, State.UNKNOWN)
    court.send(later)
    court.bench.effects.arrived(court.message(sent))
    assert court.found == []


def test_something_sent_that_was_never_accepted(court, sent):
    court.bench.effects.arrived(court.message(sent, body=b"{}"))
    assert court.found == ["3"]


# --- routers ---------------------------------------------------------------------------------
def test_a_receipt_for_what_is_not_stored(court):
    sent = court.submit()
    court.bench.routers.acknowledged(sent, court.receipt(sent, 0))
    assert court.found == ["3"]


def test_two_receipts_that_differ(court, sent):
    court.bench.routers.acknowledged(sent, court.receipt(sent))
    court.bench.routers.acknowledged(sent, court.receipt(sent)._replace(id="another"))
    assert court.found == ["4"]


def test_what_was_acknowledged_before_a_submission_comes_before_it(court):
    first, second = court.submit(), court.submit("other.1")
    court.store(first, second)
    court.bench.routers.acknowledged(second, court.receipt(second))
    late = court.submit("third.1")
    late.slot, late.sequence = first.slot, first.sequence
    court.ledger.at[SLOT, 0] = late
    court.bench.routers.acknowledged(late, court.receipt(late))
    assert court.found == ["5"]


def test_an_event_before_its_state_is_durable(court, sent):
    event = Event("sent", encode_id(7, SLOT, sent.sequence), RECIPIENT, SLOT, 0)
    court.bench.routers.told(event)
    court.become(0, State.SENT)
    court.bench.routers.told(event)
    assert court.found == ["3"]


def test_a_router_that_forgets_an_epoch_or_holds_too_much(court):
    looked = court.bench.routers.looked
    looked("web.1", [2] * 32, 100, 1000)
    looked("web.1", [3] * 32, 100, 1000)
    assert court.found == []
    looked("web.1", [3] * 31 + [2], 100, 1000)
    looked("web.1", [3] * 32, 10_000, 1000)
    assert court.found == ["8", "12"]


def test_a_batch_that_skips_a_number(court):
    class Batch:
        answer_to = None

        def __init__(self, number):
            self.header = type("Header", (), {"slot": SLOT, "stream": 0, "producer": 9,
                                              "producer_seq": number})  # fmt: skip

    for number in (1, 2, 1, 2, 3):
        court.bench.routers.received("a.1", Batch(number), court.state)
    assert court.found == []
    court.bench.routers.received("a.1", Batch(5), court.state)
    assert court.found == ["5"]


# --- the end -----------------------------------------------------------------------------------
def test_what_is_called_sent_must_have_arrived(court, sent):
    court.become(0, State.SENT)
    court.bench.rest.check()
    assert court.found == ["3", "3"]  # nor has the store got it: this court only shows calls
