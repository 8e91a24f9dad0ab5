"""Peer of row 9: asyncpg, COPY of one row per message, one connection, one commit per batch.

What it does: what a Python user would write who knows COPY to be the quickest way in: batches of
1,000 into a table with a primary key and an index by slot, synchronous_commit=on.

Unfair to us: nothing is hashed, sent to another process, numbered or dispatched. Unfair to it: one
connection has one batch outstanding, where we have 16 (PostgreSQL copies one at a time anyway).
"""

from __future__ import annotations

import argparse
import asyncio
from importlib import import_module

from bench.compare.rounds import Done, options, serve_async
from bench.traffic import make_traffic

COLUMNS = ("slot", "recipient", "payload")
TABLE = """
DROP TABLE IF EXISTS message;
CREATE TABLE message (id bigserial PRIMARY KEY, slot int NOT NULL, state int NOT NULL DEFAULT 0,
    recipient text NOT NULL, payload bytea NOT NULL);
CREATE INDEX ON message (slot, id)
"""


async def copy(told: argparse.Namespace) -> None:
    """Do rounds into the same table."""
    connection = await import_module("asyncpg").connect(told.url)
    await connection.execute(TABLE)
    batches = [
        [(at % 32, *item) for at, item in enumerate(batch)]
        for batch in make_traffic().batches(told.batch, told.messages // told.batch)
    ]

    async def run() -> Done:
        stored = 0
        for rows in batches:
            said = await connection.copy_records_to_table("message", records=rows, columns=COLUMNS)
            stored += int(said.rpartition(" ")[2])
        return {"messages": stored}

    await serve_async(run)
    await connection.close()


if __name__ == "__main__":
    asyncio.run(copy(options(__doc__)))
