"""Peer of row 13: SAQ over Redis, a job per message from `enqueue` to its stored result.

What it does: 100 tasks of one producer queue jobs with recipient and payload; a worker with room
for 100 jobs runs them and stores each result, on Redis with appendfsync always. A message counts
when its job is no longer incomplete, which happens with the storing of its result.

Unfair to us: SAQ keeps no order per recipient. Unfair to it: nothing we know of.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
from importlib import import_module
from typing import Any

from bench.compare.jobs import ASK_EVERY_S, WAIT_MAX_S, worker
from bench.compare.rounds import Done, on_uvloop, options, serve_async
from bench.traffic import make_traffic


async def deliver(context: dict[str, object], *, recipient: str, payload: str) -> bool:
    """Do what the null upstream does."""
    return bool(recipient and payload)


def queue_of(told: argparse.Namespace) -> Any:
    """Return the queue that producer and worker share."""
    redis = import_module("redis.asyncio").Redis(port=told.port)
    return import_module("saq.queue.redis").RedisQueue(redis, max_concurrent_ops=told.window)


async def produce(told: argparse.Namespace) -> None:
    """Queue jobs and wait until none is incomplete."""
    queue = queue_of(told)
    items = [(name, payload.decode()) for name, payload in make_traffic().items(told.messages)]

    async def run() -> Done:
        await queue.redis.flushdb()
        waiting = iter(items)

        async def one_after_the_other() -> None:
            for name, payload in waiting:
                await queue.enqueue("deliver", recipient=name, payload=payload)

        await asyncio.gather(*(one_after_the_other() for _ in range(told.window)))
        async with asyncio.timeout(WAIT_MAX_S):
            while await queue.count("incomplete"):  # noqa: ASYNC110 -- SAQ tells nobody
                await asyncio.sleep(ASK_EVERY_S)
        return {"messages": sum([1 async for _ in queue.redis.scan_iter("saq:job:*", count=5000)])}

    await serve_async(run)
    await queue.disconnect()


async def work(told: argparse.Namespace) -> None:
    """Run jobs until the process is told to end."""
    saq = import_module("saq")
    # When the bench ends it, workers wait for jobs that will not come, and it warns of them.
    logging.getLogger("saq").setLevel(logging.ERROR)
    await saq.Worker(queue_of(told), functions=[deliver], concurrency=told.window).start()


def main() -> None:
    """Queue jobs, or with --worker run them."""
    told = options(__doc__)
    if told.worker:
        on_uvloop(work(told))
        return
    with worker("saq_jobs", told):
        on_uvloop(produce(told))


if __name__ == "__main__":
    main()
