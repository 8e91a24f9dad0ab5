"""One consistent snapshot of the control plane: nodes, slots, terms."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from multiconnect.model.shard_map import Owner, ShardMap, SlotOwnership


class Role(enum.StrEnum):
    """What a process does."""

    COREAPP = "coreapp"
    MASTER = "master"
    WEB = "web"
    SUPERVISOR = "supervisor"


class NodeState(enum.StrEnum):
    """The life of an incarnation: joining → ready → leaving → dead; dead is final."""

    JOINING = "joining"
    READY = "ready"
    #: Wants to be relieved of its slots (SIGTERM, drain, old generation).
    LEAVING = "leaving"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Node:
    """One process incarnation; `incarnation` is never used twice."""

    incarnation: str
    name: str
    role: Role
    host: str
    pid: int
    address: str
    generation: int
    state: NodeState
    reason: str = ""
    #: Start time of the process (clock ticks since boot) and boot id: tell a pid from its reuse.
    start_ticks: int = 0
    boot_id: str = ""


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot row: the fence, and the hand-over under way (if any).

    `drain_to` names the next owner while a planned move is under way; `drained` is set by the
    owner, under its epoch, once nothing of the slot is in flight.
    """

    slot: int
    epoch: int
    owner: str | None
    drain_to: str | None = None
    drained: bool = False


@dataclass(frozen=True, slots=True)
class Cluster:
    """The cluster row. `shards` is in force; `target_shards` and `generation` are wished for.

    `coreapps_wanted` is the number of CoreApps the supervisors together keep running.
    """

    cluster: int
    shards: int
    target_shards: int
    generation: int
    map_version: int
    term: int
    master: str | None


@dataclass(frozen=True, slots=True)
class Concern:
    """What one owner needs to know; `state` is None while it is no node."""

    state: NodeState | None
    slots: tuple[Slot, ...]

    @classmethod
    def of(cls, incarnation: str, node: Node | None, slots: Iterable[Slot]) -> Concern:
        """Return what an owner acts on: its own state, its slots and those it is to get."""
        its = tuple(row for row in slots if incarnation in (row.owner, row.drain_to))
        return cls(None if node is None else node.state, its)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything the control plane knows, read in one transaction."""

    cluster: Cluster
    nodes: tuple[Node, ...]
    slots: tuple[Slot, ...]
    #: What the store counts its changes by; only for `ControlStore.changed(since=…)`.
    revision: int | None = field(default=None, compare=False)

    def node(self, incarnation: str | None) -> Node | None:
        """Return the node of that incarnation, or None."""
        return next((n for n in self.nodes if n.incarnation == incarnation), None)

    def concern(self, incarnation: str) -> Concern:
        """Return all that an owner acts on."""
        return Concern.of(incarnation, self.node(incarnation), self.slots)

    def shard_map(self) -> ShardMap:
        """Return the map routers need; an owner that is dead stays named until it is replaced."""
        named = {row.owner for row in self.slots} | {row.drain_to for row in self.slots}
        owners: dict[str | None, Owner] = {
            n.incarnation: Owner(n.incarnation, n.name, n.address)
            for n in self.nodes
            if n.incarnation in named
        }
        slots = tuple(
            SlotOwnership(row.epoch, owners.get(row.owner), owners.get(row.drain_to))
            for row in self.slots
        )
        cluster = self.cluster
        return ShardMap(cluster.map_version, cluster.cluster, cluster.shards, slots)


@dataclass(frozen=True, slots=True)
class Move:
    """A granted change of ownership: compare-and-set from `epoch` to `epoch + 1`."""

    slot: int
    epoch: int
    old_owner: str | None
    new_owner: str


@dataclass(frozen=True, slots=True)
class Beat:
    """A node's last sign of life and the figures it reports with it."""

    incarnation: str
    count: int
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change of the map, with its reason (invariant 11)."""

    at_ms: int
    map_version: int
    term: int
    slot: int | None
    old_epoch: int | None
    new_epoch: int | None
    old_owner: str | None
    new_owner: str | None
    reason: str
