"""Wakes whoever waits for a change of the control file, without asking it all the time.

On Linux the kernel says when the write-ahead log was written (inotify). That is a hint: the commit
is visible only once its sync is over, so after a hint the file is asked often for a moment. Where
there are no hints, or one is lost, a steady poll finds the change a little later.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
from pathlib import Path

from multiconnect.limits import (
    STORE_ALERT_S,
    STORE_POLL_MIN_S,
    STORE_POLL_S,
    STORE_POLL_SLOW_S,
    STORE_SYNC_MAX_S,
)

_IN_MODIFY = 0x2
_EVENT_BYTES = 4096


class Waker:
    """Says how long to wait before asking again, and ends the wait early on a hint."""

    def __init__(self, log_file: Path) -> None:
        self._fd = _watch(log_file)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._hinted_at_s = float("-inf")
        self._waiting: set[asyncio.Future[None]] = set()

    async def pause(self, limit_s: float) -> None:
        """Wait until asking again is worth it, at most `limit_s`."""
        loop = asyncio.get_running_loop()
        self._listen(loop)
        delay_s = min(self._delay_s(loop.time()), limit_s)
        hint = loop.create_future()
        self._waiting.add(hint)
        timer = loop.call_later(delay_s, _end, hint)
        try:
            await hint
        finally:
            timer.cancel()
            self._waiting.discard(hint)

    def _delay_s(self, now_s: float) -> float:
        since_hint_s = now_s - self._hinted_at_s
        if since_hint_s < STORE_ALERT_S:
            return STORE_POLL_MIN_S
        # A slow disk may take its time between the write and the end of its sync.
        is_settled = self._fd >= 0 and since_hint_s > STORE_SYNC_MAX_S
        return STORE_POLL_SLOW_S if is_settled else STORE_POLL_S

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._fd >= 0 and self._loop is not loop:
            self._loop = loop
            loop.add_reader(self._fd, self._hinted)

    def _hinted(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._fd, _EVENT_BYTES):
                pass
        if self._loop is not None:
            self._hinted_at_s = self._loop.time()
        for hint in self._waiting:
            _end(hint)

    def close(self) -> None:
        """Release the watch; idempotent."""
        if self._fd >= 0:
            if self._loop is not None and not self._loop.is_closed():
                self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1


def _end(hint: asyncio.Future[None]) -> None:
    if not hint.done():
        hint.set_result(None)


def _watch(path: Path) -> int:
    """Return an inotify descriptor for writes to `path`, or -1 where that cannot be had."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        fd = int(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    except (OSError, AttributeError):
        return -1
    if fd >= 0 and libc.inotify_add_watch(fd, os.fsencode(path), _IN_MODIFY) < 0:
        os.close(fd)
        return -1
    return fd
