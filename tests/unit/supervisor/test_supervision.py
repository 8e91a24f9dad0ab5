"""Which children there should be, back-off, and who is taken for hung."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiconnect.limits import CHILD_END_MAX_S, CHILD_SETTLED_S, CHILD_START_MAX_S
from multiconnect.model.cluster import Role
from multiconnect.supervisor.supervision import (
    Attention,
    Life,
    Plan,
    SeatView,
    Silence,
    Wanted,
    free_name,
    plan,
    restart_delay_s,
    silent,
    young_deaths_after,
)

WANTED = Wanted(coreapps=2, masters=1, webs=1)


def coreapp(number, generation, *, leaving=False):
    return SeatView(f"coreapp-{number}", Role.COREAPP, generation, leaving)


def master(generation=0):
    return SeatView("master-1", Role.MASTER, generation)


def web(generation=0):
    return SeatView("web-1", Role.WEB, generation)


def coreapp_plan(*seats, generation=0):
    """Return the plan for the CoreApps alone: the other roles are complete."""
    return plan(WANTED, generation, [master(), web(), *seats])


def test_an_empty_host_gets_every_seat():
    assert plan(WANTED, 0, []).open == (
        ("master-1", Role.MASTER),
        ("coreapp-1", Role.COREAPP),
        ("coreapp-2", Role.COREAPP),
        ("web-1", Role.WEB),
    )


def test_a_complete_host_is_left_alone():
    assert coreapp_plan(coreapp(1, 0), coreapp(2, 0)) == Plan((), ())


def test_a_vacant_seat_counts_because_it_will_be_filled():
    assert coreapp_plan(coreapp(1, 0), coreapp(2, None)) == Plan((), ())


def test_a_new_generation_starts_in_full_beside_the_old_one():
    found = coreapp_plan(coreapp(1, 0), coreapp(2, 0), generation=1)
    assert found == Plan((("coreapp-3", Role.COREAPP), ("coreapp-4", Role.COREAPP)), ())


def test_masters_and_webs_know_no_generation():
    assert plan(WANTED, 7, [master(), web(), coreapp(1, 7), coreapp(2, 7)]) == Plan((), ())


def test_one_who_leaves_is_replaced_before_it_is_gone():
    found = coreapp_plan(coreapp(1, 0, leaving=True), coreapp(2, 0))
    assert found.open == (("coreapp-3", Role.COREAPP),)


def test_the_seat_of_one_who_left_is_given_up():
    found = coreapp_plan(coreapp(1, None), coreapp(2, 0), coreapp(3, 0))
    assert found == Plan((), ("coreapp-1",))


def test_an_old_one_that_dies_beside_a_complete_new_generation_is_not_replaced():
    seats = (coreapp(1, None), coreapp(2, 0), coreapp(3, 1), coreapp(4, 1))
    assert coreapp_plan(*seats, generation=1) == Plan((), ("coreapp-1",))


def test_an_old_one_that_dies_early_comes_back_in_the_new_generation():
    seats = (coreapp(1, None), coreapp(2, 0))
    found = coreapp_plan(*seats, generation=1)
    # One of the two new ones sits down in the seat that became free.
    assert found == Plan((("coreapp-3", Role.COREAPP),), ())


def test_running_children_too_many_are_not_the_plans_business():
    seats = [coreapp(n, 0) for n in range(1, 6)]
    assert coreapp_plan(*seats) == Plan((), ())


seat_lists = st.lists(
    st.tuples(st.integers(1, 9), st.none() | st.integers(0, 3), st.booleans()),
    unique_by=lambda seat: seat[0],
)


@given(seat_lists, st.integers(0, 3))
def test_following_a_plan_leaves_nothing_to_plan(seats, generation):
    views = [coreapp(n, g, leaving=out and g is not None) for n, g, out in seats]
    first = coreapp_plan(*views, generation=generation)
    kept = [view for view in views if view.name not in first.drop]
    opened = [SeatView(name, role, None) for name, role in first.open]
    assert coreapp_plan(*kept, *opened, generation=generation) == Plan((), ())


def test_names_are_reused_from_the_lowest():
    assert free_name(Role.COREAPP, {"coreapp-1", "coreapp-3", "web-2"}) == "coreapp-2"


@pytest.mark.parametrize(
    ("deaths", "delay_s"),
    [(0, 0.05), (1, 0.1), (2, 0.2), (3, 0.4), (6, 3.2), (7, 5.0), (8, 5.0), (10_000, 5.0)],
)
def test_the_back_off_doubles_to_five_seconds(deaths, delay_s):
    assert restart_delay_s(deaths) == pytest.approx(delay_s)


def test_a_long_life_forgives_young_deaths():
    assert young_deaths_after(9, CHILD_SETTLED_S) == 0
    assert young_deaths_after(9, CHILD_SETTLED_S - 0.01) == 10


def test_who_was_heard_and_falls_silent_is_hung():
    lives = [Life("fresh", 0.0, 9.5, ready=True), Life("late", 0.0, 9.0, ready=True)]
    assert silent(lives, 9.75, 0.75) == []
    assert silent(lives, 10.0, 0.75) == [Silence("late", 1.0)]


@pytest.mark.parametrize(
    ("starved_s", "hung_after_s"),
    [(0.0, 0.75), (0.5, 1.25), (0.75, 1.5), (60.0, 1.5)],
)
def test_a_wait_for_a_cpu_excuses_a_silence_up_to_a_point(starved_s, hung_after_s):
    life = Life("starved", 0.0, 10.0, ready=True, starved_s=starved_s)
    assert silent([life], 10.0 + hung_after_s, 0.75) == []
    assert silent([life], 10.1 + hung_after_s, 0.75) != []


@pytest.mark.parametrize("heard_at_s", [None, 10.0])
def test_who_is_not_ready_is_still_importing(heard_at_s):
    life = Life("new", 10.0, heard_at_s, ready=False)
    assert silent([life], 10.0 + CHILD_START_MAX_S, 0.75) == []
    assert silent([life], 10.1 + CHILD_START_MAX_S, 0.75) != []


def test_who_has_said_goodbye_may_take_a_while_to_go():
    life = Life("old", 0.0, 10.0, ready=True, ending=True)
    assert silent([life], 10.0 + CHILD_END_MAX_S, 0.75) == []
    assert silent([life], 10.1 + CHILD_END_MAX_S, 0.75) != []


def test_a_patient_profile_is_patient_at_both_ends():
    life = Life("old", 0.0, 10.0, ready=True, ending=True)
    assert silent([life], 30.0, 29.0) == []


def test_a_pause_of_the_supervisor_is_no_silence_of_the_children():
    attention = Attention(100.0, step_max_s=0.2)
    assert attention.tick(100.1) == pytest.approx(0.1)
    heard = attention.attended_s
    # The machine sleeps for an hour.
    now = attention.tick(3700.0)
    assert silent([Life("a", 0.0, heard, ready=True)], now, 0.75) == []


def test_attention_never_runs_backwards():
    attention = Attention(100.0, step_max_s=0.2)
    attention.tick(100.1)
    assert attention.tick(50.0) == pytest.approx(0.1)
