"""Taking a slot over: what must be in the own ledger before the first write to the slot.

Called inside a write transaction of the own ledger, after its fence was installed. As long as that
transaction is open nobody can be granted the slot's next epoch (a grant seals this ledger first),
so the chain that is read here stays what it is, and every older ledger is sealed: its tail is
final. Positions, producers and retries are copied, so that a write later touches one file only;
everything else stays where it was written and is read there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import apsw

from multiconnect.errors import CorruptData
from multiconnect.model.log import Answer, Retry, SlotTail, StreamTail
from multiconnect.model.message import Stream
from multiconnect.store.answers import decode_answers
from multiconnect.store.sqlite.ids import (
    lane_ids,
    lane_of,
    sequence_of,
    stream_of,
    unsigned,
)
from multiconnect.store.sqlite.ledger import Ledger
from multiconnect.store.sqlite.ledgers import Ledgers, Tenure

Chain = Callable[[], Sequence[Tenure]]


def take_over(
    own: apsw.Connection, ledgers: Ledgers, slot: int, epoch: int, chain: Chain, oldest_ms: int
) -> None:
    """Make the own ledger continue a slot where its newest older tenure ended."""
    source = newest_written(ledgers, slot, chain, before=epoch)
    if source is ledgers.own:
        own.execute("UPDATE position SET epoch = ? WHERE lane & 31 = ?", (epoch, slot))
        return
    for stream in Stream:
        _clear(own, lane_of(stream, slot))
    if source is None:
        for stream in Stream:
            row = (lane_of(stream, slot), epoch, 0, -1, 0)
            own.execute("INSERT INTO position VALUES (?, ?, ?, ?, ?)", row)
        return
    with source.read() as old:
        for stream in Stream:
            _copy(old, own, lane_of(stream, slot), epoch, oldest_ms)


def newest_written(
    ledgers: Ledgers, slot: int, chain: Chain, *, before: int | None = None
) -> Ledger | None:
    """Return the ledger whose tenure of a slot is the newest that was taken up, None if none was.

    Raises CorruptData when a newer ledger is gone although it was not collected: going on without
    it would give its sequence numbers out again.
    """
    # Twice: a ledger leaves its chains before its file goes, so one that was collected under our
    # eyes is no longer in the chain when we look again.
    missing: list[str] = []
    for _ in range(2):
        missing.clear()
        for tenure in chain():
            if before is not None and tenure.epoch >= before:
                continue
            ledger = ledgers.get(tenure.ledger)
            if ledger is None:
                missing.append(tenure.ledger)
            elif not missing and _took_up(ledger, slot, tenure.epoch):
                return ledger
        if not missing:
            return None
    raise CorruptData(
        f"slot {slot}: the ledger of {missing[0]} is missing; put its file back from a copy"
    )


def _took_up(ledger: Ledger, slot: int, epoch: int) -> bool:
    with ledger.read() as db:
        row = db.execute(
            "SELECT 1 FROM position WHERE lane = ? AND epoch = ?",
            (lane_of(Stream.OUTBOUND, slot), epoch),
        ).fetchone()
    return row is not None


def _clear(own: apsw.Connection, lane: int) -> None:
    """Drop what an earlier tenure of this same ledger left of what is about to be copied."""
    own.execute("DELETE FROM position WHERE lane = ?", (lane,))
    own.execute("DELETE FROM producer WHERE lane = ?", (lane,))
    own.execute("DELETE FROM retry WHERE id >= ? AND id < ?", lane_ids(lane))


def _copy(
    old: apsw.Connection, own: apsw.Connection, lane: int, epoch: int, oldest_ms: int
) -> None:
    own.executemany(
        "INSERT INTO position VALUES (?, ?, ?, ?, ?)",
        old.execute(
            "SELECT lane, ?, next_seq, watermark, settled_below FROM position WHERE lane = ?",
            (epoch, lane),
        ),
    )
    own.executemany(
        "INSERT INTO producer VALUES (?, ?, ?, ?)",
        old.execute("SELECT * FROM producer WHERE lane = ? AND at_ms >= ?", (lane, oldest_ms)),
    )
    own.executemany(
        "INSERT INTO retry VALUES (?, ?, ?, ?, ?)",
        old.execute("SELECT * FROM retry WHERE id >= ? AND id < ?", lane_ids(lane)),
    )


def read_tail(own: apsw.Connection, slot: int, epoch: int, oldest_ms: int) -> SlotTail:
    """Return the tail of a slot that was taken over."""
    streams: dict[Stream, StreamTail] = {}
    producers: dict[tuple[Stream, int], tuple[Answer, ...]] = {}
    retries: list[Retry] = []
    for stream in Stream:
        lane = lane_of(stream, slot)
        position: Any = own.execute(
            "SELECT next_seq, watermark, settled_below FROM position WHERE lane = ?", (lane,)
        ).fetchone()
        streams[stream] = StreamTail(*position)
        rows: Any = own.execute(
            "SELECT producer, answers FROM producer WHERE lane = ? AND at_ms >= ?",
            (lane, oldest_ms),
        )
        found = sorted((unsigned(producer), answers) for producer, answers in rows)
        producers |= {(stream, producer): decode_answers(answers) for producer, answers in found}
        retries += read_retries(own, slot, *lane_ids(lane))
    return SlotTail(slot, epoch, streams, producers, tuple(retries))


def read_retries(db: apsw.Connection, slot: int, first: int, end: int) -> list[Retry]:
    """Return the retries with ids in first..end, by sequence."""
    rows: Any = db.execute(
        "SELECT id, attempts, due_at_ms, code, reason FROM retry WHERE id >= ? AND id < ?"
        " ORDER BY id",
        (first, end),
    )
    return [Retry(stream_of(row[0]), slot, sequence_of(row[0]), *row[1:]) for row in rows]
