"""The control side of the SQLite store.

Three threads, so that nothing waits behind something it need not: writes, reads, and beats (which
must go on while a write waits for a lock). The event loop itself polls `data_version` and reads
snapshots, which in a WAL wait for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import ParamSpec, TypeVar

import apsw

from multiconnect.clock import Clock
from multiconnect.errors import Closed, StoreUnavailable
from multiconnect.limits import DEAD_NODES_KEEP_S, STORE_POLL_S
from multiconnect.model.cluster import AuditEntry, Beat, Move, Node, NodeState, Snapshot
from multiconnect.model.log import Document
from multiconnect.model.shard_map import check_shards
from multiconnect.store.rules import milliseconds
from multiconnect.store.sqlite import documents, nodes, slots
from multiconnect.store.sqlite.database import BEATS, CONTROL, Database
from multiconnect.store.sqlite.fence import seal
from multiconnect.store.sqlite.files import Files
from multiconnect.store.sqlite.snapshot import read_audit, read_concern, read_snapshot
from multiconnect.store.sqlite.waker import Waker
from multiconnect.store.sqlite.worker import Worker
from multiconnect.store.sqlite.writes import Writes

P = ParamSpec("P")
T = TypeVar("T")


class SqliteControl:
    """One handle on the control file and the file of beats."""

    def __init__(self, files: Files, clock: Clock) -> None:
        self._files = files
        self._clock = clock
        self._reader, self._beater = (
            Worker(f"multiconnect-{name}") for name in ("snapshot", "beat")
        )
        self._writes = Writes(files)
        self._read_db = Database(files.control, CONTROL)
        self._read_beats_db = Database(files.beats, BEATS)
        self._beat_db = Database(files.beats, BEATS)
        self._silence_db = Database(files.beats, BEATS)
        self._alive_db = Database(files.control, CONTROL)
        # A poll must never wait: what is busy now is asked again in a few milliseconds.
        self._poll_db = Database(files.control, CONTROL, busy_s=STORE_POLL_S)
        self._poll_beats_db = Database(files.beats, BEATS, busy_s=STORE_POLL_S)
        self._nodes = nodes.Nodes()
        self._waker: Waker | None = None
        self._seen: int | None = None
        self._closed = False

    async def start(self) -> None:
        """Open the files, making them if needed; in threads, because that syncs."""
        await self._writes.start()
        await self._reader.run(self._open_for_reading)
        await self._beater.run(self._beat_db.open)
        self._waker = Waker(self._files.bell)
        self._writes.ring_with(self._waker)

    def _open_for_reading(self) -> None:
        self._read_db.open()
        self._poll_db.open()

    async def _read(self, question: Callable[..., T], *args: object) -> T:
        def run() -> T:
            with self._read_db.read() as db:
                return question(db, *args)

        return await self._reader.run(run)

    # --- nodes -------------------------------------------------------------------------------
    async def join(self, node: Node) -> bool:
        """Add a node unless its incarnation is known; forget nodes dead for longer than a day."""
        horizon_ms = self._clock.wall_ms() - milliseconds(DEAD_NODES_KEEP_S)

        def step(db: apsw.Connection) -> tuple[bool, list[str]]:
            forgotten = nodes.forget_the_long_dead(db, horizon_ms)
            return nodes.add_node(db, node), forgotten

        joined, forgotten = await self._writes.run(step)
        if forgotten:
            await self._beater.run(self._drop_beats, forgotten)
        return joined

    def _drop_beats(self, incarnations: list[str]) -> None:
        with self._beat_db.write() as db:
            nodes.drop_beats(db, incarnations)

    async def set_node_state(self, incarnation: str, state: NodeState, reason: str) -> bool:
        """Move a node forward."""
        at_ms = self._clock.wall_ms()
        step = (nodes.advance_node, incarnation, state, reason, at_ms)
        return await self._writes.run(*step, concerned=[incarnation])

    async def declare_dead(self, incarnation: str, observed_beat: int | None, reason: str) -> bool:
        """Declare a node dead whose last beat is still the one observed.

        Nobody can beat between the look and the commit: this holds the file of beats until after
        it. A beat waits for that file alone, so the two cannot wait for each other.
        """
        at_ms = self._clock.wall_ms()

        def run() -> bool:
            with ExitStack() as until_committed, self._writes.transaction([incarnation]) as db:
                beats = until_committed.enter_context(self._silence_db.write())
                if nodes.beat_count(beats, incarnation) != observed_beat:
                    return False
                return nodes.advance_node(db, incarnation, NodeState.DEAD, reason, at_ms)

        return await self._writes.in_thread(run)

    async def beat(self, beat: Beat) -> bool:
        """Keep a node's last beat; False if it is dead or never joined."""
        return await self._beater.run(self._beat, beat)

    def _beat(self, beat: Beat) -> bool:
        with self._beat_db.write() as db:
            with self._alive_db.read() as control:
                is_alive = nodes.is_alive(control, beat.incarnation)
            if is_alive:
                nodes.put_beat(db, beat)
        return is_alive

    async def beats(self) -> dict[str, Beat]:
        """Return every node's last beat; on the event loop if it can be, as a snapshot is."""

        def read(beats: Database) -> dict[str, Beat]:
            with beats.read() as db:
                return nodes.read_beats(db)

        try:
            return read(self._poll_beats_db)
        except StoreUnavailable:
            return await self._reader.run(read, self._read_beats_db)

    # --- terms and slots ---------------------------------------------------------------------
    async def take_term(self, incarnation: str, observed_term: int) -> int | None:
        """Become Master if nobody else did since `observed_term`."""
        return await self._writes.run(slots.take_term, incarnation, observed_term)

    async def assign(
        self, moves: Sequence[Move], term: int, reason: str, *, shards: int | None = None
    ) -> bool:
        """Grant all moves or none.

        The old owners are fenced while this holds the control file's write lock and has checked
        every condition: a Master of an old term fences nobody, and a fence without its grant can
        only come from a crash between the two commits. Then the slot's row names an owner that can
        write no more: this call, repeated, completes it, and the owner itself can `release` it.
        """
        if shards is not None:
            check_shards(shards)

        def step(db: apsw.Connection) -> bool:
            if not slots.may_assign(db, moves, term):
                return False
            self._seal_all(moves)
            if moves or shards is not None:
                slots.grant(db, moves, shards, reason, self._clock.wall_ms())
            return True

        return await self._writes.run(step)

    def _seal_all(self, moves: Sequence[Move]) -> None:
        """Fence the old owners, all at once: each waits for the lock and the sync of its own file.

        Returns when none is under way any more, whatever came of them.
        """
        fences: dict[str, list[tuple[int, int]]] = {}
        for move in moves:
            if move.old_owner:
                fences.setdefault(move.old_owner, []).append((move.slot, move.epoch))
        if len(fences) > 1:
            with ThreadPoolExecutor(len(fences), "multiconnect-seal") as pool:
                list(pool.map(partial(seal, self._files), fences, fences.values()))
        else:
            for owner, theirs in fences.items():
                seal(self._files, owner, theirs)

    async def start_drain(self, slot: int, epoch: int, to: str, term: int) -> bool:
        """Ask the owner of a slot to drain it."""
        return await self._writes.run_together(slots.start_drain, slot, epoch, to, term)

    async def cancel_drain(self, slot: int, epoch: int, term: int) -> bool:
        """Take the request back."""
        return await self._writes.run(slots.cancel_drain, slot, epoch, term)

    async def report_drained(self, slot: int, epoch: int, incarnation: str) -> bool:
        """Note that nothing of the slot is in flight."""
        return await self._writes.run_together(slots.report_drained, slot, epoch, incarnation)

    async def release(self, slot: int, epoch: int, incarnation: str, reason: str) -> bool:
        """Make a slot ownerless at its owner's wish; seals the epoch first, as `assign` does."""

        def step(db: apsw.Connection) -> bool:
            row = slots.read_slot(db, slot)
            if (row.epoch, row.owner) != (epoch, incarnation):
                return False
            seal(self._files, incarnation, [(slot, epoch)])
            slots.orphan(db, row, reason, self._clock.wall_ms())
            return True

        return await self._writes.run(step)

    async def set_target(self, shards: int, observed_generation: int) -> int | None:
        """Wish for another shard count, or for a restart with the same one."""
        return await self._writes.run(slots.set_target, check_shards(shards), observed_generation)

    # --- documents ---------------------------------------------------------------------------
    async def put_document(
        self, kind: str, key: str, value: Mapping[str, object], observed_version: int | None
    ) -> int | None:
        """Write a document if it is at the version observed."""
        return await self._writes.run(documents.put_document, kind, key, value, observed_version)

    async def delete_document(self, kind: str, key: str) -> bool:
        """Delete a document."""
        return await self._writes.run(documents.delete_document, kind, key)

    async def document(self, kind: str, key: str) -> Document | None:
        """Return one document."""
        return await self._read(documents.read_document, kind, key)

    async def documents(self, kind: str) -> list[Document]:
        """Return all documents of a kind, by key."""
        return await self._read(documents.read_documents, kind)

    # --- reading and waiting -----------------------------------------------------------------
    async def snapshot(self) -> Snapshot:
        """Return everything, and remember that this handle has seen it.

        Read on the event loop: a tenth of a millisecond of a file in memory. A thread would have to
        win the interpreter back for each statement, 5 ms each time where the loop is busy, and a
        hand-over waits for this three times.
        """
        # Before reading: a change in between makes the next `changed` true once too often, and
        # never once too rarely.
        seen = self._data_version()
        try:
            with self._poll_db.read() as db:
                snapshot = read_snapshot(db, self._nodes)
        except StoreUnavailable:
            # Busy, for once: only a thread may wait.
            snapshot = await self._read(read_snapshot, self._nodes)
        self._seen = seen
        return replace(snapshot, revision=seen)

    async def audit(self, limit: int) -> list[AuditEntry]:
        """Return the newest changes of the map, newest first."""
        return await self._read(read_audit, limit)

    async def changed(
        self, timeout_s: float, since: Snapshot | None = None, *, concerning: str | None = None
    ) -> bool:
        """Wait for a change since a snapshot.

        Asks on the event loop: 4 µs each time (30 for what concerns somebody), where a thread hop
        would cost ten times that.
        """
        seen = since.revision if since is not None else self._seen
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        waker = self._listening(concerning)
        while True:
            version = self._data_version()
            if version is not None and version != seen:
                if since is None or concerning is None or self._concerns(concerning, since):
                    return True
                # Before reading, as in `snapshot`: what came since is looked at again.
                seen = version
            remaining_s = deadline - loop.time()
            if remaining_s <= 0:
                return False
            await waker.pause(remaining_s, concerning)

    def _listening(self, concerning: str | None) -> Waker:
        """Return the waker; no ring is missed from now on."""
        if self._waker is None:
            raise Closed("the store was not started")
        self._waker.listen(concerning)
        return self._waker

    def _concerns(self, incarnation: str, since: Snapshot) -> bool:
        try:
            with self._poll_db.read() as db:
                return read_concern(db, incarnation) != since.concern(incarnation)
        except StoreUnavailable:
            return True  # whoever reads then is told why

    def _data_version(self) -> int | None:
        """Return a number that moves with every commit to the control file; None: busy now."""
        if self._closed:
            raise Closed("the store is closed")
        try:
            return int(self._poll_db.open().pragma("data_version"))
        except apsw.BusyError:
            return None
        except apsw.Error as error:
            self._poll_db.close()
            raise StoreUnavailable(f"{self._files.control}: {error}") from error

    async def aclose(self) -> None:
        """Close the connections; idempotent."""
        self._closed = True
        await self._writes.aclose(self._silence_db)
        await self._beater.aclose(lambda: _close(self._beat_db, self._alive_db))
        await self._reader.aclose(
            lambda: _close(self._read_db, self._read_beats_db, self._poll_db, self._poll_beats_db)
        )
        if self._waker is not None:
            self._waker.close()


def _close(*databases: Database) -> None:
    for database in databases:
        database.close()
