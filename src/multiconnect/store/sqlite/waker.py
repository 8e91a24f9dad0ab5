"""Wakes whoever waits for a change of the control file, without asking it all the time.

Who has committed rings: one byte into a file beside it, of which the kernel (inotify) tells all who
wait. So each process asks once per change, and when the change can be seen. Owners, of whom there
are many, hear another bell, which is rung only for what concerns them (or one of the few that share
it). A commit whose writer died before it rang, and any where the kernel does not help, is found by
a steady poll.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from zlib import crc32

from multiconnect.limits import STORE_POLL_S, STORE_POLL_SLOW_S

_IN_MODIFY: Final = 0x2
_EVENT: Final = struct.Struct("iIII")  # of a watched file: no name follows
_EVENTS_BYTES: Final = 256 * _EVENT.size
#: Bells for owners. A fixed number, so that no file is left behind by whoever has ended.
_BELLS: Final = 128
_NO_WATCH: Final = -1

_Waiting = set[asyncio.Future[None]]


class Waker:
    """Says when to ask again: at a ring, or when it has been quiet for a while."""

    def __init__(self, bell: Path) -> None:
        self._path = bell
        self._bell = os.open(bell, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._fd = _inotify()
        self._loop: asyncio.AbstractEventLoop | None = None
        #: Which bell is watched under which number, and who waits for it.
        self._watches: dict[Path, int] = {}
        self._waiting: dict[int, _Waiting] = {}

    def ring(self, concerned: Iterable[str] = ()) -> None:
        """Tell those concerned, and who listens to everything; from any thread.

        Never fails: the poll makes up for it.
        """
        with contextlib.suppress(OSError):
            os.pwrite(self._bell, b"!", 0)
        for path in {self._bell_of(name) for name in concerned}:
            with contextlib.suppress(OSError):
                _write_to(path)

    def listen(self, concerning: str | None = None) -> int:
        """Hear each ring from now on; to be called before the look that finds nothing new.

        Returns the number of the watch.
        """
        bell = self._bell_of(concerning)
        if bell not in self._watches:
            self._watches[bell] = _watch(self._fd, bell)
            self._waiting.setdefault(self._watches[bell], set())
        return self._watches[bell]

    async def pause(self, limit_s: float, concerning: str | None = None) -> None:
        """Wait until asking again is worth it, at most `limit_s`."""
        loop = asyncio.get_running_loop()
        watch = self.listen(concerning)
        self._read_from(loop)
        poll_s = STORE_POLL_S if watch == _NO_WATCH else STORE_POLL_SLOW_S
        rung = loop.create_future()
        self._waiting[watch].add(rung)
        timer = loop.call_later(min(poll_s, limit_s), _end, rung)
        try:
            await rung
        finally:
            timer.cancel()
            self._waiting[watch].discard(rung)

    def _bell_of(self, concerning: str | None) -> Path:
        if concerning is None:
            return self._path
        number = crc32(concerning.encode()) % _BELLS
        return self._path.with_name(f"{self._path.name}-{number}")

    def _read_from(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._fd >= 0 and self._loop is not loop:
            self._loop = loop
            loop.add_reader(self._fd, self._rung)

    def _rung(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for watch, *_ in _EVENT.iter_unpack(os.read(self._fd, _EVENTS_BYTES)):
                # Of no watch: some events were dropped, and nobody knows which.
                everybody = self._waiting.values()
                for waiting in [self._waiting[watch]] if watch in self._waiting else everybody:
                    for rung in waiting:
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


def _write_to(bell: Path) -> None:
    # Not created: where there is none nobody listens.
    fd = os.open(bell, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.pwrite(fd, b"!", 0)
    finally:
        os.close(fd)


def _inotify() -> int:
    """Return an inotify descriptor, or -1 where that cannot be had."""
    try:
        return int(ctypes.CDLL(None).inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    except (OSError, AttributeError):
        return -1


def _watch(fd: int, bell: Path) -> int:
    """Return the number under which `fd` tells of writes to a bell, or -1 if it cannot."""
    if fd < 0:
        return _NO_WATCH
    with contextlib.suppress(OSError):
        os.close(os.open(bell, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    return int(ctypes.CDLL(None).inotify_add_watch(fd, os.fsencode(bell), _IN_MODIFY))
