"""A host's supervisor, simulated around the product's pure decisions.

It keeps its seats filled, writes the proof of a death to the store within milliseconds, kills a
child that says nothing, starts the generation that is asked for and ends the one that is done.
"""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from multiconnect.errors import StoreUnavailable
from multiconnect.model.cluster import NodeState, Role, Snapshot
from multiconnect.supervisor.generations import contradicted, leaving, retirable
from multiconnect.supervisor.supervision import SeatView, Wanted, plan, restart_delay_s
from tests.sim.process import SimProcess
from tests.sim.roles import PROGRAMS

if TYPE_CHECKING:
    from tests.sim.world import World

#: From an exit to the supervisor's knowing it.
_NOTICE_S = (0.001, 0.005)
_RETRY_S = 0.05


@dataclass
class Child:
    """A running child."""

    process: SimProcess
    role: Role
    generation: int
    stop: asyncio.Event
    leaving: bool = False


class Supervisor:
    """The parent of every process of one host."""

    def __init__(self, world: "World", host: str, wanted: Wanted) -> None:
        self.wanted = wanted
        self.host = host
        #: Roles that are not started for now (all Masters down).
        self.withheld: set[Role] = set()
        self.process = world.new_process(f"supervisor-{host}", host)
        self._world = world
        self._children: dict[str, Child] = {}
        self._vacant: dict[str, Role] = {}
        self._young: dict[str, int] = {}
        self._exited: set[str] = set()
        self._generation = 0
        self.process.spawn(self._run())

    @property
    def children(self) -> list[Child]:
        return list(self._children.values())

    # --- following the store -----------------------------------------------------------------
    async def _run(self) -> None:
        control = self._world.client(self.process).control
        while True:
            try:
                self._follow(await control.snapshot())
                await control.changed(1.0)
            except StoreUnavailable:
                await asyncio.sleep(_RETRY_S)

    def _follow(self, snapshot: Snapshot) -> None:
        self._generation = snapshot.cluster.generation
        running = {child.process.incarnation: child for child in self._children.values()}
        for incarnation in leaving(snapshot, running):
            running[incarnation].leaving = True
        going = {name for name, child in running.items() if child.stop.is_set()}
        for incarnation in retirable(snapshot, self._generation, running, going):
            running[incarnation].leaving = True
            running[incarnation].stop.set()
        for incarnation in contradicted(snapshot, self._exited):
            self.process.spawn(self._report(incarnation, "exited"))
        self.fill()

    def fill(self) -> None:
        """Open the seats that are missing."""
        seats = [
            SeatView(name, child.role, child.generation, child.leaving)
            for name, child in self._children.items()
        ]
        seats += [SeatView(name, role, None) for name, role in self._vacant.items()]
        todo = plan(self.wanted, self._generation, seats)
        for name in todo.drop:
            del self._vacant[name]
        for name, role in todo.open:
            self._start(name, role)

    def _start(self, name: str, role: Role) -> None:
        if role in self.withheld:
            self._vacate(name, role)
            return
        process = self._world.new_process(f"{name}-{self.host}", self.host)
        child = Child(process, role, self._generation, asyncio.Event())
        self._children[name] = child
        process.on_exit.append(partial(self._notice, name, child))
        program = PROGRAMS[role](self._world, process, child.generation, child.stop)
        self._world.start(process, program)

    # --- deaths ------------------------------------------------------------------------------
    def _notice(self, name: str, child: Child, reason: str) -> None:
        """The kernel tells the parent, unless that stands still itself."""
        loop, context = child.process.loop, self.process.context
        at_s = loop.now_s + self._world.rng.uniform(*_NOTICE_S)
        loop.at(at_s, self._ended, name, child, reason, context=context)

    def _ended(self, name: str, child: Child, reason: str) -> None:
        del self._children[name]
        self._exited.add(child.process.incarnation)
        self._young[name] = self._young.get(name, -1) + 1
        self._vacate(name, child.role)
        self.fill()  # drops the seat if there are enough without it
        if child.role is not Role.WEB:
            self.process.spawn(self._report(child.process.incarnation, reason))

    def _vacate(self, name: str, role: Role) -> None:
        self._vacant[name] = role
        delay_s = min(0.4, restart_delay_s(self._young.get(name, 0)))
        self.process.loop.call_later(delay_s, self._refill, name)

    def _refill(self, name: str) -> None:
        role = self._vacant.pop(name, None)
        if role is not None:
            self._start(name, role)

    async def _report(self, incarnation: str, reason: str) -> None:
        control = self._world.client(self.process).control
        while True:
            try:
                await control.set_node_state(incarnation, NodeState.DEAD, reason)
            except StoreUnavailable:
                await asyncio.sleep(_RETRY_S)
            else:
                return

    def fell_silent(self, process: SimProcess) -> None:
        """A child was stopped: unless it goes on in time, it is taken for hung and killed."""
        pause, loop = process.pauses, process.loop
        at_s = loop.now_s + self._world.timers.silence_s
        loop.at(at_s, self._judge_silence, process, pause, context=self.process.context)

    def _judge_silence(self, process: SimProcess, pause: int) -> None:
        if process.alive and process.halted and process.pauses == pause:
            self._world.kill(process, "silent, killed")
