"""Row 12: how long does an acknowledgement take at 20,000 messages a second, durable on SQLite?

Open loop: a group of ten messages is due every half millisecond, whether the system keeps up or
not, and its latency counts from when it was due.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench.figures import Figure, Meter
from bench.load import open_loop, quantile
from bench.owner import owner, routed
from bench.traffic import Traffic

RATE_PER_S, GROUP = 20_000, 10

pytestmark = pytest.mark.benchmark(group="acknowledgement at 20,000 messages a second")


@pytest.mark.parametrize("pace", ["at_once", "paced"])
def test_latency(
    meter: Meter, traffic: Traffic, runner: asyncio.Runner, folder: Path, pace: str
) -> None:
    seconds = meter.amount(full=2, quick=1)
    groups = traffic.batches(GROUP, seconds * RATE_PER_S // GROUP)
    rounds: list[list[float]] = []
    with (
        owner(f"sqlite:///{folder}/log.db", paced=pace == "paced") as peer,
        routed(runner, [peer]) as router,
    ):
        timing = meter.time(
            lambda: rounds.append(runner.run(open_loop(router, groups, GROUP / RATE_PER_S)))
        )
    assert all(len(round_) == len(groups) for round_ in rounds)
    counted = rounds[-len(timing.seconds) :]
    suffix = "" if pace == "at_once" else ".paced"
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        values = [quantile(round_, share) * 1000 for round_ in counted]
        meter.note(f"latency.{name}{suffix}", Figure.of(values, "ms"))
    meter.note(f"latency.offered{suffix}", timing.rate(GROUP * len(groups)))
