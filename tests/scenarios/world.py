"""A cluster in one hand: the real store (in memory), real Masters, and time that a test moves.

CoreApps and supervisors are played: a CoreApp beats, reports drained and leaves as it is told. The
Masters are the product's own gather, decide and perform. After every single store call of a Master
the invariants are checked, so a test that only ever calls `pass_time` still checks them all.
"""

import copy
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from multiconnect.control.actions import Action
from multiconnect.control.decide import decide
from multiconnect.control.invariants import check_change, check_plan, check_step, require_none
from multiconnect.errors import StoreUnavailable
from multiconnect.master.gather import Observer
from multiconnect.master.lease import Lease
from multiconnect.master.perform import perform
from multiconnect.model.cluster import Beat, Node, NodeState, Role, Snapshot
from multiconnect.model.timers import Timers
from multiconnect.store.memory import MemoryState
from multiconnect.store.memory.control import MemoryControl
from multiconnect.supervisor.generations import retirable

#: A plan that is never finished is a bug; the longest honest one is 32 moves, four at a time.
ROUNDS_MAX = 100

T = TypeVar("T")


def done(work: Coroutine[Any, Any, T]) -> T:
    """Run what never really waits (the memory store answers at once) without an event loop."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("the memory store waited for something")


class HandClock:
    """A clock that a test turns."""

    def __init__(self, at_s: float = 1000.0) -> None:
        self.at_s = at_s

    def monotonic(self) -> float:
        return self.at_s

    def wall_ms(self) -> int:
        return int(self.at_s * 1000)


class BreakableControl(MemoryControl):
    """A handle that can be cut off from the store."""

    cut = False

    async def snapshot(self) -> Snapshot:
        if self.cut:
            raise StoreUnavailable("the store does not answer")
        return await super().snapshot()

    async def beat(self, beat: Beat) -> bool:
        if self.cut:
            raise StoreUnavailable("the store does not answer")
        return await super().beat(beat)


@dataclass
class PlayedMaster:
    name: str
    control: BreakableControl
    observer: Observer
    lease: Lease


@dataclass(frozen=True)
class Event:
    """What a Master did, and whether the store took it."""

    master: str
    term: int
    action: Action
    taken: bool


class World:
    """One cluster."""

    def __init__(self, shards: int = 1, timers: Timers | None = None) -> None:
        self.timers = timers or Timers()
        self.clock = HandClock()
        self.state = MemoryState(self.clock, cluster=1)
        self.state.change(shards=shards, target_shards=shards)
        self.control = MemoryControl(self.state)
        self.masters: dict[str, PlayedMaster] = {}
        self.counts: dict[str, int] = {}
        #: Nodes that hang: no beat, no answer, no turn.
        self.hung: set[str] = set()
        #: CoreApps that beat but never finish a drain.
        self.stuck: set[str] = set()
        #: Keep owners from answering, to look at a hand-over half-way.
        self.drains_answered = True

    # --- what is -----------------------------------------------------------------------------
    @property
    def snapshot(self) -> Snapshot:
        return done(self.control.snapshot())

    def alive(self, role: Role = Role.COREAPP) -> list[str]:
        """Return the incarnations of a role that are not dead, hung ones included."""
        nodes = self.snapshot.nodes
        return [n.incarnation for n in nodes if n.role is role and n.state is not NodeState.DEAD]

    def state_of(self, name: str) -> NodeState:
        node = self.snapshot.node(name)
        assert node is not None, f"{name} never joined"
        return node.state

    # --- what people, supervisors and CoreApps do --------------------------------------------
    def join(self, name: str, role: Role = Role.COREAPP, generation: int | None = None) -> None:
        wanted = self.state.cluster.generation if generation is None else generation
        node = Node(name, name, role, "host", 1, f"unix:/{name}", wanted, NodeState.JOINING)
        assert done(self.control.join(node)), f"{name} was used before"
        self.beat(name)

    def ready(self, name: str) -> None:
        done(self.control.set_node_state(name, NodeState.READY, ""))

    def coreapps(self, *names: str, generation: int | None = None) -> None:
        for name in names:
            self.join(name, generation=generation)
            self.ready(name)

    def start_master(self, name: str) -> None:
        control = BreakableControl(self.state)
        self.masters[name] = PlayedMaster(
            name,
            control,
            Observer(control, name, self.timers, self.clock),
            Lease(control, name, self.timers, self.clock),
        )
        self.join(name, Role.MASTER)
        self.ready(name)

    def die(self, name: str, reason: str = "signal 9") -> bool:
        """A supervisor writes down a proof of death."""
        self.masters.pop(name, None)
        return done(self.control.set_node_state(name, NodeState.DEAD, reason))

    def leave(self, name: str) -> bool:
        return done(self.control.set_node_state(name, NodeState.LEAVING, "drain"))

    def set_target(self, shards: int) -> int | None:
        return done(self.control.set_target(shards, self.state.cluster.generation))

    def retire(self) -> list[str]:
        """The supervisor ends what it may end, a few at a time; return whom."""
        gone: list[str] = []
        while some := retirable(self.snapshot, self.snapshot.cluster.generation, self.alive()):
            for name in some:
                self.die(name, "exit 0")
            gone += some
        return gone

    def beat(self, name: str) -> None:
        if name in self.masters:
            try:
                done(self.masters[name].lease.renew({}))
            except StoreUnavailable:
                return
        else:
            self.counts[name] = self.counts.get(name, 0) + 1
            done(self.control.beat(Beat(name, self.counts[name])))

    def beat_all(self) -> None:
        for name in list(self.masters):
            if name not in self.hung and self.state_of(name) is NodeState.DEAD:
                # Its beat is refused, so its process ends.
                del self.masters[name]
        for role in Role:
            for name in self.alive(role):
                if name not in self.hung:
                    self.beat(name)

    def answer_drains(self) -> int:
        """Every able owner finishes what it was asked to drain; return how many slots."""
        answered = 0
        for row in self.snapshot.slots:
            owner = row.owner or ""
            if row.drain_to is None or row.drained or owner in self.hung | self.stuck:
                continue
            answered += done(self.control.report_drained(row.slot, row.epoch, owner))
        return answered

    # --- what Masters do ---------------------------------------------------------------------
    def view(self, name: str) -> Any:
        master = self.masters[name]
        return done(master.observer.gather(master.lease.deadline_s))

    def turn(self, name: str, limit: int | None = None) -> Iterator[Event]:
        """One turn of one Master, at most `limit` actions of it; stops where the store refuses."""
        view = self.view(name)
        plan = decide(view)
        require_none(check_plan(view, plan))
        for action in plan[:limit]:
            before = self.snapshot
            term = view.snapshot.cluster.term
            taken = done(perform(self.masters[name].control, name, term, action))
            require_none(check_step(before, self.snapshot))
            yield Event(name, term, action, taken)
            if not taken:
                return

    def run(self) -> list[Event]:
        """Let everybody act until nobody has anything left to do at this instant."""
        events: list[Event] = []
        for _ in range(ROUNDS_MAX):
            new = [
                e for name in list(self.masters) if name not in self.hung for e in self.turn(name)
            ]
            events += new
            answered = self.answer_drains() if self.drains_answered else 0
            if not answered and not any(event.taken for event in new):
                return events
        raise AssertionError(f"still busy after {ROUNDS_MAX} rounds: {events[-5:]}")

    def pass_time(self, seconds: float, step_s: float = 0.25) -> list[tuple[float, Event]]:
        """Let time pass, everybody beating and acting; return what was done and when."""
        start_s, events = self.clock.at_s, []
        for _ in range(round(seconds / step_s)):
            self.clock.at_s += step_s
            before = self.snapshot
            self.beat_all()
            events += [(self.clock.at_s - start_s, event) for event in self.run()]
            require_none(check_change(before, self.snapshot))
        return events

    def clone(self) -> "World":
        """Return a copy that may go another way; its Masters have their rows and do not act."""
        twin = World(timers=self.timers)
        twin.clock.at_s = self.clock.at_s
        for name in ("cluster", "nodes", "died_at_ms", "slots", "beats", "fences"):
            setattr(twin.state, name, copy.copy(getattr(self.state, name)))
        twin.counts = dict(self.counts)
        twin.hung, twin.stuck = set(self.hung), set(self.stuck)
        return twin

    def crash_masters(self) -> None:
        """Every Master dies, those that only have a row too."""
        for name in self.alive(Role.MASTER):
            self.die(name, "crash")
