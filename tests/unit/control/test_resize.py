"""Which generation serves, when the count comes into force, and what set-shards is told."""

import pytest

from multiconnect.control.resize import (
    Goal,
    check_set_shards,
    goal_of,
    is_switch_wanted,
    ready_coreapps,
    shards_completed,
)
from multiconnect.control.roster import muster
from multiconnect.errors import InvalidShards
from multiconnect.limits import GENERATION_GRACE_MAX_S, GENERATION_GRACE_S, SLOTS
from multiconnect.model.cluster import Move, NodeState, Role, Slot
from tests.unit.control.views import NOW_S, node, slots, snapshot, view


def team(old, new):
    """`old` CoreApps of generation 1 (a, b, ...) and `new` of generation 2 (n, o, ...)."""
    return [node("abcdefgh"[i]) for i in range(old)] + [
        node("nopqrstu"[i], generation=2) for i in range(new)
    ]


def aim(shown, **observed):
    seen = view(shown, **observed)
    roster = muster(seen, shown)
    return goal_of(seen, shown, roster, roster.ready)


@pytest.mark.parametrize(
    ("fields", "owners", "wanted"),
    [
        ({"generation": 1}, "ab", False),
        ({"generation": 1, "target_shards": 4}, "ab", True),
        ({"generation": 2}, "ab", True),
        ({"generation": 2}, "no", False),
        ({"generation": 2}, "nb", True),
        # a dead owner is a matter of repair, not of the switch
        ({"generation": 2}, "nx", False),
    ],
)
def test_when_a_switch_is_wanted(fields, owners, wanted):
    nodes = [*team(2, 2), node("x", state=NodeState.DEAD)]
    assert is_switch_wanted(snapshot(nodes, slots(*owners), **fields)) == wanted


@pytest.mark.parametrize(
    ("old", "new", "target", "new_ready_for_s", "takes_over"),
    [
        # a resize 2 -> 4: four are needed, and as many as before
        (3, 0, 4, 0.0, False),
        (3, 3, 4, 99.0, False),
        (3, 4, 4, 0.0, True),
        (5, 4, 4, 0.0, False),
        (5, 4, 4, GENERATION_GRACE_S - 0.01, False),
        (5, 4, 4, GENERATION_GRACE_S, True),
        (5, 5, 4, 0.0, True),
        # a resize 2 -> 1
        (3, 1, 1, 0.0, False),
        (3, 1, 1, GENERATION_GRACE_S, True),
        # a restart with the same two shards
        (3, 2, 2, 0.0, False),
        (3, 3, 2, 0.0, True),
        (3, 1, 2, 99.0, False),
        # a cluster that shares already restarts with as many as it has
        (1, 1, 2, 0.0, True),
        (1, 0, 2, 99.0, False),
        # ... but a resize must have its full number
        (1, 1, 4, 99.0, False),
    ],
)
def test_when_the_new_generation_takes_over(old, new, target, new_ready_for_s, takes_over):
    nodes = team(old, new)
    owners = [n.incarnation for n in nodes[:2]]
    shown = snapshot(nodes, slots(*owners), generation=2, target_shards=target)
    ready_since_s = {n.incarnation: NOW_S - new_ready_for_s for n in nodes}
    goal = aim(shown, ready_since_s=ready_since_s)
    if takes_over:
        assert goal.shards == target
        assert set(goal.placement) <= set("nopqrstu")
        assert not goal.relieve_only
    else:
        assert goal.shards == 2
        assert goal.relieve_only


@pytest.mark.parametrize(
    ("first_s", "last_s", "takes_over"),
    [
        (GENERATION_GRACE_S, GENERATION_GRACE_S, True),
        (GENERATION_GRACE_S, 0.1, False),
        (GENERATION_GRACE_MAX_S - 0.1, 0.1, False),
        (GENERATION_GRACE_MAX_S, 0.1, True),
    ],
)
def test_a_smaller_generation_is_waited_for_while_it_grows(first_s, last_s, takes_over):
    """In a cluster of 64 on two cores the last one is ready long after the first."""
    nodes = team(5, 4)
    shown = snapshot(nodes, slots("a", "b"), generation=2, target_shards=4)
    ready_since_s = {n.incarnation: NOW_S - first_s for n in nodes}
    ready_since_s["q"] = NOW_S - last_s
    assert aim(shown, ready_since_s=ready_since_s).relieve_only != takes_over


