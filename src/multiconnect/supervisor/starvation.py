"""How long a silent child was ready to run and got no CPU: the machine's fault, not its own.

On an overloaded machine a child in perfect order may say nothing for longer than `silence_s`. The
kernel counts how long each thread waited for a CPU; a child that is stopped, or hangs in a lock or
a call, waits for none.
"""

from __future__ import annotations

from pathlib import Path

_PROC = Path("/proc")


class Starvation:
    """Watches the children that have begun to be silent."""

    def __init__(self, proc: Path = _PROC) -> None:
        self._proc = proc
        #: Seconds of waiting per thread, when the silence of an incarnation was first noticed.
        self._before_s: dict[str, dict[str, float]] = {}

    def starved_s(self, incarnation: str, pid: int) -> float:
        """Return how long its most starved thread has waited since this was first asked."""
        now_s = waits_s(pid, self._proc)
        before_s = self._before_s.setdefault(incarnation, now_s)
        return max((s - before_s.get(thread, s) for thread, s in now_s.items()), default=0.0)

    def heard(self, incarnation: str) -> None:
        """Forget a silence: the child spoke, or is gone."""
        self._before_s.pop(incarnation, None)


def waits_s(pid: int, proc: Path = _PROC) -> dict[str, float]:
    """Return how long each thread of a process has ever waited for a CPU; empty where unknown."""
    found: dict[str, float] = {}
    for task in (proc / str(pid) / "task").glob("*/schedstat"):
        try:
            found[task.parent.name] = int(task.read_text().split()[1]) / 1e9
        except (OSError, IndexError, ValueError):
            continue  # the thread has just ended, or this kernel does not count
    return found
