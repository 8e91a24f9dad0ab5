"""One simulated cluster from its first process to its last verdict."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from multiconnect.coreapp.coreapp import CoreApp
from multiconnect.dataplane.router import Router
from multiconnect.errors import Refused, StoreUnavailable
from multiconnect.model.cluster import Role
from multiconnect.model.message import Message
from multiconnect.store.memory import MemoryState
from multiconnect.supervisor.supervision import Wanted
from tests.sim.clients import Clients, report_status
from tests.sim.connections import Connections
from tests.sim.judges.bench import Bench
from tests.sim.ledger import Ledger
from tests.sim.loop import SimLoop
from tests.sim.network import Network
from tests.sim.options import Options
from tests.sim.process import SimProcess
from tests.sim.store import StoreServer
from tests.sim.store_client import StoreClient
from tests.sim.story import Story
from tests.sim.supervisor import Supervisor
from tests.sim.upstream import Manners, UpstreamWorld

HOSTS = ("one", "two")


class World:
    """Everything there is."""

    def __init__(self, options: Options, tell: Callable[[str], None] | None = None) -> None:
        seed = str(options.seed)
        self.options = options
        self.rng = random.Random(f"world/{seed}")
        self.loop = SimLoop(random.Random(f"order/{seed}"))
        self.loop.set_exception_handler(self._callback_failed)
        self.story = Story(lambda: self.loop.now_s, tell)
        self.violations: list[str] = []
        self.timers = options.timers
        self.network = Network(self.loop, seed, options.pace)
        self.connections = Connections(self.loop, self.network)
        self.ledger = Ledger()
        self._incarnations: dict[str, int] = {}
        self.processes: dict[str, SimProcess] = {}
        self.apps: dict[str, CoreApp] = {}
        self.routers: dict[str, Router] = {}
        self.clients: dict[str, Clients] = {}
        self.repeats: list[Any] = []
        self._moments: dict[tuple[str, str], list[Callable[[], None]]] = {}
        self.statuses: list[tuple[Message, str]] = []
        self.has_traffic = True
        self._is_over = False
        self._build()

    def _build(self) -> None:
        options = self.options
        store = self.new_process("store", "store")
        self.state = MemoryState(store, cluster=7)
        self.state.change(shards=options.shards, target_shards=options.shards)
        self.bench = Bench(self.state, self.ledger, self.found)
        self.bench.on_commit = lambda owner: self.moment_came("stored", owner)
        self.store = StoreServer(
            self.network, store, self.state, self.timers, self.bench, options.pace
        )
        self.upstream = UpstreamWorld(
            self.network, self.new_process("upstream", "internet"), self.ledger,
            self.bench.effects, dedupes=options.dedupes,
            kill=self.kill,
        )  # fmt: skip
        self.upstream.on_effect.append(lambda owner, _: self.moment_came("sent", owner.incarnation))
        #: How the upstream behaves while it is in no trouble.
        self.manners = Manners(latency_s=options.upstream_latency_s)
        self.upstream.manners = self.manners
        if options.webhooks:
            self.upstream.on_effect.append(self._webhook)
        self.bench.map.on_grant.append(
            lambda slot, epoch, owner: self.story.say(
                "store", "slot %d is %s's under epoch %d", slot, owner, epoch
            )
        )

    def boot(self) -> None:
        """Start the supervisors, which start the rest."""
        first = (self.options.coreapps + 1) // 2
        self.supervisors = [
            Supervisor(self, host, Wanted(coreapps=count, masters=1, webs=1))
            for host, count in zip(HOSTS, (first, self.options.coreapps - first), strict=True)
        ]

    # --- processes ---------------------------------------------------------------------------
    def new_process(self, name: str, host: str) -> SimProcess:
        number = self._incarnations[name] = self._incarnations.get(name, 0) + 1
        incarnation = f"{name}.{number}"
        process = SimProcess(self.loop, name, incarnation, host, str(self.options.seed))
        process.on_exit.append(lambda _reason: self.connections.close_all(process))
        self.processes[incarnation] = process
        return process

    def start(self, process: SimProcess, program: Coroutine[Any, Any, Any]) -> None:
        """Run a program as a process; it ends with it."""
        self.story.say(process.incarnation, "starts")
        process.spawn(self._live(process, program))

    async def _live(self, process: SimProcess, program: Coroutine[Any, Any, Any]) -> None:
        reason = "exit 0"
        try:
            await program
        except (StoreUnavailable, Refused) as error:
            reason = f"exit 1: {error}"
        except Exception as error:
            reason = f"exit 1: {type(error).__name__}"
            self.found("bug", f"{process.incarnation} ended by {error!r}")
        self._end(process, reason)

    def kill(self, process: SimProcess, reason: str = "signal 9") -> None:
        """SIGKILL."""
        if process.alive:
            self._end(process, reason)

    def _end(self, process: SimProcess, reason: str) -> None:
        if not self._is_over:
            self.story.say(process.incarnation, "ends: %s", reason)
        self.apps.pop(process.incarnation, None)
        self.routers.pop(process.incarnation, None)
        self.clients.pop(process.incarnation, None)
        process.exit(reason)

    def freeze(self, process: SimProcess) -> None:
        """SIGSTOP."""
        if not process.alive or process.halted:
            return
        process.stop()
        self.story.say(process.incarnation, "is stopped (SIGSTOP)")
        if self.options.kills_silent:
            for supervisor in self.supervisors:
                if any(child.process is process for child in supervisor.children):
                    supervisor.fell_silent(process)

    def thaw(self, process: SimProcess) -> None:
        """SIGCONT."""
        if process.alive and process.halted:
            self.story.say(process.incarnation, "goes on (SIGCONT)")
            process.resume()

    def running(self, role: Role) -> list[SimProcess]:
        """Return the live processes of a role, stopped ones included."""
        children = [child for s in self.supervisors for child in s.children]
        return [c.process for c in children if c.role is role and c.process.alive]

    def client(self, process: SimProcess) -> StoreClient:
        return StoreClient(self.store, process)

    # --- moments -----------------------------------------------------------------------------
    def at_moment(self, what: str, process: SimProcess, act: Callable[[], None]) -> None:
        """Act once as the store ("stored") or the upstream ("sent") has done what it asked for."""
        self._moments.setdefault((what, process.incarnation), []).append(act)

    def moment_came(self, what: str, incarnation: str) -> None:
        if self._moments:
            for act in self._moments.pop((what, incarnation), ()):
                act()

    # --- webhooks ----------------------------------------------------------------------------
    def _webhook(self, _owner: SimProcess, message: Message) -> None:
        """The upstream may tell what became of a message; its recipient may answer it."""
        if self.rng.random() < self.options.webhooks:
            for status, most_s in (("delivered", 0.2), ("read", 0.6), ("sent", 0.3), ("", 0.8)):
                at_s = self.loop.now_s + self.rng.uniform(0.0, most_s)
                self.loop.at(at_s, self._post_status, message, status)

    def _post_status(self, message: Message, status: str) -> None:
        ready = [i for i in self.routers if not self.processes[i].halted]
        if ready:
            process = self.processes[self.rng.choice(ready)]
            router = self.routers[process.incarnation]
            process.spawn(report_status(self, router, message, status))
        else:
            self.statuses.append((message, status))

    def resend_statuses(self) -> None:
        """What no router took comes again."""
        waiting, self.statuses = self.statuses, []
        for message, status in waiting:
            self._post_status(message, status)

    # --- verdicts ----------------------------------------------------------------------------
    def found(self, invariant: str, text: str) -> None:
        """A judge has found something: the run ends here."""
        if self._is_over:
            return
        if not self.violations:
            self.loop.stop()
        self.violations.append(f"[{invariant}] {text}")
        self.story.say("JUDGE", "invariant %s is broken: %s", invariant, text)

    def _callback_failed(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is not None and not isinstance(error, StoreUnavailable):
            self.found("bug", f"a callback failed: {context.get('message')}: {error!r}")

    def calm(self) -> None:
        """The last fault is over: everything works, nobody is stopped."""
        self.network.heal_all()
        store = self.store
        store.down = store.full = store.silent = False
        store.answer_all()
        store.old_snapshots = 0.0
        store.hung.clear()
        store.delays.clear()
        self.manners = replace(
            self.manners, lost_requests=0.0, lost_replies=0.0, late_requests=0.0, busy=0.0
        )
        self.upstream.manners = self.manners
        self._moments.clear()
        for process in list(self.processes.values()):
            process.fuse = 0
            self.thaw(process)
        for supervisor in self.supervisors:
            supervisor.withheld.clear()

    def unfinished(self) -> str:
        """Return why the cluster has not come to rest, "" when it has."""
        return self.bench.rest.unfinished(self.apps, self.routers)

    def close(self) -> None:
        """Take everything apart without a sound."""
        self._is_over = True
        for task in asyncio.all_tasks(self.loop):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            _close(task.get_coro())
        self.loop.close()


def _close(coroutine: Any) -> None:
    for _ in range(8):  # a `finally` may await once more
        try:
            coroutine.close()
        except (RuntimeError, ValueError):
            continue
        return