def test_two_older_generations_do_not_add_up():
    """Two targets in a row leave two old generations; the larger one is the measure."""
    nodes = [*team(3, 3), *(node(name, generation=3) for name in "xyz")]
    goal = aim(snapshot(nodes, slots("a", "n"), generation=3, target_shards=2))
    assert goal.placement == ("x", "y")


def test_without_a_switch_everybody_ready_counts():
    goal = aim(snapshot(team(1, 1), slots("n", "n"), generation=2))
    assert (goal.placement, goal.relieve_only) == (("n", "a"), False)


def test_old_spares_do_not_count_where_the_new_generation_is_enough():
    goal = aim(snapshot([node("a"), *team(0, 2)], slots("n", "n"), generation=2))
    assert goal.placement == ("n", "o")


def test_a_hand_over_under_way_holds_the_choice():
    """A newcomer that sorts first must not turn over what has begun."""
    rows = slots("a", s0=Slot(0, 1, "a", "z"), s1=Slot(1, 1, "a"))
    shown = snapshot([node("a"), node("b"), node("z")], rows)
    assert set(aim(shown).placement) == {"a", "z"}


@pytest.mark.parametrize(
    ("in_force", "owners", "moves", "shards"),
    [
        (2, "nopq", (), 4),
        (2, "nopa", (), None),
        (2, "nopa", range(3, SLOTS, 4), 4),
        (2, "nopa", range(3, SLOTS - 4, 4), None),
        (4, "nopq", (), None),
    ],
)
def test_the_count_comes_with_the_last_slot(in_force, owners, moves, shards):
    goal = Goal(4, tuple("nopq"), relieve_only=False, reason="")
    shown = snapshot(team(1, 4), slots(*owners), shards=in_force, target_shards=4)
    granted = [Move(slot, 1, "a", "q") for slot in moves]
    assert shards_completed(goal, shown, granted) == shards


def test_nothing_completes_without_candidates():
    shown = snapshot([], slots(None), target_shards=4)
    assert shards_completed(Goal(4, (), relieve_only=False, reason=""), shown, ()) is None


@pytest.mark.parametrize("shards", [1, 2, 4])
def test_set_shards_is_accepted(shards):
    assert check_set_shards(snapshot(team(4, 1), generation=2), shards) is None


def test_a_resize_under_way_is_no_refusal():
    shown = snapshot(team(3, 4), slots("a", "b"), generation=2, target_shards=4)
    assert check_set_shards(shown, 1) is None
    assert check_set_shards(shown, 4) is None


def test_too_few_coreapps_are_refused_with_the_numbers_and_the_remedy():
    text = check_set_shards(snapshot(team(3, 0)), 8)
    assert text == (
        "8 shards need 8 live CoreApps and 3 are ready; start 5 more "
        "(multiconnect node --coreapps 5) and repeat"
    )
    one = check_set_shards(snapshot(team(1, 0)), 2)
    assert one is not None
    assert "1 is ready" in one


@pytest.mark.parametrize(
    "fields", [{"master": None}, {"master": "unknown"}, {"master": "dead"}], ids=str
)
def test_no_master_is_refused(fields):
    nodes = [*team(4, 0), node("dead", Role.MASTER, NodeState.DEAD)]
    text = check_set_shards(snapshot(nodes, **fields), 2)
    assert text is not None
    assert text.startswith("no live Master holds the term")


def test_an_impossible_count_is_wrong_input():
    with pytest.raises(InvalidShards, match="3"):
        check_set_shards(snapshot(team(4, 0)), 3)


def test_only_ready_coreapps_of_the_larger_generation_count():
    nodes = [
        *team(2, 3),
        node("x", state=NodeState.LEAVING, generation=2),
        node("y", state=NodeState.JOINING, generation=2),
        node("w", Role.WEB, generation=2),
    ]
    assert ready_coreapps(snapshot(nodes)) == 3
    assert ready_coreapps(snapshot([])) == 0
