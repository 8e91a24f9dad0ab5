"""Who takes the term, who keeps it, who steps down: one row per situation."""

import pytest

from multiconnect.control.actions import StepDown, TakeTerm
from multiconnect.control.election import election
from multiconnect.model.cluster import NodeState, Snapshot
from tests.unit.control.views import NOW_S, TIMERS, cluster, master, slots, view

TAKEOVER_S = TIMERS.takeover_s


def judge(holder, others=(), me=NodeState.READY, **more):
    nodes = (master("me", me), *others)
    shown = Snapshot(cluster(master=holder, term=3), nodes, slots(None))
    return election(view(shown, me="me", **more), shown)


@pytest.mark.parametrize(
    ("holder", "others", "silent_s", "why"),
    [
        (None, (), {}, "nobody holds the term"),
        ("gone", (), {}, "gone holds the term and is unknown"),
        ("a", (master("a", NodeState.DEAD, "exit 1"),), {}, "a is dead: exit 1"),
        ("a", (master("a"),), {"a": TAKEOVER_S + 0.01}, "a showed no beat for 2.35 s"),
        ("a", (master("a", NodeState.LEAVING),), {"a": 99.0}, "a showed no beat for 2.35 s"),
    ],
)
def test_a_vacant_term_is_taken(holder, others, silent_s, why):
    assert judge(holder, others, silent_s=silent_s) == TakeTerm(3, why)


@pytest.mark.parametrize("silent_s", [0.0, 1.0, TAKEOVER_S - 0.01])
@pytest.mark.parametrize("state", [NodeState.READY, NodeState.LEAVING])
def test_a_holder_that_may_live_is_left_alone(silent_s, state):
    assert judge("a", (master("a", state),), silent_s={"a": silent_s}) is None


@pytest.mark.parametrize("holder", ["me", None])
@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"me": NodeState.LEAVING}, "me is leaving, not ready"),
        ({"me": NodeState.JOINING}, "me is joining, not ready"),
        ({"me": NodeState.DEAD}, "me is dead, not ready"),
        ({"my_deadline_s": NOW_S}, "me could not renew its own beat in time"),
        ({"my_deadline_s": float("-inf")}, "me could not renew its own beat in time"),
        ({"went_back": "the term fell"}, "rolled back (the term fell); restart the cluster"),
    ],
)
def test_who_is_unfit_neither_takes_nor_uses_a_term(holder, more, why):
    verdict = judge(holder, **more)
    if holder is None:
        assert verdict is None
    else:
        assert isinstance(verdict, StepDown)
        assert verdict.reason.endswith(why)


def test_a_fit_holder_goes_on():
    assert judge("me", my_deadline_s=NOW_S + 0.001) is None


def test_one_who_is_not_in_the_table_is_unfit():
    shown = Snapshot(cluster(master="me"), (), slots(None))
    assert election(view(shown, me="me"), shown) == StepDown("me is unknown, not ready")
