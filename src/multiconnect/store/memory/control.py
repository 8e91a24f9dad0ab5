"""The control side of the memory store. Keeps invariants 1, 2 and 11 as the port says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import orjson

from multiconnect.errors import Closed
from multiconnect.limits import DEAD_NODES_KEEP_S
from multiconnect.model.cluster import AuditEntry, Beat, Move, Node, NodeState, Slot, Snapshot
from multiconnect.model.log import Document
from multiconnect.model.shard_map import check_shards
from multiconnect.store.memory.state import MemoryState
from multiconnect.store.rules import is_forward, milliseconds


class MemoryControl:
    """One handle on the control data of a MemoryState."""

    def __init__(self, state: MemoryState) -> None:
        self._shared = state
        self._seen: int | None = None
        self._closed = False

    @property
    def _state(self) -> MemoryState:
        if self._closed:
            raise Closed("the store is closed")
        return self._shared

    # --- nodes -------------------------------------------------------------------------------
    async def join(self, node: Node) -> bool:
        """Add a node unless its incarnation is known."""
        state = self._state
        self._forget_the_long_dead()
        if node.incarnation in state.nodes:
            return False
        state.nodes[node.incarnation] = node
        state.change()
        return True

    async def set_node_state(self, incarnation: str, state: NodeState, reason: str) -> bool:
        """Move a node forward."""
        node = self._state.nodes.get(incarnation)
        if node is None or not is_forward(node.state, state):
            return False
        self._state.nodes[incarnation] = replace(node, state=state, reason=reason)
        if state is NodeState.DEAD:
            self._state.died_at_ms[incarnation] = self._state.clock.wall_ms()
        self._state.change()
        return True

    async def declare_dead(self, incarnation: str, observed_beat: int | None, reason: str) -> bool:
        """Declare a node dead whose last beat is still the one observed."""
        beat = self._state.beats.get(incarnation)
        if (beat.count if beat else None) != observed_beat:
            return False
        return await self.set_node_state(incarnation, NodeState.DEAD, reason)

    async def beat(self, beat: Beat) -> bool:
        """Keep a node's last beat."""
        if not self._is_alive(beat.incarnation):
            return False
        self._state.beats[beat.incarnation] = replace(beat, figures=_as_json(beat.figures))
        return True

    async def beats(self) -> dict[str, Beat]:
        """Return every node's last beat."""
        return dict(self._state.beats)

    def _is_alive(self, incarnation: str) -> bool:
        node = self._state.nodes.get(incarnation)
        return node is not None and node.state is not NodeState.DEAD

    def _forget_the_long_dead(self) -> None:
        state = self._state
        horizon_ms = state.clock.wall_ms() - milliseconds(DEAD_NODES_KEEP_S)
        owners = {slot.owner for slot in state.slots}
        gone = [
            incarnation
            for incarnation, at_ms in state.died_at_ms.items()
            if at_ms < horizon_ms and incarnation not in owners
        ]
        for incarnation in gone:
            del state.nodes[incarnation], state.died_at_ms[incarnation]
            state.beats.pop(incarnation, None)

    # --- terms and slots ---------------------------------------------------------------------
    async def take_term(self, incarnation: str, observed_term: int) -> int | None:
        """Become Master if nobody else did since `observed_term`."""
        if self._state.cluster.term != observed_term or not self._is_alive(incarnation):
            return None
        self._state.change(term=observed_term + 1, master=incarnation)
        return observed_term + 1

    async def assign(
        self, moves: Sequence[Move], term: int, reason: str, *, shards: int | None = None
    ) -> bool:
        """Grant all moves or none."""
        if shards is not None:
            check_shards(shards)
        state = self._state
        distinct = len({move.slot for move in moves}) == len(moves)
        if state.cluster.term != term or not distinct or not all(map(self._may_move, moves)):
            return False
        if not moves and shards is None:
            return True
        state.change(
            map_version=state.cluster.map_version + 1, shards=shards or state.cluster.shards
        )
        for move in moves:
            state.fences.pop(move.slot, None)
            state.slots[move.slot] = Slot(move.slot, move.epoch + 1, move.new_owner)
            epochs = move.epoch, move.epoch + 1
            self._audit(reason, move.slot, epochs, (move.old_owner, move.new_owner))
        if shards is not None:
            self._audit(f"{shards} shards in force: {reason}")
        return True

    def _may_move(self, move: Move) -> bool:
        row = self._state.slots[move.slot]
        as_said = (row.epoch, row.owner) == (move.epoch, move.old_owner)
        may_leave = row.owner is None or not self._is_alive(row.owner) or row.drained
        return as_said and may_leave and self._is_alive(move.new_owner)

    async def start_drain(self, slot: int, epoch: int, to: str, term: int) -> bool:
        """Ask the owner of a slot to drain it."""
        row = self._state.slots[slot]
        busy = row.drain_to is not None or row.owner is None
        if busy or row.epoch != epoch or self._state.cluster.term != term:
            return False
        self._put_slot(replace(row, drain_to=to))
        return True

    async def cancel_drain(self, slot: int, epoch: int, term: int) -> bool:
        """Take the request back."""
        row = self._state.slots[slot]
        if row.drain_to is None or row.epoch != epoch or self._state.cluster.term != term:
            return False
        self._put_slot(replace(row, drain_to=None, drained=False))
        return True

    async def report_drained(self, slot: int, epoch: int, incarnation: str) -> bool:
        """Note that nothing of the slot is in flight."""
        row = self._state.slots[slot]
        if row.drain_to is None or (row.epoch, row.owner) != (epoch, incarnation):
            return False
        self._put_slot(replace(row, drained=True))
        return True

    async def release(self, slot: int, epoch: int, incarnation: str, reason: str) -> bool:
        """Make a slot ownerless at its owner's wish."""
        state = self._state
        row = state.slots[slot]
        if (row.epoch, row.owner) != (epoch, incarnation):
            return False
        state.fences.pop(slot, None)
        state.slots[slot] = Slot(slot, epoch, None)
        state.change(map_version=state.cluster.map_version + 1)
        self._audit(reason, slot, (epoch, None), (incarnation, None))
        return True

    async def set_target(self, shards: int, observed_generation: int) -> int | None:
        """Wish for another shard count, or for a restart with the same one."""
        check_shards(shards)
        if self._state.cluster.generation != observed_generation:
            return None
        self._state.change(target_shards=shards, generation=observed_generation + 1)
        return observed_generation + 1

    def _put_slot(self, row: Slot) -> None:
        self._state.slots[row.slot] = row
        self._state.change()

    def _audit(
        self,
        reason: str,
        slot: int | None = None,
        epochs: tuple[int | None, int | None] = (None, None),
        owners: tuple[str | None, str | None] = (None, None),
    ) -> None:
        at_ms, cluster = self._state.clock.wall_ms(), self._state.cluster
        self._state.audit.append(
            AuditEntry(at_ms, cluster.map_version, cluster.term, slot, *epochs, *owners, reason)
        )

    # --- documents ---------------------------------------------------------------------------
    async def put_document(
        self, kind: str, key: str, value: Mapping[str, object], observed_version: int | None
    ) -> int | None:
        """Write a document if it is at the version observed."""
        known = self._state.documents.get((kind, key))
        version = known.version if known else 0
        if observed_version is not None and observed_version != version:
            return None
        self._state.documents[kind, key] = Document(key, version + 1, _as_json(value))
        self._state.change()
        return version + 1

    async def delete_document(self, kind: str, key: str) -> bool:
        """Delete a document."""
        if self._state.documents.pop((kind, key), None) is None:
            return False
        self._state.change()
        return True

    async def document(self, kind: str, key: str) -> Document | None:
        """Return one document."""
        return self._state.documents.get((kind, key))

    async def documents(self, kind: str) -> list[Document]:
        """Return all documents of a kind, by key."""
        found = self._state.documents.items()
        return sorted((doc for (k, _), doc in found if k == kind), key=lambda doc: doc.key)

    # --- reading and waiting -----------------------------------------------------------------
    async def snapshot(self) -> Snapshot:
        """Return everything, and remember that this handle has seen it."""
        state = self._state
        self._seen = state.changes
        nodes = sorted(state.nodes.values(), key=lambda node: node.incarnation)
        return Snapshot(state.cluster, tuple(nodes), tuple(state.slots), state.changes)

    async def audit(self, limit: int) -> list[AuditEntry]:
        """Return the newest changes of the map, newest first."""
        return list(reversed(self._state.audit))[:limit]

    async def changed(
        self, timeout_s: float, since: Snapshot | None = None, *, concerning: str | None = None
    ) -> bool:
        """Wait for a change since a snapshot."""
        seen = since.revision if since is not None else self._seen
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        while not self._state.is_news(seen, since, concerning):
            waiter: asyncio.Future[None] = loop.create_future()
            self._state.waiters.append(waiter)
            await asyncio.wait({waiter}, timeout=max(0.0, deadline_s - loop.time()))
            if not waiter.done():
                self._shared.waiters.remove(waiter)
                break
        return self._state.is_news(seen, since, concerning)

    async def aclose(self) -> None:
        """Close this handle; the state belongs to whoever made it."""
        self._closed = True


def _as_json(value: Mapping[str, object]) -> dict[str, object]:
    """Return what a store that writes JSON would read back (a copy, text keys, lists)."""
    copy: dict[str, object] = orjson.loads(orjson.dumps(dict(value)))
    return copy
