"""The mutants: each breaks one rule of the product by replacing a function, and says which rule.

They are applied in a process of their own, which ends with them. A mutant of a store's rule breaks
the simulated store; the real stores have the contract suite for that.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from multiconnect.control import election, failover, invariants, moves, roster
from multiconnect.coreapp import committer, dispatcher, lease
from multiconnect.coreapp.claims import Claims
from multiconnect.coreapp.owned_slot import Gap, Next, OwnedSlot
from multiconnect.coreapp.queue_entry import Phase
from multiconnect.coreapp.slot_queue import SlotQueue
from multiconnect.coreapp.slot_work import SideRows, SlotWork
from multiconnect.dataplane.lane_set import LaneSet
from multiconnect.dataplane.slot_lane import SlotLane
from multiconnect.dataplane.wire import AnswerStatus
from multiconnect.master import gather
from multiconnect.master import loop as master_loop
from multiconnect.master.lease import Lease as MasterLease
from multiconnect.model.cluster import Slot
from multiconnect.model.message import State
from multiconnect.store.memory import log as memory_log
from multiconnect.store.memory.control import MemoryControl
from multiconnect.store.memory.log import MemoryLog
from multiconnect.store.memory.state import Fence
from multiconnect.store.rules import without_slots


@dataclass(frozen=True)
class Mutant:
    """One broken rule; `scenario` is the directed one that catches it where seeds seldom do."""

    name: str
    breaks: str
    apply: Callable[[], None]
    scenario: str = ""


CATALOGUE: dict[str, Mutant] = {}


def mutant(breaks: str, scenario: str = "") -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Add a patch to the catalogue, under the name of its function."""

    def add(apply: Callable[[], None]) -> Callable[[], None]:
        name = apply.__name__.replace("_", "-")
        CATALOGUE[name] = Mutant(name, breaks, apply, scenario)
        return apply

    return add


# --- the fence -----------------------------------------------------------------------------------
def _fenced_by(stands: Callable[[Any, str, int, int], bool]) -> None:
    """Let the memory store commit under another rule than its fence."""

    async def commit(self: MemoryLog, write: Any) -> frozenset[int]:
        refused = frozenset(
            slot for slot, epoch in write.epochs.items()
            if not stands(self._state, self._incarnation, slot, epoch)
        )  # fmt: skip
        allowed = without_slots(write, refused)
        for append in allowed.appends:
            self._append(append)
        self._write_states(allowed)
        self._write_exceptional(allowed)
        return refused

    MemoryLog.commit = commit  # type: ignore[method-assign]


@mutant("a write is not checked against the slot's epoch")
def no_fence() -> None:
    _fenced_by(lambda _state, _me, _slot, _epoch: True)


@mutant("a write is checked against the slot's owner, not its epoch", "aba")
def fence_by_owner_only() -> None:
    _fenced_by(lambda state, me, slot, _epoch: state.slots[slot].owner == me)


@mutant("the epoch is checked when the write sets out, not in its transaction", "late_commit")
def fence_before_transaction() -> None:
    from tests.sim import store

    plain = store.StoreClient.call

    def call(self: Any, name: str, method: Any, args: Any, kwargs: Any) -> Any:
        if name != "commit":
            return plain(self, name, method, args, kwargs)
        write, fences = args[0], dict(self.server.state.fences)

        async def commit(write: Any) -> frozenset[int]:
            log = method.__self__
            saved, log._state.fences = log._state.fences, fences
            try:
                return await MemoryLog.commit(log, write)
            finally:
                log._state.fences = saved

        return plain(self, name, commit, (write,), kwargs)

    store.StoreClient.call = call  # type: ignore[method-assign]


@mutant("a grant to a slot whose owner is dead reuses its epoch")
def epoch_reuse() -> None:
    plain = MemoryControl.assign

    async def assign(self: Any, moves: Any, *args: Any, **kwargs: Any) -> bool:
        done = await plain(self, moves, *args, **kwargs)
        for move in moves if done else ():
            if move.old_owner is not None and not self._is_alive(move.old_owner):
                row = self._state.slots[move.slot]
                self._state.slots[move.slot] = replace(row, epoch=row.epoch - 1)
        return done

    MemoryControl.assign = assign  # type: ignore[method-assign]


