"""Reading the log in PostgreSQL: tails, pending batches, keys, single messages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import asyncpg

from multiconnect.limits import LOAD_ROWS
from multiconnect.model.log import Failure, KeyRow, Retry, StoredBatch, StoredMessage
from multiconnect.model.message import Stream
from multiconnect.store.postgres.lanes import lane_of, slot_of_lane
from multiconnect.store.postgres.session import Connection, Session

Records = list[asyncpg.Record]
BySlot = defaultdict[int, Records]

_POSITIONS: Final = (
    "SELECT lane, next_seq, watermark, settled_below FROM position"
    " WHERE lane = ANY ($1::smallint[])"
)
_PRODUCERS: Final = (
    "SELECT lane, producer, answers FROM producer WHERE lane = ANY ($1::smallint[]) AND at_ms >= $2"
)
_RETRIES: Final = (
    "SELECT lane, sequence, attempts, due_at_ms, code, reason FROM retry"
    " WHERE lane = ANY ($1::smallint[]) ORDER BY lane, sequence"
)
_KEYS: Final = (
    "SELECT key, sequence, body_hash, at_ms FROM key WHERE slot = $1 AND key = ANY ($2::bytea[])"
)
#: Batches from the one that holds $2 on, up to the one that passes $3 bytes or $4 rows.
_UNSETTLED: Final = """
WITH start AS MATERIALIZED (
    SELECT greatest($2::bigint, settled_below) AS sequence FROM position WHERE lane = $1
)
SELECT base_seq, count, accepted_at_ms, body, states, bytes FROM (
    SELECT *, sum(bytes) OVER (ORDER BY base_seq) - bytes AS bytes_before FROM (
        SELECT batch.*, states, coalesce(octet_length(body), 0) AS bytes
        FROM batch LEFT JOIN progress USING (lane, base_seq)
        WHERE lane = $1 AND coalesce(settled, 0) = 0
            AND base_seq >= coalesce((SELECT max(base_seq) FROM batch
                WHERE lane = $1 AND base_seq <= (SELECT sequence FROM start)), 0)
            AND base_seq + count > (SELECT sequence FROM start)
        ORDER BY base_seq LIMIT $4
    ) AS pending
) AS measured
WHERE bytes_before < $3 ORDER BY base_seq
"""
_MESSAGE: Final = """
SELECT batch.base_seq, batch.count, batch.accepted_at_ms, batch.body, progress.states,
    (SELECT upstream_id FROM upstream_id WHERE lane = $1 AND sequence = $2) AS upstream_id,
    retry.attempts AS retry_attempts, retry.due_at_ms, retry.code AS retry_code,
    retry.reason AS retry_reason,
    failure.attempts AS failure_attempts, failure.at_ms, failure.code AS failure_code,
    failure.reason AS failure_reason
FROM (
    SELECT * FROM batch WHERE lane = $1 AND base_seq <= $2 ORDER BY base_seq DESC LIMIT 1
) AS batch
LEFT JOIN progress USING (lane, base_seq)
LEFT JOIN retry ON retry.lane = $1 AND retry.sequence = $2
LEFT JOIN failure ON failure.lane = $1 AND failure.sequence = $2
WHERE batch.base_seq + batch.count > $2
"""


async def read_tails(
    connection: Connection, lanes: list[int], oldest_ms: int
) -> tuple[BySlot, BySlot, BySlot]:
    """Return positions, producers heard of since `oldest_ms`, and retries, each by slot."""
    return (
        _by_slot(await connection.fetch(_POSITIONS, lanes)),
        _by_slot(await connection.fetch(_PRODUCERS, lanes, oldest_ms)),
        _by_slot(await connection.fetch(_RETRIES, lanes)),
    )


def _by_slot(rows: Records) -> BySlot:
    found: BySlot = defaultdict(list)
    for row in rows:
        found[slot_of_lane(row["lane"])].append(row)
    return found


async def find_keys(
    connection: Connection, slot: int, keys: Sequence[bytes]
) -> dict[bytes, KeyRow]:
    """Return the rows of those keys that are known."""
    rows = await connection.fetch(_KEYS, slot, list(keys))
    return {row[0]: KeyRow(*row) for row in rows}


async def read_unsettled(
    session: Session, stream: Stream, slot: int, from_seq: int, limit_bytes: int
) -> list[StoredBatch]:
    """Return unsettled batches from `from_seq` on; see the port's `read_batches`."""
    lane = lane_of(stream, slot)
    found: list[StoredBatch] = []
    size = 0
    while size < limit_bytes:
        rows = await session.fetch(_UNSETTLED, lane, from_seq, limit_bytes - size, LOAD_ROWS)
        found += [_batch(stream, slot, row) for row in rows]
        size += sum(row["bytes"] for row in rows)
        if len(rows) < LOAD_ROWS:
            break
        from_seq = found[-1].base_seq + found[-1].count
    return found


async def find_message(
    connection: Connection, stream: Stream, slot: int, sequence: int
) -> StoredMessage | None:
    """Return what is known of one message."""
    row = await connection.fetchrow(_MESSAGE, lane_of(stream, slot), sequence)
    if row is None:
        return None
    place = stream, slot, sequence
    retry = failure = None
    if row["retry_attempts"] is not None:
        retry = Retry(
            *place, row["retry_attempts"], row["due_at_ms"], row["retry_code"], row["retry_reason"]
        )
    if row["failure_attempts"] is not None:
        failure = Failure(
            *place, row["failure_attempts"], row["at_ms"], row["failure_code"],
            row["failure_reason"],
        )  # fmt: skip
    batch = _batch(stream, slot, row)
    return StoredMessage(batch, sequence, row["upstream_id"], retry, failure)


def _batch(stream: Stream, slot: int, row: asyncpg.Record) -> StoredBatch:
    return StoredBatch(
        stream, slot, row["base_seq"], row["count"], row["accepted_at_ms"], row["body"],
        row["states"] or bytes(row["count"]),
    )  # fmt: skip
