"""The load of the worst minute: a message per slot and period, or batches for many recipients."""

from __future__ import annotations

import asyncio
import time

from bench.worst_minute.gaps import Acks
from multiconnect import Router
from multiconnect.errors import MulticonnectError
from tests.support.history import Acknowledged
from tests.support.talk import Talk


class MeasuredTalk(Talk):
    """A talk that keeps what the figures need by slot."""

    def __init__(self, router: Router, recipients: list[str], acks: Acks, period_s: float) -> None:
        super().__init__(router, recipients, period_s=period_s)
        self._acks = acks
        self._recipients_by_slot = dict(enumerate(recipients))

    def noted(self, acknowledged: Acknowledged, slot: int) -> None:
        """Keep an acknowledgement."""
        super().noted(acknowledged, slot)
        self._acks.add(slot, acknowledged.asked_s, acknowledged.done_s)

    def probe(self, slot: int) -> None:
        """Send one more message to a slot now."""
        self.send(self._recipients_by_slot[slot])


class BatchTalk(MeasuredTalk):
    """Each period one call of `send_many` with a message for every recipient; open loop too."""

    async def run(self) -> None:
        """Send until `stop`; ends once everything sent is answered."""
        due_s = time.monotonic()
        while not self._stopping.is_set():
            task = asyncio.get_running_loop().create_task(self._send_batch())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            due_s += self._period_s
            self.lag_s = max(self.lag_s, time.monotonic() - due_s)
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            due_s = max(due_s, time.monotonic() - self._period_s)
        await asyncio.gather(*self._tasks)

    async def _send_batch(self) -> None:
        numbered = [(recipient, self._next(recipient)) for recipient in self._recipients]
        items = [
            (recipient, {"type": "text", "text": {"body": f"{self._text}:{number}"}})
            for recipient, number in numbered
        ]
        asked_s = time.monotonic()
        try:
            receipts = await self.router.send_many(items)
        except MulticonnectError as error:
            self.failures.append(f"a batch of {len(items)}: {type(error).__name__}: {error}")
            return
        done_s = time.monotonic()
        for (recipient, number), receipt in zip(numbered, receipts, strict=True):
            self.noted(Acknowledged(recipient, number, receipt.id, asked_s, done_s), receipt.slot)

    def _next(self, recipient: str) -> int:
        self._numbers[recipient] += 1
        self.sent += 1
        return self._numbers[recipient]
