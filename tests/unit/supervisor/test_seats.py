"""Who sits where, and who may sit down again when."""

from types import SimpleNamespace

import pytest

from multiconnect.limits import CHILD_SETTLED_S
from multiconnect.model.cluster import Role
from multiconnect.supervisor.seats import Seats
from multiconnect.supervisor.supervision import Life, Plan, SeatView


def child(name="coreapp-1", incarnation="coreapp-1-aa", generation=2, **state):
    """Return what a seat needs to know of a child."""
    settings = SimpleNamespace(name=name, incarnation=incarnation, generation=generation)
    base = {
        "told_to_stop": False,
        "kill_reason": None,
        "ready": True,
        "ending": False,
        "started_at_s": 1.0,
    }
    return SimpleNamespace(settings=settings, role=Role.COREAPP, **{**base, **state})


@pytest.fixture
def seats():
    found = Seats()
    found.apply(Plan((("coreapp-1", Role.COREAPP),), ()))
    return found


def sit(seats, someone):
    (seat,) = seats
    seat.child = someone
    return seat


def test_an_open_seat_is_due_at_once(seats):
    assert [seat.name for seat in seats.due(0.0)] == ["coreapp-1"]
    assert seats.views(()) == [SeatView("coreapp-1", Role.COREAPP, None)]


def test_a_child_is_seen_and_found(seats):
    someone = child()
    sit(seats, someone)
    assert seats.children() == seats.children(Role.COREAPP) == [someone]
    assert seats.children(Role.WEB) == []
    assert seats.find("coreapp-1-aa") is someone
    assert seats.find("coreapp-1-bb") is None
    assert seats.due(99.0) == []
    assert seats.lives({"coreapp-1-aa": 3.0}) == [Life("coreapp-1-aa", 1.0, 3.0, ready=True)]


@pytest.mark.parametrize(
    ("state", "leaving", "seen"), [({}, (), False), ({}, ("coreapp-1-aa",), True),
                                   ({"told_to_stop": True}, (), True)]
)  # fmt: skip
def test_who_leaves_is_seen_to_leave(seats, state, leaving, seen):
    sit(seats, child(**state))
    assert seats.views(leaving) == [SeatView("coreapp-1", Role.COREAPP, 2, seen)]


def test_young_deaths_in_a_row_keep_the_seat_vacant_ever_longer(seats):
    delays = []
    for _ in range(3):
        someone = child()
        sit(seats, someone)
        delays.append(seats.vacate(someone, 10.0, lived_s=0.1))
    assert delays == pytest.approx([0.05, 0.1, 0.2])
    assert seats.due(10.19) == []
    assert [seat.predecessor for seat in seats.due(10.21)] == ["coreapp-1-aa"]


def test_a_long_life_or_an_order_starts_anew(seats):
    for _ in range(3):
        someone = child()
        sit(seats, someone)
        seats.vacate(someone, 0.0, lived_s=0.1)
    someone = child()
    seat = sit(seats, someone)
    assert seats.vacate(someone, 0.0, lived_s=CHILD_SETTLED_S) == pytest.approx(0.05)
    someone = child(told_to_stop=True)
    sit(seats, someone)
    assert seats.vacate(someone, 0.0, lived_s=0.1) == 0.0
    assert seat.young_deaths == 0


def test_who_was_told_to_stop_and_had_to_be_killed_did_fail(seats):
    someone = child(told_to_stop=True, kill_reason="silent 1 s")
    sit(seats, someone)
    assert seats.vacate(someone, 0.0, lived_s=0.1) == pytest.approx(0.05)


def test_a_dropped_seat_is_gone(seats):
    seats.apply(Plan((), ("coreapp-1", "never-there")))
    assert list(seats) == []
