"""Time as an argument: the only module that reads a clock."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the package needs to know of time."""

    def monotonic(self) -> float:
        """Seconds on a clock that never steps; comparable inside one process only."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970 (UTC); for people and retention, never for safety."""


class SystemClock:
    """The machine's clocks."""

    #: Seconds of the monotonic clock; asked with every message, so no function of ours between.
    monotonic = staticmethod(time.monotonic)

    def wall_ms(self) -> int:
        """Return milliseconds of the wall clock."""
        return time.time_ns() // 1_000_000
