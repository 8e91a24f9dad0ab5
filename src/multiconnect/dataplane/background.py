"""Tasks and callbacks that run beside everything else, none of which can fail unnoticed.

What may go wrong is caught inside; an exception that leaves one is a bug. The first such
exception is logged and told to whoever owns the tasks, so that nobody waits for work that nobody
does any more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

_log = logging.getLogger("multiconnect.background")


class Background:
    """The background tasks of one owner; `on_failure` is called with the first failure only."""

    def __init__(self, on_failure: Callable[[BaseException], None]) -> None:
        self._on_failure = on_failure
        self._tasks: set[asyncio.Task[None]] = set()
        self._has_failed = False

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine as a task of this owner."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def run(self, callback: Callable[[], None]) -> None:
        """Run a callback of the loop; an exception that leaves it is a failure like a task's."""
        try:
            callback()
        except Exception as error:
            self._failed(getattr(callback, "__qualname__", "a callback"), error)

    async def aclose(self) -> None:
        """Cancel every task and wait for its end."""
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._failed(task.get_name(), error)

    def _failed(self, name: str, error: BaseException) -> None:
        if not self._has_failed:
            self._has_failed = True
            _log.error("background_task_failed: %s", name, exc_info=error)
            self._on_failure(error)
