"""A simulated process: a context that all its callbacks carry, a clock of its own, and an end.

asyncio hands a task's context on to everything the task schedules, so a callback always knows whose
it is. That is all a process is: stopping it (SIGSTOP) sets its callbacks aside, killing it
(SIGKILL) drops them for ever; not a line of its code runs after that, no `finally` either.
"""

import asyncio
import contextvars
import random
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from tests.sim.loop import SimLoop

#: What the wall clock shows when a simulation begins (for display: nothing safe may depend on it).
EPOCH_S = 1_700_000_000.0


class SimProcess:
    """One process; also its own `Clock`, which runs up to 2 % fast or slow."""

    def __init__(self, loop: "SimLoop", name: str, incarnation: str, host: str, seed: str) -> None:
        self.loop = loop
        self.name = name
        self.incarnation = incarnation
        self.host = host
        self.rng = random.Random(f"{seed}/{incarnation}")
        self.rate = self.rng.uniform(0.98, 1.02)
        self.offset_s = self.rng.uniform(1e3, 1e5)
        self.wall_ahead_s = self.rng.uniform(-2.0, 2.0)
        self.context = contextvars.Context()
        self.context.run(CURRENT.set, self)
        self.alive = True
        #: Stopped or dead: its callbacks go to `set_aside` instead of being run.
        self.halted = False
        self.set_aside: list[Any] = []
        #: Callbacks until `at_fuse` is called; 0: none is burning.
        self.fuse = 0
        self.at_fuse: Callable[[], None] = _nothing
        self.on_exit: list[Callable[[str], None]] = []
        self.pauses = 0
        #: Until when it may start sends, by its own clock: what it was told, not what it believes.
        self.lease_until_s = float("-inf")
        self.started_at_s = loop.now_s

    def __repr__(self) -> str:
        return f"<{self.incarnation}>"

    # --- its clock ---------------------------------------------------------------------------
    def local(self, global_s: float) -> float:
        """Return what this process's monotonic clock shows then."""
        return self.offset_s + global_s * self.rate

    def world(self, local_s: float) -> float:
        """Return the instant at which this process's clock shows `local_s`."""
        return (local_s - self.offset_s) / self.rate

    def monotonic(self) -> float:
        return self.local(self.loop.now_s)

    def wall_ms(self) -> int:
        return int((EPOCH_S + self.loop.now_s + self.wall_ahead_s) * 1000)

    # --- its life ----------------------------------------------------------------------------
    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine as a task of this process."""
        return self.loop.create_task(work, context=self.context.copy())

    def burn(self, callbacks: int, then: Callable[[], None]) -> None:
        """Call `then` in so many of its callbacks: between any two of them, not only when idle."""
        self.fuse, self.at_fuse = callbacks, then

    def stop(self) -> None:
        """SIGSTOP: nothing of it runs; what it has sent still arrives, what arrives waits."""
        if self.alive and not self.halted:
            self.halted = True
            self.pauses += 1

    def resume(self) -> None:
        """SIGCONT: it goes on where it stood, and finds its clock ahead."""
        if self.alive and self.halted:
            self.halted = False
            waiting, self.set_aside = self.set_aside, []
            self.loop.run_soon(waiting)

    def exit(self, reason: str) -> None:
        """It ends here and now; its sockets are closed, and whoever watches it is told."""
        if not self.alive:
            return
        self.alive = False
        self.halted = True
        for told in self.on_exit:
            told(reason)


CURRENT: contextvars.ContextVar[SimProcess | None] = contextvars.ContextVar("process", default=None)


def current() -> SimProcess:
    """Return the process whose code runs now."""
    return cast(SimProcess, CURRENT.get())


def _nothing() -> None:
    """Do nothing."""
