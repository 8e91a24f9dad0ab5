"""Waiting for room, in line: who came first gets in first.

Two messages to one recipient leave in the order in which they were sent (invariant 5), also when
the first had to wait for room and the second came in the moment there was some again. So whoever
comes while others wait goes to the end of the line.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Room:
    """A line of callers; `is_free` says whether more may be taken."""

    def __init__(self, is_free: Callable[[], bool]) -> None:
        self._is_free = is_free
        #: Those who wait. One that was let in stays first until it runs, so nobody overtakes it.
        self.line: deque[asyncio.Future[None]] = deque()

    async def wait(self, limit_s: float) -> None:
        """Wait for one's turn; whoever is let in takes its room before anything else runs.

        Raises TimeoutError after `limit_s`.
        """
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.line.append(turn)
        try:
            async with asyncio.timeout(limit_s):
                await turn
        finally:
            self.line.remove(turn)
            # When this one has taken what it needs, or has given up.
            asyncio.get_running_loop().call_soon(self.freed)

    def freed(self) -> None:
        """There may be room: let the first one in."""
        if self.line and self._is_free():
            self._let_in(self.line[0])

    def let_all_in(self) -> None:
        """Nobody needs to wait any more."""
        for turn in self.line:
            self._let_in(turn)

    @staticmethod
    def _let_in(turn: asyncio.Future[None]) -> None:
        if not turn.done():
            turn.set_result(None)
