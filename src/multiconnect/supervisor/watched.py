"""A child process held by a pidfd: signalled and reaped without ever trusting a bare pid.

Guarantees: the exit is the kernel's word (proof of death, design §4); once reaped, signals go
nowhere, not to whoever has the pid next.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final

#: What a child prints beside its log (tracebacks of the interpreter); begun anew beyond this.
STDERR_BYTES_MAX: Final = 1024 * 1024
_STDERR_SHOWN: Final = 2000


class WatchedProcess:
    """One started process and its pidfd; to be made in the event loop that watches it."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        stderr_path: Path,
        passed_fds: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start `command`; raises OSError when the machine cannot."""
        self._stderr_path = stderr_path
        with open_stderr(stderr_path) as stderr:
            # A process group of its own: Ctrl-C on the terminal reaches the supervisor alone,
            # which then stops its children in order.
            self._process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                pass_fds=passed_fds,
                process_group=0,
            )
        self._pidfd = os.pidfd_open(self._process.pid)

    @property
    def pid(self) -> int:
        """The pid, for display."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.returncode

    def watch(self, on_exit: Callable[[], None]) -> None:
        """Call `on_exit` in the event loop, once, after the process was reaped."""
        asyncio.get_running_loop().add_reader(self._pidfd, self._reap, on_exit)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process is gone."""
        if self._pidfd < 0:
            return
        try:
            signal.pidfd_send_signal(self._pidfd, number)
        except ProcessLookupError:
            return

    def last_words(self) -> str:
        """Return the last line it printed to stderr: why it failed before it had a log."""
        try:
            text = self._stderr_path.read_bytes()[-_STDERR_SHOWN:].decode(errors="replace")
        except OSError:
            return ""
        return next((line for line in reversed(text.splitlines()) if line.strip()), "")

    def _reap(self, on_exit: Callable[[], None]) -> None:
        # The pidfd is readable, so this returns at once.
        self._process.wait()
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        on_exit()


def open_stderr(path: Path) -> BinaryIO:
    """Open the file behind a child's stderr, begun anew when it has grown too long."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    grown = path.exists() and path.stat().st_size > STDERR_BYTES_MAX
    return path.open("wb" if grown else "ab")
