"""Peer of rows 6, 7, 8 and 12: Redis Streams through redis-py with hiredis, appendfsync always.

What it does: one XADD for each message to the stream of its shard (8 of them), recipient and
payload as fields. Rows 6 and 7: pipelines of 1,000 and 100, as many outstanding as our batches, and
("alone") one at a time, as a simple producer does it. Row 8: an XADD from each of 1,000 tasks. Row
12: with --rate, pipelines of 10 in an open loop, a latency counted from when its group was due, as
ours.

Unfair to us: Redis keeps all in memory with a log beside it, and nobody takes messages out.
Unfair to it: redis-py is Python, and most of the time of a pipeline is its; the streams of
the round before are deleted inside the round, which takes milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Iterator
from importlib import import_module
from time import perf_counter
from typing import Any

from bench.compare.rounds import Done, on_uvloop, options, serve_async
from bench.traffic import Item, make_traffic

STREAMS = 8
Adder = Callable[[list[Item]], Awaitable[int]]


async def add(told: argparse.Namespace) -> None:
    """Do rounds over as many connections as there are batches outstanding."""
    redis = import_module("redis.asyncio")
    pool = redis.BlockingConnectionPool(
        host="127.0.0.1", port=told.port, max_connections=min(told.window, 1000), timeout=60
    )
    client = redis.Redis(connection_pool=pool)
    batches = make_traffic().batches(told.batch, told.messages // told.batch)
    add_batch = _pipeline(client) if told.batch > 1 else _single(client)

    async def run() -> Done:
        await client.delete(*(f"messages:{shard}" for shard in range(STREAMS)))
        if told.rate:
            return await _open_loop(add_batch, batches, told.batch / told.rate)
        return {"messages": await _closed_loop(add_batch, batches, told.window)}

    await serve_async(run)
    await client.aclose()
    await pool.disconnect()


def _pipeline(client: Any) -> Adder:
    async def add_batch(batch: list[Item]) -> int:
        pipeline = client.pipeline(transaction=False)
        for at, (name, payload) in enumerate(batch):
            key = f"messages:{at % STREAMS}"
            pipeline.execute_command("XADD", key, "*", "r", name, "p", payload)
        return sum(map(bool, await pipeline.execute()))

    return add_batch


def _single(client: Any) -> Adder:
    async def add_one(batch: list[Item]) -> int:
        [(name, payload)] = batch
        key = f"messages:{ord(name[-1]) % STREAMS}"
        return bool(await client.execute_command("XADD", key, "*", "r", name, "p", payload))

    return add_one


async def _closed_loop(add_batch: Adder, batches: list[list[Item]], window: int) -> int:
    waiting, stored = iter(batches), 0

    async def one_after_the_other() -> None:
        nonlocal stored
        for batch in waiting:
            added = await add_batch(batch)
            stored += added

    await asyncio.gather(*(one_after_the_other() for _ in range(window)))
    return stored


async def _open_loop(add_batch: Adder, batches: list[list[Item]], every_s: float) -> Done:
    latencies: list[float] = []
    stored = 0

    async def send(batch: list[Item], due: float) -> None:
        nonlocal stored
        added = await add_batch(batch)
        stored += added
        latencies.append(perf_counter() - due)

    async with asyncio.TaskGroup() as tasks:
        for due, batch in _due(batches, perf_counter() + 0.01, every_s):
            while perf_counter() < due:  # noqa: ASYNC110 -- timers are too coarse, as for ours
                await asyncio.sleep(0)
            tasks.create_task(send(batch, due))
    return {"messages": stored, "latencies": latencies}


def _due(
    batches: list[list[Item]], start: float, every_s: float
) -> Iterator[tuple[float, list[Item]]]:
    return ((start + at * every_s, batch) for at, batch in enumerate(batches))


if __name__ == "__main__":
    on_uvloop(add(options(__doc__)))
