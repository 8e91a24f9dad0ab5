"""Tokens believed for a moment, so that a request need not wait for the store.

Guarantees: a token is believed for at most `TOKEN_TRUST_S` after the *start* of the look-up that
found it good, so a revocation is seen within that time by every process; a token in use is looked
up again in the background before that; what is unknown is never remembered; look-ups of strangers
are bounded, and cannot crowd out those who are known.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from multiconnect.clock import Clock
from multiconnect.errors import MulticonnectError, Overloaded
from multiconnect.limits import (
    TOKEN_LOOKUPS_MAX,
    TOKEN_REFRESH_S,
    TOKEN_TRUST_S,
    TOKENS_CACHED_MAX,
)
from multiconnect.store.port import ControlStore
from multiconnect.web.principal import Principal
from multiconnect.web.tokens import resolve_token, token_key

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Entry:
    principal: Principal
    refresh_at_s: float
    trusted_until_s: float


class TokenCache:
    """Principals by token."""

    def __init__(self, control: ControlStore, clock: Clock) -> None:
        self._control = control
        self._clock = clock
        self._entries: dict[bytes, _Entry] = {}
        self._lookups: dict[bytes, asyncio.Task[Principal | None]] = {}

    def __len__(self) -> int:
        """Return the number of tokens remembered."""
        return len(self._entries)

    def peek(self, token: bytes) -> Principal | None:
        """Return the principal if it may be believed without asking."""
        entry = self._entries.get(token)
        if entry is None:
            return None
        now_s = self._clock.monotonic()
        if now_s >= entry.refresh_at_s and token not in self._lookups:
            self._start(token)
        return entry.principal if now_s < entry.trusted_until_s else None

    async def look_up(self, token: bytes) -> Principal | None:
        """Ask the store; None when the token is no good. Raises StoreUnavailable, Overloaded."""
        task = self._lookups.get(token)
        if task is None:
            if token not in self._entries and len(self._lookups) >= TOKEN_LOOKUPS_MAX:
                raise Overloaded("too many tokens are being looked up")
            task = self._start(token)
        # One caller that goes away must not take the others' answer with it.
        return await asyncio.shield(task)

    def forget(self, key: str) -> None:
        """Believe a token no longer, in this process, from now on."""
        for token, entry in list(self._entries.items()):
            if entry.principal.token_key == key:
                del self._entries[token]
        # A look-up under way still answers those who wait for it, and leaves nothing behind.
        for token in [known for known in self._lookups if token_key(known) == key]:
            del self._lookups[token]

    async def aclose(self) -> None:
        """Stop looking up."""
        tasks = list(self._lookups.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, token: bytes) -> asyncio.Task[Principal | None]:
        task = asyncio.get_running_loop().create_task(self._ask(token))
        self._lookups[token] = task
        task.add_done_callback(lambda done: self._asked(token, done))
        return task

    async def _ask(self, token: bytes) -> Principal | None:
        asked_at_s = self._clock.monotonic()
        now_ms = self._clock.wall_ms()
        principal = await resolve_token(self._control, token_key(token), now_ms)
        if principal is None:
            self._entries.pop(token, None)
            return None
        if self._lookups.get(token) is not asyncio.current_task():
            return principal
        left_s = (principal.expires_at_ms - now_ms) / 1000
        while len(self._entries) >= TOKENS_CACHED_MAX and token not in self._entries:
            del self._entries[next(iter(self._entries))]
        self._entries[token] = _Entry(
            principal, asked_at_s + TOKEN_REFRESH_S, asked_at_s + min(TOKEN_TRUST_S, left_s)
        )
        return principal

    def _asked(self, token: bytes, task: asyncio.Task[Principal | None]) -> None:
        if self._lookups.get(token) is task:
            del self._lookups[token]
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not isinstance(error, MulticonnectError):
            _log.error("a token could not be looked up", exc_info=error)
