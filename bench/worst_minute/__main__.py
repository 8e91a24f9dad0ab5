"""`python -m bench.worst_minute --cycles N`: kill, freeze and resize under load, and count.

    --cycles N        cycles of each kind of death (default 20); resizes: N/20 walks
    --store sqlite    or the URL of another store
    --only kill,stop  some of: kill, stop, master, masters-down, resize, steal
    --json FILE       where the figures go (default bench/results/worst_minute.json)
    --write-docs      puts the kept figures into docs/faults.md, runs nothing

Needs a quiet machine: what somebody else's program takes is part of every figure.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from bench.environment import environment
from bench.worst_minute.cycles import (
    Samples,
    master_cycles,
    masters_down,
    owner_cycles,
    resize_cycles,
    under_steal,
)
from bench.worst_minute.ground import Ground, ground
from bench.worst_minute.rows import Totals, rows_of, table, write_docs
from multiconnect.loop import new_event_loop

RESULT = Path(__file__).resolve().parents[1] / "results" / "worst_minute.json"
KINDS = ("kill", "stop", "master", "masters-down", "resize", "steal")
SHARDS, SPARES, MASTERS = 2, 3, 2


def main(arguments: list[str]) -> int:
    """Do what the command line says."""
    options = _options(arguments)
    if options.write_docs:
        print(write_docs(json.loads(RESULT.read_text("utf-8"))))
        return 0
    where = environment(quick=options.cycles < 200)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        samples, totals = runner.run(_all(options))
    result = {
        "command": shlex.join([".venv/bin/python", "-m", "bench.worst_minute", *arguments]),
        "environment": where,
        "store": options.store.partition(":")[0],
        "rows": rows_of(samples),
        "totals": totals.as_json(),
        "messages_per_s": round(32_000 / options.period_ms),
        "calm_cpu": totals.calm,
    }
    options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(table(result))
    return 0 if totals.clean else 1


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.worst_minute", description=__doc__)
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--store", default="sqlite")
    parser.add_argument("--only", default=",".join(KINDS), metavar="KIND,…")
    parser.add_argument("--json", type=Path, default=RESULT)
    parser.add_argument("--period-ms", type=float, default=10.0, help="per slot")
    parser.add_argument("--resize-to", type=int, default=4)
    parser.add_argument("--masters-down-s", type=float, default=10.0)
    parser.add_argument("--steal-s", type=float, default=30.0)
    parser.add_argument("--write-docs", action="store_true")
    options = parser.parse_args(arguments)
    options.only = options.only.split(",")
    if unknown := set(options.only) - set(KINDS):
        parser.error(f"--only knows {', '.join(KINDS)}, not {', '.join(unknown)}")
    return options


async def _all(options: argparse.Namespace) -> tuple[dict[str, Samples], Totals]:
    samples: dict[str, Samples] = {}
    totals = Totals()
    with tempfile.TemporaryDirectory(prefix="mc-worst-") as folder:
        for kind in options.only:
            print(f"{kind} …", file=sys.stderr, flush=True)
            samples[kind] = await _one(kind, options, Path(folder) / kind, totals)
    return samples, totals


async def _one(kind: str, options: argparse.Namespace, folder: Path, totals: Totals) -> Samples:
    """Run one kind of fault on a cluster of its own, and judge all of its traffic."""
    resizing = kind == "resize"
    shards = 1 if resizing else SHARDS
    spares = options.resize_to - 1 if resizing else SPARES
    on = ground(
        folder, shards=shards, spares=spares, period_s=options.period_ms / 1000,
        store=options.store,
    )  # fmt: skip
    async with on as here:
        await here.until_whole(shards, shards + spares)
        await asyncio.sleep(1)
        totals.calm[kind] = await here.cpu(2.0)
        samples = await _cycles(kind, here, options)
        verdict = await here.verdict()
        totals.add(kind, options.cycles, here.talk, verdict)
    return samples


def _cycles(kind: str, here: Ground, options: argparse.Namespace) -> Coroutine[Any, Any, Samples]:
    ready = SHARDS + SPARES
    runs: dict[str, Callable[[], Coroutine[Any, Any, Samples]]] = {
        "kill": lambda: owner_cycles(
            here, options.cycles, signal.SIGKILL, "gap", shards=SHARDS, ready=ready
        ),
        "stop": lambda: owner_cycles(
            here, options.cycles, signal.SIGSTOP, "gap", shards=SHARDS, ready=ready
        ),
        "master": lambda: master_cycles(here, options.cycles, masters=MASTERS),
        "masters-down": lambda: masters_down(here, options.masters_down_s, masters=MASTERS),
        "resize": lambda: resize_cycles(
            here, max(1, options.cycles // 20), _walk(options.resize_to), ready=options.resize_to
        ),
        "steal": lambda: under_steal(here, options.steal_s, _busy),
    }
    return runs[kind]()


def _walk(highest: int) -> list[int]:
    """Return the counts of a walk from 1 to `highest` and back."""
    up = [n for n in (2, 4, 8, 16, 32) if n <= highest]
    return [*up, *up[-2::-1], 1]


async def _busy() -> None:
    """Keep every core busy until cancelled."""
    command = (sys.executable, "-c", "while True: pass")
    cores = range(os.cpu_count() or 1)
    thieves = [await asyncio.create_subprocess_exec(*command) for _ in cores]
    try:
        await asyncio.Event().wait()
    finally:
        for thief in thieves:
            thief.kill()
            await thief.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
