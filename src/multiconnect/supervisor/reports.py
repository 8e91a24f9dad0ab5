"""Proofs of death, written to the store in the order they came, for as long as it takes.

Guarantees: a death is handed to the store before anything else is done about it; an unreachable
store delays reports and loses none; a later report never overtakes an earlier one. The number
waiting is bounded by the number of children: a seat is filled again only after its report.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass

from multiconnect.errors import Unavailable
from multiconnect.limits import EXITS_REMEMBERED_MAX, REPORT_DELAY_MAX_S, REPORT_DELAY_MIN_S
from multiconnect.model.cluster import NodeState
from multiconnect.store.port import ControlStore

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Death:
    """A proof: this incarnation ended, for this reason."""

    incarnation: str
    reason: str


class DeathReports:
    """The queue of deaths and the task that writes them."""

    def __init__(self, control: ControlStore) -> None:
        self._control = control
        self._waiting: deque[Death] = deque()
        self._written = asyncio.Condition()
        self._arrived = asyncio.Event()
        #: Incarnations known to have exited, oldest first, with their reasons.
        self.exited: dict[str, str] = {}

    def add(self, incarnation: str, reason: str) -> None:
        """Queue a death; returns at once."""
        self.exited[incarnation] = reason
        if len(self.exited) > EXITS_REMEMBERED_MAX:
            self.exited.pop(next(iter(self.exited)))
        if all(death.incarnation != incarnation for death in self._waiting):
            self._waiting.append(Death(incarnation, reason))
            self._arrived.set()

    def is_waiting(self, incarnation: str) -> bool:
        """Return whether that death is not written yet."""
        return any(death.incarnation == incarnation for death in self._waiting)

    async def written(self) -> None:
        """Wait until every death so far is written."""
        async with self._written:
            await self._written.wait_for(lambda: not self._waiting)

    async def run(self) -> None:
        """Write deaths until cancelled."""
        while True:
            self._arrived.clear()
            while self._waiting:
                await self._write(self._waiting[0])
                self._waiting.popleft()
                async with self._written:
                    self._written.notify_all()
            await self._arrived.wait()

    async def _write(self, death: Death) -> None:
        delay_s = REPORT_DELAY_MIN_S
        while True:
            try:
                await self._control.set_node_state(death.incarnation, NodeState.DEAD, death.reason)
                return
            except Unavailable as error:
                if delay_s == REPORT_DELAY_MIN_S:
                    facts = {"incarnation": death.incarnation, "why": str(error)}
                    _log.warning("death not reported yet: the store is unavailable", extra=facts)
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, REPORT_DELAY_MAX_S)
