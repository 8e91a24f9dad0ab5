"""Waiting for a condition that only looking can tell."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], deadline_s: float = 10.0) -> None:
    """Return as soon as `condition()` holds; raise TimeoutError after the deadline."""
    async with asyncio.timeout(deadline_s):
        while not condition():  # noqa: ASYNC110 -- looks from outside
            await asyncio.sleep(0.005)
