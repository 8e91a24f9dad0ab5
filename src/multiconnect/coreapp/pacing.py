"""Keeps within the upstream's limits: one number's throughput, one recipient's pace.

The number's rate is split over CoreApps by the slots each owns, so nobody shares a counter; a
recipient has one owner, so the pair rate needs none either.
"""

from __future__ import annotations

from multiconnect.limits import PACED_PUMP_S, SLOTS, UPSTREAM_IN_FLIGHT_MAX
from multiconnect.upstream.cloud_api.throttle import NumberRate, PairRate


class Pacing:
    """Both limits, each of which may be off (None)."""

    def __init__(self, number_rate_per_s: float | None, *, pair_rate: bool) -> None:
        self._rate_per_s = number_rate_per_s
        self._number = None if number_rate_per_s is None else NumberRate(number_rate_per_s)
        self._pair = PairRate() if pair_rate else None
        self._paused_until_s = float("-inf")

    def owns(self, slots: int) -> None:
        """Take the share of the number's rate that belongs to this many slots."""
        if self._number is not None and self._rate_per_s is not None:
            self._number.set_rate(self._rate_per_s, slots / SLOTS)

    @property
    def paces(self) -> bool:
        """Whether messages must be counted one by one."""
        return self._number is not None or self._pair is not None

    def room(self, now_s: float) -> int:
        """Return how many messages the number's rate lets go now."""
        if now_s < self._paused_until_s:
            return 0
        if self._number is None:
            return UPSTREAM_IN_FLIGHT_MAX
        return self._number.room("", now_s)

    def wait_s(self, now_s: float) -> float:
        """Return the seconds until the number's rate is worth asking again; not more than 0: now.

        It lets the next one go sooner than PACED_PUMP_S, but one at a time is dear.
        """
        rate_s = 0.0 if self._number is None else self._number.delay_s("", now_s)
        if rate_s > 0:
            rate_s = max(rate_s, PACED_PUMP_S)
        return max(rate_s, self._paused_until_s - now_s)

    def pause_number(self, until_s: float) -> None:
        """Send nothing from the number until then: the upstream said that it takes no more now."""
        self._paused_until_s = max(self._paused_until_s, until_s)

    def delay_s(self, recipient: str, now_s: float) -> float:
        """Return the seconds this recipient must wait; 0 is go."""
        return 0.0 if self._pair is None else self._pair.delay_s(recipient, now_s)

    def take(self, recipient: str, now_s: float) -> None:
        """Count a message that goes now."""
        if self._number is not None:
            self._number.take("", now_s)
        if self._pair is not None:
            self._pair.take(recipient, now_s)
