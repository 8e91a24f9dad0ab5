"""The demo's customers: they send over HTTP, in order per recipient, and note every answer.

A message that is not answered with 201 is sent again with the same idempotency key, as a careful
customer would, and counted as a failed request.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from multiconnect.cli.demo_cluster import DemoCluster
from multiconnect.errors import Unavailable
from multiconnect.limits import SLOTS
from multiconnect.supervisor.http_call import HttpAnswer, HttpConnection

_RETRY_S: Final = 0.05
_ERRORS_KEPT: Final = 1000
#: One connection serves recipients of one shard only, whichever of 1, 2 or 4 shards are in force:
#: a customer of one shard must not wait behind another's.
_CLASSES: Final = 4
_WORKERS_PER_CLASS: Final = 4


@dataclass(frozen=True, slots=True)
class Ack:
    """One message the cluster has promised to deliver; times on the loop's clock."""

    at_s: float
    slot: int
    id: str


class Traffic:
    """Sends `rate` messages per second to `recipients` different people until stopped."""

    def __init__(self, cluster: DemoCluster, rate: float, recipients: int) -> None:
        self.acks: list[Ack] = []
        self.errors: list[str] = []
        self._cluster = cluster
        self._rate = rate
        self._recipients = recipients
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin."""
        shares = _shares(self._recipients)
        for share in shares:
            rate = self._rate * len(share) / self._recipients
            self._tasks.append(asyncio.create_task(self._work(share, rate)))

    async def stop(self) -> None:
        """Send nothing new and wait for the answers that are owed."""
        self._stopping.set()
        await asyncio.gather(*self._tasks)

    async def aclose(self) -> None:
        """End at once; idempotent."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self, share: list[tuple[str, int]], rate: float) -> None:
        loop = asyncio.get_running_loop()
        begun_s, sent = loop.time(), 0
        async with HttpConnection(
            self._cluster.http, headers=self._cluster.headers, timeout_s=15.0
        ) as connection:
            while not self._stopping.is_set():
                # By the clock, not by the answers: whoever had to wait catches up.
                await asyncio.sleep(max(0.0, begun_s + sent / rate - loop.time()))
                recipient, slot = share[sent % len(share)]
                await self._deliver(connection, recipient, slot, 1 + sent // len(share))
                sent += 1

    async def _deliver(
        self, connection: HttpConnection, recipient: str, slot: int, number: int
    ) -> None:
        body = {"to": recipient, "type": "text", "text": {"body": f"demo seq:{number}"}}
        key = {"Idempotency-Key": f"demo-{recipient}-{number}"}
        while True:
            try:
                answer = await connection.post("/v1/messages", body, key)
            except Unavailable as error:
                self._note_error(str(error))
            else:
                if answer.status == 201:
                    at_s = asyncio.get_running_loop().time()
                    self.acks.append(Ack(at_s, slot, answer.json()["messages"][0]["id"]))
                    return
                self._note_error(_in_words(answer))
            if self._stopping.is_set():
                return
            await asyncio.sleep(_RETRY_S)

    def _note_error(self, text: str) -> None:
        if len(self.errors) < _ERRORS_KEPT:
            self.errors.append(text)


def _shares(recipients: int) -> list[list[tuple[str, int]]]:
    """Return each worker's recipients with their slots: each share within one class of shards."""
    from multiconnect import shard_of

    shares: list[list[tuple[str, int]]] = [[] for _ in range(_CLASSES * _WORKERS_PER_CLASS)]
    for index in range(recipients):
        recipient = str(15550100000 + index)
        slot = shard_of(recipient, SLOTS)
        worker = slot % _CLASSES * _WORKERS_PER_CLASS + index % _WORKERS_PER_CLASS
        shares[worker].append((recipient, slot))
    return [share for share in shares if share]


def _in_words(answer: HttpAnswer) -> str:
    return f"{answer.status}: {answer.body[:200].decode(errors='replace')}"
