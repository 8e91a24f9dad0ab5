"""Who counts as expired, suspect, ready."""

import pytest

from multiconnect.control.roster import muster
from multiconnect.limits import FIRST_BEAT_MAX_S
from multiconnect.model.cluster import NodeState, Role
from tests.unit.control.views import TIMERS, node, snapshot, view

LATE_S = TIMERS.takeover_s + 0.01
SUSPECT_S = TIMERS.renew_s + TIMERS.silence_s + 0.01


def sort(one, silent_s, never_beat=False):
    shown = snapshot([one, node("other")])
    counts = {one.incarnation: None if never_beat else 1, "other": 1}
    seen = view(shown, silent_s={one.incarnation: silent_s}, beat_counts=counts)
    return muster(seen, shown)


@pytest.mark.parametrize(
    ("role", "state", "silent_s", "never_beat", "expired"),
    [
        (Role.COREAPP, NodeState.READY, LATE_S, False, True),
        (Role.COREAPP, NodeState.LEAVING, LATE_S, False, True),
        (Role.COREAPP, NodeState.JOINING, LATE_S, False, True),
        (Role.COREAPP, NodeState.READY, LATE_S, True, True),
        (Role.COREAPP, NodeState.READY, TIMERS.takeover_s - 0.01, False, False),
        (Role.COREAPP, NodeState.JOINING, LATE_S, True, False),
        (Role.COREAPP, NodeState.JOINING, FIRST_BEAT_MAX_S + 0.1, True, True),
        (Role.MASTER, NodeState.READY, LATE_S, False, True),
        (Role.WEB, NodeState.READY, LATE_S, False, True),
        (Role.WEB, NodeState.READY, 1e6, True, False),
        (Role.SUPERVISOR, NodeState.READY, LATE_S, False, True),
        (Role.SUPERVISOR, NodeState.READY, TIMERS.takeover_s - 0.01, False, False),
        (Role.COREAPP, NodeState.DEAD, 1e6, False, False),
    ],
)
def test_whose_lease_ran_out(role, state, silent_s, never_beat, expired):
    roster = sort(node("x", role, state), silent_s, never_beat)
    assert [n.incarnation for n in roster.expired] == (["x"] if expired else [])
    assert ("x" in roster.live) == (not expired and state is not NodeState.DEAD)


def test_the_observer_never_judges_itself():
    shown = snapshot([node("c1")])
    roster = muster(view(shown, silent_s={"m1": 1e6}), shown)
    assert roster.expired == ()


@pytest.mark.parametrize(
    ("state", "silent_s", "suspect"),
    [
        (NodeState.READY, SUSPECT_S, True),
        (NodeState.LEAVING, SUSPECT_S, True),
        (NodeState.JOINING, SUSPECT_S, False),
        (NodeState.READY, SUSPECT_S - 0.02, False),
    ],
)
def test_who_is_suspect(state, silent_s, suspect):
    assert ("x" in sort(node("x", state=state), silent_s).suspects) == suspect


def test_suspects_are_trusted_only_when_there_is_nobody_else():
    shown = snapshot([node("a"), node("b"), node("c", state=NodeState.LEAVING)])
    one = muster(view(shown, silent_s={"a": SUSPECT_S}), shown)
    assert [n.incarnation for n in one.trusted] == ["b"]
    both = muster(view(shown, silent_s={"a": SUSPECT_S, "b": SUSPECT_S}), shown)
    assert [n.incarnation for n in both.trusted] == ["a", "b"]
    assert [n.incarnation for n in both.coreapps] == ["a", "b", "c"]
