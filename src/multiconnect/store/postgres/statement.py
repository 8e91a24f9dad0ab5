"""The one statement of a group commit: the fence, and a part for each table that gets rows.

Keeps invariant 2. Under READ COMMITTED neither a SELECT before the write nor a condition inside it
stops a zombie: both believe a snapshot that a grant may have outdated by the time the write
commits. FOR SHARE locks the row that was read, so a grant waits until this commit is done; and when
a grant was faster, it looks at the row again. FOR KEY SHARE would not do: an UPDATE of the epoch
does not wait for it. One autocommit statement, so that a client that freezes holds nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

#: Locks the slots that may be written, in one order for everybody; the others are left out.
FENCE: Final = """
fence AS MATERIALIZED (
    SELECT slot.slot FROM slot JOIN unnest({0}::smallint[], {1}::bigint[], {2}::bigint[])
        AS planned (slot, epoch, opened) ON planned.slot = slot.slot
    WHERE slot.epoch = planned.epoch AND slot.owner = {3}
        AND slot.opened = coalesce(planned.opened, nullif(slot.opened, 0))
    ORDER BY slot.slot FOR SHARE OF slot
)"""


@dataclass(frozen=True, slots=True)
class _Part:
    """How the rows of one table are written; `sql` has a place for each column's array."""

    types: tuple[str, ...]
    sql: str


def _insert(table: str, columns: dict[str, str], conflict: str, of_slot: str) -> _Part:
    names = ", ".join(columns)
    sql = (
        f"INSERT INTO {table} ({names}) SELECT {names} FROM unnest({{arrays}}) AS new ({names})"
        f" WHERE {of_slot} IN (SELECT slot FROM fence) {conflict}"
    )
    return _Part(tuple(columns.values()), sql)


def _replace(*keys: str, **columns: str) -> str:
    updates = ", ".join(f"{column} = {value}" for column, value in columns.items())
    return f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {updates}"


def _newest(*columns: str) -> dict[str, str]:
    return {column: f"excluded.{column}" for column in columns}


_SLOT_OF_LANE: Final = "new.lane & 31"
_LANE: Final = {"lane": "smallint"}
_MESSAGE: Final = {**_LANE, "sequence": "bigint"}

_PARTS: Final = {
    "position": _Part(
        ("smallint", "bigint", "bigint", "bigint", "bigint"),
        "UPDATE position SET next_seq = coalesce(new.next_seq, position.next_seq),"
        " watermark = greatest(position.watermark, new.watermark),"
        " settled_below = greatest(position.settled_below, new.settled_below)"
        " FROM unnest({arrays}) AS new (lane, first_seq, next_seq, watermark, settled_below)"
        " WHERE position.lane = new.lane AND new.lane & 31 IN (SELECT slot FROM fence)"
        " AND position.next_seq = coalesce(new.first_seq, position.next_seq)"
        " RETURNING position.lane",
    ),
    "batch": _insert(
        "batch",
        {**_LANE, "base_seq": "bigint", "count": "integer", "accepted_at_ms": "bigint",
         "body": "bytea"},
        "",
        _SLOT_OF_LANE,
    ),
    "producer": _insert(
        "producer",
        {**_LANE, "producer": "bigint", "at_ms": "bigint", "answers": "bytea"},
        _replace("lane", "producer", **_newest("at_ms", "answers")),
        _SLOT_OF_LANE,
    ),
    "key": _insert(
        "key",
        {"slot": "smallint", "key": "bytea", "sequence": "bigint", "body_hash": "bytea",
         "at_ms": "bigint"},
        _replace("slot", "key", **_newest("sequence", "body_hash", "at_ms")),
        "new.slot",
    ),
    "progress": _insert(
        "progress",
        {**_LANE, "base_seq": "bigint", "settled": "smallint", "at_ms": "bigint",
         "states": "bytea"},
        # Settled stays settled, and a body that is gone stays gone.
        _replace("lane", "base_seq", settled="greatest(progress.settled, excluded.settled)",
                 **_newest("at_ms", "states")),
        _SLOT_OF_LANE,
    ),
    "retry": _insert(
        "retry",
        {**_MESSAGE, "attempts": "integer", "due_at_ms": "bigint", "code": "bigint",
         "reason": "text"},
        _replace("lane", "sequence", **_newest("attempts", "due_at_ms", "code", "reason")),
        _SLOT_OF_LANE,
    ),
    "retry_done": _Part(
        tuple(_MESSAGE.values()),
        "DELETE FROM retry USING unnest({arrays}) AS new (lane, sequence)"
        " WHERE retry.lane = new.lane AND retry.sequence = new.sequence"
        " AND new.lane & 31 IN (SELECT slot FROM fence)",
    ),
    "failure": _insert(
        "failure",
        {**_MESSAGE, "attempts": "integer", "at_ms": "bigint", "code": "bigint",
         "reason": "text"},
        _replace("lane", "sequence", **_newest("attempts", "at_ms", "code", "reason")),
        _SLOT_OF_LANE,
    ),
    "upstream_id": _insert(
        "upstream_id",
        {**_MESSAGE, "upstream_id": "text"},
        _replace("lane", "sequence", **_newest("upstream_id")),
        _SLOT_OF_LANE,
    ),
}  # fmt: skip

#: Returns the slots written; raises, so that nothing is stored, if a lane was not continued.
_ANSWER: Final = """
SELECT CASE WHEN {moved} = (
    SELECT count(*) FROM unnest({lanes}) AS planned (lane)
    WHERE planned.lane & 31 IN (SELECT slot FROM fence)
) THEN (SELECT array_agg(slot) FROM fence) ELSE ARRAY[refuse_gap()] END"""
_ANSWER_WITHOUT_LANES: Final = "SELECT array_agg(slot) FROM fence"
_FENCE_PARAMETERS: Final = 4


@cache
def group_statement(tables: tuple[str, ...], fence: str = FENCE) -> str:
    """Return the statement for rows of these tables.

    Its parameters: slots, epochs, counts of opening and the owner; then the columns of each table.
    """
    ctes = [fence.format(*(f"${n}" for n in range(1, _FENCE_PARAMETERS + 1)))]
    answer = _ANSWER_WITHOUT_LANES
    place = _FENCE_PARAMETERS + 1
    for table in tables:
        part = _PARTS[table]
        arrays = [f"${place + n}::{kind}[]" for n, kind in enumerate(part.types)]
        ctes.append(f"new_{table} AS ({part.sql.format(arrays=', '.join(arrays))})")
        if table == "position":
            answer = _ANSWER.format(moved="(SELECT count(*) FROM new_position)", lanes=arrays[0])
        place += len(arrays)
    return f"WITH {','.join(ctes)}\n{answer}"


def columns_of(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    """Return rows as one list for each column."""
    return [list(column) for column in zip(*rows, strict=True)]
