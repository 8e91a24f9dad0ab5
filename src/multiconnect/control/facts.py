"""What a Master knows when it decides: a snapshot, and what it saw with its own eyes and clock.

Every instant here is a reading of this observer's own monotonic clock. Nothing is judged by a time
that another process wrote down, so no clock step and no skew between machines can matter. "Could
not read" is a value of its own (`Unreadable`): it never looks like an expired lease.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from multiconnect.model.cluster import Snapshot
from multiconnect.model.timers import Timers

#: A slot under one epoch: what a drain, and every pause after one, belongs to.
SlotEpoch = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The store did not answer; nothing may be concluded about anybody."""

    reason: str


@dataclass(frozen=True, slots=True)
class DrainSeen:
    """A hand-over under way: to whom, and since when this observer sees it."""

    to: str
    since_s: float


@dataclass(frozen=True, slots=True)
class DrainPause:
    """A slot whose drain took too long: how often so far, and when it may be tried again."""

    failures: int
    until_s: float


@dataclass(frozen=True, slots=True)
class HighWater:
    """The highest versions seen; a store that shows less was rolled back."""

    term: int = 0
    map_version: int = 0
    epochs: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Observed:
    """What one observer has seen, by incarnation; the dead are left out."""

    at_s: float
    beat_counts: Mapping[str, int | None] = field(default_factory=dict)
    #: When this observer last saw the beat count change (or first saw the node).
    beat_changed_s: Mapping[str, float] = field(default_factory=dict)
    arrived_s: Mapping[str, float] = field(default_factory=dict)
    ready_since_s: Mapping[str, float] = field(default_factory=dict)
    drains: Mapping[SlotEpoch, DrainSeen] = field(default_factory=dict)
    pauses: Mapping[SlotEpoch, DrainPause] = field(default_factory=dict)
    high_water: HighWater = field(default_factory=HighWater)
    #: Why the store is not to be trusted any more; empty while it is.
    went_back: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """Everything `decide` may look at."""

    me: str
    now_s: float
    snapshot: Snapshot | Unreadable
    observed: Observed
    timers: Timers
    #: Until when I may act on a term I hold: `t_before_my_last_successful_beat + TTL - margin`.
    my_deadline_s: float

    def beat_age_s(self, incarnation: str) -> float:
        """Return for how long I have seen no new beat of a node; 0 for one I never saw."""
        return self.now_s - self.observed.beat_changed_s.get(incarnation, self.now_s)
