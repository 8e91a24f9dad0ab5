"""Waiting for what a test expects, with a deadline instead of a pause, and waiters of a lane."""

import asyncio
from collections.abc import Callable
from typing import Any

from multiconnect.dataplane.slot_lane import Waiter


async def until(condition: Callable[[], object], within_s: float = 10.0) -> None:
    """Return once the condition holds; raise TimeoutError if it never does."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


class WaiterFor(Waiter):
    """Passes on what it is told to a sink of a test's own."""

    def __init__(self, first: int, last: int, sink: Any) -> None:
        super().__init__(first, last)
        self._sink = sink

    def sink(self) -> Any:
        return self._sink

    def stored(self, slot, first_ordinal, count, base_seq, exceptions) -> None:
        self._sink.stored(slot, first_ordinal, count, base_seq, exceptions)
