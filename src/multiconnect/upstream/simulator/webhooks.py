"""Sends webhooks: one POST at a time, many statuses in each, in order, with bounded retries.

Guarantees: per message sent comes before delivered before read; a webhook is repeated until a 200
or until its attempts are used up; what is queued is bounded, and what does not fit is dropped and
counted, so that a slow receiver never slows the send endpoint.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

import aiohttp

from multiconnect.limits import (
    SIMULATOR_STATUSES_PER_POST,
    SIMULATOR_STATUSES_QUEUED_MAX,
    SIMULATOR_WEBHOOK_ATTEMPTS_MAX,
    SIMULATOR_WEBHOOK_RETRY_MAX_S,
    SIMULATOR_WEBHOOK_RETRY_MIN_S,
    SIMULATOR_WEBHOOK_TIMEOUT_S,
)
from multiconnect.upstream.simulator.simulation import Accepted
from multiconnect.upstream.simulator.webhook_body import (
    SIGNATURE_HEADER,
    STATUSES,
    Inbound,
    signature,
    webhook_body,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """Where webhooks go. Without an app secret they are not signed."""

    url: str
    app_secret: str = ""
    statuses: tuple[str, ...] = STATUSES

    def __repr__(self) -> str:
        return f"WebhookTarget({self.url}, statuses={self.statuses})"


class Webhooks:
    """A queue and the one task that empties it."""

    def __init__(self) -> None:
        self._target: WebhookTarget | None = None
        self._queue: deque[Accepted | Inbound] = deque()
        self._counts: Counter[str] = Counter()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def set_target(self, target: WebhookTarget | None) -> None:
        """Send to `target` from now on; None stops and forgets what is queued."""
        self._target = target
        if target is None:
            self._queue.clear()
        elif self._task is None:
            self._task = asyncio.create_task(self._run(), name="simulator-webhooks")

    def put(self, entry: Accepted | Inbound) -> bool:
        """Queue a webhook; False if there is nowhere to send it, or no room."""
        if self._target is None:
            return False
        if len(self._queue) * len(STATUSES) >= SIMULATOR_STATUSES_QUEUED_MAX:
            self._counts["dropped"] += 1
            return False
        self._queue.append(entry)
        self._wake.set()
        return True

    def report(self) -> dict[str, Any]:
        """Return the counts of entries queued, delivered, failed, dropped, and of attempts."""
        names = ("delivered", "failed", "dropped", "posts", "retries")
        return {"queued": len(self._queue), **{name: self._counts[name] for name in names}}

    def reset_counts(self) -> None:
        """Start counting anew; what is queued stays."""
        self._counts.clear()

    async def aclose(self) -> None:
        """Stop; what is queued is not sent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=SIMULATOR_WEBHOOK_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._queue and self._target is not None:
                    await self._send(session, self._target, self._batch(self._target))

    def _batch(self, target: WebhookTarget) -> list[Accepted | Inbound]:
        room = max(1, SIMULATOR_STATUSES_PER_POST // max(1, len(target.statuses)))
        return [self._queue.popleft() for _ in range(min(room, len(self._queue)))]

    async def _send(
        self,
        session: aiohttp.ClientSession,
        target: WebhookTarget,
        batch: list[Accepted | Inbound],
    ) -> None:
        body = webhook_body(
            [entry for entry in batch if isinstance(entry, Accepted)],
            [entry for entry in batch if isinstance(entry, Inbound)],
            target.statuses,
        )
        delivered = await self._post_until_taken(session, target, body)
        self._counts["delivered" if delivered else "failed"] += len(batch)

    async def _post_until_taken(
        self, session: aiohttp.ClientSession, target: WebhookTarget, body: bytes
    ) -> bool:
        headers = {"Content-Type": "application/json"}
        if target.app_secret:
            headers[SIGNATURE_HEADER] = signature(target.app_secret, body)
        delay_s = SIMULATOR_WEBHOOK_RETRY_MIN_S
        for attempt in range(SIMULATOR_WEBHOOK_ATTEMPTS_MAX):
            if attempt:
                self._counts["retries"] += 1
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, SIMULATOR_WEBHOOK_RETRY_MAX_S)
            if await self._post(session, target.url, body, headers):
                return True
        _log.warning("a webhook was given up after %d attempts", SIMULATOR_WEBHOOK_ATTEMPTS_MAX)
        return False

    async def _post(
        self, session: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str]
    ) -> bool:
        self._counts["posts"] += 1
        try:
            async with session.post(
                url, data=body, headers=headers, allow_redirects=False
            ) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return False
