"""What a snapshot looks like to a person: states, shards and epochs, by node and for the cluster.

Pure rendering, used by `status`, the health endpoint and the dashboard, so that all three say the
same. A snapshot has no beats in it: a node that hangs is live here until somebody proves otherwise.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from multiconnect.control.resize import is_switch_wanted
from multiconnect.model.cluster import Node, NodeState, Role, Slot, Snapshot


class ClusterState(enum.StrEnum):
    """The cluster in one word; the worst that is true."""

    #: A slot has no live owner: its messages are parked or refused.
    NO_OWNER = "no-owner"
    #: Fewer CoreApps than shards: some share, and there is no spare.
    DEGRADED = "degraded"
    #: A resize, a restart or a hand-over is under way.
    MOVING = "moving"
    OK = "ok"


@dataclass(frozen=True, slots=True)
class NodeDescription:
    """One node. `state` of a CoreApp: owner, spare, draining, joining, leaving or dead; of a ready
    Master: primary or secondary; otherwise the node's own state.
    """

    name: str
    incarnation: str
    role: Role
    host: str
    pid: int
    address: str
    generation: int
    state: str
    reason: str
    #: Shards (slot mod N in force) of which it holds at least one slot, ascending.
    shards: tuple[int, ...] = ()
    #: The highest epoch it holds, by shard.
    epochs: Mapping[int, int] | None = None
    slots: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ClusterDescription:
    """The cluster; `detail` is one sentence saying why `state` is what it is."""

    cluster: int
    map_version: int
    shards: int
    target_shards: int
    generation: int
    term: int
    #: Name of the Master that holds the term; None when none that lives does.
    master: str | None
    state: ClusterState
    detail: str
    nodes: tuple[NodeDescription, ...]

    @property
    def live(self) -> tuple[NodeDescription, ...]:
        """The nodes that are not dead."""
        return tuple(node for node in self.nodes if node.state != NodeState.DEAD)


def describe(snapshot: Snapshot) -> ClusterDescription:
    """Return the description of a snapshot; nodes by role, then name, then incarnation."""
    cluster = snapshot.cluster
    holder = snapshot.node(cluster.master)
    state, detail = _cluster_state(snapshot)
    nodes = sorted(snapshot.nodes, key=lambda node: (node.role, node.name, node.incarnation))
    return ClusterDescription(
        cluster=cluster.cluster,
        map_version=cluster.map_version,
        shards=cluster.shards,
        target_shards=cluster.target_shards,
        generation=cluster.generation,
        term=cluster.term,
        master=None if holder is None or holder.state is NodeState.DEAD else holder.name,
        state=state,
        detail=detail,
        nodes=tuple(_describe_node(snapshot, node) for node in nodes),
    )


def _describe_node(snapshot: Snapshot, node: Node) -> NodeDescription:
    held = [row for row in snapshot.slots if row.owner == node.incarnation]
    shards = snapshot.cluster.shards
    epochs: dict[int, int] = {}
    for row in held:
        epochs[row.slot % shards] = max(row.epoch, epochs.get(row.slot % shards, 0))
    return NodeDescription(
        name=node.name,
        incarnation=node.incarnation,
        role=node.role,
        host=node.host,
        pid=node.pid,
        address=node.address,
        generation=node.generation,
        state=_node_state(snapshot, node, held),
        reason=node.reason,
        shards=tuple(sorted(epochs)),
        epochs=dict(sorted(epochs.items())),
        slots=tuple(row.slot for row in held),
    )


def _node_state(snapshot: Snapshot, node: Node, held: list[Slot]) -> str:
    if node.role is Role.COREAPP and node.state in (NodeState.READY, NodeState.LEAVING):
        leaving = node.state is NodeState.LEAVING
        if not held:
            return "leaving" if leaving else "spare"
        handing_over = leaving or any(row.drain_to is not None for row in held)
        return "draining" if handing_over else "owner"
    if node.role is Role.MASTER and node.state is NodeState.READY:
        return "primary" if snapshot.cluster.master == node.incarnation else "secondary"
    return str(node.state)


def _cluster_state(snapshot: Snapshot) -> tuple[ClusterState, str]:
    cluster = snapshot.cluster
    live = {node.incarnation: node for node in snapshot.nodes if node.state is not NodeState.DEAD}
    lost = sum(row.owner not in live for row in snapshot.slots)
    ready = sum(
        node.role is Role.COREAPP and node.state is NodeState.READY for node in live.values()
    )
    if lost:
        return ClusterState.NO_OWNER, f"{lost} slots have no live owner, {ready} CoreApps are ready"
    switching = is_switch_wanted(snapshot)
    if ready < (min(cluster.shards, cluster.target_shards) if switching else cluster.shards):
        return ClusterState.DEGRADED, f"{ready} ready CoreApps share {cluster.shards} shards"
    if switching:
        return ClusterState.MOVING, _progress(snapshot, live)
    draining = sum(row.drain_to is not None for row in snapshot.slots)
    if draining:
        return ClusterState.MOVING, f"{draining} slots are being handed over"
    return ClusterState.OK, f"{cluster.shards} shards, {ready} CoreApps are ready"


def _progress(snapshot: Snapshot, live: Mapping[str, Node]) -> str:
    cluster = snapshot.cluster
    moved = sum(
        row.owner is not None and live[row.owner].generation >= cluster.generation
        for row in snapshot.slots
    )
    newest = sum(
        node.role is Role.COREAPP
        and node.state is NodeState.READY
        and node.generation >= cluster.generation
        for node in live.values()
    )
    return (
        f"{cluster.shards} -> {cluster.target_shards} shards: generation {cluster.generation} has "
        f"{moved} of {len(snapshot.slots)} slots and {newest} ready CoreApps"
    )
