"""Which children there should be, when one comes back, when one is taken for hung: all pure.

A *seat* is a place a child sits in, with a steady name ("coreapp-3"). A seat is either occupied by
a running child or waits, vacant, until its back-off is over. Time is an argument.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from multiconnect.limits import (
    CHILD_END_MAX_S,
    CHILD_SETTLED_S,
    CHILD_START_MAX_S,
    RESTART_DELAY_MAX_S,
    RESTART_DELAY_MIN_S,
)
from multiconnect.model.cluster import Role

#: In the order they are started; the reverse of the order they are stopped, webs apart.
ROLES = (Role.MASTER, Role.COREAPP, Role.WEB)


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many children of each role this supervisor keeps running."""

    coreapps: int
    masters: int
    webs: int

    def of(self, role: Role) -> int:
        """Return the count of a role."""
        counts = {Role.COREAPP: self.coreapps, Role.MASTER: self.masters, Role.WEB: self.webs}
        return counts.get(role, 0)


@dataclass(frozen=True, slots=True)
class SeatView:
    """One seat as it is now; `generation` is that of the running child, None while vacant.

    `leaving` means that the child was told to go, or asked to be relieved: it counts no more.
    """

    name: str
    role: Role
    generation: int | None
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What to change: seats to open, vacant seats to give up."""

    open: tuple[tuple[str, Role], ...]
    drop: tuple[str, ...]


def plan(wanted: Wanted, generation: int, seats: Sequence[SeatView]) -> Plan:
    """Return the seats to open and drop so that each role has the children wanted.

    CoreApps of an older generation do not count: the new generation starts beside them, in full.
    Running children are never stopped from here; that is `generations.retirable`'s decision.
    """
    opened: list[tuple[str, Role]] = []
    dropped: list[str] = []
    names = {seat.name for seat in seats}
    for role in ROLES:
        mine = [seat for seat in seats if seat.role == role]
        vacant = [seat.name for seat in mine if seat.generation is None]
        serving = sum(_counts(seat, generation) for seat in mine)
        missing = wanted.of(role) - serving - len(vacant)
        if missing < 0:
            dropped += vacant[missing:]
        for _ in range(missing):
            name = free_name(role, names)
            names.add(name)
            opened.append((name, role))
    return Plan(tuple(opened), tuple(dropped))


def _counts(seat: SeatView, generation: int) -> bool:
    if seat.generation is None or seat.leaving:
        return False
    return seat.role != Role.COREAPP or seat.generation >= generation


def free_name(role: Role, taken: Collection[str]) -> str:
    """Return the role's lowest name that nobody has, counting "coreapp-1" upwards."""
    number = 1
    while f"{role}-{number}" in taken:
        number += 1
    return f"{role}-{number}"


def restart_delay_s(young_deaths: int) -> float:
    """Return how long a seat stays vacant after its n-th young death in a row (0: the first)."""
    # The exponent is capped first: 2.0 ** 2000 is an OverflowError, not a long time.
    return min(RESTART_DELAY_MIN_S * 2.0 ** min(max(young_deaths, 0), 16), RESTART_DELAY_MAX_S)


def young_deaths_after(young_deaths: int, lived_s: float) -> int:
    """Return the count of young deaths in a row after a life of `lived_s`."""
    return 0 if lived_s >= CHILD_SETTLED_S else young_deaths + 1


@dataclass(frozen=True, slots=True)
class Life:
    """When a child was started and last heard, in seconds of the supervisor's `Attention`."""

    incarnation: str
    started_at_s: float
    heard_at_s: float | None
    ready: bool
    #: It closed its end of the liveness socket: its role has returned, the process ends.
    ending: bool = False
    #: Of its silence, how long it was ready to run and got no CPU.
    starved_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Silence:
    """A child to kill, and for how long it has said nothing."""

    incarnation: str
    silent_s: float


def silent(lives: Iterable[Life], now_s: float, silence_s: float) -> list[Silence]:
    """Return the children that are taken for hung.

    A wait for a CPU excuses a silence, but not for more than as long again as is excused anyway.
    """
    found = []
    for life in lives:
        patience_s = max(silence_s, _patience_s(life))
        silent_s = silent_for_s(life, now_s)
        if silent_s > patience_s + min(life.starved_s, patience_s):
            found.append(Silence(life.incarnation, silent_s))
    return found


def silent_for_s(life: Life, now_s: float) -> float:
    """Return for how long a child has said nothing."""
    return now_s - (life.started_at_s if life.heard_at_s is None else life.heard_at_s)


def _patience_s(life: Life) -> float:
    """Return how long nobody minds the silence, because the child owns nothing.

    One that is not ready yet imports modules and opens files, which holds its loop up; one that
    has said goodbye tears down.
    """
    if life.ending:
        return CHILD_END_MAX_S
    return 0.0 if life.ready else CHILD_START_MAX_S


class Attention:
    """A clock that stands still while the supervisor itself was not looking.

    After a pause of the supervisor (a suspended machine, a stopped process) every child looks
    silent for as long. So no step counts more than `step_max_s`: children are judged only by time
    in which the supervisor could have heard them.
    """

    def __init__(self, now_s: float, step_max_s: float) -> None:
        self._seen_s = now_s
        self._step_max_s = step_max_s
        self.attended_s = 0.0

    def tick(self, now_s: float) -> float:
        """Advance to `now_s` on the monotonic clock; return the attended seconds so far."""
        self.attended_s += min(max(now_s - self._seen_s, 0.0), self._step_max_s)
        self._seen_s = now_s
        return self.attended_s
