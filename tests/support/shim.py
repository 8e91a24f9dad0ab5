"""A stand-in around any of our ports that calls what a test wants before and after each method.

    log = Shim(real_log)
    log.after["commit"] = lose_the_reply       # runs after the real commit, may raise

A hook gets the arguments of the call (after: the result first). `"*"` stands for every method that
has no hook of its own. Attributes and ordinary methods pass through.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

Hook = Callable[..., Awaitable[None]]


class Shim:
    """Delegates everything to `inner`."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.before: dict[str, Hook] = {}
        self.after: dict[str, Hook] = {}

    def __getattr__(self, name: str) -> Any:
        """Return the method of the inner object, with the hooks around it."""
        target = getattr(self.inner, name)
        if not inspect.iscoroutinefunction(target):
            return target

        async def call(*args: Any, **options: Any) -> Any:
            before = self.before.get(name) or self.before.get("*")
            if before is not None:
                await before(*args, **options)
            result = await target(*args, **options)
            after = self.after.get(name) or self.after.get("*")
            if after is not None:
                await after(result, *args, **options)
            return result

        return call


class StoreShim(Shim):
    """A store whose control side and logs are shims, too; `logs` are those opened through it."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.control = Shim(inner.control)
        self.logs: list[Shim] = []
        #: Hooks that each log opened from now on begins with.
        self.log_before: dict[str, Hook] = {}
        self.log_after: dict[str, Hook] = {}

    async def log(self, incarnation: str) -> Shim:
        """Open a log."""
        log = Shim(await self.inner.log(incarnation))
        log.before, log.after = self.log_before, self.log_after
        self.logs.append(log)
        return log
