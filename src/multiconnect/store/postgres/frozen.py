"""Ending sessions that are frozen with a lock that somebody waits for.

A client that is stopped inside a transaction keeps its locks. Its server session would end by
itself after a second (idle_in_transaction_session_timeout), if it was one of ours; a takeover does
not wait for that, nor for sessions that are not ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import timedelta
from typing import Final

from multiconnect.errors import Closed, StoreUnavailable
from multiconnect.limits import STORE_FROZEN_S
from multiconnect.store.postgres.session import Session

_log = logging.getLogger("multiconnect.store")

_END_BLOCKERS: Final = "SELECT pid, application, ended FROM end_blockers($1, $2)"
_FROZEN: Final = timedelta(seconds=STORE_FROZEN_S)
_LOOK_S: Final = 0.02


class FrozenWatch:
    """Looks, over another connection, who keeps `waiting` waiting, and ends whoever is frozen."""

    def __init__(self, waiting: Session, other: Session) -> None:
        self._waiting = waiting
        self._other = other
        self._stopped = False
        #: Whom it met, for an error message.
        self.met: set[str] = set()

    def stop(self) -> None:
        """Look no more; a look under way is finished."""
        self._stopped = True

    async def run(self) -> None:
        """Look every 20 ms until stopped."""
        await asyncio.sleep(_LOOK_S)
        while not self._stopped:
            with contextlib.suppress(StoreUnavailable, Closed):
                await self._look()
            await asyncio.sleep(_LOOK_S)

    async def _look(self) -> None:
        waiting = self._waiting.backend_pid
        if waiting is None:
            return
        for pid, application, ended in await self._other.fetch(_END_BLOCKERS, waiting, _FROZEN):
            self.met.add(f"{application or 'unnamed'}, pid {pid}")
            _log.warning(
                "a frozen session is in the way",
                extra={"backend": pid, "application": application, "ended": ended},
            )
