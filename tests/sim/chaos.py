"""Everything that can go wrong, at times drawn from the seed; each fault also knows its end."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from multiconnect.control.resize import check_set_shards
from multiconnect.errors import StoreUnavailable
from multiconnect.limits import SHARD_COUNTS
from multiconnect.model.cluster import Role
from tests.sim.process import SimProcess
from tests.sim.upstream import Manners

if TYPE_CHECKING:
    from tests.sim.world import World

#: (fault, how often beside the others)
WEIGHTS = (
    *(("crash", 8), ("freeze", 8), ("cut_lane", 5), ("reset_lane", 5), ("cut_store", 8)),
    *(("cut_host", 5), ("store_down", 4), ("store_full", 3), ("lost_answers", 4)),
    *(("late_bytes", 4), ("upstream_trouble", 6), ("resize", 6), ("restart", 3)),
    *(("masters_down", 3), ("heirs_die", 3), ("supervisor_frozen", 3), ("all_frozen", 1)),
    *(("late_commits", 4), ("old_snapshots", 3), ("spare_leaves", 2)),
)
_BUSY_CALLBACKS = 40
_RUSHED, _RUSH_S = 0.6, 0.004
#: A moment that does not come is not waited for any longer.
_MOMENT_MAX_S = 0.5


class Chaos:
    """The hand that breaks things."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.rng = random.Random(f"chaos/{world.options.seed}")
        self.counts: Counter[str] = Counter()
        self._operator = world.new_process("operator", "desk")
        self._cursed = 0
        world.bench.map.on_grant.append(self._on_grant)

    async def random_faults(self) -> None:
        """Break things at random moments, after a moment of peace; often in a rush."""
        options, loop = self._world.options, self._world.loop
        peace_s = self.rng.uniform(0.6, 1.2)
        times = sorted(self.rng.uniform(peace_s, options.faults_s) for _ in range(options.faults))
        names, weights = zip(*WEIGHTS, strict=True)
        for at_s in times:
            await asyncio.sleep(max(0.0, at_s - loop.now_s))
            if self.rng.random() < _RUSHED:
                await self._rush()
            getattr(self, self.rng.choices(names, weights)[0])()
        await asyncio.sleep(max(0.0, options.faults_s - loop.now_s))

    async def _rush(self) -> None:
        """Let a router submit a lot, so that the fault finds everything on its way."""
        clients = [c for i, c in self._world.clients.items() if not self._world.processes[i].halted]
        if clients:
            self.rng.choice(clients).rush()
            await asyncio.sleep(self.rng.uniform(0.0, _RUSH_S * self._world.options.pace))

    def end(self) -> None:
        """Break nothing any more."""
        self._cursed = 0
        self._world.calm()

    def _say(self, fault: str, text: str, *details: object) -> None:
        self.counts[fault] += 1
        self._world.story.say("FAULT", text, *details)

    def later(self, seconds: float, undo: Callable[[], object]) -> None:
        """Undo a fault after a while."""
        self._world.loop.at(self._world.loop.now_s + seconds, undo)

    def _for_s(self) -> float:
        """Draw how long a fault lasts: often less than a lease, often more than a take-over."""
        share = self.rng.choice([0.02, 0.15, 0.4, 0.8, 1.3, 1.3, 1.8])
        return share * self.rng.uniform(0.6, 1.1) * self._world.timers.takeover_s

    def _any(self, *roles: Role) -> SimProcess | None:
        there = [p for role in roles for p in self._world.running(role) if not p.halted]
        return self.rng.choice(there) if there else None

    def _when_busy(self, process: SimProcess, act: Callable[[], None]) -> None:
        """Act now, between two of its next callbacks, or as the store or the upstream has done
        what it asked for and it has not heard of that yet.
        """
        when = self.rng.choice(["now", "soon", "stored", "sent"])
        if when == "now":
            act()
        elif when == "soon":
            process.burn(self.rng.randint(1, _BUSY_CALLBACKS), act)
        else:
            self._world.at_moment(when, process, act)
            self.later(_MOMENT_MAX_S, lambda: self._world.moment_came(when, process.incarnation))

    # --- processes ---------------------------------------------------------------------------
    def crash(self) -> None:
        process = self._any(Role.COREAPP, Role.COREAPP, Role.MASTER, Role.WEB)
        if process is not None:
            self._say("crash", "SIGKILL for %s", process.incarnation)
            self._when_busy(process, lambda: self._world.kill(process))

    def freeze(self) -> None:
        process = self._any(Role.COREAPP, Role.COREAPP, Role.MASTER, Role.WEB)
        if process is not None:
            for_s = self._for_s()
            self._say("freeze", "SIGSTOP for %s, %.2f s", process.incarnation, for_s)
            self._when_busy(process, lambda: self.frozen_for(process, for_s))

    def frozen_for(self, process: SimProcess, for_s: float) -> None:
        """Stop a process for a while."""
        self._world.freeze(process)
        self.later(for_s, lambda: self._world.thaw(process))

    def all_frozen(self) -> None:
        self.freeze_all(self._for_s())

    def freeze_all(self, for_s: float) -> None:
        """Suspend every machine: nobody runs, supervisors included."""
        self._say("all_frozen", "the machines are suspended for %.2f s", for_s)
        for role in (Role.COREAPP, Role.MASTER, Role.WEB):
            for process in self._world.running(role):
                process.stop()
                self.later(for_s, partial(self._world.thaw, process))
        for supervisor in self._world.supervisors:
            supervisor.process.stop()
            self.later(for_s, partial(self._world.thaw, supervisor.process))

    def supervisor_frozen(self) -> None:
        supervisor, for_s = self.rng.choice(self._world.supervisors), self._for_s()
        self._say("supervisor_frozen", "%s is stopped, %.2f s", supervisor.process, for_s)
        supervisor.process.stop()
        self.later(for_s, lambda: self._world.thaw(supervisor.process))

    def masters_down(self) -> None:
        for_s = self._for_s()
        self._say("masters_down", "all Masters are down for %.2f s", for_s)
        for supervisor in self._world.supervisors:
            supervisor.withheld.add(Role.MASTER)
            self.later(for_s, supervisor.withheld.clear)
        for process in self._world.running(Role.MASTER):
            self._world.kill(process)

    def heirs_die(self) -> None:
        self.curse(self.rng.randint(1, 3))
        victim = self._any(Role.COREAPP)
        if victim is not None:
            self._world.kill(victim)

    def curse(self, heirs: int) -> None:
        """The next so many CoreApps that are granted a slot die while they take it."""
        self._cursed = heirs
        self._say("heirs_die", "the next %d heirs will die as they take over", heirs)

    def _on_grant(self, _slot: int, _epoch: int, owner: str) -> None:
        process = self._world.processes.get(owner)
        if self._cursed and process is not None and process.alive and not process.fuse:
            self._cursed -= 1
            process.burn(self.rng.randint(1, 60), lambda: self._world.kill(process, "cursed"))

    def spare_leaves(self) -> None:
        process = self._any(Role.COREAPP)
        for supervisor in self._world.supervisors:
            for child in supervisor.children:
                if child.process is process:
                    self._say("spare_leaves", "SIGTERM for %s", child.process.incarnation)
                    child.leaving = True
                    child.stop.set()

    # --- the network -------------------------------------------------------------------------
    def cut_lane(self) -> None:
        one, other = self._any(Role.COREAPP), self._any(Role.WEB)
        if one is not None and other is not None:
            self._when_busy(one, lambda: self._cut("cut_lane", one.name, other.name))

    def cut_store(self) -> None:
        process = self._any(Role.COREAPP, Role.COREAPP, Role.MASTER, Role.WEB)
        if process is not None:
            self._when_busy(process, lambda: self._cut("cut_store", process.name, "store"))

    def cut_host(self) -> None:
        host = self.rng.choice(self._world.supervisors).host
        self._cut("cut_host", host, "*")

    def _cut(self, fault: str, one: str, other: str) -> None:
        way = self.rng.choice(["both", "there", "back"])
        self.cut_off(one, other, self._for_s(), way, fault)

    def cut_off(
        self, one: str, other: str, for_s: float, way: str = "both", fault: str = "cut_store"
    ) -> None:
        """Cut both directions between two, or one."""
        ways = {"both": [(one, other), (other, one)], "there": [(one, other)],
                "back": [(other, one)]}[way]  # fmt: skip
        self._say(fault, "%s and %s are cut (%s), %.2f s", one, other, way, for_s)
        for source, target in ways:
            self._world.network.cut(source, target)
            self.later(for_s, partial(self._world.network.heal, source, target))

    def reset_lane(self) -> None:
        one, other = self._any(Role.COREAPP), self._any(Role.WEB)
        if one is not None and other is not None:
            self._when_busy(one, lambda: self._reset(one, other))

    def _reset(self, one: SimProcess, other: SimProcess) -> None:
        broken = self._world.connections.reset(one.name, other.name)
        self._say("reset_lane", "%d connections of %s and %s break", broken, one, other)

    def late_bytes(self) -> None:
        process = self._any(Role.COREAPP)
        if process is None:
            return
        other = self.rng.choice([*(p.name for p in self._world.running(Role.WEB)), "upstream"])
        for_s, late_s = self._for_s(), self.rng.choice([0.05, 0.4, 1.5])
        self._say(
            "late_bytes", "bytes of %s to %s are up to %.2f s late, %.2f s", process, other,
            late_s, for_s,
        )  # fmt: skip
        late = self._world.network.late_s
        for way in ((process.name, other), (other, process.name)):
            late[way] = late_s
            self.later(for_s, partial(late.pop, way, None))

    # --- the store ---------------------------------------------------------------------------
    def store_down(self) -> None:
        store, for_s = self._world.store, self._for_s()
        store.down, store.silent = True, self.rng.random() < 0.5
        self._say("store_down", "the store is down, %.2f s", for_s)
        self.later(for_s, lambda: setattr(store, "down", False))

    def store_full(self) -> None:
        store, for_s = self._world.store, self._for_s()
        store.full = True
        self._say("store_full", "the disk is full, %.2f s", for_s)
        self.later(for_s, lambda: setattr(store, "full", False))

    def late_commits(self) -> None:
        process = self._any(Role.COREAPP)
        if process is not None:
            delays, key, for_s = self._world.store.delays, (process.name, "commit"), self._for_s()
            delays[key] = self.rng.choice([0.02, 0.1, 0.4])
            self._say("late_commits", "commits of %s take %.2f s, %.2f s", process, delays[key],
                      for_s)  # fmt: skip
            self.later(for_s, lambda: delays.pop(key, None))

    def lost_answers(self) -> None:
        store, for_s = self._world.store, self._for_s()
        store.lost_answers = self.rng.choice([0.05, 0.3, 0.7])
        store.lost_calls = self.rng.choice([0.0, 0.1, 0.3])
        self._say("lost_answers", "%.0f%% of calls and %.0f%% of answers of the store are lost, "
                  "%.2f s", store.lost_calls * 100, store.lost_answers * 100, for_s)  # fmt: skip
        self.later(for_s, self._world.store.answer_all)

    def old_snapshots(self) -> None:
        store, for_s = self._world.store, self._for_s()
        store.old_snapshots = 0.5
        self._say("old_snapshots", "routers read old maps, %.2f s", for_s)
        self.later(for_s, lambda: setattr(store, "old_snapshots", 0.0))

    # --- the upstream ------------------------------------------------------------------------
    def upstream_trouble(self) -> None:
        upstream, for_s = self._world.upstream, self._for_s()
        normal = self._world.manners
        share = self.rng.choice([0.1, 0.3])
        upstream.manners = Manners(
            lost_requests=share, lost_replies=share, late_requests=share / 3, busy=share,
            raises=self.rng.choice([0.0, 0.05]), timeout_s=normal.timeout_s,
            latency_s=self.rng.choice([0.01, 0.1, 0.6, 1.5]),
        )  # fmt: skip
        self._say("upstream_trouble", "the upstream is in trouble, %.2f s", for_s)
        self.later(for_s, lambda: setattr(upstream, "manners", self._world.manners))

    # --- the operator ------------------------------------------------------------------------
    def resize(self) -> None:
        now = self._world.state.cluster.target_shards
        others = [n for n in SHARD_COUNTS if n <= self._world.options.coreapps and n != now]
        self.set_shards(self.rng.choice(others))

    def restart(self) -> None:
        self.set_shards(self._world.state.cluster.target_shards)

    def set_shards(self, shards: int) -> None:
        """Ask for a shard count (the one in force: a rolling restart), as an operator would."""
        self._operator.spawn(self._set_shards(shards))

    async def _set_shards(self, shards: int) -> None:
        control = self._world.client(self._operator).control
        for _ in range(20):
            try:
                snapshot = await control.snapshot()
                refused = check_set_shards(snapshot, shards)
                generation = snapshot.cluster.generation
                if not refused and await control.set_target(shards, generation) is not None:
                    self._say("resize", "%d shards are asked for, as generation %d", shards,
                              generation + 1)  # fmt: skip
                    return
            except StoreUnavailable:
                pass
            await asyncio.sleep(0.2)
