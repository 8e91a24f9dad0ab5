"""Planned moves: drain, then grant; never by force, and a few at a time.

Only called when nothing is broken. For each slot whose owner is not the one the goal names:

    StartDrain → the owner finishes what is in flight and reports drained → Assign

Guarantees:

* a live owner loses a slot only after it said "drained" under the epoch that is taken from it;
* a drain that takes too long, or whose target died, leaves or is no longer the choice, is
  cancelled: the owner goes on as before, and the slot is tried again (when it was the owner that
  took too long, after a growing pause and with a growing allowance);
* at most MOVES_AT_ONCE_MAX slots are in hand-over at once, the others are not touched
  (invariant 13);
* no slot is moved to an older generation unless its owner leaves (invariant 9).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from multiconnect.control.actions import Action, Assign, CancelDrain, PutInForce, StartDrain
from multiconnect.control.facts import View
from multiconnect.control.resize import Goal, goal_of, shards_completed
from multiconnect.control.roster import Roster
from multiconnect.limits import DRAIN_ALLOWED_MAX_S, MOVES_AT_ONCE_MAX
from multiconnect.model.cluster import Move, Node, NodeState, Slot, Snapshot


@dataclass(frozen=True, slots=True)
class Wish:
    """A slot that should change hands: to whom and why; `urgent` when its owner leaves."""

    row: Slot
    to: str
    urgent: bool
    reason: str


def planned_moves(view: View, snapshot: Snapshot, roster: Roster) -> list[Action]:
    """Return the next steps of every hand-over wanted: grants, then cancellations, then starts."""
    goal = goal_of(view, snapshot, roster, roster.ready)
    wishes = wishes_of(snapshot, roster, goal)
    granted = _grants(snapshot, roster, wishes)
    cancelled = _cancellations(view, snapshot, roster, wishes, granted)
    ended = {*granted, *(action.slot for action in cancelled)}
    busy = sum(row.drain_to is not None and row.slot not in ended for row in snapshot.slots)
    starts = _starts(view, roster, wishes, MOVES_AT_ONCE_MAX - busy)
    return [*_commits(snapshot, goal, granted), *cancelled, *starts]


def wishes_of(snapshot: Snapshot, roster: Roster, goal: Goal) -> dict[int, Wish]:
    """Return every slot that should change hands, by slot."""
    wishes = {}
    for row in snapshot.slots:
        owner, heir = roster.live.get(row.owner or ""), goal.holder_of(row.slot)
        if owner is None or heir is None or heir == owner.incarnation:
            continue
        leaving = owner.state is NodeState.LEAVING
        if leaving or _may_move(goal, owner, roster.live[heir]):
            reason = f"{owner.incarnation} is leaving" if leaving else goal.reason
            wishes[row.slot] = Wish(row, heir, leaving, reason)
    return wishes


def _may_move(goal: Goal, owner: Node, heir: Node) -> bool:
    return not goal.relieve_only and heir.generation >= owner.generation


def _grants(snapshot: Snapshot, roster: Roster, wishes: Mapping[int, Wish]) -> dict[int, Wish]:
    """Return the drained slots whose new owner is still the one to have them."""
    return {
        row.slot: wishes[row.slot]
        for row in snapshot.slots
        if row.drained and _is_on_course(row, roster, wishes)
    }


def _is_on_course(row: Slot, roster: Roster, wishes: Mapping[int, Wish]) -> bool:
    wish = wishes.get(row.slot)
    return wish is not None and wish.to == row.drain_to and wish.to not in roster.suspects


def _commits(
    snapshot: Snapshot, goal: Goal, granted: Mapping[int, Wish]
) -> list[Assign | PutInForce]:
    """Return the one commit for all grants, the new shard count in it if they complete the goal."""
    moves = tuple(
        Move(wish.row.slot, wish.row.epoch, wish.row.owner, wish.to) for wish in granted.values()
    )
    shards = shards_completed(goal, snapshot, moves)
    if moves:
        reasons = sorted({wish.reason for wish in granted.values()})
        return [Assign(moves, shards, "; ".join(reasons))]
    return [] if shards is None else [PutInForce(shards, goal.reason)]


def _cancellations(
    view: View,
    snapshot: Snapshot,
    roster: Roster,
    wishes: Mapping[int, Wish],
    granted: Mapping[int, Wish],
) -> list[CancelDrain]:
    cancelled = []
    for row in snapshot.slots:
        if row.drain_to is None or row.slot in granted:
            continue
        if not _is_on_course(row, roster, wishes):
            reason = f"{row.drain_to} is no longer the one to take it"
            cancelled.append(CancelDrain(row.slot, row.epoch, reason))
        elif _drain_age_s(view, row) > drain_allowed_s(view, row):
            reason = f"{row.owner} did not drain it in {drain_allowed_s(view, row):g} s"
            cancelled.append(CancelDrain(row.slot, row.epoch, reason))
    return cancelled


def _drain_age_s(view: View, row: Slot) -> float:
    seen = view.observed.drains.get((row.slot, row.epoch))
    return 0.0 if seen is None else view.now_s - seen.since_s


def drain_allowed_s(view: View, row: Slot) -> float:
    """Return how long this attempt to drain may take: `drain_max_s`, doubled with each failure."""
    first_s = view.timers.drain_max_s
    doubled_s = first_s * 2.0 ** min(_failures(view, row), 16)
    return min(doubled_s, max(first_s, DRAIN_ALLOWED_MAX_S))


def _starts(view: View, roster: Roster, wishes: Mapping[int, Wish], room: int) -> list[StartDrain]:
    """Return the hand-overs to begin: for leaving owners first, then where least was tried in vain.

    None while somebody is silent: a suspect will be dead or well within two seconds, and until then
    a new move would only be undone.
    """
    if roster.suspects or room <= 0:
        return []
    free = [wish for wish in wishes.values() if wish.row.drain_to is None]
    free = [wish for wish in free if not _is_paused(view, wish.row)]
    free.sort(key=lambda wish: _turn(view, wish))
    return [StartDrain(wish.row.slot, wish.row.epoch, wish.to, wish.reason) for wish in free[:room]]


def _turn(view: View, wish: Wish) -> tuple[object, ...]:
    # Slots that go the same way go together: one fence, one grant and one take-over for all.
    way = (wish.row.owner or "", wish.to)
    return not wish.urgent, _failures(view, wish.row), *way, wish.row.slot


def _failures(view: View, row: Slot) -> int:
    pause = view.observed.pauses.get((row.slot, row.epoch))
    return 0 if pause is None else pause.failures


def _is_paused(view: View, row: Slot) -> bool:
    pause = view.observed.pauses.get((row.slot, row.epoch))
    return pause is not None and view.now_s < pause.until_s
