"""Read the store and make a View of it; a failure to read becomes a fact, never a guess."""

from __future__ import annotations

from multiconnect.clock import Clock
from multiconnect.control.facts import Observed, Unreadable, View
from multiconnect.control.observation import forget_times, observe
from multiconnect.errors import Unavailable
from multiconnect.model.timers import Timers
from multiconnect.store.port import ControlStore


class Observer:
    """One Master's eyes: what it has seen so far, and the next look."""

    def __init__(self, control: ControlStore, me: str, timers: Timers, clock: Clock) -> None:
        self._control = control
        self._me = me
        self._timers = timers
        self._clock = clock
        self._seen: Observed | None = None

    async def gather(self, my_deadline_s: float) -> View:
        """Look once. The instant is taken after the reading, so nobody looks older than it is."""
        try:
            snapshot = await self._control.snapshot()
            beats = await self._control.beats()
        except Unavailable as error:
            self._seen = forget_times(self._seen)
            return self._view(Unreadable(str(error)), my_deadline_s)
        now_s = self._clock.monotonic()
        if now_s >= my_deadline_s:
            # My own beat is not stored (a full disk, say), so nobody else's need be: silence proves
            # nothing, neither now nor when beats get through again.
            self._seen = forget_times(self._seen)
        self._seen = observe(self._seen, snapshot, beats, now_s, self._timers)
        return View(self._me, now_s, snapshot, self._seen, self._timers, my_deadline_s)

    def _view(self, unreadable: Unreadable, my_deadline_s: float) -> View:
        now_s = self._clock.monotonic()
        seen = self._seen or Observed(now_s)
        return View(self._me, now_s, unreadable, seen, self._timers, my_deadline_s)
