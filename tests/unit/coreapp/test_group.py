"""Planning a group commit: what is stored, and what each sender is answered (3, 4)."""

import pytest

from multiconnect.coreapp.group import Planner, keyed_records
from multiconnect.coreapp.owned_slot import OwnedSlot
from multiconnect.dataplane.wire import AnswerStatus
from multiconnect.errors import CorruptData
from multiconnect.model.log import CONFLICTS, REPEATS, Answer, SlotTail, StreamTail
from multiconnect.model.message import Kind, State, Stream
from tests.unit.coreapp.batches import Sender

ALICE, BOB = "16315550001", "16315550002"
ONE, TWO = b'{"n":1}', b'{"n":2}'


class Owner:
    """Slots 4 and 6, and the keys that were committed."""

    def __init__(self):
        self.slots = {s: OwnedSlot(SlotTail(s, 3, {t: StreamTail() for t in Stream}, {}))
                      for s in (4, 6)}  # fmt: skip
        self.keys = {}

    def plan(self, *batches):
        planner = Planner(self.slots, self.keys, now_ms=1000)
        for batch in batches:
            planner.add(batch, keyed_records(batch))
        return planner.plan

    def commit(self, *batches):
        plan = self.plan(*batches)
        self.slots |= plan.slots
        for append in plan.appends():
            self.keys |= {(append.slot, row.key): row for row in append.keys}
        return plan


@pytest.fixture
def owner():
    return Owner()


@pytest.fixture
def sender():
    return Sender()


def exceptions(plan):
    return [answer.exceptions for _, answer in plan.answers]


def test_a_plan_changes_nothing_until_it_is_adopted(owner, sender):
    first = owner.plan(sender.batch((ALICE, ONE, "")))
    again = owner.plan(sender.batch((ALICE, ONE, ""), number=1))
    assert first.appends()[0].base_seq == again.appends()[0].base_seq == 0
    assert sender.answers == [], "nobody is answered before the commit"


def test_batches_get_the_next_sequences_in_the_order_they_came(owner):
    one, other = Sender(producer=5), Sender(producer=6)
    plan = owner.commit(
        one.batch((ALICE, ONE, ""), (BOB, ONE, "")), other.batch((ALICE, TWO, "")),
        one.batch((BOB, TWO, "")),
    )  # fmt: skip
    assert [(a.producer, a.base_seq, a.count) for a in plan.appends()] == [
        (5, 0, 2), (6, 2, 1), (5, 3, 1),
    ]  # fmt: skip
    assert [a.answers for a in plan.appends()] == [
        (Answer(1, 0),), (Answer(1, 2),), (Answer(1, 0), Answer(2, 3)),
    ]  # fmt: skip


def test_slots_and_streams_are_counted_apart(owner):
    plan = owner.commit(
        Sender(slot=4).batch((ALICE, ONE, "")), Sender(slot=6).batch((ALICE, ONE, "")),
        Sender(slot=4, stream=Stream.INBOUND).batch((ALICE, ONE, "")),
    )  # fmt: skip
    assert [(a.slot, a.stream, a.base_seq) for a in plan.appends()] == [(4, 0, 0), (6, 0, 0),
                                                                       (4, 1, 0)]  # fmt: skip


def test_who_sends_to_another_owners_slot_is_told_at_once(owner):
    stranger = Sender(slot=9)
    plan = owner.plan(stranger.batch((ALICE, ONE, "")))
    assert stranger.statuses == [AnswerStatus.NOT_OWNER]
    assert not plan.planned


def test_a_gap_is_told_with_the_number_expected(owner, sender):
    sender.batch((ALICE, ONE, ""))  # lost on the way
    plan = owner.plan(sender.batch((ALICE, TWO, "")))
    assert not plan.planned
    assert sender.answers == [(4, 0, AnswerStatus.GAP, 5, 2, 1, ())]


def test_a_resend_in_the_same_group_is_stored_once(owner, sender):
    plan = owner.commit(sender.batch((ALICE, ONE, "")), sender.batch((ALICE, ONE, ""), number=1))
    assert len(plan.planned) == 1
    assert [answer for _, answer in plan.answers] == [Answer(1, 0), Answer(1, 0)]


