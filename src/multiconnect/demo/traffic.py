"""The tour's load: many recipients, each with one message at a time, every acknowledgement noted.

A recipient's next message is sent once the one before is acknowledged, so the order of acceptance
is known and can be compared with the order of arrival.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from multiconnect._native import shard_of
from multiconnect.clock import Clock
from multiconnect.errors import Unavailable
from multiconnect.supervisor.http_call import HttpConnection

_RETRY_S = 0.05


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """A 201, as the sender saw it."""

    recipient: str
    number: int
    message_id: str
    at_s: float


class Traffic:
    """`recipients` people are written to, together about `rate` messages per second."""

    def __init__(
        self, base_url: str, token: str, clock: Clock, *, recipients: int, rate: float
    ) -> None:
        self._base_url = base_url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._clock = clock
        self._people = [f"1631555{n:04d}" for n in range(recipients)]
        self._pause_s = recipients / rate
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.acknowledged: list[Acknowledgement] = []
        #: Answers that were neither 201 nor a repetition, and lost connections.
        self.failures: list[str] = []

    def start(self) -> None:
        """Begin to send."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Finish the requests under way."""
        self._stopping.set()
        if self._task is not None:
            await self._task

    def longest_gap_s(self, start_s: float, end_s: float, *, shards: int, shard: int) -> float:
        """Return the longest time in [start_s, end_s] without an acknowledgement of that shard."""
        times = sorted(
            a.at_s
            for a in self.acknowledged
            if start_s <= a.at_s <= end_s and shard_of(a.recipient, shards) == shard
        )
        edges = [start_s, *times, end_s]
        return max(later - earlier for earlier, later in zip(edges, edges[1:], strict=False))

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for place, person in enumerate(self._people):
                delay_s = self._pause_s * place / len(self._people)
                group.create_task(self._write_to(person, delay_s))

    async def _write_to(self, person: str, delay_s: float) -> None:
        await self._pause(delay_s)
        number = 0
        async with HttpConnection(
            self._base_url, headers=self._headers, timeout_s=20.0
        ) as connection:
            while not self._stopping.is_set():
                number += 1
                await self._send(connection, person, number)
                await self._pause(self._pause_s)

    async def _send(self, connection: HttpConnection, person: str, number: int) -> None:
        body = {"to": person, "type": "text", "text": {"body": f"seq:{number}"}}
        key = {"Idempotency-Key": f"tour-{person}-{number}"}
        while True:
            try:
                answer = await connection.post("/v1/messages", body, key)
                if answer.status == 201:
                    message_id = str(answer.json()["messages"][0]["id"])
                    now_s = self._clock.monotonic()
                    self.acknowledged.append(Acknowledgement(person, number, message_id, now_s))
                    return
                self.failures.append(f"HTTP {answer.status}")
            except Unavailable as error:
                self.failures.append(str(error))
            if self._stopping.is_set():
                return
            await asyncio.sleep(_RETRY_S)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return
