"""Resize is a rolling restart with another N: which generation serves, and who gets which shard.

The cluster row wishes for a shard count and a generation. `goal_of` resolves any state between the
map in force and that wish, an interrupted switch included, into the placement to work towards; the
rest of the control plane only compares slots with it.

Guarantees (invariant 9):

* the new generation takes over only when it can carry the shards asked for; until then, and
  whenever it no longer can, the map stays as it is and only those who leave are relieved;
* once it takes over, it alone is a candidate, so no slot returns to an older generation;
* `shards` changes in the commit that puts the last slot in its place, never before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from multiconnect.control.facts import View
from multiconnect.control.placement import Candidate, place
from multiconnect.control.roster import Roster
from multiconnect.limits import GENERATION_GRACE_MAX_S, GENERATION_GRACE_S
from multiconnect.model.cluster import Move, Node, NodeState, Role, Slot, Snapshot
from multiconnect.model.shard_map import check_shards


@dataclass(frozen=True, slots=True)
class Goal:
    """What the map should become, and why."""

    shards: int
    #: Incarnation by shard; empty while nobody can take anything.
    placement: tuple[str, ...]
    #: The switch cannot go on now: move only what belongs to a leaving owner.
    relieve_only: bool
    reason: str

    def holder_of(self, slot: int) -> str | None:
        """Return who should have the slot; None while there is no candidate."""
        return self.placement[slot % self.shards] if self.placement else None


def is_switch_wanted(snapshot: Snapshot) -> bool:
    """Return whether a resize or restart is wished for and not finished."""
    cluster = snapshot.cluster
    if cluster.target_shards != cluster.shards:
        return True
    owners = {row.owner for row in snapshot.slots}
    return any(
        node.generation < cluster.generation
        for node in snapshot.nodes
        if node.incarnation in owners and node.state is not NodeState.DEAD
    )


def goal_of(view: View, snapshot: Snapshot, roster: Roster, ready: Sequence[Node]) -> Goal:
    """Return the placement to work towards, with `ready` as the candidates."""
    cluster = snapshot.cluster
    newest = [node for node in ready if node.generation >= cluster.generation]
    older = [node for node in ready if node.generation < cluster.generation]
    if not is_switch_wanted(snapshot):
        # Spares of an old generation are on their way out; they count only when they are needed.
        pool = newest if len(newest) >= cluster.shards else ready
        placement = _placement(cluster.shards, pool, snapshot)
        text = f"spread {cluster.shards} shards over {len(pool)} CoreApps"
        return Goal(cluster.shards, placement, relieve_only=False, reason=text)
    if _may_take_over(view, snapshot, newest, older):
        placement = _placement(cluster.target_shards, newest, snapshot)
        return Goal(cluster.target_shards, placement, relieve_only=False, reason=_switch(snapshot))
    placement = _placement(cluster.shards, ready, snapshot)
    text = f"{_switch(snapshot)} waits for CoreApps"
    return Goal(cluster.shards, placement, relieve_only=True, reason=text)


def shards_completed(goal: Goal, snapshot: Snapshot, moves: Iterable[Move]) -> int | None:
    """Return the count to put in force when `moves` leave every slot where the goal wants it."""
    if goal.shards == snapshot.cluster.shards or not goal.placement:
        return None
    granted = {move.slot: move.new_owner for move in moves}
    done = all(
        granted.get(row.slot, row.owner) == goal.holder_of(row.slot) for row in snapshot.slots
    )
    return goal.shards if done else None


def check_set_shards(snapshot: Snapshot, shards: int) -> str | None:
    """Return why the cluster cannot be set to `shards` now, with the remedy, or None if it can.

    Raise InvalidShards for a count that is never legal. A resize under way is no refusal: the last
    target wins. During a restart two generations are up, so the larger one is counted.
    """
    check_shards(shards)
    holder = snapshot.node(snapshot.cluster.master)
    if holder is None or holder.state is NodeState.DEAD:
        return (
            "no live Master holds the term, so nobody could move the shards; "
            "start one (multiconnect node --masters 1) and repeat"
        )
    ready = ready_coreapps(snapshot)
    if ready >= shards:
        return None
    return (
        f"{shards} shards need {shards} live CoreApps and {ready} "
        f"{'is' if ready == 1 else 'are'} ready; start {shards - ready} more "
        f"(multiconnect node --coreapps {shards - ready}) and repeat"
    )


def ready_coreapps(snapshot: Snapshot) -> int:
    """Return the number of ready CoreApps of the generation that has most."""
    return _largest_generation(
        node
        for node in snapshot.nodes
        if node.role is Role.COREAPP and node.state is NodeState.READY
    )


def _largest_generation(nodes: Iterable[Node]) -> int:
    # Several targets in a row leave several generations up at once; only one of them ever serves.
    return max(Counter(node.generation for node in nodes).values(), default=0)


def _may_take_over(
    view: View, snapshot: Snapshot, newest: Sequence[Node], older: Sequence[Node]
) -> bool:
    """Tell whether the new generation is large enough to relieve the old one.

    It is normally as large as the old one, spares included. One that stays smaller may still start
    if it covers the shards, some time after the last of it was ready. For a plain restart of a
    cluster that shares shards already, as many CoreApps as there are now are enough: nothing gets
    worse.
    """
    if not newest:
        return False
    cluster = snapshot.cluster
    needed = cluster.target_shards
    if needed == cluster.shards:
        needed = min(needed, max(1, _largest_generation(older)))
    if len(newest) < needed:
        return False
    stamps = view.observed.ready_since_s
    ready_s = [stamps.get(node.incarnation, view.now_s) for node in newest]
    as_many = len(newest) >= _largest_generation(older)
    quiet = view.now_s - max(ready_s) >= GENERATION_GRACE_S
    return as_many or quiet or view.now_s - min(ready_s) >= GENERATION_GRACE_MAX_S


def _placement(shards: int, ready: Sequence[Node], snapshot: Snapshot) -> tuple[str, ...]:
    names = {node.incarnation for node in ready}
    holders: list[str | None] = [None] * len(snapshot.slots)
    for row in snapshot.slots:
        holders[row.slot] = _holder(row, names)
    return place(shards, [Candidate(n.incarnation, n.generation) for n in ready], holders)


def _holder(row: Slot, names: set[str]) -> str | None:
    # Whoever is about to get a slot counts as having it, or each newcomer would turn the choice
    # over and every drain under way would be cancelled for it.
    return row.drain_to if row.drain_to in names else row.owner


def _switch(snapshot: Snapshot) -> str:
    cluster = snapshot.cluster
    if cluster.target_shards == cluster.shards:
        return f"restart as generation {cluster.generation}"
    return (
        f"resize {cluster.shards} -> {cluster.target_shards} shards "
        f"as generation {cluster.generation}"
    )
