"""Pacing, as arithmetic: how long the next message must wait. Time is an argument.

Both limits are the generic cell rate algorithm: one float per key, the time at which all that was
sent would have been paid for at the steady rate. Whoever takes only when `delay_s` is 0 never
exceeds `burst + rate x t` in any span t, exactly. Memory is bounded; forgetting a key that owes
nothing changes nothing, and beyond the bound the key used longest ago is forgotten.

A recipient's slot has one owner, so the pair rate needs no shared counter. A number's rate is
split: each process takes the share of the 32 slots that it owns.
"""

from __future__ import annotations

import math
from collections import OrderedDict

from multiconnect.errors import InvalidSettings
from multiconnect.limits import (
    NUMBER_RATE_BURST_S,
    NUMBER_RATE_NUMBERS_MAX,
    NUMBER_RATE_PER_S,
    PAIR_RATE_BURST,
    PAIR_RATE_INTERVAL_S,
    PAIR_RATE_RECIPIENTS_MAX,
)


class _CellRate:
    """One message per `interval_s` and key, `burst` at once; keeps at most `keys_max` keys."""

    def __init__(self, interval_s: float, burst: int, keys_max: int) -> None:
        self._interval_s = interval_s
        self._ahead_s = (burst - 1) * interval_s
        self._keys_max = keys_max
        #: Key → when its debt is paid; the key looked at longest ago comes first. Not a plain
        #: dict: that finds its first key in time that grows with what was removed before it.
        self._paid_at_s: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._paid_at_s)

    def delay_s(self, key: str, now_s: float) -> float:
        """Return how long the next message of `key` must wait; 0 is go."""
        paid_at_s = self._paid_at_s.get(key)
        return 0.0 if paid_at_s is None else max(0.0, paid_at_s - self._ahead_s - now_s)

    def room(self, key: str, now_s: float) -> int:
        """Return how many messages of `key` may go at once now."""
        debt_s = max(0.0, self._paid_at_s.get(key, now_s) - now_s)
        # A hair of tolerance: (n - 1) x interval / interval is not always n - 1 in floats.
        return max(0, math.floor((self._ahead_s - debt_s) / self._interval_s + 1 + 1e-6))

    def take(self, key: str, now_s: float) -> None:
        """Count one message of `key`."""
        paid_at_s = self._paid_at_s.pop(key, now_s)
        self._paid_at_s[key] = max(paid_at_s, now_s) + self._interval_s
        self._sweep(now_s)

    def penalise(self, key: str, until_s: float) -> None:
        """Hold `key` until `until_s`; from then on it has no burst left, only the steady rate."""
        paid_at_s = self._paid_at_s.pop(key, until_s)
        self._paid_at_s[key] = max(paid_at_s, until_s + self._ahead_s)
        self._forget_beyond_bound()

    def _sweep(self, now_s: float) -> None:
        # Two looks per message: the sweep keeps up without ever being noticed. Who still owes goes
        # to the end, so that one long debt does not hide what can be forgotten behind it.
        for _ in range(min(2, len(self._paid_at_s))):
            oldest, paid_at_s = self._paid_at_s.popitem(last=False)
            if paid_at_s > now_s:
                self._paid_at_s[oldest] = paid_at_s
        self._forget_beyond_bound()

    def _forget_beyond_bound(self) -> None:
        while len(self._paid_at_s) > self._keys_max:
            self._paid_at_s.popitem(last=False)


class PairRate(_CellRate):
    """The rate from one number to one recipient: 1 per 6 s, 45 at once (131056 beyond)."""

    def __init__(
        self,
        interval_s: float = PAIR_RATE_INTERVAL_S,
        burst: int = PAIR_RATE_BURST,
        recipients_max: int = PAIR_RATE_RECIPIENTS_MAX,
    ) -> None:
        if not interval_s > 0 or burst < 1 or recipients_max < 1:
            raise InvalidSettings(f"pair rate of {burst} at once, 1 per {interval_s} s: impossible")
        super().__init__(interval_s, burst, recipients_max)


class NumberRate(_CellRate):
    """This process' share of a phone number's rate (130429 beyond); keyed by number."""

    def __init__(
        self,
        rate_per_s: float = NUMBER_RATE_PER_S,
        share: float = 1.0,
        numbers_max: int = NUMBER_RATE_NUMBERS_MAX,
    ) -> None:
        super().__init__(1.0, 1, numbers_max)
        self.set_rate(rate_per_s, share)

    def set_rate(self, rate_per_s: float, share: float) -> None:
        """Change the number's rate or the share of it that is ours (slots owned / 32).

        What was sent before stays counted. A share of 0 holds everything back.
        """
        if not rate_per_s > 0 or not 0 <= share <= 1:
            raise InvalidSettings(f"number rate of {rate_per_s} per s, share {share}: impossible")
        self._held = share == 0
        ours_per_s = rate_per_s * (share or 1)
        burst = max(1, int(ours_per_s * NUMBER_RATE_BURST_S))
        self._interval_s = 1 / ours_per_s
        self._ahead_s = (burst - 1) * self._interval_s

    def delay_s(self, key: str, now_s: float) -> float:
        """Return how long the next message from number `key` must wait; 0 is go."""
        return math.inf if self._held else super().delay_s(key, now_s)

    def room(self, key: str, now_s: float) -> int:
        """Return how many messages from number `key` may go at once now."""
        return 0 if self._held else super().room(key, now_s)
