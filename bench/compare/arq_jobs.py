"""Peer of row 13: arq over Redis, a job per message from `enqueue_job` to its stored result.

What it does: 100 tasks of one producer queue jobs with recipient and payload; a worker with room
for 100 jobs runs them and stores each result, on Redis with appendfsync always. A message counts
when its job has left the queue, which happens with the storing of its result.

Unfair to us: arq keeps no order per recipient. Unfair to it: it asks for new jobs on a timer, which
is set to 5 ms instead of half a second.
"""

from __future__ import annotations

import argparse
import asyncio
from importlib import import_module

from bench.compare.jobs import ASK_EVERY_S, WAIT_MAX_S, worker
from bench.compare.rounds import Done, on_uvloop, options, serve_async
from bench.traffic import make_traffic

QUEUE = "arq:queue"


async def deliver(context: dict[str, object], recipient: str, payload: bytes) -> bool:
    """Do what the null upstream does."""
    return bool(recipient and payload)


async def queue(told: argparse.Namespace) -> None:
    """Queue jobs and wait until none is left."""
    arq = import_module("arq")
    settings = arq.connections.RedisSettings(
        "127.0.0.1", told.port, max_connections=told.window + 1
    )
    pool = await arq.create_pool(settings)
    items = make_traffic().items(told.messages)

    async def run() -> Done:
        await pool.flushdb()
        waiting = iter(items)

        async def one_after_the_other() -> None:
            for name, payload in waiting:
                await pool.enqueue_job("deliver", name, payload)

        await asyncio.gather(*(one_after_the_other() for _ in range(told.window)))
        async with asyncio.timeout(WAIT_MAX_S):
            while await pool.zcard(QUEUE):  # noqa: ASYNC110 -- arq tells nobody
                await asyncio.sleep(ASK_EVERY_S)
        return {"messages": sum([1 async for _ in pool.scan_iter("arq:result:*", count=5000)])}

    await serve_async(run)
    await pool.aclose()


def main() -> None:
    """Queue jobs, or with --worker run them."""
    told = options(__doc__)
    if not told.worker:
        with worker("arq_jobs", told):
            on_uvloop(queue(told))
        return
    arq = import_module("arq")
    import_module("uvloop").install()
    arq.worker.Worker(
        functions=[deliver],
        redis_settings=arq.connections.RedisSettings("127.0.0.1", told.port),
        max_jobs=told.window,
        poll_delay=0.005,
    ).run()


if __name__ == "__main__":
    main()
