"""The self-fence: sends start only while the lease runs (invariant 7).

Counted on the process's own monotonic clock from *before* the renewal was sent, so a slow reply
shortens the lease instead of stretching it. Safety does not rest on it: the epoch does that. It
keeps the number of second sends small when an owner is cut off.
"""

from __future__ import annotations

from multiconnect.model.timers import Timers


class Lease:
    """Until when this process may start upstream sends."""

    def __init__(self, timers: Timers) -> None:
        self._length_s = timers.lease_ttl_s - timers.margin_s
        self._until_s = float("-inf")
        self._ended = False

    def renewed(self, asked_at_s: float) -> None:
        """A renewal that was asked for at this time has succeeded."""
        self._until_s = max(self._until_s, asked_at_s + self._length_s)

    def end(self) -> None:
        """Stop sending for good: this incarnation was declared dead."""
        self._ended = True

    def valid_at(self, now_s: float) -> bool:
        """Whether a send may start now."""
        return not self._ended and now_s < self._until_s
