"""Repair: who is declared dead, where ownerless slots go, and when a start waits for more."""

import pytest

from multiconnect.control.actions import Assign, DeclareDead
from multiconnect.control.failover import repair
from multiconnect.control.roster import muster
from multiconnect.limits import COLD_START_QUIET_S, COLD_START_WAIT_MAX_S
from multiconnect.model.cluster import Move, NodeState, Role, Slot
from tests.unit.control.views import NOW_S, TIMERS, node, slots, snapshot, view

LATE_S = TIMERS.takeover_s + 0.01
SUSPECT_S = TIMERS.renew_s + TIMERS.silence_s + 0.01
DEAD = NodeState.DEAD


def mend(shown, **seen):
    seen_by_me = view(shown, **seen)
    return repair(seen_by_me, shown, muster(seen_by_me, shown))


def heirs(actions):
    (assign,) = [action for action in actions if isinstance(action, Assign)]
    return {move.slot: move.new_owner for move in assign.moves}


def test_nothing_broken_is_nothing_to_do():
    assert mend(snapshot([node("a"), node("b")], slots("a", "b"))) == []


@pytest.mark.parametrize("lost", ["dead", "gone", None])
def test_every_ownerless_slot_goes_in_one_commit_to_the_spare(lost):
    nodes = [node("a"), node("dead", state=DEAD, reason="signal 9"), node("spare")]
    actions = mend(snapshot(nodes, slots("a", lost)))
    assert len(actions) == 1
    assert heirs(actions) == dict.fromkeys(range(1, 32, 2), "spare")
    assert actions[0].moves[0] == Move(1, 1, lost, "spare")


def test_the_reason_names_who_died_and_of_what():
    nodes = [node("a"), node("b", state=DEAD, reason="signal 9"), node("c")]
    (assign,) = mend(snapshot(nodes, slots("a", "b")))
    assert assign.reason == "failover from b (signal 9): 16 slots to c"
    (first,) = mend(snapshot([node("a"), node("b")], slots(None)))
    assert first.reason == "first owners: 32 slots to a, b"


def test_without_a_spare_the_survivors_share():
    nodes = [node("a"), node("b"), node("x", state=DEAD), node("y", state=DEAD)]
    actions = mend(snapshot(nodes, slots("a", "b", "x", "y"), shards=4, target_shards=4))
    assert {slot % 4: heir for slot, heir in heirs(actions).items()} == {2: "a", 3: "b"}


def test_with_nobody_left_the_slots_stay():
    nodes = [node("x", state=DEAD), node("l", state=NodeState.LEAVING), node("w", Role.WEB)]
    assert mend(snapshot(nodes, slots("x"))) == []


def test_a_lease_death_is_declared_and_repaired_in_one_plan():
    nodes = [node("a"), node("b"), node("c")]
    actions = mend(snapshot(nodes, slots("a", "b")), silent_s={"b": LATE_S})
    assert actions[0] == DeclareDead("b", 1, "lease: no beat for 2.35 s")
    assert set(heirs(actions).values()) == {"c"}


def test_a_silent_owner_that_may_live_keeps_its_slots():
    nodes = [node("a"), node("b"), node("c")]
    assert mend(snapshot(nodes, slots("a", "b")), silent_s={"b": TIMERS.takeover_s - 0.1}) == []


def test_a_suspect_is_given_nothing_new_while_there_is_another():
    nodes = [node("a"), node("x", state=DEAD), node("s"), node("t")]
    shown = snapshot(nodes, slots("a", "x"))
    assert set(heirs(mend(shown, silent_s={"s": SUSPECT_S})).values()) == {"t"}
    everybody = {"a": SUSPECT_S, "s": SUSPECT_S, "t": SUSPECT_S}
    assert set(heirs(mend(shown, silent_s=everybody)).values()) == {"s"}


def test_a_slot_being_handed_over_goes_to_whom_it_was_meant_for():
    rows = slots("x", s1=Slot(1, 1, "x", "c", drained=False))
    nodes = [node("x", state=DEAD), node("b"), node("c")]
    assert heirs(mend(snapshot(nodes, rows)))[1] == "c"


def test_during_a_switch_orphans_go_where_the_switch_would_bring_them():
    nodes = [node("a"), node("x", state=DEAD), *(node(n, generation=2) for n in "nopq")]
    shown = snapshot(nodes, slots("a", "x"), generation=2, target_shards=4)
    assert heirs(mend(shown)) == {slot: "nopq"[slot % 4] for slot in range(1, 32, 2)}


def test_repair_that_completes_a_switch_puts_the_count_in_force():
    nodes = [node("x", state=DEAD), *(node(n, generation=2) for n in "nopq")]
    (assign,) = mend(snapshot(nodes, slots("x"), generation=2, target_shards=4))
    assert assign.shards == 4
    (alone,) = mend(snapshot([node("x", state=DEAD), node("n"), node("o")], slots("x")))
    assert alone.shards is None


@pytest.mark.parametrize(
    ("arrived_s", "ready_s", "owners", "waits"),
    [
        (0.1, 0.1, None, True),
        (COLD_START_QUIET_S + 0.01, 0.1, None, True),
        (0.1, COLD_START_QUIET_S + 0.01, None, True),
        (COLD_START_QUIET_S + 0.01, COLD_START_QUIET_S + 0.01, None, False),
        (0.1, COLD_START_WAIT_MAX_S + 0.01, None, False),
        # an owner that lives: this is no start but a failover
        (0.1, 0.1, "a", False),
        # an old spare: neither
        (0.1, 60.0, "x", False),
    ],
)
def test_a_start_waits_for_more_coreapps(arrived_s, ready_s, owners, waits):
    nodes = [node("a"), node("x", state=DEAD), node("late", state=NodeState.JOINING)]
    rows = slots("x", owners) if owners == "a" else slots(owners)
    shown = snapshot(nodes, rows, shards=4, target_shards=4)
    actions = mend(
        shown,
        arrived_s={"late": NOW_S - arrived_s, "a": 0.0},
        ready_since_s={"a": NOW_S - ready_s},
    )
    assert (actions == []) == waits


def test_a_start_with_enough_coreapps_does_not_wait():
    shown = snapshot([node("a"), node("b")], slots(None))
    now = {"a": NOW_S, "b": NOW_S}
    assert heirs(mend(shown, arrived_s=now, ready_since_s=now))[1] == "b"
