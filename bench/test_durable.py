"""Rows 6, 7, 8 and 15: how many messages a second does one owner make durable on SQLite?

Every acknowledgement follows a COMMIT with synchronous=FULL, on the disk that holds the checkout.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench.figures import Figure, Meter
from bench.load import checked, send_batches, send_singles
from bench.owner import Owner, owner, routed
from bench.sqlite_rows import SqliteRows, rows_of
from bench.traffic import Item, Traffic

TASKS = 1000

pytestmark = pytest.mark.benchmark(group="durable on SQLite")
paces = pytest.mark.parametrize("pace", ["paced", "at_once"])


def test_sqlite_rows(meter: Meter, traffic: Traffic, folder: Path) -> None:
    """The reference of row 6."""
    batches = rows_of(traffic.batches(1000, meter.amount(full=300, quick=100)))
    rows = SqliteRows(folder / "rows.db")
    timing = meter.time(checked(lambda: rows.store(batches), 1000 * len(batches)))
    rows.close()
    meter.note("sqlite.rows_1000", timing.rate(1000 * len(batches)))


@paces
@pytest.mark.parametrize(("size", "window"), [(1000, 16), (100, 32)])
def test_send_many(
    meter: Meter,
    traffic: Traffic,
    runner: asyncio.Runner,
    folder: Path,
    pace: str,
    size: int,
    window: int,
) -> None:
    messages = meter.amount(full=300_000, quick=100_000) // (1 if pace == "paced" else 5)
    batches = traffic.batches(size, messages // size)
    peer = measure(meter, runner, folder, batches, window, f"durable.many_{size}.{pace}")
    if size == 1000 and pace == "paced":
        meter.note("memory.idle", Figure.of([peer.memory_mb], "MB"))
        meter.note("memory.full_rate", Figure.of([peer.figures["memory_peak_mb"]], "MB"))


def measure(
    meter: Meter,
    runner: asyncio.Runner,
    folder: Path,
    batches: list[list[Item]],
    window: int,
    name: str,
) -> Owner:
    messages = sum(map(len, batches))
    paced = not name.endswith("at_once")
    with owner(f"sqlite:///{folder}/log.db", paced=paced) as peer, routed(runner, [peer]) as router:
        timing = meter.time(
            checked(lambda: runner.run(send_batches(router, batches, window)), messages)
        )
    assert peer.figures["accepted"] == messages * (len(timing.seconds) + 1)
    meter.note(name, timing.rate(messages))
    return peer


@paces
def test_send(
    meter: Meter, traffic: Traffic, runner: asyncio.Runner, folder: Path, pace: str
) -> None:
    count = meter.amount(full=60_000, quick=20_000)
    items = traffic.items(count)
    url = f"sqlite:///{folder}/log.db"
    with owner(url, paced=pace == "paced") as peer, routed(runner, [peer]) as router:
        timing = meter.time(checked(lambda: runner.run(send_singles(router, items, TASKS)), count))
    assert peer.figures["accepted"] == count * (len(timing.seconds) + 1)
    meter.note(f"durable.single.{pace}", timing.rate(count))
