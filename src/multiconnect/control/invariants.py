"""What must hold between any two snapshots, and of any plan: the control plane's half of design §6.

Each function returns the violations it finds as sentences; none is the good case. Tests call them
after every step; the Master calls `check_plan` before it acts, and a violation there is a Bug.

* Invariant 1: one owner per (slot, epoch); epochs strictly increase.
* Invariant 9: the map changes all at once; no slot returns to an older generation.
* Invariant 11: one Master per term; the map changes only with a version.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from multiconnect.control.actions import Action, Assign, CancelDrain, DeclareDead, StartDrain
from multiconnect.control.facts import Unreadable, View
from multiconnect.errors import Bug
from multiconnect.limits import MOVES_AT_ONCE_MAX, SHARD_COUNTS, SLOTS
from multiconnect.model.cluster import Node, NodeState, Slot, Snapshot

_ORDER = tuple(NodeState)


def check_change(before: Snapshot, after: Snapshot) -> list[str]:
    """Compare two snapshots of one store, the earlier first."""
    return [
        *check_snapshot(after),
        *_check_cluster(before, after),
        *_check_nodes(before, after),
        *(text for b, a in _pairs(before, after) for text in _check_slot(b, a)),
    ]


def check_step(before: Snapshot, after: Snapshot) -> list[str]:
    """Compare two snapshots with exactly one store call between them: also who may be relieved."""
    broken = check_change(before, after)
    for old, new in _pairs(before, after):
        if new.owner in (old.owner, None):
            continue
        owner, heir = before.node(old.owner), before.node(new.owner)
        if heir is None or heir.state is NodeState.DEAD:
            broken.append(f"slot {new.slot} was granted to {new.owner}, which is not alive")
        if owner is None or owner.state is NodeState.DEAD:
            continue
        if not (old.drained and old.drain_to == new.owner):
            broken.append(f"slot {new.slot} was taken from the live {old.owner} undrained")
        if heir and heir.generation < owner.generation and owner.state is NodeState.READY:
            broken.append(f"slot {new.slot} moved back to generation {heir.generation}")
    return broken


def check_snapshot(snapshot: Snapshot) -> list[str]:
    """Check what must hold of any single snapshot."""
    broken = []
    if sorted(row.slot for row in snapshot.slots) != list(range(SLOTS)):
        broken.append(f"the slots are not 0..{SLOTS - 1}, each once")
    if snapshot.cluster.shards not in SHARD_COUNTS:
        broken.append(f"{snapshot.cluster.shards} shards are in force")
    incarnations = [node.incarnation for node in snapshot.nodes]
    if len(set(incarnations)) != len(incarnations):
        broken.append("two nodes have one incarnation")
    broken += [
        f"slot {row.slot} is drained and nobody asked"
        for row in snapshot.slots
        if row.drained and row.drain_to is None
    ]
    return broken


def check_plan(view: View, actions: Sequence[Action]) -> list[str]:
    """Check what a Master is about to do against what it sees."""
    if isinstance(view.snapshot, Unreadable):
        return ["actions without a snapshot"] if actions else []
    broken = []
    assigns = [action for action in actions if isinstance(action, Assign)]
    starts = [action for action in actions if isinstance(action, StartDrain)]
    mended = {action.incarnation for action in actions if isinstance(action, DeclareDead)}
    if len(assigns) > 1:
        broken.append("more than one commit of grants in one plan")
    if mended and starts:
        broken.append("planned moves although somebody just died")
    busy = sum(row.drain_to is not None for row in view.snapshot.slots)
    if starts and busy + len(starts) - _ending(actions) > MOVES_AT_ONCE_MAX:
        broken.append(f"{busy} hand-overs under way and {len(starts)} more to begin")
    slots = {row.slot: row for row in view.snapshot.slots}
    for assign in assigns:
        broken += _check_grants(view.snapshot, slots, assign, mended)
    return broken


def require_none(violations: Iterable[str]) -> None:
    """Raise Bug naming the violations, if there are any."""
    found = list(violations)
    if found:
        raise Bug("; ".join(found))


def _ending(actions: Sequence[Action]) -> int:
    """Count the hand-overs that the plan ends, by grant or by cancellation."""
    moved = sum(len(action.moves) for action in actions if isinstance(action, Assign))
    return moved + sum(isinstance(action, CancelDrain) for action in actions)


def _check_grants(
    snapshot: Snapshot, slots: dict[int, Slot], assign: Assign, mended: set[str]
) -> list[str]:
    broken = []
    for move in assign.moves:
        row, owner = slots[move.slot], snapshot.node(move.old_owner)
        if (row.epoch, row.owner) != (move.epoch, move.old_owner):
            broken.append(f"slot {move.slot} is granted under an epoch it does not have")
        alive = owner is not None and owner.state is not NodeState.DEAD
        proven = not alive or move.old_owner in mended
        if not proven and not (row.drained and row.drain_to == move.new_owner):
            broken.append(f"slot {move.slot} is taken from the live {move.old_owner} undrained")
    return broken


def _pairs(before: Snapshot, after: Snapshot) -> list[tuple[Slot, Slot]]:
    new = {row.slot: row for row in after.slots}
    return [(row, new[row.slot]) for row in before.slots if row.slot in new]


def _check_slot(before: Slot, after: Slot) -> list[str]:
    if after.epoch < before.epoch:
        return [f"the epoch of slot {after.slot} fell from {before.epoch} to {after.epoch}"]
    # An owner may release a slot: then nobody has it, under the old epoch.
    if after.epoch == before.epoch and after.owner not in (before.owner, None):
        return [f"slot {after.slot} has two owners under epoch {after.epoch}"]
    if after.epoch > before.epoch and after.owner is None:
        return [f"slot {after.slot} was taken away and given to nobody"]
    return []


def _check_cluster(before: Snapshot, after: Snapshot) -> list[str]:
    old, new = before.cluster, after.cluster
    broken = [
        f"{name} fell from {low} to {high}"
        for name, low, high in (
            ("map version", old.map_version, new.map_version),
            ("term", old.term, new.term),
            ("generation", old.generation, new.generation),
        )
        if high < low
    ]
    if old.master != new.master and new.term == old.term:
        broken.append(f"term {new.term} has two Masters")
    granted = [row.epoch for row in before.slots] != [row.epoch for row in after.slots]
    if (granted or old.shards != new.shards) and new.map_version == old.map_version:
        broken.append(f"map version {new.map_version} names two maps")
    if old.target_shards != new.target_shards and new.generation == old.generation:
        broken.append("the target changed without a new generation")
    return broken


def _check_nodes(before: Snapshot, after: Snapshot) -> list[str]:
    broken = []
    for old in before.nodes:
        new = after.node(old.incarnation)
        if new is None:
            if old.state is not NodeState.DEAD:
                broken.append(f"{old.incarnation} vanished alive")
        elif not _is_forward(old, new):
            broken.append(f"{old.incarnation} went from {old.state} back to {new.state}")
    return broken


def _is_forward(old: Node, new: Node) -> bool:
    return _ORDER.index(new.state) >= _ORDER.index(old.state)
