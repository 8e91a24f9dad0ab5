"""Load on a router, written down: every recipient gets a numbered message each period.

Open loop: a message is sent when it is due, whether or not the ones before are acknowledged. So
while a slot has no owner its messages queue up, and their order is put to the test. What was not
acknowledged in time is a failure, and its number may be missing or not.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections import defaultdict
from collections.abc import Sequence

from multiconnect import Router
from multiconnect.errors import MulticonnectError
from tests.support.history import Acknowledged

#: The load wakes up this often.
_TICK_S = 0.002


class Talk:
    """Sends until told to stop; `period_s` is per recipient, and recipients take turns."""

    def __init__(
        self,
        router: Router,
        recipients: Sequence[str],
        *,
        period_s: float = 0.01,
        timeout_s: float | None = None,
        text: str = "seq",
    ) -> None:
        self._text = text
        self.router = router
        self._recipients = recipients
        self._period_s = period_s
        self._timeout_s = timeout_s
        self._numbers: defaultdict[str, int] = defaultdict(int)
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self.acknowledged: list[Acknowledged] = []
        #: Slot of each entry of `acknowledged`.
        self.slots: list[int] = []
        self.failures: list[str] = []
        self.sent = 0
        #: The longest time by which the load itself was late.
        self.lag_s = 0.0

    @property
    def parked_bytes(self) -> int:
        """What the router holds now."""
        return self.router.parked_bytes

    async def run(self) -> None:
        """Send until `stop`; ends once everything sent is answered."""
        due_s = time.monotonic()
        # Several at a time, or the load would be all timers.
        many = math.ceil(len(self._recipients) * _TICK_S / self._period_s)
        turn = itertools.cycle(self._recipients)
        while not self._stopping.is_set():
            for recipient in itertools.islice(turn, many):
                self.send(recipient)
            due_s += self._period_s * many / len(self._recipients)
            now_s = time.monotonic()
            self.lag_s = max(self.lag_s, now_s - due_s)
            await asyncio.sleep(max(0.0, due_s - now_s))
            # What a stalled machine made us miss is not made up for.
            due_s = max(due_s, now_s - self._period_s)
        await asyncio.gather(*self._tasks)

    def stop(self) -> None:
        """Send nothing more."""
        self._stopping.set()

    def send(self, recipient: str) -> asyncio.Task[None]:
        """Send the recipient's next message now."""
        self._numbers[recipient] += 1
        self.sent += 1
        task = asyncio.get_running_loop().create_task(
            self._send(recipient, self._numbers[recipient])
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def send_all(self, times: int) -> None:
        """Send so many messages to every recipient at once; return when all are answered."""
        await asyncio.gather(*(self.send(r) for _ in range(times) for r in self._recipients))

    async def acknowledged_at_least(self, count: int, timeout_s: float = 20.0) -> None:
        """Wait until so many are acknowledged in all."""
        async with asyncio.timeout(timeout_s):
            while len(self.acknowledged) < count:  # noqa: ASYNC110 -- looks from outside
                await asyncio.sleep(0.002)

    async def _send(self, recipient: str, number: int) -> None:
        asked_s = time.monotonic()
        body = {"type": "text", "text": {"body": f"{self._text}:{number}"}}
        try:
            receipt = await self.router.send(recipient, body, timeout_s=self._timeout_s)
        except MulticonnectError as error:
            self.failures.append(f"{recipient} {number}: {type(error).__name__}: {error}")
            return
        done_s = time.monotonic()
        self.noted(Acknowledged(recipient, number, receipt.id, asked_s, done_s), receipt.slot)

    def noted(self, acknowledged: Acknowledged, slot: int) -> None:
        """Keep an acknowledgement."""
        self.acknowledged.append(acknowledged)
        self.slots.append(slot)
