"""When a CoreApp has nothing left to do here: pure functions over the store's snapshot.

Keeps invariant 9 together with the Master: a process of an older generation goes only after the
map no longer needs it, so a resize or restart never turns into a failover.
"""

from __future__ import annotations

from collections.abc import Collection

from multiconnect.limits import RETIRING_AT_ONCE_MAX
from multiconnect.model.cluster import NodeState, Role, Snapshot


def retirable(
    snapshot: Snapshot, generation: int, running: Collection[str], going: Collection[str] = ()
) -> list[str]:
    """Return those of our running CoreApps (by incarnation) that are to be told to go now.

    Two reasons: it is of an older generation and the cluster has finished moving, or it asked to
    be relieved (`multiconnect drain`) and owns nothing any more. A few at a time: `going` are those
    that were told before and whose processes still run.
    """
    busy = _named_by_slots(snapshot)
    settled = has_settled(snapshot, generation)
    found = [
        node.incarnation
        for node in snapshot.nodes
        if node.incarnation in running
        and node.incarnation not in going
        and node.role == Role.COREAPP
        and node.state != NodeState.DEAD
        and node.incarnation not in busy
        and (node.state == NodeState.LEAVING or (settled and node.generation < generation))
    ]
    return found[: max(0, RETIRING_AT_ONCE_MAX - len(going))]


def has_settled(snapshot: Snapshot, generation: int) -> bool:
    """Return whether every slot is with a live CoreApp of `generation` and no move is left.

    Until then the older generation stays, spares included: should the new one fail to start, the
    old one still serves and still has spares.
    """
    cluster = snapshot.cluster
    if cluster.shards != cluster.target_shards or cluster.generation > generation:
        return False
    alive = {
        node.incarnation
        for node in snapshot.nodes
        if node.generation >= generation and node.state == NodeState.READY
    }
    return all(slot.owner in alive and slot.drain_to is None for slot in snapshot.slots)


def leaving(snapshot: Snapshot, running: Collection[str]) -> set[str]:
    """Return those of our running children whose rows say that they are leaving."""
    return {
        node.incarnation
        for node in snapshot.nodes
        if node.incarnation in running and node.state == NodeState.LEAVING
    }


def contradicted(snapshot: Snapshot, exited: Collection[str]) -> list[str]:
    """Return exited children whose rows do not say so.

    A child's own `join` may reach the store after the report of its death: the report found no
    row then, and the row would look alive for ever.
    """
    return [
        node.incarnation
        for node in snapshot.nodes
        if node.incarnation in exited and node.state != NodeState.DEAD
    ]


def _named_by_slots(snapshot: Snapshot) -> set[str | None]:
    owners = {slot.owner for slot in snapshot.slots}
    return owners | {slot.drain_to for slot in snapshot.slots}
