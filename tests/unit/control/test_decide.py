"""The order of concerns, and that nothing is decided without a snapshot or a term."""

from dataclasses import replace

import pytest

from multiconnect.control.actions import Assign, CancelDrain, DeclareDead, StartDrain, TakeTerm
from multiconnect.control.decide import decide
from multiconnect.control.facts import Unreadable
from multiconnect.model.cluster import NodeState, Slot
from tests.unit.control.views import NOW_S, TIMERS, master, node, slots, snapshot, view

LATE_S = TIMERS.takeover_s + 0.01


def busy_cluster(**fields):
    """Everything is wrong at once: a hangs, b is dead, d wants to leave."""
    nodes = [
        master("m2"), node("a"), node("b", state=NodeState.DEAD), node("c"),
        node("d", state=NodeState.LEAVING), node("e"),
    ]  # fmt: skip
    return snapshot(nodes, slots("a", "b", "c", "d"), **fields)


def kinds(actions):
    return [type(action) for action in actions]


def test_what_cannot_be_read_is_not_acted_upon():
    seen = replace(view(busy_cluster()), snapshot=Unreadable("no answer"))
    assert decide(seen) == []


def test_without_the_term_only_the_term_matters():
    assert decide(view(busy_cluster(master="m2"))) == []
    assert kinds(decide(view(busy_cluster(master=None)))) == [TakeTerm]


def test_deaths_then_one_commit_and_no_planned_move():
    actions = decide(view(busy_cluster(), silent_s={"a": LATE_S}))
    assert kinds(actions) == [DeclareDead, Assign]
    assert isinstance(actions[1], Assign)
    assert {move.slot % 4 for move in actions[1].moves} == {0, 1}


def test_planned_moves_when_nothing_is_broken():
    shown = snapshot([node("a", state=NodeState.LEAVING), node("b")], slots("a"))
    assert set(kinds(decide(view(shown)))) == {StartDrain}


def test_unmendable_orphans_do_not_keep_a_drain_open():
    """With nobody to give anything to, an owner asked to drain goes back to work."""
    rows = slots("l", "x", s0=Slot(0, 1, "l", "x"))
    nodes = [node("l", state=NodeState.LEAVING), node("x", state=NodeState.DEAD)]
    assert kinds(decide(view(snapshot(nodes, rows)))) == [CancelDrain]


@pytest.mark.parametrize("silent_s", [{}, {"a": LATE_S}])
def test_the_same_view_gives_the_same_actions(silent_s):
    seen = view(busy_cluster(), silent_s=silent_s)
    assert decide(seen) == decide(seen)


def test_nothing_is_done_after_the_own_deadline():
    actions = decide(view(busy_cluster(), my_deadline_s=NOW_S - 0.001))
    assert [type(action).__name__ for action in actions] == ["StepDown"]