# --- accepting -----------------------------------------------------------------------------------
@mutant("senders are answered before the commit")
def ack_before_commit() -> None:
    plain = committer.Committer._collect

    def collect(self: Any, group: Any) -> None:
        plain(self, group)
        for batch, answer in group.plan.answers:
            batch.answer(AnswerStatus.STORED, answer.base_seq, answer.exceptions)

    committer.Committer._collect = collect  # type: ignore[method-assign]


@mutant("a batch that was stored before is stored again")
def no_producer_dedupe() -> None:
    plain = OwnedSlot.admit

    def admit(self: Any, stream: Any, producer: int, producer_seq: int) -> Any:
        verdict = plain(self, stream, producer, producer_seq)
        return verdict if isinstance(verdict, Gap) else Next()

    OwnedSlot.admit = admit  # type: ignore[method-assign]


@mutant("a batch is stored although the one before it is missing", "refused_and_next")
def no_contiguity() -> None:
    plain = OwnedSlot.admit

    def admit(self: Any, stream: Any, producer: int, producer_seq: int) -> Any:
        verdict = plain(self, stream, producer, producer_seq)
        return Next() if isinstance(verdict, Gap) and producer_seq >= verdict.expected else verdict

    OwnedSlot.admit = admit  # type: ignore[method-assign]


@mutant("idempotency keys are not looked up")
def no_keys() -> None:
    async def known_keys(self: Any, keyed: Any) -> dict[Any, Any]:
        return {}

    committer.Committer._known_keys = known_keys  # type: ignore[method-assign]


@mutant("after \"don't know\" the tail is not read again")
def no_reopen() -> None:
    async def reopen_all(self: Any) -> None:
        """Go on with what is in memory."""

    committer.Committer._reopen_all = reopen_all  # type: ignore[method-assign]


# --- dispatching ---------------------------------------------------------------------------------
@mutant("what an earlier owner may have sent is sent again like new")
def skip_in_doubt() -> None:
    def is_in_doubt(self: Any, sequence: int, state: State) -> bool:
        return False

    Claims.is_in_doubt = is_in_doubt  # type: ignore[method-assign]


@mutant("a message in doubt is sent again without the mark")
def no_in_doubt_mark() -> None:
    def resend(self: SlotQueue, entry: Any) -> None:
        self._write_held(entry)
        self.release(entry)

    SlotQueue.resend_in_doubt = resend  # type: ignore[method-assign]


@mutant("the watermark is taken for written before it is")
def watermark_not_committed() -> None:
    plain = SlotQueue._cover

    def cover(self: SlotQueue) -> None:
        self._claims.watermark = max(self._claims.watermark, self._end - 1)
        plain(self)

    def claim_ahead(self: SlotQueue, end_seq: int) -> None:
        return None

    SlotQueue._cover = cover  # type: ignore[method-assign]
    SlotQueue.claim_ahead = claim_ahead  # type: ignore[method-assign]


@mutant("outcomes whose commit is in doubt are forgotten")
def no_confirm_cache() -> None:
    def restore(self: SlotWork, write: Any) -> None:
        for stream, queue_write in write.queues.items():
            queue_write.progress.clear()
            self.queues[stream].restore(queue_write)
            self.books[stream].confirm()

    SlotWork.restore = restore  # type: ignore[method-assign]


@mutant("a retry after an ambiguous failure is not marked")
def no_ambiguity_flag() -> None:
    plain = SlotQueue.hold

    def hold(self: SlotQueue, entry: Any, *, ambiguous: bool) -> None:
        plain(self, entry, ambiguous=False)

    SlotQueue.hold = hold  # type: ignore[method-assign]


