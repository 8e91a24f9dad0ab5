"""Wakes whoever waits for a change of the control file, without asking it all the time.

Who has committed rings: one byte into a file beside it, of which the kernel (inotify) tells all who
wait. So each process asks once per change, and when the change can be seen. A commit whose writer
died before it rang, and any where the kernel does not help, is found by a steady poll.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
from pathlib import Path

from multiconnect.limits import STORE_POLL_S, STORE_POLL_SLOW_S

_IN_MODIFY = 0x2
_EVENT_BYTES = 4096


class Waker:
    """Says when to ask again: at a ring, or when it has been quiet for a while."""

    def __init__(self, bell: Path) -> None:
        self._bell = os.open(bell, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._fd = _watch(bell)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: set[asyncio.Future[None]] = set()

    def ring(self) -> None:
        """Tell everybody; from any thread. Never fails: the poll makes up for it."""
        with contextlib.suppress(OSError):
            os.pwrite(self._bell, b"!", 0)

    async def pause(self, limit_s: float) -> None:
        """Wait until asking again is worth it, at most `limit_s`."""
        loop = asyncio.get_running_loop()
        self._listen(loop)
        rung = loop.create_future()
        self._waiting.add(rung)
        timer = loop.call_later(min(self._poll_s, limit_s), _end, rung)
        try:
            await rung
        finally:
            timer.cancel()
            self._waiting.discard(rung)

    @property
    def _poll_s(self) -> float:
        return STORE_POLL_SLOW_S if self._fd >= 0 else STORE_POLL_S

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._fd >= 0 and self._loop is not loop:
            self._loop = loop
            loop.add_reader(self._fd, self._rung)

    def _rung(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._fd, _EVENT_BYTES):
                pass
        for rung in self._waiting:
            _end(rung)

    def close(self) -> None:
        """Release the watch; idempotent. Nobody may ring after it."""
        if self._fd >= 0:
            if self._loop is not None and not self._loop.is_closed():
                self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
        if self._bell >= 0:
            os.close(self._bell)
            self._bell = -1


def _end(rung: asyncio.Future[None]) -> None:
    if not rung.done():
        rung.set_result(None)


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
