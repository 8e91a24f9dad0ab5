"""Repair: write down who is dead, and give every ownerless slot to somebody, all in one commit.

Guarantees:

* a slot is ownerless only when its owner is proven dead, its lease ran out, or it never had one;
  a live owner, silent or slow, loses nothing here;
* all ownerless slots go in one commit, to the placement the cluster works towards: a spare if there
  is one, otherwise the survivors share;
* with nobody to take them they stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

from multiconnect.control.actions import Action, Assign, DeclareDead
from multiconnect.control.facts import View
from multiconnect.control.resize import Goal, goal_of, shards_completed
from multiconnect.control.roster import Roster
from multiconnect.limits import COLD_START_QUIET_S, COLD_START_WAIT_MAX_S
from multiconnect.model.cluster import Move, Slot, Snapshot


def repair(view: View, snapshot: Snapshot, roster: Roster) -> list[Action]:
    """Return what is broken and can be mended now; empty when nothing is."""
    why, beats = f"lease: no beat for {view.timers.takeover_s:.2f} s", view.observed.beat_counts
    actions: list[Action] = [
        DeclareDead(node.incarnation, beats.get(node.incarnation), why) for node in roster.expired
    ]
    orphans = [row for row in snapshot.slots if row.owner not in roster.live]
    if not orphans or awaits_more(view, snapshot, roster):
        return actions
    goal = goal_of(view, snapshot, roster, roster.trusted)
    moves = _moves(orphans, goal)
    if moves:
        shards = shards_completed(goal, snapshot, moves)
        actions.append(Assign(moves, shards, _why(snapshot, orphans, moves)))
    return actions


def awaits_more(view: View, snapshot: Snapshot, roster: Roster) -> bool:
    """Return whether the cluster is just starting and more CoreApps are about to be ready.

    Only while nobody owns anything, so no failover ever waits here: then a spare is long ready.
    """
    if any(row.owner in roster.live for row in snapshot.slots):
        return False
    if not roster.ready or len(roster.ready) >= snapshot.cluster.target_shards:
        return False
    observed = view.observed
    ready_s = [observed.ready_since_s.get(n.incarnation, view.now_s) for n in roster.ready]
    arrived_s = [observed.arrived_s.get(n.incarnation, view.now_s) for n in roster.coreapps]
    quiet_s = view.now_s - max(*ready_s, *arrived_s)
    return quiet_s < COLD_START_QUIET_S and view.now_s - min(ready_s) < COLD_START_WAIT_MAX_S


def _moves(orphans: Sequence[Slot], goal: Goal) -> tuple[Move, ...]:
    moves = []
    for row in orphans:
        heir = goal.holder_of(row.slot)
        if heir is not None:
            moves.append(Move(row.slot, row.epoch, row.owner, heir))
    return tuple(moves)


def _why(snapshot: Snapshot, orphans: Sequence[Slot], moves: Sequence[Move]) -> str:
    lost = sorted({row.owner for row in orphans if row.owner is not None})
    heirs = sorted({move.new_owner for move in moves})
    count = f"{len(moves)} slot{'' if len(moves) == 1 else 's'} to {', '.join(heirs)}"
    if not lost:
        return f"first owners: {count}"
    deaths = []
    for name in lost:
        node = snapshot.node(name)
        deaths.append(f"{name} ({node.reason})" if node is not None and node.reason else name)
    return f"failover from {', '.join(deaths)}: {count}"
