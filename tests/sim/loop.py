"""An asyncio loop without a machine under it: time is a number that jumps to the next timer.

Deterministic: the same program and the same random numbers give the same history. Within one
process callbacks run in the order in which they were scheduled, as asyncio promises; which of
several processes goes first at one instant is drawn. `time()` is the calling process's own clock.
"""

import asyncio
import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import Context, copy_context
from typing import Any

from tests.sim.process import CURRENT, SimProcess

#: More callbacks at one instant than any honest program needs.
CALLBACKS_AT_ONCE_MAX = 200_000


class Stuck(Exception):
    """Time cannot go on: nothing is scheduled, or one instant never ends."""


class SimHandle:
    """A callback to come; what asyncio's own handle does, in less time."""

    __slots__ = ("_args", "_callback", "_cancelled", "_context", "_when")

    def __init__(
        self, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None,
        when: float = 0.0,
    ) -> None:  # fmt: skip
        self._callback = callback
        self._args = args
        self._context = copy_context() if context is None else context
        self._when = when
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True

    def cancelled(self) -> bool:
        return self._cancelled

    def when(self) -> float:
        return self._when


class SimLoop(asyncio.BaseEventLoop):
    """The loop; `now_s` is the time of the world, which no process can see."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.now_s = 0.0
        #: Gives connections to addresses; set by whoever builds the world.
        self.network: Any = None
        self._rng = rng
        self._due: list[tuple[float, int, SimHandle]] = []
        self._order = itertools.count()
        self._soon: deque[SimHandle] = deque()

    # --- time --------------------------------------------------------------------------------
    def time(self) -> float:
        process = CURRENT.get()
        return self.now_s if process is None else process.local(self.now_s)

    def call_at(  # type: ignore[override]  # the handle is ours
        self, when: float, callback: Callable[..., object], *args: Any,
        context: Context | None = None,
    ) -> SimHandle:  # fmt: skip
        process = CURRENT.get()
        at_s = when if process is None else process.world(when)
        return self.at(at_s, callback, *args, context=context)

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any,
        context: Context | None = None,
    ) -> SimHandle:  # fmt: skip
        process = CURRENT.get()
        if process is not None:
            delay /= process.rate
        return self.at(self.now_s + delay, callback, *args, context=context)

    def at(
        self, when: float, callback: Callable[..., object], *args: Any,
        context: Context | None = None,
    ) -> SimHandle:  # fmt: skip
        """Call back at an instant of the world."""
        handle = SimHandle(callback, args, context, when)
        heapq.heappush(self._due, (when, next(self._order), handle))
        return handle

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> SimHandle:
        handle = SimHandle(callback, args, context)
        self._soon.append(handle)
        return handle

    def run_soon(self, handles: Iterable[SimHandle]) -> None:
        """Run what a stopped process could not run."""
        self._soon.extend(handles)

    # --- running -----------------------------------------------------------------------------
    def _run_once(self) -> None:
        """Run until stopped; the base class would ask for one turn only."""
        soon, left = self._soon, CALLBACKS_AT_ONCE_MAX
        while not self._stopping:  # type: ignore[attr-defined]
            if not soon:
                self._jump()
                left = CALLBACKS_AT_ONCE_MAX
            elif len(soon) == 1:
                self._run_one(soon.popleft())
            else:
                batch = self._interleaved(list(soon))
                soon.clear()
                left -= len(batch)
                for handle in batch:
                    self._run_one(handle)
            left -= 1
            if left < 0:
                raise Stuck(f"the instant {self.now_s} never ends")

    def _run_one(self, handle: SimHandle) -> None:
        if handle._cancelled:
            return
        context = handle._context
        process = context.get(CURRENT)
        if process is not None and (process.halted or (process.fuse and self._burns(process))):
            process.set_aside.append(handle)
            return
        try:
            context.run(handle._callback, *handle._args)
        except Exception as error:
            self.call_exception_handler({"message": repr(handle._callback), "exception": error})

    def _burns(self, process: SimProcess) -> bool:
        """Count a callback down to a fault; True when the fault keeps it from running."""
        process.fuse -= 1
        if not process.fuse:
            process.at_fuse()
        return process.halted

    def _jump(self) -> None:
        """Move on to the next instant in which something happens."""
        due = self._due
        while due and due[0][2]._cancelled:
            heapq.heappop(due)
        if not due:
            raise Stuck("nothing will ever happen again")
        now_s = self.now_s = max(self.now_s, due[0][0])
        while due and due[0][0] <= now_s:
            self._soon.append(heapq.heappop(due)[2])

    def _interleaved(self, batch: list[SimHandle]) -> list[SimHandle]:
        """Draw the order of the processes; each one's callbacks keep theirs."""
        by_process: dict[SimProcess | None, list[SimHandle]] = {}
        for handle in batch:
            by_process.setdefault(handle._context.get(CURRENT), []).append(handle)
        if len(by_process) == 1:
            return batch
        groups = list(by_process.values())
        self._rng.shuffle(groups)
        return [handle for group in groups for handle in group]

    # --- what the base class asks for --------------------------------------------------------
    def _process_events(self, event_list: list[Any]) -> None:
        """There are no file descriptors."""

    def _write_to_self(self) -> None:
        """There are no threads."""

    async def create_unix_connection(
        self, protocol_factory: Callable[[], Any], path: Any = None, **_: Any
    ) -> Any:
        """Connect through the simulated network."""
        return await self.network.connect(f"unix:{path}", protocol_factory)
