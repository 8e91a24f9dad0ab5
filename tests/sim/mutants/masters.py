"""Mutants of leases and of Masters: who may act, and when."""

from dataclasses import replace
from typing import Any

from multiconnect.control import election, failover, moves, roster
from multiconnect.coreapp import lease
from multiconnect.coreapp.slot_queue import SlotQueue
from multiconnect.master import gather
from multiconnect.master import loop as master_loop
from multiconnect.master.lease import Lease as MasterLease
from multiconnect.model.cluster import NodeState
from multiconnect.store.memory.control import MemoryControl
from tests.sim import store_client
from tests.sim.mutants.registry import mutant, put


@mutant("sends start whatever the lease says", "cut_owner")
def no_self_fence() -> None:
    def valid_at(self: Any, now_s: float) -> bool:
        return True

    put(lease.Lease, "valid_at", valid_at)


@mutant("an owner is relieved before its lease has run out", "cut_owner")
def eager_takeover() -> None:
    def is_expired(view: Any, node: Any) -> bool:
        return bool(node.incarnation != view.me and view.beat_age_s(node.incarnation) > 1.0)

    for module in (roster, election):
        put(module, "is_expired", is_expired)


@mutant("the verdict on a silent owner does not look at its beats again", "late_verdict")
def verdict_without_a_look() -> None:
    async def declare_dead(self: Any, incarnation: str, _observed: int | None, reason: str) -> bool:
        return bool(await self.set_node_state(incarnation, NodeState.DEAD, reason))

    put(MemoryControl, "declare_dead", declare_dead)


@mutant("a lease is judged by the time written with the beat, not by what was seen", "skewed_walls")
def takeover_by_written_time() -> None:
    plain = gather.Observer.gather

    async def gathered(self: Any, my_deadline_s: float) -> Any:
        view = await plain(self, my_deadline_s)
        changed = dict(view.observed.beat_changed_s)
        for name, beat in (await self._control.beats()).items():
            if name in changed and "wall_ms" in beat.figures:
                age_s = (self._clock.wall_ms() - beat.figures["wall_ms"]) / 1000
                changed[name] = view.now_s - age_s
        return replace(view, observed=replace(view.observed, beat_changed_s=changed))

    _stamp_beats()
    put(gather.Observer, "gather", gathered)


def _stamp_beats() -> None:
    plain = store_client.RemoteControl.beat

    async def beat(self: Any, one: Any) -> bool:
        wall_ms = self._client.process.wall_ms()
        return await plain(self, replace(one, figures={**one.figures, "wall_ms": wall_ms}))

    put(store_client.RemoteControl, "beat", beat)


@mutant("a drain that takes too long is forced", "slow_drain")
def forced_drain() -> None:
    plain_row = MemoryControl._may_move

    def grants(snapshot: Any, members: Any, wishes: Any) -> Any:
        return {
            row.slot: wishes[row.slot] for row in snapshot.slots
            if row.drain_to is not None and moves._is_on_course(row, members, wishes)
            and (row.drained or row.slot in overdue)
        }  # fmt: skip

    overdue: set[int] = set()

    def drain_age_s(view: Any, row: Any) -> float:
        seen = view.observed.drains.get((row.slot, row.epoch))
        age_s: float = 0.0 if seen is None else view.now_s - seen.since_s
        (overdue.add if age_s > view.timers.drain_max_s else overdue.discard)(row.slot)
        return 0.0

    def may_move(self: Any, move: Any) -> bool:
        row = self._state.slots[move.slot]
        return plain_row(self, move) or (row.epoch == move.epoch and row.drain_to is not None)

    put(moves, "_grants", grants)
    put(moves, "_drain_age_s", drain_age_s)
    put(MemoryControl, "_may_move", may_move)
    put(master_loop, "check_plan", lambda _view, _actions: [])


@mutant("a Master shows life although it decides nothing any more", "hung_master")
def renewal_without_progress() -> None:
    plain = MasterLease.keep

    async def keep(self: Any, last_turn_s: Any, figures: Any) -> None:
        await plain(self, self._clock.monotonic, figures)

    put(MasterLease, "keep", keep)


@mutant("a Master's changes are not checked against the term", "frozen_master")
def no_term_check() -> None:
    class AnyTerm:
        """Equal to every term."""

        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    for name, at in (("assign", 1), ("start_drain", 3), ("cancel_drain", 2)):
        _without_term(name, at, AnyTerm())


def _without_term(name: str, at: int, any_term: Any) -> None:
    plain = getattr(MemoryControl, name)

    async def changed(self: Any, *args: Any, **kwargs: Any) -> Any:
        return await plain(self, *args[:at], any_term, *args[at + 1 :], **kwargs)

    put(MemoryControl, name, changed)


@mutant("a resize puts the new count in force at once")
def count_before_moves() -> None:
    def shards_completed(goal: Any, snapshot: Any, moves: Any) -> int | None:
        return None if goal.shards == snapshot.cluster.shards else int(goal.shards)

    for module in (failover, moves):
        put(module, "shards_completed", shards_completed)


@mutant("a cancelled drain leaves the owner drained", "cancelled_drain")
def no_resume() -> None:
    def resume(self: SlotQueue) -> None:
        """Stay as it is."""

    put(SlotQueue, "resume", resume)
