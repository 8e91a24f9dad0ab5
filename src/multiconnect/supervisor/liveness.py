"""The child's end of the liveness socket: signs of life out, the supervisor's death in.

Guarantees:
* a sign of life is written by the event loop itself, so a blocked loop falls silent and is killed;
* end of file means the supervisor is gone. A thread of its own waits for it, because then the loop
  may be blocked for good and nobody is left to kill this process: it ends after ORPHAN_EXIT_S.
"""

from __future__ import annotations

import asyncio
import ctypes
import faulthandler
import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import Final

from multiconnect.limits import ORPHAN_EXIT_S

ALIVE: Final = b"."
READY: Final = b"r"
_PR_SET_PDEATHSIG: Final = 1


class SupervisorLink:
    """Talks to the supervisor over `fd`; `on_lost` is called in the loop when it is gone."""

    def __init__(self, fd: int, ping_s: float, on_lost: Callable[[], None]) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.set_inheritable(False)
        self._ping_s = ping_s
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def start(self) -> None:
        """Begin to show life and to watch for the supervisor's death."""
        self._ping()
        threading.Thread(target=self._wait_for_loss, name="supervisor-link", daemon=True).start()

    def say_ready(self) -> None:
        """Tell the supervisor that the role serves."""
        self._say(READY)

    def close(self) -> None:
        """Stop; the supervisor learns the rest from our exit."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def _ping(self) -> None:
        self._say(ALIVE)
        self._timer = self._loop.call_later(self._ping_s, self._ping)

    def _say(self, word: bytes) -> None:
        # The socket blocks (the thread reads it), so each write asks not to. A full socket means a
        # supervisor that does not read; it cannot be told anything, and it counts its own delay.
        try:
            self._socket.send(word, socket.MSG_DONTWAIT)
        except OSError:
            pass

    def _wait_for_loss(self) -> None:
        try:
            while self._socket.recv(64):
                pass
        except OSError:
            pass
        if self._closed:
            return
        # Armed in C: ends the process even when the loop never runs again, with its stack shown.
        faulthandler.dump_traceback_later(ORPHAN_EXIT_S, exit=True)
        try:
            self._loop.call_soon_threadsafe(self._on_lost)
        except RuntimeError:
            pass


def die_with_parent() -> None:
    """Ask the kernel for SIGTERM at our parent's death.

    The belt to the socket's braces: it works when a copy of the supervisor's end leaked somewhere
    and keeps the end of file away.
    """
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    except (OSError, AttributeError):
        return


def parent_is_gone(parent: int) -> bool:
    """Return whether `parent` is no longer our parent."""
    return os.getppid() != parent