def test_a_batch_is_answered_once(sender):
    batch = sender.batch((ALICE, ONE, ""))
    batch.answer(AnswerStatus.BUSY)
    batch.answer(AnswerStatus.STORED, 5)
    assert sender.statuses == [AnswerStatus.BUSY]


# --- idempotency keys ------------------------------------------------------------------------
@pytest.mark.parametrize("together", [True, False], ids=["one group", "two groups"])
@pytest.mark.parametrize(("body", "kind"), [(ONE, REPEATS), (TWO, CONFLICTS)])
def test_a_key_is_used_once(owner, sender, together, body, kind):
    batches = [sender.batch((BOB, ONE, ""), (ALICE, ONE, "k")), sender.batch((ALICE, body, "k"))]
    if together:
        plan = owner.commit(*batches)
        first, second = plan.appends()
    else:
        (first,) = owner.commit(batches[0]).appends()
        plan = owner.commit(batches[1])
        (second,) = plan.appends()
    assert exceptions(plan)[-1] == ((0, kind, 1),)
    assert second.states == bytes([State.REPEATED]), "its number is used up, it is never sent"
    assert (first.states, second.keys) == (None, ())
    assert [row.sequence for row in first.keys] == [1]


def test_a_key_used_twice_in_one_batch_is_used_once(owner, sender):
    plan = owner.commit(
        sender.batch((ALICE, ONE, "k"), (ALICE, ONE, "k"), (ALICE, TWO, "k"), (ALICE, ONE, ""))
    )
    assert exceptions(plan) == [((1, REPEATS, 0), (2, CONFLICTS, 0))]
    (append,) = plan.appends()
    assert append.states == bytes([0, State.REPEATED, State.REPEATED, 0])


def test_a_resend_of_a_keyed_batch_gets_the_first_answer(owner, sender):
    batch = sender.batch((ALICE, ONE, "k"))
    owner.commit(batch)
    plan = owner.commit(sender.batch((ALICE, ONE, "k"), number=1))
    assert exceptions(plan) == [()], "the same submission, not a second use of the key"


def test_a_plan_that_was_not_committed_leaves_no_key(owner, sender):
    owner.plan(sender.batch((ALICE, ONE, "k")))
    plan = owner.commit(sender.batch((ALICE, TWO, "k"), number=1))
    assert exceptions(plan) == [()]


SCOPES = [
    ("acme", ALICE, "k"), ("other", ALICE, "k"), ("acme", BOB, "k"), ("acme", ALICE, "k2"),
    ("acme\0" + ALICE, BOB, "k"), ("acme", ALICE, BOB + "\0k"), ("", ALICE, "acme\0k"),
]  # fmt: skip


def test_a_key_belongs_to_an_account_and_a_recipient(owner, sender):
    """Also when parts of one pass for parts of another, which a caller may try."""
    for account, recipient, key in SCOPES:
        plan = owner.commit(sender.batch((recipient, ONE, key), account=account))
        assert exceptions(plan) == [()]
    for account, recipient, key in SCOPES:
        plan = owner.commit(sender.batch((recipient, ONE, key), account=account))
        assert [e[0][1] for e in exceptions(plan)] == [REPEATS]


def test_another_kind_of_request_is_another_body(owner, sender):
    owner.commit(sender.batch((ALICE, ONE, "k")))
    plan = owner.commit(sender.batch((ALICE, ONE, "k"), kind=Kind.MARK_READ))
    assert exceptions(plan) == [((0, CONFLICTS, 0),)]


def test_keys_of_a_refused_slot_are_not_answered_as_stored(owner, sender):
    """The plan only says what would be answered: nothing is sent to anybody here."""
    plan = owner.plan(sender.batch((ALICE, ONE, "k")), sender.batch((ALICE, ONE, "k")))
    assert sender.answers == []
    assert len(plan.answers) == 2


def test_malformed_attributes_of_a_keyed_batch_are_corrupt():
    sender = Sender()
    sender._packer.append_at(4, ALICE, ONE, b"\x02\xff", Kind.SEND, True)
    with pytest.raises(CorruptData):
        keyed_records(sender.batch())
