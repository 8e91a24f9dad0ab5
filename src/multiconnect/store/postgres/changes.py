"""Waking who waits for a change: notifications, and a slow poll behind them.

Guarantees what the port says of `changed`: nothing is missed for longer than the timeout, because
every wait ends with a look at the revision; a lost connection wakes everybody. Each notification
names its revision and whom that concerns; who waits for what concerns one incarnation sleeps
through the others, unless one in between was not heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import orjson

from multiconnect.limits import STORE_NOTIFY_POLL_S


class Changes:
    """What one handle has seen of the control data's revisions, and has heard of."""

    def __init__(self) -> None:
        #: The revision of the last snapshot; None before the first.
        self.seen: int | None = None
        self._heard = 0
        #: The last revision that may concern each incarnation that was waited for.
        self._last_of: dict[str, int] = {}
        self._rung: asyncio.Future[bool] | None = None

    def saw(self, revision: int) -> None:
        """A snapshot shows this revision; news of a later one may have come meanwhile."""
        # After a store was rolled back, old news must not look new for ever.
        went_back = self.seen is not None and revision < self.seen
        if went_back or revision > self._heard:
            self._note(revision, None)
        self.seen = revision

    def heard(self, payload: str) -> None:
        """A notification came: `[revision, [incarnation, …] or null for everybody]`."""
        try:
            revision, concerned = orjson.loads(payload)
            if revision > self._heard:
                is_next = revision == self._heard + 1
                self._note(revision, concerned if is_next else None)
        except (ValueError, TypeError):
            # Not ours, or of another version: whoever waits asks the store.
            self.wake()
        else:
            self._ring(told=True)

    def _note(self, revision: int, concerned: list[str] | None) -> None:
        """The newest revision is this one; None: it, or one before it, may concern anybody."""
        self._heard = revision
        for incarnation in self._last_of if concerned is None else concerned:
            if incarnation in self._last_of:
                self._last_of[incarnation] = revision

    def wake(self) -> None:
        """Let everybody who waits ask the store."""
        self._ring(told=False)

    def _ring(self, *, told: bool) -> None:
        rung, self._rung = self._rung, None
        if rung is not None and not rung.done():
            rung.set_result(told)

    async def wait(
        self,
        timeout_s: float,
        read: Callable[[], Awaitable[int]],
        seen: int | None,
        concerning: str | None = None,
    ) -> bool:
        """Wait for a revision other than `seen`; `read` asks the store for the newest.

        With `concerning`: for one that may concern that incarnation.
        """
        if concerning is not None:
            self._last_of.setdefault(concerning, self._heard)
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        while not self._has_news(seen, concerning):
            left_s = deadline_s - loop.time()
            if left_s > 0 and await self._is_told(min(left_s, STORE_NOTIFY_POLL_S)):
                continue
            # No bell, or one of a lost connection: the store itself is asked.
            if await read() != self._heard:
                return True
            if left_s <= 0 or loop.time() >= deadline_s:
                return self._has_news(seen, concerning)
        return True

    def _has_news(self, seen: int | None, concerning: str | None) -> bool:
        if seen is None or concerning is None or self._heard < seen:
            return self._heard != seen
        return self._last_of[concerning] > seen

    async def _is_told(self, timeout_s: float) -> bool:
        """Wait for a ring; return whether it was a notification's."""
        if self._rung is None:
            self._rung = asyncio.get_running_loop().create_future()
        rung = self._rung
        await asyncio.wait({rung}, timeout=timeout_s)
        return rung.done() and rung.result()
