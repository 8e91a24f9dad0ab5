"""The log side of the SQLite store: one owner's ledger, read together with its predecessors'.

Keeps invariant 2 (fence.py), 3 (synchronous=FULL: `commit` returns after the sync) and 5
(commit.py). One thread does everything, in the order it was asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import apsw

from multiconnect.clock import Clock
from multiconnect.limits import PRODUCER_KEEP_S
from multiconnect.model.cluster import Role
from multiconnect.model.log import KeyRow, LogWrite, SlotTail, StoredBatch, StoredMessage
from multiconnect.model.message import Stream
from multiconnect.store.rules import milliseconds
from multiconnect.store.sqlite import history
from multiconnect.store.sqlite.commit import is_large, write_group
from multiconnect.store.sqlite.database import CONTROL, Database
from multiconnect.store.sqlite.fence import Fence, install
from multiconnect.store.sqlite.files import Files
from multiconnect.store.sqlite.garbage import Collector
from multiconnect.store.sqlite.ids import id_of, lane_of
from multiconnect.store.sqlite.ledgers import Ledgers, Tenure, read_chain
from multiconnect.store.sqlite.nodes import read_role
from multiconnect.store.sqlite.reach import ledgers_from
from multiconnect.store.sqlite.slots import read_slots
from multiconnect.store.sqlite.takeover import newest_written, read_retries, read_tail, take_over
from multiconnect.store.sqlite.worker import Worker


class SqliteLog:
    """The log as one owner incarnation sees it."""

    def __init__(self, files: Files, clock: Clock, incarnation: str) -> None:
        self._clock = clock
        self._incarnation = incarnation
        self._worker = Worker("multiconnect-log")
        self._control = Database(files.control, CONTROL)
        self._ledgers = Ledgers(files, incarnation)
        self._collector = Collector(files, self._control, self._ledgers, incarnation)

    async def start(self) -> None:
        """Make the ledger of a CoreApp; who only reads needs none."""
        await self._worker.run(self._start)

    def _start(self) -> None:
        with self._control.read() as control:
            role = read_role(control, self._incarnation)
        if role is Role.COREAPP:
            self._ledgers.own.open()

    # --- atomic ------------------------------------------------------------------------------
    async def open_slot(self, slot: int, epoch: int) -> SlotTail | None:
        """Take a granted slot into use and read its tail."""
        return (await self.open_slots({slot: epoch})).get(slot)

    async def open_slots(self, epochs: Mapping[int, int]) -> dict[int, SlotTail]:
        """Take granted slots into use and read their tails, all in one commit."""
        return await self._worker.run(self._open_slots, epochs)

    def _open_slots(self, epochs: Mapping[int, int]) -> dict[int, SlotTail]:
        oldest_ms = self._clock.wall_ms() - milliseconds(PRODUCER_KEEP_S)
        mine = self._mine(epochs)
        if not mine:
            return {}
        with self._ledgers.own.write() as own:
            opened = [self._open_slot(own, slot, epoch, oldest_ms) for slot, epoch in mine]
        self._ledgers.trim()
        return {tail.slot: tail for tail in opened if tail is not None}

    def _open_slot(
        self, own: apsw.Connection, slot: int, epoch: int, oldest_ms: int
    ) -> SlotTail | None:
        # Not sealed, so still mine: the next grant has to seal this ledger first, and cannot until
        # this transaction ends.
        fence = install(own, slot, epoch)
        if fence is Fence.REFUSED:
            return None
        if fence is Fence.INSTALLED:
            take_over(own, self._ledgers, slot, epoch, lambda: self._chain(slot), oldest_ms)
        return read_tail(own, slot, epoch, oldest_ms)

    def _mine(self, epochs: Mapping[int, int]) -> list[tuple[int, int]]:
        with self._control.read() as control:
            rows = read_slots(control)
        return [
            (slot, epoch)
            for slot, epoch in epochs.items()
            if (rows[slot].epoch, rows[slot].owner) == (epoch, self._incarnation)
        ]

    def _chain(self, slot: int) -> list[Tenure]:
        with self._control.read() as control:
            return read_chain(control, slot)

    async def commit(self, write: LogWrite) -> frozenset[int]:
        """Write the rows of every slot whose fence stands."""
        return await self._worker.run(self._commit, write)

    def _commit(self, write: LogWrite) -> frozenset[int]:
        own = self._ledgers.own
        if is_large(write):
            write = own.place_bodies(write)
        with own.append() as db:
            return write_group(db, write, own.leave)

    # --- reading -----------------------------------------------------------------------------
    async def find_keys(self, slot: int, keys: Sequence[bytes]) -> dict[bytes, KeyRow]:
        """Return the rows of those keys that are known."""

        def run() -> dict[bytes, KeyRow]:
            with self._ledgers.views(tenure.ledger for tenure in self._chain(slot)) as views:
                return history.find_keys(views, slot, keys)

        return await self._worker.run(run)

    async def read_batches(
        self, stream: Stream, slot: int, from_seq: int, limit_bytes: int
    ) -> list[StoredBatch]:
        """Return unsettled batches from `from_seq` on."""

        def run() -> list[StoredBatch]:
            chain = self._settled_chain(slot)
            names = ledgers_from(self._ledgers, chain, lane_of(stream, slot), from_seq)
            with self._ledgers.views(names) as views:
                return history.read_unsettled(views, stream, slot, from_seq, limit_bytes)

        return await self._worker.run(run)

    async def find_message(self, stream: Stream, slot: int, sequence: int) -> StoredMessage | None:
        """Return what is known of one message."""
        return await self._worker.run(self._find_message, stream, slot, sequence)

    def _find_message(self, stream: Stream, slot: int, sequence: int) -> StoredMessage | None:
        row_id = id_of(stream, slot, sequence)
        names = [tenure.ledger for tenure in self._settled_chain(slot)]
        with self._ledgers.views(names) as views:
            batch = history.find_batch(views, stream, slot, sequence)
            if batch is None:
                return None
            upstream_id = history.find_upstream_id(views, row_id)
            failure = history.find_failure(views, stream, slot, sequence)
        retry = None
        # Retries were copied with the slot: only its newest ledger knows which are still due.
        newest = newest_written(self._ledgers, slot, lambda: self._chain(slot))
        if newest is not None:
            with newest.read() as db:
                retry = next(iter(read_retries(db, slot, row_id, row_id + 1)), None)
        return StoredMessage(batch, sequence, upstream_id, retry, failure)

    def _settled_chain(self, slot: int) -> list[Tenure]:
        """Return a slot's chain with everything in its place: older ledgers were when sealed."""
        chain = self._chain(slot)
        newest = self._ledgers.get(chain[0].ledger) if chain else None
        if newest is not None:
            newest.settle()
        return chain

    # --- life --------------------------------------------------------------------------------
    async def collect_garbage(self, now_ms: int) -> int:
        """Drop what is past its retention."""
        return await self._worker.run(self._collector.collect, now_ms)

    async def aclose(self) -> None:
        """Close the connections; idempotent."""
        await self._worker.aclose(self._close)

    def _close(self) -> None:
        self._ledgers.close()
        self._control.close()
