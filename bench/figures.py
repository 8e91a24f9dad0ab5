"""Measured figures: what one benchmark says, and how a timing becomes one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Figure:
    """The median over the rounds of a run, with the worst and the best of them."""

    value: float
    low: float
    high: float
    unit: str
    rounds: int

    @classmethod
    def of(cls, values: list[float], unit: str) -> Self:
        """Summarise one value per round."""
        return cls(median(values), min(values), max(values), unit, len(values))

    def to_json(self) -> dict[str, Any]:
        """Return it as it is kept in a result file."""
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "unit": self.unit,
            "rounds": self.rounds,
        }


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds that each round took."""

    seconds: list[float]

    def rate(self, amount: int, unit: str = "msg/s") -> Figure:
        """Return how many of the `amount` things done in a round go into a second."""
        return Figure.of([amount / s for s in self.seconds], unit)

    def ns_each(self, amount: int) -> Figure:
        """Return the nanoseconds that one of the `amount` things done in a round takes."""
        return Figure.of([s * 1e9 / amount for s in self.seconds], "ns")


class Meter:
    """One benchmark: times rounds through pytest-benchmark and notes figures under names."""

    def __init__(self, benchmark: Any, *, rounds: int, quick: bool) -> None:
        self._benchmark = benchmark
        self._rounds = rounds
        self.quick = quick
        benchmark.extra_info["figures"] = {}

    def amount(self, full: int, quick: int) -> int:
        """Return how much one round does."""
        return quick if self.quick else full

    def time(
        self, run: Callable[[], object], *, iterations: int = 1, rounds: int | None = None
    ) -> Timing:
        """Time rounds of `run`, after one that does not count."""
        self._benchmark.pedantic(
            run, rounds=rounds or self._rounds, iterations=iterations, warmup_rounds=1
        )
        return Timing([float(s) for s in self._benchmark.stats.stats.data])

    def time_once(self, run: Callable[[], object]) -> None:
        """Do what can be done but once, and whose time is not what is asked for."""
        self._benchmark.pedantic(run, rounds=1, iterations=1, warmup_rounds=0)

    def note(self, name: str, figure: Figure) -> None:
        """Keep a figure; a name is noted once in a run."""
        self._benchmark.extra_info["figures"][name] = figure.to_json()
