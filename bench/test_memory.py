"""Row 15: how much memory does each process take, and does it stay that way?

The CoreApp's idle and peak figures come from test_durable.py; here are the other processes of a
cluster under HTTP load, and a CoreApp over many messages, all of them dispatched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.figures import Figure, Meter
from bench.http_load import Plan, post_for_a_while
from bench.load import send_batches
from bench.owner import Owner, owner, routed
from bench.server import Server, server
from bench.traffic import Traffic
from multiconnect.store.open import open_store
from multiconnect.store.port import ControlStore

BATCH, WINDOW = 1000, 16
#: Messages between two looks, and how many may wait at a look.
STEP, BEHIND_MAX = 50_000, 20_000
SHORT, LONG = 500_000, 10_000_000

pytestmark = pytest.mark.benchmark(group="memory")


def memory_mb(pid: int, field: str) -> float:
    """Return VmRSS (now) or VmHWM (at most) of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"no {field} for process {pid}")


def by_role(up: Server) -> Iterator[tuple[str, int]]:
    """Yield role and process of every node."""
    return ((str(node["role"]), int(node["pid"])) for node in up.ready["nodes"])


def test_cluster(meter: Meter, traffic: Traffic, folder: Path) -> None:
    seconds = meter.amount(full=3, quick=1)
    with server(folder) as up:
        idle = {role: memory_mb(pid, "VmRSS") for role, pid in by_role(up)}
        plan = Plan.singles(up.url, up.token, traffic)
        meter.time_once(lambda: post_for_a_while(plan, float(seconds)))
        peak = {role: memory_mb(pid, "VmHWM") for role, pid in by_role(up)}
    for role, before in idle.items():
        meter.note(f"memory.{role}.idle", Figure.of([before], "MB"))
        meter.note(f"memory.{role}.peak", Figure.of([peak[role]], "MB"))


def test_memory_over_many(
    meter: Meter, traffic: Traffic, runner: asyncio.Runner, folder: Path, long: bool
) -> None:
    """Growth from the first tenth to the end; what is needed at most is there by then."""
    count = LONG if long else meter.amount(full=SHORT, quick=SHORT // 5)
    url = f"sqlite:///{folder}/log.db"
    looks: list[float] = []
    with owner(url, paced=False) as one, routed(runner, [one]) as router:
        store = runner.run(open_store(url))
        batches = traffic.batches(BATCH, STEP // BATCH)

        def run() -> None:
            while len(looks) < count // STEP:
                runner.run(send_batches(router, batches, WINDOW))
                runner.run(caught_up(store.control, one, STEP * (len(looks) + 1) - BEHIND_MAX))
                looks.append(memory_mb(one.process.pid, "VmRSS"))

        meter.time_once(run)
        runner.run(store.aclose())
    settled = looks[max(1, len(looks) // 10) :]
    meter.note(f"memory.growth.{count}", Figure.of([max(settled) - settled[0]], "MB"))
    meter.note(f"memory.many.{count}", Figure.of(looks, "MB"))


async def caught_up(control: ControlStore, one: Owner, sent: int) -> None:
    """Wait until an owner says that it has sent so many."""
    async with asyncio.timeout(120):
        while True:
            beat = (await control.beats()).get(one.incarnation)
            if beat is not None and beat.figures.get("sent", 0) >= sent:
                return
            await asyncio.sleep(0.05)
