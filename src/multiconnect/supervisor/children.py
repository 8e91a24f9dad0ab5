"""One role process: a watched process with a liveness socket.

Guarantees: an exit is noticed by the kernel's word alone; of the supervisor's descriptors the
child gets its own two and no other.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

from multiconnect.config.process import PROCESS_VARIABLE, ProcessSettings
from multiconnect.model.cluster import Role
from multiconnect.supervisor.liveness import READY
from multiconnect.supervisor.watched import WatchedProcess


class Child:
    """A running child. All callbacks run in the event loop."""

    def __init__(
        self,
        settings: ProcessSettings,
        process: WatchedProcess,
        link: socket.socket,
        *,
        started_at_s: float,
    ) -> None:
        self.settings = settings
        self.started_at_s = started_at_s
        self.ready = False
        #: It closed its end of the liveness socket; only the pidfd will prove its death.
        self.ending = False
        #: Told to go: no second SIGTERM, which would be taken for impatience.
        self.told_to_stop = False
        #: Why we killed it; becomes the reason of its death.
        self.kill_reason: str | None = None
        self._process = process
        self._link = link

    @property
    def pid(self) -> int:
        """The pid, for display."""
        return self._process.pid

    @property
    def role(self) -> Role:
        """The role it was started for."""
        return self.settings.role

    def watch(self, on_sign: Callable[[Child], None], on_exit: Callable[[Child], None]) -> None:
        """Call `on_sign` at each sign of life and `on_exit` once, after the child was reaped."""
        asyncio.get_running_loop().add_reader(self._link.fileno(), self._hear, on_sign)
        self._process.watch(lambda: self._ended(on_exit))

    def ask_to_stop(self) -> None:
        """Send SIGTERM, once."""
        if not self.told_to_stop:
            self.told_to_stop = True
            self._process.signal(signal.SIGTERM)

    def kill(self, reason: str) -> None:
        """Send SIGKILL; `reason` is what its death will be reported with."""
        if self.kill_reason is None:
            self.kill_reason = reason
        self._process.signal(signal.SIGKILL)

    def death(self) -> str:
        """Return how it died: "exit 0", "signal 9", "silent 0.81 s, killed"."""
        code = self._process.code
        if self.kill_reason is not None and code == -signal.SIGKILL:
            return f"{self.kill_reason}, killed"
        return f"exit {code}" if code is None or code >= 0 else f"signal {-code}"

    def last_words(self) -> str:
        """Return the last line it printed to stderr."""
        return self._process.last_words()

    def _hear(self, on_sign: Callable[[Child], None]) -> None:
        try:
            words = self._link.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            words = b""
        if not words:
            self.ending = True
            asyncio.get_running_loop().remove_reader(self._link.fileno())
            return
        self.ready = self.ready or READY in words
        on_sign(self)

    def _ended(self, on_exit: Callable[[Child], None]) -> None:
        asyncio.get_running_loop().remove_reader(self._link.fileno())
        self._link.close()
        on_exit(self)


def spawn(command: Sequence[str], settings: ProcessSettings, logs: Path, *, now_s: float) -> Child:
    """Start `command` as a child with these settings; raises OSError when the machine cannot."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    settings = dataclasses.replace(settings, pipe_fd=theirs.fileno())
    passed = [theirs.fileno()] + ([settings.listen_fd] if settings.listen_fd >= 0 else [])
    try:
        with theirs:
            process = WatchedProcess(
                command,
                stderr_path=logs / f"{settings.name}.stderr",
                passed_fds=passed,
                environment={**os.environ, PROCESS_VARIABLE: settings.to_json()},
            )
    except OSError:
        ours.close()
        raise
    return Child(settings, process, ours, started_at_s=now_s)
