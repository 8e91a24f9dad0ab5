"""Peer of rows 5 to 8: NATS JetStream through nats-py, one server of Debian.

What it does: one publish for each message, to the subject of its shard (8 of them), recipient in
the subject; a message counts when the server acknowledged it. Row 5: asynchronous publishes, stream
in memory. Rows 6 and 7: the same, stream in files, as many outstanding as our batches hold. Row 8:
`publish` from 1,000 tasks, each awaiting its acknowledgement.

Unfair to us: the stream in files is acknowledged before it is on the disk (this server syncs every
two minutes), so a power cut loses what we would keep. Unfair to it: nats-py is Python and has no
call for many messages; a client in another language would get more out of the same server.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import deque
from importlib import import_module
from itertools import count
from typing import Any

from bench.compare.rounds import Done, on_uvloop, options, serve_async
from bench.traffic import Item, make_traffic


async def publish(told: argparse.Namespace) -> None:
    """Do rounds, each into a stream of its own, so that none grows for ever."""
    nats = import_module("nats")
    connection = await nats.connect(f"nats://127.0.0.1:{told.port}")
    window = told.batch * told.window
    stream = connection.jetstream(publish_async_max_pending=window)
    items, numbers = _addressed(make_traffic().items(told.messages)), count()

    async def run() -> Done:
        name = f"messages{next(numbers)}"
        await stream.add_stream(name=name, subjects=[f"{name}.>"], storage=told.storage)
        if told.batch > 1:
            stored = await _pipelined(stream, name, items, window)
        else:
            stored = await _one_by_one(stream, name, items, told.window)
        await stream.delete_stream(name)
        return {"messages": stored}

    await serve_async(run)
    await connection.close()


def _addressed(items: list[Item]) -> list[Item]:
    return [(f"{at % 8}.{name}", payload) for at, (name, payload) in enumerate(items)]


async def _pipelined(stream: Any, name: str, items: list[Item], window: int) -> int:
    waiting: deque[asyncio.Future[Any]] = deque()
    stored = 0
    for subject, payload in items:
        if len(waiting) >= window:
            stored += (await waiting.popleft()).seq > 0
        waiting.append(await stream.publish_async(f"{name}.{subject}", payload, wait_stall=30))
    while waiting:
        stored += (await waiting.popleft()).seq > 0
    return stored


async def _one_by_one(stream: Any, name: str, items: list[Item], tasks: int) -> int:
    waiting, stored = iter(items), 0

    async def one_after_the_other() -> None:
        nonlocal stored
        for subject, payload in waiting:
            answer = await stream.publish(f"{name}.{subject}", payload, timeout=30)
            stored += answer.seq > 0

    await asyncio.gather(*(one_after_the_other() for _ in range(tasks)))
    return stored


if __name__ == "__main__":
    on_uvloop(publish(options(__doc__)))
