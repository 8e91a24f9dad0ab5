"""The supervisor of one host: keeps its children alive, and tells the store who died.

Guarantees: an exit reaches the store before anything else is done about it; a child silent for
`silence_s` is killed; the supervisor follows the store's generation and never moves a slot itself.
Policy is in `supervision` and `generations`; here are only the wires.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Final

from multiconnect.clock import Clock, SystemClock
from multiconnect.errors import Unavailable
from multiconnect.model.cluster import Beat, Node, NodeState, Snapshot
from multiconnect.model.timers import Timers
from multiconnect.store.port import ControlStore
from multiconnect.supervisor import generations, supervision
from multiconnect.supervisor.children import Child, spawn
from multiconnect.supervisor.programs import Programs
from multiconnect.supervisor.reports import DeathReports
from multiconnect.supervisor.seats import Seat, Seats
from multiconnect.supervisor.starvation import Starvation
from multiconnect.supervisor.supervision import Attention, Life, Wanted

#: Without any change the snapshot is still read this often: a missed wake-up costs no more.
_REREAD_S: Final = 1.0
_STORE_RETRY_S: Final = 0.1
_log = logging.getLogger(__name__)


class Supervisor:
    """Runs the children of one host until told to stop."""

    def __init__(
        self,
        control: ControlStore,
        wanted: Wanted,
        timers: Timers,
        programs: Programs,
        make_node: Callable[[], Node],
        *,
        clock: Clock | None = None,
    ) -> None:
        self.control = control
        self.wanted = wanted
        self.timers = timers
        self.seats = Seats()
        self.reports = DeathReports(control)
        self.snapshot: Snapshot | None = None
        #: Set when there is a reason to stop other than a signal; `why` says which.
        self.finished = asyncio.Event()
        self.why = ""
        #: Set at every exit of a child; whoever waits clears it.
        self.child_ended = asyncio.Event()
        self.closing = False
        self.failed = False
        self._programs = programs
        self._make_node = make_node
        self._clock = clock or SystemClock()
        self._attention = Attention(self._clock.monotonic(), 2 * timers.ping_s)
        self._heard_at_s: dict[str, float] = {}
        self._starvation = Starvation()
        self._leaving: set[str] = set()
        self._store_is_away = False
        self._last_words: dict[str, str] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.node = make_node()

    async def start(self) -> None:
        """Join the node table and begin; the children follow by themselves."""
        await self._join()
        self._adopt(await self.control.snapshot())
        for work in (self.reports.run(), self._beat(), self._follow(), self._tick()):
            self._run(work)

    async def aclose(self) -> None:
        """End the supervisor's own tasks; the children must be gone."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def is_staffed(self) -> bool:
        """Return whether every child wanted is running and has said that it is ready."""
        return self.snapshot is not None and all(
            sum(child.ready and not child.told_to_stop for child in self.seats.children(role))
            >= self.wanted.of(role)
            for role in supervision.ROLES
        )

    def complaints(self) -> list[str]:
        """Return the last words of children that died young and are not back yet."""
        return [f"{name}: {words}" for name, words in self._last_words.items() if words]

    # --- the store -----------------------------------------------------------------------------

    async def _join(self) -> None:
        self.node = self._make_node()
        await self.control.join(self.node)
        await self.control.set_node_state(self.node.incarnation, NodeState.READY, "supervising")

    async def _beat(self) -> None:
        count = 0
        while True:
            count += 1
            figures = {"children": len(self.seats.children())}
            try:
                if not await self.control.beat(Beat(self.node.incarnation, count, figures)):
                    # A machine that slept longer than its lease. We own nothing; who does, stops.
                    _log.warning("declared dead: joining again as another incarnation")
                    await self._join()
            except Unavailable as error:
                self._note_store(error)
            await asyncio.sleep(self.timers.renew_s)

    async def _follow(self) -> None:
        while True:
            try:
                await self.control.changed(_REREAD_S, self.snapshot)
                self._adopt(await self.control.snapshot())
                self._note_store(None)
            except Unavailable as error:
                self._note_store(error)
                await asyncio.sleep(_STORE_RETRY_S)

    def _note_store(self, error: Unavailable | None) -> None:
        """Log the begin and the end of an outage, not every attempt in between."""
        if error is not None and not self._store_is_away:
            _log.warning("the store is unavailable", extra={"why": str(error)})
        elif error is None and self._store_is_away:
            _log.info("the store answers again")
        self._store_is_away = error is not None

    def _adopt(self, snapshot: Snapshot) -> None:
        before, self.snapshot = self.snapshot, snapshot
        generation = snapshot.cluster.generation
        if before is not None and generation > before.cluster.generation:
            _log.info("a new generation is wanted", extra={"generation": generation})
        running = {child.settings.incarnation for child in self.seats.children()}
        self._leaving = generations.leaving(snapshot, running)
        for incarnation in generations.contradicted(snapshot, self.reports.exited):
            self.reports.add(incarnation, self.reports.exited[incarnation])
        self._retire_some()
        own = snapshot.node(self.node.incarnation)
        if own is not None and own.state == NodeState.LEAVING:
            self._finish("the node table says that this host is to be drained")
        self._tend()

    def _retire_some(self) -> None:
        """Tell the next to go: when the store says so, and when one that was told has gone."""
        if self.snapshot is None or self.closing:
            return
        running = {child.settings.incarnation: child for child in self.seats.children()}
        going = {name for name, child in running.items() if child.told_to_stop}
        generation = self.snapshot.cluster.generation
        for incarnation in generations.retirable(self.snapshot, generation, running, going):
            _log.info("retiring a child", extra={"incarnation": incarnation})
            running[incarnation].ask_to_stop()

    # --- the children --------------------------------------------------------------------------

    async def _tick(self) -> None:
        while True:
            attended_s = self._attention.tick(self._clock.monotonic())
            lives = [self._excused(life) for life in self.seats.lives(self._heard_at_s)]
            for silence in supervision.silent(lives, attended_s, self.timers.silence_s):
                self._kill_silent(silence)
            self._tend()
            await asyncio.sleep(self.timers.ping_s)

    def _excused(self, life: Life) -> Life:
        """Return a life with what excuses its silence, once that is longer than two signs take."""
        child = self.seats.find(life.incarnation)
        silent_s = supervision.silent_for_s(life, self._attention.attended_s)
        if child is None or silent_s < 2 * self.timers.ping_s:
            return life
        return replace(life, starved_s=self._starvation.starved_s(life.incarnation, child.pid))

    def _kill_silent(self, silence: supervision.Silence) -> None:
        child = self.seats.find(silence.incarnation)
        if child is not None and child.kill_reason is None:
            reason = f"silent {silence.silent_s:.2f} s"
            _log.warning("killing a child", extra={"child": silence.incarnation, "why": reason})
            child.kill(reason)

    def _tend(self) -> None:
        """Open, drop and fill seats as planned; cheap, so called at every occasion."""
        if self.snapshot is None or self.closing:
            return
        generation = self.snapshot.cluster.generation
        views = self.seats.views(self._leaving)
        self.seats.apply(supervision.plan(self.wanted, generation, views))
        for seat in self.seats.due(self._clock.monotonic()):
            # A death not yet in the store must not be followed by a birth: what waits to be
            # reported stays bounded by the number of seats.
            if seat.predecessor is None or not self.reports.is_waiting(seat.predecessor):
                self._fill(seat, generation)

    def _fill(self, seat: Seat, generation: int) -> None:
        settings = self._programs.settings_for(seat.name, seat.role, generation)
        command = self._programs.commands[seat.role]
        try:
            child = spawn(command, settings, self._programs.logs, now_s=self._attention.attended_s)
        except OSError as error:
            delay_s = self.seats.fail(seat, self._clock.monotonic(), 0.0)
            _log.error("a child could not be started", extra={"why": str(error), "in_s": delay_s})
            return
        seat.child = child
        child.watch(self._on_sign, self._on_exit)
        facts = {"incarnation": settings.incarnation, "child": child.pid}
        _log.info("started a child", extra={**facts, "generation": generation})

    def _on_sign(self, child: Child) -> None:
        self._heard_at_s[child.settings.incarnation] = self._attention.attended_s
        self._starvation.heard(child.settings.incarnation)

    def _on_exit(self, child: Child) -> None:
        incarnation = child.settings.incarnation
        self.reports.add(incarnation, child.death())
        self._last_words[child.settings.name] = "" if child.told_to_stop else child.last_words()
        self._heard_at_s.pop(incarnation, None)
        self._starvation.heard(incarnation)
        lived_s = self._attention.attended_s - child.started_at_s
        delay_s = self.seats.vacate(child, self._clock.monotonic(), lived_s)
        self.child_ended.set()
        self._retire_some()
        _log.log(
            logging.INFO if child.told_to_stop else logging.WARNING,
            "a child ended",
            extra={
                "incarnation": incarnation,
                "why": child.death(),
                "lived_s": round(lived_s, 2),
                "restart_in_s": delay_s,
                "last_words": self._last_words[child.settings.name],
            },
        )

    # --- our own tasks -------------------------------------------------------------------------

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._on_task_end)
        self._tasks.append(task)

    def _on_task_end(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            # A supervisor that only half works would look alive: better an orderly stop.
            _log.error("the supervisor failed", exc_info=error)
            self.failed = True
            self._finish(f"the supervisor failed: {error!r}")

    def _finish(self, why: str) -> None:
        self.why = self.why or why
        self.finished.set()
