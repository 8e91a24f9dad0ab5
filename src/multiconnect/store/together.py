"""Small writes that are asked for in one turn of the event loop, carried out as one.

Each is a compare-and-set of its own, so one that is refused keeps none of the others back; but what
a commit costs, the sync and the waking of other processes, is paid once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Together(Generic[Item]):
    """Collects what is asked for in a turn; `run` does it all and returns what came of each."""

    def __init__(self, run: Callable[[list[Item]], Awaitable[list[bool]]]) -> None:
        self._run = run
        self._items: list[Item] = []
        self._running: asyncio.Task[list[bool]] | None = None

    async def ask(self, item: Item) -> bool:
        """Have this done with all that is asked for in this turn; return what came of it."""
        place = len(self._items)
        self._items.append(item)
        if self._running is None:
            # It runs after whoever is ready now, and so after those who want the same.
            self._running = asyncio.get_running_loop().create_task(self._run_all())
        return (await asyncio.shield(self._running))[place]

    async def _run_all(self) -> list[bool]:
        items, self._items, self._running = self._items, [], None
        return await self._run(items)
