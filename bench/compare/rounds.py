"""What a peer's program and the bench say to each other: one line per round, either way.

A peer runs in a process of its own, in the environment that has its packages, and does one round
each time it is told. The bench holds the clock; reading and writing a line costs microseconds.
This file runs in that environment too: nothing of the product may be imported here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

#: What a round did: {"messages": acknowledged, …}.
Done = dict[str, Any]


def options(about: str | None) -> argparse.Namespace:
    """Read what every peer is told; each looks at what concerns it."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--port", type=int, default=0, help="of its server")
    parser.add_argument("--messages", type=int, default=0, help="in a round")
    parser.add_argument("--batch", type=int, default=1, help="messages handed over at once")
    parser.add_argument("--window", type=int, default=1, help="batches, or tasks, outstanding")
    parser.add_argument("--storage", choices=("file", "memory"), default="file")
    parser.add_argument("--rate", type=int, default=0, help="messages a second, for an open loop")
    parser.add_argument("--url", default="", help="of its database")
    parser.add_argument("--worker", action="store_true", help="be the process that takes jobs")
    return parser.parse_args()


def serve(run: Callable[[], Done]) -> None:
    """Say that we are ready, then do a round for every line of input until it ends."""
    _say({"ready": True})
    for _ in sys.stdin:
        _say(run())


async def serve_async(run: Callable[[], Awaitable[Done]]) -> None:
    """The same on a running event loop, which stays alive between the rounds."""
    _say({"ready": True})
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        _say(await run())


def on_uvloop(main: Awaitable[None]) -> None:
    """Run a peer on the event loop of our processes."""
    with asyncio.Runner(loop_factory=import_module("uvloop").new_event_loop) as runner:
        runner.run(_awaited(main))


async def _awaited(main: Awaitable[None]) -> None:
    await main


def _say(facts: Done) -> None:
    print(json.dumps(facts), flush=True)
