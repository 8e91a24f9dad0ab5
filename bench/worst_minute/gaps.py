"""From acknowledgements to figures: longest pauses per slot, latencies, percentiles. Pure.

Times are seconds of one monotonic clock. The load sends to every slot each `period_s`, so a pause
cannot be told from silence below that; nothing is subtracted.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Acks:
    """When each slot's messages were asked for and acknowledged, in order of acknowledgement."""

    done_s: dict[int, list[float]] = field(default_factory=lambda: {s: [] for s in range(32)})
    asked_s: dict[int, list[float]] = field(default_factory=lambda: {s: [] for s in range(32)})

    def add(self, slot: int, asked_s: float, done_s: float) -> None:
        """Take one acknowledgement."""
        self.asked_s[slot].append(asked_s)
        self.done_s[slot].append(done_s)

    def longest_gap_s(self, slot: int, start_s: float, end_s: float) -> float:
        """Return the longest time without an acknowledgement that touches [start_s, end_s]."""
        times = self.done_s[slot]
        first = max(0, bisect_left(times, start_s) - 1)
        last = min(len(times), bisect_right(times, end_s) + 1)
        inside = [start_s, *times[first:last]] if not first else times[first:last]
        if not last or times[last - 1] < end_s:
            inside = [*inside, end_s]
        return max((b - a for a, b in itertools.pairwise(inside)), default=0.0)

    def latencies_s(self, slots: Iterable[int], start_s: float, end_s: float) -> list[float]:
        """Return how long each message took that was asked for in [start_s, end_s]."""
        found: list[float] = []
        for slot in slots:
            asked, done = self.asked_s[slot], self.done_s[slot]
            # Nothing overtakes within a slot, so both lists rise.
            first, last = bisect_left(asked, start_s), bisect_right(asked, end_s)
            found += [done[n] - asked[n] for n in range(first, last)]
        return found

    def since(self, slot: int, start_s: float) -> bool:
        """Whether a message asked for after `start_s` was acknowledged."""
        return bool(self.asked_s[slot]) and self.asked_s[slot][-1] >= start_s


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that so many percent of the values do not exceed; 0 of none."""
    if not values:
        return 0.0
    ranked = sorted(values)
    return ranked[max(0, math.ceil(percent / 100 * len(ranked)) - 1)]


def summary(values: Sequence[float]) -> dict[str, float]:
    """Return how many there are, and their p50, p99 and max."""
    return {
        "n": len(values),
        "p50": round(percentile(values, 50), 5),
        "p99": round(percentile(values, 99), 5),
        "max": round(max(values, default=0.0), 5),
    }
