"""Retention in PostgreSQL: every owner may drop what anybody wrote, a bounded amount per call.

No fence is needed: what goes was settled long ago, and a row that an owner changes meanwhile is
looked at again before it goes. Owners that collect at once skip each other's rows.
"""

from __future__ import annotations

from typing import Final

from multiconnect.limits import (
    GARBAGE_BYTES_MAX,
    GARBAGE_MESSAGES_MAX,
    GARBAGE_ROWS_MAX,
    GARBAGE_TURNS_MAX,
    PRODUCER_KEEP_S,
    RETAIN_BODIES_S,
    RETAIN_IDEMPOTENCY_S,
    RETAIN_STATES_S,
)
from multiconnect.store.postgres.session import Session
from multiconnect.store.rules import milliseconds

#: Each returns how many rows went; $1 is the time before which they are old, $2 the most to drop,
#: $3 the most bytes of bodies, or messages (a batch has up to thousands of upstream ids).
_DROP_KEYS: Final = """
WITH old AS (
    SELECT slot, key FROM key WHERE at_ms < $1 ORDER BY at_ms LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM key USING old WHERE key.slot = old.slot AND key.key = old.key RETURNING 1
) SELECT count(*) FROM gone
"""
_DROP_PRODUCERS: Final = """
WITH old AS (
    SELECT lane, producer FROM producer WHERE at_ms < $1 LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM producer USING old
    WHERE producer.lane = old.lane AND producer.producer = old.producer RETURNING 1
) SELECT count(*) FROM gone
"""
_DROP_BODIES: Final = """
WITH old AS (
    SELECT lane, base_seq FROM progress WHERE settled = 1 AND at_ms < $1
    ORDER BY at_ms LIMIT $2 FOR UPDATE SKIP LOCKED
), measured AS (
    SELECT old.*, sum(coalesce(octet_length(body), 0)) OVER (ORDER BY old.lane, old.base_seq)
        - coalesce(octet_length(body), 0) AS bytes_before
    FROM old LEFT JOIN batch USING (lane, base_seq)
), going AS MATERIALIZED (
    SELECT lane, base_seq FROM measured WHERE bytes_before < $3
), emptied AS (
    UPDATE batch SET body = NULL FROM going
    WHERE batch.lane = going.lane AND batch.base_seq = going.base_seq
), marked AS (
    UPDATE progress SET settled = 2 FROM going
    WHERE progress.lane = going.lane AND progress.base_seq = going.base_seq RETURNING 1
) SELECT count(*) FROM marked
"""
_DROP_STATES: Final = "SELECT drop_states($1, $2, $3)"


async def collect(session: Session, now_ms: int) -> int:
    """Drop what is past its retention, within the limits of one call; return the rows dropped.

    Many small statements, so that beats and snapshots, which share the session, get their turns.
    """
    rows = GARBAGE_ROWS_MAX

    async def drop(sql: str, keep_s: float, *limits: int) -> int:
        before_ms, total = now_ms - milliseconds(keep_s), 0
        for _ in range(GARBAGE_TURNS_MAX):
            dropped = int(await session.fetchval(sql, before_ms, *limits))
            total += dropped
            if not dropped:
                break
        return total

    return (
        await drop(_DROP_KEYS, RETAIN_IDEMPOTENCY_S, rows)
        + await drop(_DROP_PRODUCERS, PRODUCER_KEEP_S, rows)
        + await drop(_DROP_BODIES, RETAIN_BODIES_S, rows, GARBAGE_BYTES_MAX)
        + await drop(_DROP_STATES, RETAIN_STATES_S, rows, GARBAGE_MESSAGES_MAX)
    )
