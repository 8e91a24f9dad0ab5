"""The Master's loop: gather → decide → perform → wait for a change. It holds no policy.

A death written to the store wakes the wait, and nothing sleeps between that and the grant. After a
plan was performed the store is read again at once; after a refusal too, and then with a growing
pause, so that a store that refuses for ever is not asked in a tight loop.
"""

from __future__ import annotations

import asyncio
import logging

from multiconnect.clock import Clock
from multiconnect.control.actions import Action, StartDrain
from multiconnect.control.decide import decide
from multiconnect.control.facts import Unreadable, View
from multiconnect.control.invariants import check_plan, require_none
from multiconnect.errors import Unavailable
from multiconnect.limits import MASTER_RETRY_MAX_S, MASTER_RETRY_MIN_S
from multiconnect.master.gather import Observer
from multiconnect.master.lease import Lease
from multiconnect.master.perform import perform
from multiconnect.model.cluster import Snapshot
from multiconnect.model.timers import Timers
from multiconnect.store.port import ControlStore

_log = logging.getLogger("multiconnect.master")


class MasterLoop:
    """One Master's turns over the store, one after the other."""

    def __init__(
        self, control: ControlStore, me: str, timers: Timers, clock: Clock, lease: Lease
    ) -> None:
        self._control = control
        self._me = me
        self._clock = clock
        self._lease = lease
        self._observer = Observer(control, me, timers, clock)
        # Beats are no changes, so the store must be looked at more often than they are due; a
        # quarter keeps the loss of a whole host below takeover_s + renew_s.
        self._poll_s = timers.renew_s / 4
        self._retry_s = 0.0
        self._last_said = ""
        self.last_turn_s = clock.monotonic()
        self.holds_term = False
        self._shown: Snapshot | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Make turns until `stop` is set."""
        while not stop.is_set():
            wait_s = await self.turn()
            if wait_s > 0:
                await self._wait(stop, wait_s)

    async def turn(self) -> float:
        """Look, decide, act; return how long (s) to wait for a change before the next turn."""
        view = await self._observer.gather(self._lease.deadline_s)
        actions = decide(view)
        require_none(check_plan(view, actions))
        self.last_turn_s = self._clock.monotonic()
        self._shown = None
        if isinstance(view.snapshot, Unreadable):
            self._say(f"the store cannot be read: {view.snapshot.reason}")
            return self._next_retry_s()
        self._shown = view.snapshot
        self.holds_term = view.snapshot.cluster.master == self._me
        if await self._perform_all(view, actions):
            self._retry_s = 0.0
            return 0.0 if actions else self._poll_s
        return self._next_retry_s()

    async def _perform_all(self, view: View, actions: list[Action]) -> bool:
        """Perform the plan; False as soon as one step is refused or in doubt."""
        assert not isinstance(view.snapshot, Unreadable)
        term = view.snapshot.cluster.term
        starts = [action for action in actions if isinstance(action, StartDrain)]
        for action in actions:
            if not isinstance(action, StartDrain) and not await self._perform(term, action):
                return False
        # Last in every plan, and independent of each other: a store may commit them together.
        return all(await asyncio.gather(*(self._perform(term, action) for action in starts)))

    async def _perform(self, term: int, action: Action) -> bool:
        try:
            done = await perform(self._control, self._me, term, action)
        except Unavailable as error:
            self._say(f"in doubt: {_sentence(action)} ({error})")
            return False
        self._say(_sentence(action) if done else f"not done: {_sentence(action)}")
        return done

    def _next_retry_s(self) -> float:
        """Return 0 after the first failure in a row, then a delay that doubles."""
        delay_s, self._retry_s = (
            self._retry_s,
            min(max(MASTER_RETRY_MIN_S, 2 * self._retry_s), MASTER_RETRY_MAX_S, self._poll_s),
        )
        return delay_s

    async def _wait(self, stop: asyncio.Event, timeout_s: float) -> None:
        """Wait for a change, the timeout or `stop`, whichever is first."""
        waits = {
            asyncio.ensure_future(self._change(timeout_s)),
            asyncio.ensure_future(stop.wait()),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
            results = await asyncio.gather(*waits, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _change(self, timeout_s: float) -> None:
        shown, holder = self._shown, None
        if shown is not None and not self.holds_term:
            # Who stands by has nothing to do before that one ends; the rest it sees when it polls.
            holder = shown.cluster.master
        try:
            await self._control.changed(timeout_s, shown, concerning=holder)
        except Unavailable:
            # The next look says so; until then this wait is an ordinary one.
            await asyncio.sleep(timeout_s)

    def _say(self, sentence: str) -> None:
        """Log a decision once, however often it is repeated."""
        if sentence != self._last_said:
            _log.info(sentence, extra={"master": self._me})
            self._last_said = sentence


def _sentence(action: Action) -> str:
    about = f" slot {action.slot} to {action.to}" if isinstance(action, StartDrain) else ""
    return f"{type(action).__name__}{about}: {action.reason}"
