"""A Master's own lease: its beat, and until when it may act on a term it holds.

Guarantees:

* the deadline counts from *before* the request that renewed it, less the margin, so no observer can
  take the term while this process still believes in it (given clock rates within 2 %);
* a beat is proof of progress: it is sent only while the loop that decides makes turns;
* once the store says that this incarnation is dead, it is: `keep` returns and the process ends.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping

from multiconnect.clock import Clock
from multiconnect.errors import Unavailable
from multiconnect.model.cluster import Beat
from multiconnect.model.timers import Timers
from multiconnect.store.port import ControlStore

_log = logging.getLogger("multiconnect.master")


class Lease:
    """Renews one incarnation's beat."""

    def __init__(self, control: ControlStore, me: str, timers: Timers, clock: Clock) -> None:
        self._control = control
        self._me = me
        self._timers = timers
        self._clock = clock
        self._count = 0
        self.deadline_s = -math.inf

    async def renew(self, figures: Mapping[str, object]) -> bool:
        """Beat once; False when this incarnation was declared dead."""
        asked_s = self._clock.monotonic()
        self._count += 1
        if not await self._control.beat(Beat(self._me, self._count, dict(figures))):
            return False
        self.deadline_s = asked_s + self._timers.lease_ttl_s - self._timers.margin_s
        return True

    async def keep(
        self, last_turn_s: Callable[[], float], figures: Callable[[], Mapping[str, object]]
    ) -> None:
        """Beat every `renew_s` while turns are made; return when declared dead."""
        while True:
            await asyncio.sleep(self._timers.renew_s)
            idle_s = self._clock.monotonic() - last_turn_s()
            if idle_s > self._timers.lease_ttl_s:
                _log.warning("no beat: no turn was made", extra={"idle_s": round(idle_s, 2)})
                continue
            try:
                if not await self.renew(figures()):
                    return
            except Unavailable as error:
                # The next try is due in renew_s; two may fail before the lease runs out.
                _log.warning("beat not stored", extra={"why": str(error)})