@mutant("a message that waits for its retry is overtaken by the next of its recipient")
def retry_overtakes() -> None:
    plain = SlotQueue.hold

    def hold(self: SlotQueue, entry: Any, *, ambiguous: bool) -> None:
        plain(self, entry, ambiguous=ambiguous)
        line = self._recipients.line(entry.recipient)
        if len(line) > 1 and line[0] is entry:
            line.rotate(-1)
            self._want_claim(line[0])

    SlotQueue.hold = hold  # type: ignore[method-assign]


@mutant("two messages of one recipient may be in flight")
def no_recipient_order() -> None:
    def is_first(self: SlotQueue, entry: Any) -> bool:
        return True

    SlotQueue._is_first = is_first  # type: ignore[method-assign]


# --- the lane ------------------------------------------------------------------------------------
@mutant("batches are sent again newest first")
def resend_out_of_order() -> None:
    def unsent(self: SlotLane) -> Any:
        return [batch for batch in reversed(self.unanswered) if not batch.sent]

    SlotLane.unsent = unsent  # type: ignore[method-assign]


@mutant("an older map replaces a newer one", "old_maps")
def map_epoch_falls() -> None:
    plain = LaneSet.apply_map

    def apply_map(self: LaneSet, new: Any) -> None:
        self._epochs = [-1] * len(self._epochs)
        self.map = None
        plain(self, new)

    LaneSet.apply_map = apply_map  # type: ignore[method-assign]


@mutant("an answer that is not for the oldest batch is taken for it", "crossing_answers")
def any_answer_counts() -> None:
    def is_oldest(self: SlotLane, producer: int, producer_seq: int) -> bool:
        return bool(self.unanswered)

    SlotLane._is_oldest = is_oldest  # type: ignore[method-assign]


# --- leases and Masters --------------------------------------------------------------------------
@mutant("sends start whatever the lease says", "cut_owner")
def no_self_fence() -> None:
    def valid_at(self: Any, now_s: float) -> bool:
        return True

    lease.Lease.valid_at = valid_at  # type: ignore[method-assign]


@mutant("an owner is relieved before its lease has run out", "cut_owner")
def eager_takeover() -> None:
    def is_expired(view: Any, node: Any) -> bool:
        return node.incarnation != view.me and view.beat_age_s(node.incarnation) > 1.0

    for module in (roster, election):
        module.is_expired = is_expired  # type: ignore[attr-defined]


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
    gather.Observer.gather = gathered  # type: ignore[method-assign]


def _stamp_beats() -> None:
    from tests.sim import store

    plain = store.RemoteControl.beat

    async def beat(self: Any, one: Any) -> bool:
        wall_ms = self._client.process.wall_ms()
        return await plain(self, replace(one, figures={**one.figures, "wall_ms": wall_ms}))

    store.RemoteControl.beat = beat  # type: ignore[method-assign]


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

    moves._grants = grants
    moves._drain_age_s = drain_age_s
    MemoryControl._may_move = may_move  # type: ignore[method-assign]
    master_loop.check_plan = lambda _view, _actions: []


@mutant("a Master shows life although it decides nothing any more", "hung_master")
def renewal_without_progress() -> None:
    plain = MasterLease.keep

    async def keep(self: Any, last_turn_s: Any, figures: Any) -> None:
        await plain(self, self._clock.monotonic, figures)

    MasterLease.keep = keep  # type: ignore[method-assign]


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

    setattr(MemoryControl, name, changed)


@mutant("a resize puts the new count in force at once")
def count_before_moves() -> None:
    def shards_completed(goal: Any, snapshot: Any, moves: Any) -> int | None:
        return None if goal.shards == snapshot.cluster.shards else int(goal.shards)

    for module in (failover, moves):
        module.shards_completed = shards_completed  # type: ignore[attr-defined]


@mutant("a cancelled drain leaves the owner drained", "cancelled_drain")
def no_resume() -> None:
    def resume(self: SlotQueue) -> None:
        """Stay as it is."""

    SlotQueue.resume = resume  # type: ignore[method-assign]
