"""Planned moves: what is begun, granted and taken back."""

import pytest

from multiconnect.control.actions import Assign, CancelDrain, PutInForce, StartDrain
from multiconnect.control.facts import DrainPause, DrainSeen
from multiconnect.control.moves import planned_moves
from multiconnect.control.roster import muster
from multiconnect.limits import MOVES_AT_ONCE_MAX
from multiconnect.model.cluster import Move, NodeState, Slot
from tests.unit.control.views import NOW_S, TIMERS, node, slots, snapshot, view

LEAVING = NodeState.LEAVING
SUSPECT_S = TIMERS.renew_s + TIMERS.silence_s + 0.01


def plan(shown, **seen):
    seen_by_me = view(shown, **seen)
    return planned_moves(seen_by_me, shown, muster(seen_by_me, shown))


def of(actions, kind):
    return [action for action in actions if isinstance(action, kind)]


def leaving(**changed):
    """a leaves with all slots of shard 0; b has shard 1; c is the spare."""
    return snapshot([node("a", state=LEAVING), node("b"), node("c")], slots("a", "b", **changed))


def test_a_map_in_its_place_is_left_alone():
    assert plan(snapshot([node("a"), node("b"), node("c")], slots("a", "b"))) == []


def test_a_leaving_owner_is_relieved_a_few_slots_at_a_time():
    actions = plan(leaving())
    assert actions == [StartDrain(slot, 1, "c", "a is leaving") for slot in (0, 2, 4, 6)]
    assert len(actions) == MOVES_AT_ONCE_MAX


def test_hand_overs_under_way_take_up_room():
    rows = {f"s{slot}": Slot(slot, 1, "a", "c") for slot in (0, 2, 4)}
    assert [a.slot for a in plan(leaving(**rows))] == [6]


def test_what_is_drained_is_granted_in_one_commit_and_makes_room():
    rows = {f"s{slot}": Slot(slot, 1, "a", "c", drained=slot < 4) for slot in (0, 2, 4, 6)}
    actions = plan(leaving(**rows))
    assert actions[0] == Assign((Move(0, 1, "a", "c"), Move(2, 1, "a", "c")), None, "a is leaving")
    assert [a.slot for a in of(actions, StartDrain)] == [8, 10]


def test_an_owner_that_leaves_with_nobody_to_take_over_stays():
    assert plan(snapshot([node("a", state=LEAVING)], slots("a"))) == []


def test_who_shares_is_relieved_by_a_newcomer():
    actions = plan(snapshot([node("a"), node("b")], slots("a")))
    assert {a.to for a in actions} == {"b"}
    assert {a.reason for a in actions} == {"spread 2 shards over 2 CoreApps"}


def test_a_spare_of_an_old_generation_relieves_nobody_who_stays():
    nodes = [node("a", generation=2), node("o", generation=1)]
    assert plan(snapshot(nodes, slots("a"), generation=2)) == []


def test_but_it_takes_over_from_one_who_leaves():
    nodes = [node("a", generation=2, state=LEAVING), node("o", generation=1)]
    assert {a.to for a in plan(snapshot(nodes, slots("a"), generation=2))} == {"o"}


def test_urgent_moves_come_first():
    nodes = [node("a"), node("b", state=LEAVING), *(node(n, generation=2) for n in "nop")]
    shown = snapshot(nodes, slots("a", "b"), generation=2)
    assert [a.slot for a in plan(shown)] == [1, 3, 5, 7]


def test_slots_that_go_the_same_way_go_together():
    nodes = [node("a"), node("b"), *(node(n, generation=2) for n in "nopq")]
    shown = snapshot(nodes, slots("a", "b"), generation=2, target_shards=4)
    starts = of(plan(shown), StartDrain)
    assert len({(shown.slots[start.slot].owner, start.to) for start in starts}) == 1
    assert len(starts) == MOVES_AT_ONCE_MAX


def waiting(**changed):
    """A resize 2 -> 4 whose new generation has two of four; a leaves."""
    nodes = [
        node("a", state=LEAVING), node("b"), node("c"),
        node("n", generation=2), node("o", generation=2),
    ]  # fmt: skip
    return snapshot(nodes, slots("a", "b", **changed), generation=2, target_shards=4)


def test_while_a_switch_waits_only_the_leaving_are_relieved():
    actions = plan(waiting())
    assert [a.slot for a in actions] == [0, 2, 4, 6]
    assert {a.reason for a in actions} == {"a is leaving"}


def test_while_a_switch_waits_a_half_moved_map_stays_as_it_is():
    """n has most of shard 0 already; to give it the rest would be a second switch within one."""
    nodes = [node("a"), node("b"), *(node(n, generation=2) for n in "nop")]
    rows = slots("n", "b", s0=Slot(0, 1, "a"), s2=Slot(2, 1, "a"))
    assert plan(snapshot(nodes, rows, generation=2, target_shards=4)) == []


