"""Judges the map: who was granted what, by whom, under which term (invariants 1, 9, 11)."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from multiconnect.limits import SHARD_COUNTS
from multiconnect.model.cluster import AuditEntry, Node, NodeState, Slot
from multiconnect.store.memory import MemoryState
from tests.sim.ledger import Ledger
from tests.sim.process import SimProcess

#: Calls that only the holder of the term may make, and where their term stands.
_TERM_AT = {"assign": 1, "start_drain": 3, "cancel_drain": 2}


class MapJudge:
    """Compares the control data before and after every call."""

    def __init__(
        self, state: MemoryState, ledger: Ledger, found: Callable[[str, str], None]
    ) -> None:
        self._state = state
        self._found = found
        self._ledger = ledger
        self._changes = state.changes
        self._slots = list(state.slots)
        self._cluster = state.cluster
        self._owner_of: dict[tuple[int, int], str] = {}
        self._master_of: dict[int, str | None] = {state.cluster.term: state.cluster.master}
        #: Planned hand-overs of a slot into a generation, less the ways back.
        self._crossings: Counter[tuple[int, int]] = Counter()
        #: Told of (slot, epoch, new owner) of each grant.
        self.on_grant: list[Callable[[int, int, str], None]] = []

    def served(self, caller: SimProcess, name: str, args: tuple[Any, ...], result: Any) -> None:
        """Look at what a call has changed."""
        state = self._state
        if state.changes == self._changes:
            return
        self._changes = state.changes
        if state.cluster is not self._cluster:
            self._check_cluster(caller)
        if name in _TERM_AT and result:
            self._check_term(caller, name, args)
        if name == "declare_dead" and result:
            self._ledger.counts["lease_deaths"] += 1
        changed = [
            (old, new)
            for old, new in zip(self._slots, state.slots, strict=True)
            if old is not new and old != new
        ]
        self._slots = list(state.slots)
        moved = [(old, new) for old, new in changed if old.owner != new.owner]
        for old, new in changed:
            self._check_row(old, new)
        if moved or state.cluster.shards != self._cluster.shards:
            self._check_version(moved)
        self._cluster = state.cluster

    # --- the cluster row ---------------------------------------------------------------------
    def _check_cluster(self, caller: SimProcess) -> None:
        old, new = self._cluster, self._state.cluster
        if new.term != old.term:
            if new.term < old.term or new.term in self._master_of:
                self._found("11", f"term {new.term} was given twice, now to {new.master}")
            self._master_of[new.term] = new.master
            if new.master != caller.incarnation:
                self._found("11", f"{caller} made {new.master} Master")
        elif new.master != old.master:
            self._found("11", f"term {new.term} has two Masters: {old.master}, {new.master}")
        for what in ("map_version", "generation"):
            if getattr(new, what) < getattr(old, what):
                self._found("9", f"the {what} fell to {getattr(new, what)}")
        if new.shards != old.shards:
            self._check_whole(new.shards)

    def _check_whole(self, shards: int) -> None:
        """A count is put in force: each of its shards must lie with one owner."""
        if shards not in SHARD_COUNTS:
            self._found("9", f"{shards} shards are in force")
        for row in self._state.slots:
            first = self._state.slots[row.slot % shards]
            if row.owner != first.owner:
                self._found(
                    "9",
                    f"{shards} shards in force, but shard {row.slot % shards} lies with "
                    f"{first.owner} and {row.owner}",
                )

    def _check_term(self, caller: SimProcess, name: str, args: tuple[Any, ...]) -> None:
        term, cluster = args[_TERM_AT[name]], self._state.cluster
        if term != cluster.term or cluster.master != caller.incarnation:
            self._found(
                "11",
                f"{caller} changed the map ({name}) under term {term}; current is {cluster.term} "
                f"of {cluster.master}",
            )

    # --- the slot rows -----------------------------------------------------------------------
    def _check_row(self, old: Slot, new: Slot) -> None:
        if new.epoch < old.epoch:
            self._found("1", f"the epoch of slot {new.slot} fell to {new.epoch}")
        if new.owner == old.owner:
            if new.epoch != old.epoch:
                self._granted(old, new)
            return
        if new.owner is None:
            if new.epoch != old.epoch:
                self._found("1", f"slot {new.slot} was released into epoch {new.epoch}")
            return
        self._granted(old, new)

    def _granted(self, old: Slot, new: Slot) -> None:
        if new.epoch <= old.epoch or (new.slot, new.epoch) in self._owner_of:
            before = self._owner_of.get((new.slot, new.epoch), old.owner)
            self._found(
                "1", f"slot {new.slot} epoch {new.epoch} has two owners: {before}, {new.owner}"
            )
        assert new.owner is not None
        self._owner_of[new.slot, new.epoch] = new.owner
        self._ledger.counts["grants"] += 1
        heir = self._state.nodes.get(new.owner)
        if heir is None or heir.state is NodeState.DEAD:
            self._found("1", f"slot {new.slot} was granted to {new.owner}, which is not alive")
            return
        owner = self._state.nodes.get(old.owner or "")
        alive = owner is not None and owner.state is not NodeState.DEAD
        if owner is not None and alive:
            self._planned(old, owner, heir)
        if owner is not None and heir.generation < owner.generation:
            self._crossings[new.slot, owner.generation] -= 1
        for told in self.on_grant:
            told(new.slot, new.epoch, new.owner)

    def _planned(self, old: Slot, owner: Node, heir: Node) -> None:
        self._ledger.counts["planned"] += 1
        if not (old.drained and old.drain_to == heir.incarnation):
            self._found(
                "9",
                f"slot {old.slot} was taken from {owner.incarnation}, which lives and had not "
                "drained it",
            )
        if heir.generation < owner.generation and owner.state is NodeState.READY:
            self._found("9", f"slot {old.slot} moved back to generation {heir.generation}")
        if heir.generation > owner.generation:
            key = (old.slot, heir.generation)
            self._crossings[key] += 1
            if self._crossings[key] > 1:
                self._found("9", f"slot {old.slot} came to generation {heir.generation} twice")

    def _check_version(self, moved: list[tuple[Slot, Slot]]) -> None:
        state = self._state
        if state.cluster.map_version == self._cluster.map_version:
            self._found("9", f"map version {state.cluster.map_version} names two maps")
        entries: dict[int | None, AuditEntry] = {}
        for entry in reversed(state.audit):
            if entry.map_version != state.cluster.map_version:
                break
            entries[entry.slot] = entry
        for old, new in moved:
            entry_of = entries.get(new.slot)
            if (
                entry_of is None
                or entry_of.term != state.cluster.term
                or entry_of.new_owner != new.owner
                or entry_of.old_owner != old.owner
                or not entry_of.reason
            ):
                self._found("11", f"the audit does not tell how slot {new.slot} got to {new.owner}")
