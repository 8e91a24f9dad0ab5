"""Waking who waits for a change: notifications, and a slow poll behind them.

Guarantees what the port says of `changed`: nothing is missed for longer than the timeout, because
every wait ends with a look at the revision; a lost connection wakes everybody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from multiconnect.limits import STORE_NOTIFY_POLL_S


class Changes:
    """What one handle has seen of the control data's revisions, and has heard of."""

    def __init__(self) -> None:
        #: The revision of the last snapshot; None before the first.
        self.seen: int | None = None
        self._heard = 0
        self._rung: asyncio.Future[None] | None = None

    def saw(self, revision: int) -> None:
        """A snapshot shows this revision; news of a later one may have come meanwhile."""
        went_back = self.seen is not None and revision < self.seen
        # After a store was rolled back, old news must not look new for ever.
        self._heard = revision if went_back else max(self._heard, revision)
        self.seen = revision

    def heard(self, payload: str) -> None:
        """A notification came."""
        if payload.isdecimal():
            self._heard = max(self._heard, int(payload))
        self.wake()

    def wake(self) -> None:
        """Let everybody who waits look again."""
        rung, self._rung = self._rung, None
        if rung is not None and not rung.done():
            rung.set_result(None)

    async def wait(
        self, timeout_s: float, read: Callable[[], Awaitable[int]], seen: int | None
    ) -> bool:
        """Wait for a revision other than `seen`; `read` asks the store for the newest."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        while self._heard == seen:
            left_s = deadline_s - loop.time()
            if left_s > 0:
                await self._ring(min(left_s, STORE_NOTIFY_POLL_S))
            if self._heard != seen:
                return True
            # No bell, or one of a lost connection: the store itself is asked.
            if await read() != seen:
                return True
            if left_s <= 0 or loop.time() >= deadline_s:
                return False
        return True

    async def _ring(self, timeout_s: float) -> None:
        if self._rung is None:
            self._rung = asyncio.get_running_loop().create_future()
        await asyncio.wait({self._rung}, timeout=timeout_s)
