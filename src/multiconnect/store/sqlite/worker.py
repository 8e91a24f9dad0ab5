"""One thread for one connection, so that the event loop never waits for a disk or a lock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from multiconnect.errors import Closed

P = ParamSpec("P")
T = TypeVar("T")


class Worker:
    """Runs calls one after the other in a thread of its own."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._closed = False

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the call in the thread.

        A caller that is cancelled does not learn the result; the call itself is carried through.
        """
        if self._closed:
            raise Closed("the store is closed")
        return await self._submit(call, *args, **kwargs)

    async def aclose(self, last: Callable[[], None]) -> None:
        """Run `last` after everything already asked for, then end the thread; idempotent."""
        if self._closed:
            return
        self._closed = True
        try:
            await self._submit(last)
        finally:
            self._executor.shutdown(wait=False)

    async def _submit(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.wrap_future(self._executor.submit(call, *args, **kwargs))
