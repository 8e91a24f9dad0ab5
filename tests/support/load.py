"""Load for a live cluster: many recipients, each with one message at a time, everything noted.

A recipient's next message is sent only once the one before is acknowledged, so the order of
acknowledgement is known. A request that fails is noted and repeated with the same idempotency key.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import aiohttp

from tests.support.history import Acknowledged
from tests.support.live_cluster import LiveCluster


class Load:
    """Runs in a thread of its own until stopped, so that a test reads like a story."""

    def __init__(
        self,
        cluster: LiveCluster,
        *,
        recipients: int = 48,
        pause_s: float = 0.05,
        prefix: str = "1631555",
    ) -> None:
        self._cluster = cluster
        self._recipients = [f"{prefix}{n:04d}" for n in range(recipients)]
        self._pause_s = pause_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self.acknowledged: list[Acknowledged] = []
        self.failures: list[str] = []
        self._error: BaseException | None = None

    def start(self) -> Load:
        """Begin."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End after the requests under way; raise what broke the load itself."""
        self._stopping.set()
        self._thread.join(timeout=60)
        assert not self._thread.is_alive(), "the load did not end"
        if self._error is not None:
            raise self._error

    def wait_for(self, more: int, timeout_s: float = 30.0) -> None:
        """Wait until this many more messages are acknowledged."""
        wanted = len(self.acknowledged) + more
        deadline = time.monotonic() + timeout_s
        while len(self.acknowledged) < wanted:
            assert time.monotonic() < deadline, (
                f"{len(self.acknowledged)} of {wanted} acknowledged; {self.failures[-3:]}"
            )
            time.sleep(0.01)

    async def _run(self) -> None:
        try:
            timeout = aiohttp.ClientTimeout(total=30)
            connector = aiohttp.TCPConnector(limit=0)
            async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
                await asyncio.gather(*(self._talk(session, r) for r in self._recipients))
        except BaseException as error:
            self._error = error

    async def _talk(self, session: aiohttp.ClientSession, recipient: str) -> None:
        number = 0
        while not self._stopping.is_set():
            number += 1
            await self._send(session, recipient, number)
            await asyncio.sleep(self._pause_s)

    async def _send(self, session: aiohttp.ClientSession, recipient: str, number: int) -> None:
        body = {"to": recipient, "type": "text", "text": {"body": f"seq:{number}"}}
        asked_s = time.monotonic()
        while not self._stopping.is_set():
            try:
                headers = {**self._cluster.headers, "Idempotency-Key": f"{recipient}-{number}"}
                url = f"{self._cluster.http}/v1/messages"
                async with session.post(url, json=body, headers=headers) as reply:
                    answer: Any = await reply.json()
                    if reply.status == 201:
                        message_id = answer["messages"][0]["id"]
                        done_s = time.monotonic()
                        self.acknowledged.append(
                            Acknowledged(recipient, number, message_id, asked_s, done_s)
                        )
                        return
                    self.failures.append(f"{reply.status} {answer}")
            except (aiohttp.ClientError, TimeoutError) as error:
                self.failures.append(repr(error))
            await asyncio.sleep(0.05)
