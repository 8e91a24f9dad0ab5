"""Owners in processes of their own, and a router in this one that knows them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from multiconnect import Router
from multiconnect.model.cluster import Move, Node, NodeState, Role
from multiconnect.store.open import open_store
from multiconnect.store.port import Store

ROOT = Path(__file__).resolve().parent.parent
#: What the fastest WhatsApp number takes; with it an owner accepts much and sends little.
NUMBER_RATE_PER_S = 1000.0
START_MAX_S = 30.0


@dataclass
class Owner:
    """A running owner; `figures` is filled when it ends."""

    process: subprocess.Popen[str]
    incarnation: str
    address: str
    memory_mb: float
    figures: dict[str, Any] = field(default_factory=dict)


@contextmanager
def owner(
    store_url: str = "memory://", *, paced: bool, spare: bool = False, numbers: float = 1.0
) -> Iterator[Owner]:
    """Run an owner with the null upstream, which takes everything at once unless `paced`.

    `numbers` is how many WhatsApp numbers' worth it is paced for. A spare owns nothing until it is
    given something. An owner may be killed before its time: then it has no figures.
    """
    with TemporaryDirectory(prefix="mc-bench-") as sockets:
        command = [
            *(sys.executable, "-m", "bench.owner_main"),
            *("--store", store_url, "--socket", f"{sockets}/owner"),
            *(("--number-rate", str(NUMBER_RATE_PER_S * numbers)) if paced else ()),
            *(("--spare",) if spare else ()),
        ]
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            started = _line(process)
            running = Owner(process, **started)
            yield running
            assert process.stdin is not None
            process.stdin.close()
            if process.poll() is None:
                running.figures = _line(process)
                process.wait(START_MAX_S)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def _line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"the owner ended with exit code {process.wait(START_MAX_S)}")
    return dict(json.loads(line))


@contextmanager
def owners(count: int, *, paced: bool) -> Iterator[list[Owner]]:
    """Run several owners, each with a memory store of its own; they share one number's rate.

    (In a cluster an owner takes its share by its slots. Here each believes that it has all.)
    """
    with ExitStack() as stack:
        yield [stack.enter_context(owner(paced=paced, numbers=1 / count)) for _ in range(count)]


@contextmanager
def routed(runner: asyncio.Runner, to: Sequence[Owner], *, shards: int = 8) -> Iterator[Router]:
    """Start a router whose map gives shard s to `to[s % len(to)]`; close it afterwards."""
    store = runner.run(_map_of(to, shards))
    router = Router(store, events=False)
    runner.run(router.start())
    try:
        yield router
    finally:
        runner.run(router.aclose())


async def _map_of(to: Sequence[Owner], shards: int) -> Store:
    """Return a memory store that knows these owners: a map that nothing ever changes."""
    store = await open_store("memory://")
    control = store.control
    for one in to:
        await control.join(
            Node(
                one.incarnation,
                one.incarnation,
                Role.COREAPP,
                "",
                0,
                one.address,
                0,
                NodeState.JOINING,
            )
        )
        await control.set_node_state(one.incarnation, NodeState.READY, "")
    snapshot = await control.snapshot()
    term = await control.take_term(to[0].incarnation, snapshot.cluster.term)
    moves = [
        Move(row.slot, row.epoch, None, to[row.slot % shards % len(to)].incarnation)
        for row in snapshot.slots
    ]
    if term is None or not await control.assign(moves, term, "benchmark", shards=shards):
        raise RuntimeError("the memory store refused the map")
    return store
