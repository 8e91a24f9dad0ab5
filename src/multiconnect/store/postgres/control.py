"""The control side of the PostgreSQL store: each step is one statement, most are one function.

Keeps invariants 1, 2 and 11 by what those functions do (sql/postgres/store_0002_steps.sql): they
check and write in one transaction that no client can hold open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final, cast

import orjson

from multiconnect.clock import Clock
from multiconnect.errors import Closed
from multiconnect.limits import AUDIT_ROWS_KEPT, DEAD_NODES_KEEP_S
from multiconnect.model.cluster import AuditEntry, Beat, Move, Node, NodeState, Snapshot
from multiconnect.model.log import Document
from multiconnect.model.shard_map import check_shards
from multiconnect.store.postgres.changes import Changes
from multiconnect.store.postgres.sessions import Sessions
from multiconnect.store.postgres.snapshot import SELECT_SNAPSHOT, snapshot_of
from multiconnect.store.postgres.texts import storable
from multiconnect.store.rules import milliseconds
from multiconnect.store.together import Together

_AUDIT: Final = (
    "SELECT at_ms, map_version, term, slot, old_epoch, new_epoch, old_owner, new_owner, reason"
    " FROM audit ORDER BY id DESC LIMIT $1"
)


class PostgresControl:
    """One handle on the control data."""

    def __init__(self, sessions: Sessions, changes: Changes, clock: Clock) -> None:
        self._sessions = sessions
        self._changes = changes
        self._clock = clock
        self._starts = Together(partial(self._each, "SELECT start_drains($1, $2, $3, $4)"))
        self._reports = Together(partial(self._each, "SELECT report_drained($1, $2, $3)"))
        self._closed = False

    # --- nodes -------------------------------------------------------------------------------
    async def join(self, node: Node) -> bool:
        """Add a node unless its incarnation is known; forget nodes dead for longer than a day."""
        before_ms = self._clock.wall_ms() - milliseconds(DEAD_NODES_KEEP_S)
        joined = await self._sessions.step(
            "SELECT join_node($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            node.incarnation, node.name, str(node.role), node.host, node.pid, node.address,
            node.generation, str(node.state), storable(node.reason), node.start_ticks,
            node.boot_id, before_ms,
        )  # fmt: skip
        await self._sessions.rename(node.incarnation)
        return bool(joined)

    async def set_node_state(self, incarnation: str, state: NodeState, reason: str) -> bool:
        """Move a node forward."""
        at_ms = self._clock.wall_ms()
        return await self._did(
            "SELECT advance_node($1, $2, $3, $4)", incarnation, str(state), storable(reason), at_ms
        )

    async def declare_dead(self, incarnation: str, observed_beat: int | None, reason: str) -> bool:
        """Declare a node dead whose last beat is still the one observed."""
        return await self._did(
            "SELECT declare_dead($1, $2, $3, $4)",
            incarnation, observed_beat, storable(reason), self._clock.wall_ms(),
        )  # fmt: skip

    async def beat(self, beat: Beat) -> bool:
        """Keep a node's last beat; False if it is dead or never joined."""
        figures, put = orjson.dumps(beat.figures).decode(), "SELECT put_beat($1, $2, $3)"
        return bool(
            await self._sessions.control.fetchval(put, beat.incarnation, beat.count, figures)
        )

    async def beats(self) -> dict[str, Beat]:
        """Return every node's last beat."""
        rows = await self._sessions.control.fetch("SELECT incarnation, count, figures FROM beat")
        return {name: Beat(name, count, orjson.loads(figures)) for name, count, figures in rows}

    # --- terms and slots ---------------------------------------------------------------------
    async def take_term(self, incarnation: str, observed_term: int) -> int | None:
        """Become Master if nobody else did since `observed_term`."""
        return await self._number("SELECT take_term($1, $2)", incarnation, observed_term)

    async def assign(
        self, moves: Sequence[Move], term: int, reason: str, *, shards: int | None = None
    ) -> bool:
        """Grant all moves or none.

        Waits for commits under way on these slots; a client that is frozen in one is ended. Raises
        StoreUnavailable when a slot stays locked.
        """
        if shards is not None:
            check_shards(shards)
        return await self._did(
            "SELECT assign_slots($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            [move.slot for move in moves], [move.epoch for move in moves],
            [move.old_owner for move in moves], [move.new_owner for move in moves],
            term, storable(reason), shards, self._clock.wall_ms(), AUDIT_ROWS_KEPT,
        )  # fmt: skip

    async def start_drain(self, slot: int, epoch: int, to: str, term: int) -> bool:
        """Ask the owner of a slot to drain it."""
        return await self._starts.ask((slot, epoch, to, term))

    async def cancel_drain(self, slot: int, epoch: int, term: int) -> bool:
        """Take the request back."""
        return await self._did("SELECT cancel_drain($1, $2, $3)", slot, epoch, term)

    async def report_drained(self, slot: int, epoch: int, incarnation: str) -> bool:
        """Note that nothing of the slot is in flight."""
        return await self._reports.ask((slot, epoch, incarnation))

    async def release(self, slot: int, epoch: int, incarnation: str, reason: str) -> bool:
        """Make a slot ownerless at its owner's wish."""
        return await self._did(
            "SELECT release_slot($1, $2, $3, $4, $5, $6)",
            slot, epoch, incarnation, storable(reason), self._clock.wall_ms(), AUDIT_ROWS_KEPT,
        )  # fmt: skip

    async def set_target(self, shards: int, observed_generation: int) -> int | None:
        """Wish for another shard count, or for a restart with the same one."""
        return await self._number(
            "SELECT set_target($1, $2)", check_shards(shards), observed_generation
        )

    # --- documents ---------------------------------------------------------------------------
    async def put_document(
        self, kind: str, key: str, value: Mapping[str, object], observed_version: int | None
    ) -> int | None:
        """Write a document if it is at the version observed."""
        text = orjson.dumps(dict(value)).decode()
        return await self._number(
            "SELECT put_document($1, $2, $3, $4)", kind, key, text, observed_version
        )

    async def delete_document(self, kind: str, key: str) -> bool:
        """Delete a document."""
        return await self._did("SELECT delete_document($1, $2)", kind, key)

    async def document(self, kind: str, key: str) -> Document | None:
        """Return one document."""
        sql = "SELECT key, version, value FROM document WHERE kind = $1 AND key = $2"
        rows = await self._sessions.control.fetch(sql, kind, key)
        return Document(rows[0][0], rows[0][1], orjson.loads(rows[0][2])) if rows else None

    async def documents(self, kind: str) -> list[Document]:
        """Return all documents of a kind, by key."""
        sql = "SELECT key, version, value FROM document WHERE kind = $1 ORDER BY key"
        rows = await self._sessions.control.fetch(sql, kind)
        return [Document(key, version, orjson.loads(value)) for key, version, value in rows]

    # --- reading and waiting -----------------------------------------------------------------
    async def snapshot(self) -> Snapshot:
        """Return everything, and remember that this handle has seen it."""
        snapshot = snapshot_of(await self._sessions.control.fetchval(SELECT_SNAPSHOT))
        self._changes.saw(snapshot.revision or 0)
        return snapshot

    async def audit(self, limit: int) -> list[AuditEntry]:
        """Return the newest changes of the map, newest first."""
        return [AuditEntry(*row) for row in await self._sessions.control.fetch(_AUDIT, limit)]

    async def changed(
        self, timeout_s: float, since: Snapshot | None = None, *, concerning: str | None = None
    ) -> bool:
        """Wait for a change since a snapshot."""
        if self._closed:
            raise Closed("the store is closed")
        seen = since.revision if since is not None else self._changes.seen
        return await self._changes.wait(timeout_s, self._revision, seen, concerning)

    async def _revision(self) -> int:
        return int(await self._sessions.control.fetchval("SELECT number FROM revision"))

    async def _did(self, sql: str, *arguments: object) -> bool:
        return bool(await self._sessions.step(sql, *arguments))

    async def _each(self, sql: str, asked: Sequence[tuple[object, ...]]) -> list[bool]:
        """Run a step that takes columns and returns the places of the rows it was done for."""
        done = await self._sessions.step(sql, *map(list, zip(*asked, strict=True)))
        return [place in done for place in range(1, len(asked) + 1)]

    async def _number(self, sql: str, *arguments: object) -> int | None:
        return cast(int | None, await self._sessions.step(sql, *arguments))

    async def aclose(self) -> None:
        """Wake who waits, close the connections; idempotent."""
        self._closed = True
        self._changes.wake()
        await self._sessions.aclose()
