"""The log side of the PostgreSQL store.

Keeps invariants 2 (the fence in statement.py), 3 (`commit` returns after the server synced its
log: synchronous_commit is never off) and 5 (a lane's sequence numbers continue, checked in the
statement that writes). Commits have a connection of their own; reading goes over the other one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from multiconnect.clock import Clock
from multiconnect.errors import Closed, StoreUnavailable
from multiconnect.limits import PRODUCER_KEEP_S
from multiconnect.model.log import (
    Answer,
    KeyRow,
    LogWrite,
    Retry,
    SlotTail,
    StoredBatch,
    StoredMessage,
    StreamTail,
)
from multiconnect.model.message import Stream
from multiconnect.store.answers import decode_answers
from multiconnect.store.postgres import garbage, history, statement
from multiconnect.store.postgres.group import rows_of
from multiconnect.store.postgres.history import Records
from multiconnect.store.postgres.lanes import lanes_of_slot, stream_of, unsigned
from multiconnect.store.postgres.session import Connection
from multiconnect.store.postgres.sessions import Sessions
from multiconnect.store.rules import check_slots, milliseconds

#: In the order of the slots: two who open the same ones must not wait for each other.
_OPEN: Final = (
    "SELECT array_agg(open_slot(slot, epoch, $3) ORDER BY slot)"
    " FROM unnest($1::smallint[], $2::bigint[]) AS wanted (slot, epoch)"
)


@dataclass(frozen=True, slots=True)
class _Opened:
    """A slot taken into use: the epoch, the how-manieth time, and over which connection."""

    epoch: int
    count: int
    connection: int


class PostgresLog:
    """The log as one owner incarnation sees it."""

    def __init__(self, sessions: Sessions, clock: Clock, incarnation: str) -> None:
        self._sessions = sessions
        self._clock = clock
        self._incarnation = incarnation
        self._opened: dict[int, _Opened] = {}
        self._closed = False

    # --- atomic ------------------------------------------------------------------------------
    async def open_slot(self, slot: int, epoch: int) -> SlotTail | None:
        """Take a granted slot into use and read its tail."""
        return (await self.open_slots({slot: epoch})).get(slot)

    async def open_slots(self, epochs: Mapping[int, int]) -> dict[int, SlotTail]:
        """Take granted slots into use and read their tails, with one statement for each of these.

        A commit of ours whose reply was lost has ended when this returns, and is in the tail or
        will never be in the log.
        """
        self._check_open()
        if not epochs:
            return {}
        for slot in epochs:
            self._opened.pop(slot, None)
        wanted = sorted(epochs)
        counts = await self._sessions.log_step(
            _OPEN, wanted, [epochs[slot] for slot in wanted], self._incarnation
        )
        opened = {s: count for s, count in zip(wanted, counts, strict=True) if count is not None}
        if not opened:
            return {}
        connection = self._sessions.log.connections
        for slot, count in opened.items():
            self._opened[slot] = _Opened(epochs[slot], count, connection)
        return await self._read_tails({slot: epochs[slot] for slot in opened})

    async def _read_tails(self, epochs: Mapping[int, int]) -> dict[int, SlotTail]:
        lanes = [lane for slot in epochs for lane in lanes_of_slot(slot)]
        oldest_ms = self._clock.wall_ms() - milliseconds(PRODUCER_KEEP_S)
        rows = await self._sessions.log.run(
            lambda connection: history.read_tails(connection, lanes, oldest_ms)
        )
        return {
            slot: _tail(slot, epoch, *(of[slot] for of in rows)) for slot, epoch in epochs.items()
        }

    async def commit(self, write: LogWrite) -> frozenset[int]:
        """Write the rows of every slot whose fence stands."""
        self._check_open()
        check_slots(write)
        rows = rows_of(write)
        sql = statement.group_statement(tuple(rows), statement.FENCE)
        columns = [column for table in rows for column in statement.columns_of(rows[table])]

        async def send(connection: Connection) -> Any:
            self._check_connection(write)
            return await connection.fetchval(sql, *self._fence(write), *columns)

        written = await self._sessions.log.run(send)
        return frozenset(write.epochs) - frozenset(written or ())

    def _fence(self, write: LogWrite) -> tuple[Any, ...]:
        """Return the slots, their epochs and counts, and the owner."""
        opened = [self._opened.get(slot) for slot in write.epochs]
        counts = [
            one.count if one is not None and one.epoch == epoch else None
            for one, epoch in zip(opened, write.epochs.values(), strict=True)
        ]
        return list(write.epochs), list(write.epochs.values()), counts, self._incarnation

    def _check_connection(self, write: LogWrite) -> None:
        """Raise StoreUnavailable if the connection was lost since a slot was opened.

        The server may have crashed meanwhile, and only what was read since is known to be so.
        """
        current = self._sessions.log.connections
        for slot in write.epochs:
            opened = self._opened.get(slot)
            if opened is not None and opened.connection != current:
                raise StoreUnavailable(
                    f"{self._sessions.log.where}: the connection was lost; open the slots again"
                )

    # --- reading -----------------------------------------------------------------------------
    async def find_keys(self, slot: int, keys: Sequence[bytes]) -> dict[bytes, KeyRow]:
        """Return the rows of those keys that are known."""
        self._check_open()
        # Asked between two commits, so over their connection: the other one may be busy.
        return await self._sessions.log.run(lambda c: history.find_keys(c, slot, keys))

    async def read_batches(
        self, stream: Stream, slot: int, from_seq: int, limit_bytes: int
    ) -> list[StoredBatch]:
        """Return unsettled batches from `from_seq` on."""
        self._check_open()
        return await history.read_unsettled(
            self._sessions.control, stream, slot, from_seq, limit_bytes
        )

    async def find_message(self, stream: Stream, slot: int, sequence: int) -> StoredMessage | None:
        """Return what is known of one message."""
        self._check_open()
        return await self._sessions.control.run(
            lambda connection: history.find_message(connection, stream, slot, sequence)
        )

    # --- life --------------------------------------------------------------------------------
    async def collect_garbage(self, now_ms: int) -> int:
        """Drop what is past its retention, whoever wrote it."""
        self._check_open()
        return await garbage.collect(self._sessions.control, now_ms)

    def _check_open(self) -> None:
        if self._closed:
            raise Closed("the log is closed")

    async def aclose(self) -> None:
        """Nothing to release: the connections belong to the store; idempotent."""
        self._closed = True


def _tail(
    slot: int, epoch: int, positions: Records, producers: Records, retries: Records
) -> SlotTail:
    answers: dict[tuple[Stream, int], tuple[Answer, ...]] = {
        (stream_of(lane), unsigned(producer)): decode_answers(data)
        for lane, producer, data in producers
    }
    return SlotTail(
        slot,
        epoch,
        {stream_of(lane): StreamTail(*position) for lane, *position in positions},
        dict(sorted(answers.items())),
        tuple(Retry(stream_of(lane), slot, *row) for lane, *row in retries),
    )