def test_while_a_switch_waits_what_it_began_is_taken_back():
    actions = plan(waiting(s1=Slot(1, 1, "b", "n"), s3=Slot(3, 1, "b", "o", drained=True)))
    assert [a.slot for a in of(actions, CancelDrain)] == [1, 3]


@pytest.mark.parametrize(
    ("row", "silent_s"),
    [
        # to one who is gone, who has a shard already, who is silent, who is the owner itself
        (Slot(0, 1, "a", "gone"), {}),
        (Slot(0, 1, "a", "b"), {}),
        (Slot(0, 1, "a", "c"), {"c": SUSPECT_S}),
        (Slot(0, 1, "a", "c", drained=True), {"c": SUSPECT_S}),
        (Slot(0, 1, "a", "a"), {}),
        # from one who stays
        (Slot(1, 1, "b", "c"), {}),
        (Slot(1, 1, "b", "c", drained=True), {}),
    ],
)
def test_a_hand_over_that_is_off_course_is_taken_back(row, silent_s):
    actions = plan(leaving(**{f"s{row.slot}": row}), silent_s=silent_s)
    reason = f"{row.drain_to} is no longer the one to take it"
    assert of(actions, CancelDrain) == [CancelDrain(row.slot, 1, reason)]
    assert of(actions, Assign) == []


@pytest.mark.parametrize(
    ("age_s", "drained", "expected"),
    [
        (TIMERS.drain_max_s - 0.01, False, None),
        (TIMERS.drain_max_s + 0.01, False, CancelDrain),
        (TIMERS.drain_max_s + 0.01, True, Assign),
    ],
)
def test_a_drain_is_cancelled_never_forced(age_s, drained, expected):
    shown = leaving(s0=Slot(0, 1, "a", "c", drained))
    actions = plan(shown, drains={(0, 1): DrainSeen("c", NOW_S - age_s)})
    ended = [type(a) for a in actions if not isinstance(a, StartDrain)]
    assert ended == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("failures", "allowed_s"), [(0, 1.0), (1, 2.0), (3, 8.0), (5, 30.0), (9999, 30.0)]
)
def test_each_attempt_may_take_longer(failures, allowed_s):
    """Or an upstream slower than the first allowance would keep every resize from its end."""
    pauses = {(0, 1): DrainPause(failures, 0.0)} if failures else {}
    shown = leaving(s0=Slot(0, 1, "a", "c"))
    for age_s, ends in ((allowed_s - 0.01, False), (allowed_s + 0.01, True)):
        drains = {(0, 1): DrainSeen("c", NOW_S - age_s)}
        cancelled = of(plan(shown, drains=drains, pauses=pauses), CancelDrain)
        assert [a.reason for a in cancelled] == [f"a did not drain it in {allowed_s:g} s"] * ends


def test_a_slot_that_rests_after_a_failed_drain_is_passed_over():
    pauses = {(slot, 1): DrainPause(1, NOW_S + 0.5) for slot in (0, 4)}
    assert [a.slot for a in plan(leaving(), pauses=pauses)] == [2, 6, 8, 10]


def test_slots_that_failed_wait_behind_those_that_did_not():
    """Four slots of a slow upstream must not keep the other 28 from moving."""
    pauses = {(slot, 1): DrainPause(1 + slot % 4, NOW_S) for slot in range(0, 28, 2)}
    assert [a.slot for a in plan(leaving(), pauses=pauses)] == [28, 30, 0, 4]


@pytest.mark.parametrize("suspect", ["a", "b", "c"])
def test_while_somebody_is_silent_nothing_new_is_begun(suspect):
    assert plan(leaving(), silent_s={suspect: SUSPECT_S}) == []


def switched(**changed):
    nodes = [node("a"), *(node(n, generation=2) for n in "nopq")]
    return snapshot(nodes, slots("n", "o", "p", "q", **changed), generation=2, target_shards=4)


def test_the_last_grant_carries_the_new_count():
    actions = plan(switched(s3=Slot(3, 1, "a", "q", drained=True)))
    assert actions == [Assign((Move(3, 1, "a", "q"),), 4, "resize 2 -> 4 shards as generation 2")]


def test_the_last_but_one_does_not():
    late = Slot(7, 1, "a", "q")
    (assign,) = plan(switched(s3=Slot(3, 1, "a", "q", drained=True), s7=late))
    assert assign.shards is None


def test_a_count_for_which_nothing_moves_is_put_in_force_alone():
    assert plan(switched()) == [PutInForce(4, "resize 2 -> 4 shards as generation 2")]
