"""The seats of one supervisor: who sits where, and who may sit down again when."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from multiconnect.model.cluster import Role
from multiconnect.supervisor.children import Child
from multiconnect.supervisor.supervision import (
    Life,
    Plan,
    SeatView,
    restart_delay_s,
    young_deaths_after,
)


@dataclass(slots=True)
class Seat:
    """A place for one child; `child` is None while it is vacant."""

    name: str
    role: Role
    child: Child | None = None
    young_deaths: int = 0
    #: On the monotonic clock: not to be filled before.
    due_at_s: float = 0.0
    #: Whose death must be in the store before the seat is filled again.
    predecessor: str | None = None


class Seats:
    """All seats, by name."""

    def __init__(self) -> None:
        self._seats: dict[str, Seat] = {}

    def __iter__(self) -> Iterator[Seat]:
        """Iterate over a copy, so that a seat may be dropped on the way."""
        return iter(tuple(self._seats.values()))

    def children(self, role: Role | None = None) -> list[Child]:
        """Return the running children, all or of one role."""
        found = [seat.child for seat in self._seats.values() if seat.child is not None]
        return [child for child in found if role is None or child.role == role]

    def find(self, incarnation: str) -> Child | None:
        """Return the running child of that incarnation."""
        return next((c for c in self.children() if c.settings.incarnation == incarnation), None)

    def views(self, leaving: Collection[str]) -> list[SeatView]:
        """Return the seats as `supervision.plan` wants them."""
        return [_view(seat, leaving) for seat in self._seats.values()]

    def lives(self, heard_at_s: dict[str, float]) -> list[Life]:
        """Return when each child was started and last heard."""
        return [
            Life(
                c.settings.incarnation,
                c.started_at_s,
                heard_at_s.get(c.settings.incarnation),
                c.ready,
                c.ending,
            )
            for c in self.children()
        ]

    def apply(self, plan: Plan) -> None:
        """Open and drop seats."""
        for name, role in plan.open:
            self._seats[name] = Seat(name, role)
        for name in plan.drop:
            self._seats.pop(name, None)

    def due(self, now_s: float) -> list[Seat]:
        """Return the vacant seats that may be filled as far as time goes."""
        return [s for s in self._seats.values() if s.child is None and s.due_at_s <= now_s]

    def vacate(self, child: Child, now_s: float, lived_s: float) -> float:
        """Note that a child is gone; return for how long its seat stays vacant.

        Who was told to go did not fail: the seat is free at once.
        """
        seat = self._seats[child.settings.name]
        seat.child = None
        seat.predecessor = child.settings.incarnation
        if child.told_to_stop and child.kill_reason is None:
            seat.young_deaths, seat.due_at_s = 0, now_s
            return 0.0
        return self.fail(seat, now_s, lived_s)

    def fail(self, seat: Seat, now_s: float, lived_s: float) -> float:
        """Note a death (or a start that failed); return the back-off."""
        delay_s = restart_delay_s(young_deaths_after(seat.young_deaths, lived_s) - 1)
        seat.young_deaths = young_deaths_after(seat.young_deaths, lived_s)
        seat.due_at_s = now_s + delay_s
        return delay_s


def _view(seat: Seat, leaving: Collection[str]) -> SeatView:
    child = seat.child
    if child is None:
        return SeatView(seat.name, seat.role, None)
    going = child.told_to_stop or child.settings.incarnation in leaving
    return SeatView(seat.name, seat.role, child.settings.generation, leaving=going)
