"""The limits the Cloud API enforces, as leaky buckets. Pure; time is an argument.

Written without a look at the connector's own pacing, so that each checks the other.
"""

from __future__ import annotations

from collections import OrderedDict


class LeakyBuckets:
    """A bucket per key that holds `size` and loses `leak_per_s`; keeps at most `keys_max` keys."""

    def __init__(self, size: float, leak_per_s: float, keys_max: int) -> None:
        self._size = size
        self._leak_per_s = leak_per_s
        self._keys_max = keys_max
        #: Key → (level, at), the key used longest ago first.
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._levels)

    def admit(self, key: str, now_s: float) -> bool:
        """Put one drop into the bucket of `key`; False, and nothing put in, if it would run over.

        A hair of tolerance keeps exact multiples of the interval on the admitted side.
        """
        level, at_s = self._levels.pop(key, (0.0, now_s))
        level = max(0.0, level - (now_s - at_s) * self._leak_per_s)
        admitted = level + 1 <= self._size + 1e-6
        self._levels[key] = (level + 1 if admitted else level, now_s)
        if len(self._levels) > self._keys_max:
            self._levels.popitem(last=False)
        return admitted
