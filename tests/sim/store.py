"""The store as a process sees it over the network: the product's memory store behind faults.

A call travels there, is carried out in one instant, and its answer travels back. Either way may be
cut, the store may be down or full, and an answer may be lost after the work was done: the caller
then gets StoreUnavailable ("don't know"). A call that was given up is never carried out later (a
client closes its connection); a call of a killed process is, if it had left.
"""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

from multiconnect.errors import MulticonnectError, StoreUnavailable
from multiconnect.model.cluster import Snapshot
from multiconnect.model.timers import Timers
from multiconnect.store.memory import MemoryState
from multiconnect.store.memory.control import MemoryControl
from tests.sim.network import KERNEL, Network
from tests.sim.process import SimProcess

#: What a disk must sync.
_DURABLE = frozenset(
    {"join", "set_node_state", "declare_dead", "take_term", "assign", "start_drain", "cancel_drain",
     "release", "report_drained", "set_target", "commit", "open_slots", "collect_garbage"}
)  # fmt: skip
_WRITES = _DURABLE | {"beat"}
_SYNC_S = 0.0015
#: Snapshots kept to be shown again to a reader that is behind.
_SNAPSHOTS_KEPT = 30


class Watcher(Protocol):
    """Who looks at every call that was carried out, in the instant in which it was."""

    def served(self, caller: SimProcess, name: str, args: tuple[Any, ...], result: Any) -> None:
        """The store has done it."""

    def failed(self, caller: SimProcess, name: str, error: Exception) -> None:
        """The store could not do it, and that was not a fault of ours."""


class StoreServer:
    """The one store of the cluster, and what is wrong with it."""

    def __init__(
        self, network: Network, process: SimProcess, state: MemoryState, timers: Timers,
        watcher: Watcher, pace: float,
    ) -> None:  # fmt: skip
        self.network = network
        self.process = process
        self.state = state
        self.timers = timers
        self._watcher = watcher
        self._sync_s = _SYNC_S * pace
        self._rng = random.Random(f"{process.rng.random()}/store")
        self.down = False
        #: A store that is down says so at once, or says nothing.
        self.silent = False
        self.full = False
        #: Shares of calls that are not carried out, or carried out and not answered.
        self.lost_calls = 0.0
        self.lost_answers = 0.0
        self.old_snapshots = 0.0
        #: How long a client waits for an answer.
        self.patience_s = 1.0
        #: (process name, call) → how many of the next ones are not carried out.
        self.refused: Counter[tuple[str, str]] = Counter()
        #: (process name, call): never answered, and the caller waits for ever.
        self.hung: set[tuple[str, str]] = set()
        #: Extra seconds: (process name, call) → seconds.
        self.delays: dict[tuple[str, str], float] = {}
        self._snapshots: deque[Snapshot] = deque(maxlen=_SNAPSHOTS_KEPT)

    def _is_lost(self, call: "Call") -> bool:
        key = call.process.name, call.name
        if self.refused.get(key):
            self.refused[key] -= 1
            return True
        return self.lost_calls > 0 and self._rng.random() < self.lost_calls

    def answer_all(self) -> None:
        """Lose no calls and no answers any more."""
        self.lost_calls = self.lost_answers = 0.0

    def is_reachable(self, process: SimProcess) -> bool:
        network = self.network
        cut = network.is_cut(process, self.process) or network.is_cut(self.process, process)
        return not (self.down or cut)

    # --- serving -----------------------------------------------------------------------------
    def way_s(self, process: SimProcess, name: str) -> float:
        """Return the seconds a call takes beyond its way there."""
        sync_s = self._sync_s * (0.4 + self._rng.random()) if name in _DURABLE else 0.0
        if self.delays:
            sync_s += self.delays.get((process.name, name), 0.0)
        return sync_s

    def serve(self, call: "Call") -> None:
        """Carry a call out, or not, and answer, or not."""
        if self.hung and (call.process.name, call.name) in self.hung:
            return
        if self.down:
            if not self.silent:
                call.answer_with(StoreUnavailable("the store is down"))
            else:
                call.give_up_later()
            return
        if self.full and call.name in _WRITES:
            call.answer_with(StoreUnavailable("the disk is full"))
            return
        if self._is_lost(call):
            call.answer_with(StoreUnavailable("the connection broke before the call came"))
            return
        try:
            result = run_at_once(call.method(*call.args, **call.kwargs))
        except MulticonnectError as error:
            self._watcher.failed(call.process, call.name, error)
            call.answer_with(error)
            return
        self._watcher.served(call.process, call.name, call.args, result)
        if self.lost_answers and self._rng.random() < self.lost_answers:
            call.answer_with(StoreUnavailable("the connection broke before the answer came"))
        else:
            call.answer(result)

    async def snapshot_for(self, process: SimProcess) -> Snapshot:
        """Return the newest snapshot, or (a fault of routers' reads) one from a while ago."""
        kept = self._snapshots
        if not kept or kept[-1].revision != self.state.changes:
            kept.append(run_at_once(MemoryControl(self.state).snapshot()))
        is_router = process.name.startswith("web")
        if is_router and self.old_snapshots and self._rng.random() < self.old_snapshots:
            return self._rng.choice(kept)
        return kept[-1]


class Call:
    """One call on its way."""

    __slots__ = ("args", "kwargs", "method", "name", "parcel", "process", "reply", "server")

    def __init__(
        self, server: StoreServer, process: SimProcess, name: str, method: Callable[..., Any],
        args: tuple[Any, ...], kwargs: Mapping[str, Any],
    ) -> None:  # fmt: skip
        self.server = server
        self.process = process
        self.name = name
        self.method = method
        self.args = args
        self.kwargs = kwargs
        self.reply: asyncio.Future[Any] = process.loop.create_future()
        self.parcel = server.network.post(
            process, server.process, lambda: server.serve(self),
            extra_s=server.way_s(process, name), context=KERNEL,
        )  # fmt: skip
        if self.parcel.kept:
            self.give_up_later()

    def give_up_later(self) -> None:
        """Nothing comes back: after its patience the client closes the connection."""
        loop, process = self.process.loop, self.process
        loop.at(loop.now_s + self.server.patience_s, self._give_up, context=process.context)

    def _give_up(self) -> None:
        self.parcel.dropped = True
        self._settle(StoreUnavailable("the store did not answer in time"))

    def answer(self, result: Any) -> None:
        self._send_back(lambda: self._settle(result))

    def answer_with(self, error: MulticonnectError) -> None:
        self._send_back(lambda: self._settle(error))

    def _send_back(self, arrive: Callable[[], None]) -> None:
        parcel = self.server.network.post(self.server.process, self.process, arrive)
        if parcel.kept:
            self.give_up_later()

    def _settle(self, result: Any) -> None:
        if self.reply.done():
            return
        if isinstance(result, MulticonnectError):
            self.reply.set_exception(result)
        else:
            self.reply.set_result(result)


def run_at_once(work: Coroutine[Any, Any, Any]) -> Any:
    """Run what never really waits: the memory store answers in one step."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("the memory store waited for something")
