"""What an observer concludes from look to look; every instant is its own."""

import pytest

from multiconnect.control.facts import DrainPause, DrainSeen
from multiconnect.control.observation import forget_times, observe, pause_after
from multiconnect.limits import DRAIN_PAUSE_MAX_S
from multiconnect.model.cluster import NodeState, Slot
from tests.unit.control.views import TIMERS, beats, node, slots, snapshot

C1 = snapshot([node("c1")], slots("c1"))


def look(before, shown, at_s, **counts):
    return observe(before, shown, beats(**counts), at_s, TIMERS)


def looks(shown, *counts_at):
    """Look at the same snapshot at several instants, each with c1's beat count of then."""
    seen = None
    for at_s, count in counts_at:
        seen = look(seen, shown, at_s, **({} if count is None else {"c1": count}))
    return seen


@pytest.mark.parametrize(
    ("counts_at", "changed_s"),
    [
        ([(10.0, 1)], 10.0),
        ([(10.0, None)], 10.0),
        ([(10.0, 1), (10.25, 1), (10.5, 1)], 10.0),
        ([(10.0, 1), (10.25, 1), (10.5, 2)], 10.5),
        ([(10.0, None), (10.25, 1)], 10.25),
        # A count that falls is a change as well: the store lost beats, the node is alive.
        ([(10.0, 9), (10.25, 3)], 10.25),
    ],
)
def test_a_beat_counts_from_when_it_was_seen_to_change(counts_at, changed_s):
    assert looks(C1, *counts_at).beat_changed_s["c1"] == changed_s


@pytest.mark.parametrize(
    ("gap_s", "age_s"), [(0.25, 0.25), (0.5, 0.5), (0.6, 0.5), (10.0, 0.5), (3600.0, 0.5)]
)
def test_time_in_which_nobody_looked_accuses_nobody(gap_s, age_s):
    """A paused observer sees unmoved beats when it wakes: of others that were paused with it."""
    seen = looks(C1, (10.0, 1), (10.0 + gap_s, 1))
    assert seen.at_s - seen.beat_changed_s["c1"] == pytest.approx(age_s)
    assert seen.at_s - seen.ready_since_s["c1"] == pytest.approx(age_s)


def test_after_a_failed_read_the_stopwatches_start_again():
    seen = forget_times(looks(C1, (10.0, 1), (10.5, 1)))
    assert look(seen, C1, 10.75, c1=1).beat_changed_s["c1"] == 10.75
    assert forget_times(None) is None


def test_the_dead_are_forgotten():
    seen = looks(C1, (10.0, 1))
    dead = snapshot([node("c1", state=NodeState.DEAD)], slots("c1"))
    assert "c1" not in look(seen, dead, 10.25, c1=1).beat_changed_s


def test_ready_counts_from_when_it_was_seen_ready():
    joining = snapshot([node("c1", state=NodeState.JOINING)])
    seen = looks(joining, (10.0, 1), (10.25, 2))
    assert (seen.arrived_s["c1"], seen.ready_since_s) == (10.0, {"m1": 10.0})
    assert look(seen, C1, 10.5, c1=3).ready_since_s["c1"] == 10.5


def draining(to="c2", epoch=1, drained=False):
    return snapshot([node("c1")], slots("c1", s4=Slot(4, epoch, "c1", to, drained)))


def test_a_drain_counts_from_when_it_was_seen():
    seen = looks(draining(), (10.0, 1), (10.25, 2), (10.5, 3))
    assert seen.drains == {(4, 1): DrainSeen("c2", 10.0)}
    seen = look(seen, draining("c3"), 10.75, c1=4)
    assert seen.drains == {(4, 1): DrainSeen("c3", 10.75)}


def drain_then(rest, drained_for_s):
    times = [10.0 + step * 0.25 for step in range(int(drained_for_s / 0.25) + 1)]
    seen = looks(draining(), *((at_s, int(at_s * 4)) for at_s in times))
    return look(seen, rest, times[-1] + 0.25, c1=99)


def test_a_drain_cancelled_after_its_time_earns_a_pause():
    seen = drain_then(C1, 1.0)
    assert seen.pauses == {(4, 1): DrainPause(1, 11.25 + pause_after(1))}


@pytest.mark.parametrize(
    ("rest", "drained_for_s"),
    [
        (C1, 0.5),  # taken back early: the target died, the owner did nothing wrong
        (draining(), 1.0),  # still under way
        (snapshot([node("c1")], slots("c1", s4=Slot(4, 2, "c2"))), 1.0),  # granted
    ],
)
def test_other_ends_of_a_drain_earn_none(rest, drained_for_s):
    assert drain_then(rest, drained_for_s).pauses == {}


def test_each_failure_in_a_row_doubles_the_pause_up_to_its_bound():
    assert [pause_after(n) for n in (1, 2, 3, 4)] == [1.0, 2.0, 4.0, 8.0]
    assert pause_after(10_000) == DRAIN_PAUSE_MAX_S


def test_failures_in_a_row_are_counted_until_the_epoch_changes():
    seen = drain_then(C1, 1.0)
    at_s = seen.at_s
    for step in range(1, 7):
        seen = look(seen, draining(), at_s + step * 0.25, c1=200 + step)
    seen = look(seen, C1, seen.at_s + 0.25, c1=300)
    assert seen.pauses[4, 1].failures == 2
    granted = snapshot([node("c1")], slots("c1", s4=Slot(4, 2, "c1")))
    assert look(seen, granted, seen.at_s + 0.25, c1=301).pauses == {}


@pytest.mark.parametrize(
    ("later", "what"),
    [
        ({"term": 2}, "the term fell from 3 to 2"),
        ({"map_version": 4}, "the map version fell from 5 to 4"),
        ({"rows": slots("c1", s9=Slot(9, 0, "c1"))}, "the epoch of slot 9 fell from 1 to 0"),
    ],
)
def test_a_store_that_went_back_is_remembered(later, what):
    rows = later.pop("rows", slots("c1"))
    seen = look(looks(C1, (10.0, 1)), snapshot([node("c1")], rows, **later), 10.25, c1=2)
    assert seen.went_back == what
    assert look(seen, C1, 10.5, c1=3).went_back == what
    assert looks(C1, (10.0, 1), (10.25, 1)).went_back == ""
