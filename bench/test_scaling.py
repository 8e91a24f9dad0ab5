"""Plots: how does throughput change with the size of a `send_many`, and with the shards?

Each shard has an owner in a process of its own, as in a cluster; on few cores they share them.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench.figures import Meter
from bench.load import checked, send_batches
from bench.owner import owner, owners, routed
from bench.traffic import Traffic

WINDOW = 16
ROUNDS = 3
#: About as many messages in flight whatever the size of a batch.
IN_FLIGHT = 16_384

pytestmark = pytest.mark.benchmark(group="scaling")


@pytest.mark.parametrize("store", ["memory", "sqlite"])
@pytest.mark.parametrize("size", [1, 16, 128, 1024, 8192])
def test_batch_size(
    meter: Meter, traffic: Traffic, runner: asyncio.Runner, folder: Path, size: int, store: str
) -> None:
    messages = min(meter.amount(full=300_000, quick=60_000), 20_000 * size)
    batches = traffic.batches(size, -(-messages // size))
    window = max(2, min(1000, IN_FLIGHT // size))
    url = "memory://" if store == "memory" else f"sqlite:///{folder}/log.db"
    with owner(url, paced=True) as peer, routed(runner, [peer]) as router:
        timing = meter.time(
            checked(lambda: runner.run(send_batches(router, batches, window)), size * len(batches)),
            rounds=ROUNDS,
        )
    meter.note(f"scaling.batch.{store}.{size}", timing.rate(size * len(batches)))


@pytest.mark.parametrize("shards", [1, 2, 4, 8, 16, 32])
def test_shards(
    meter: Meter, traffic: Traffic, runner: asyncio.Runner, quick: bool, shards: int
) -> None:
    if quick and shards > 4:
        pytest.skip("--quick starts at most four owners")
    batches = traffic.batches(1024, meter.amount(full=256, quick=64))
    with owners(shards, paced=True) as peers, routed(runner, peers, shards=shards) as router:
        timing = meter.time(
            checked(lambda: runner.run(send_batches(router, batches, WINDOW)), 1024 * len(batches)),
            rounds=ROUNDS,
        )
    meter.note(f"scaling.shards.{shards}", timing.rate(1024 * len(batches)))
