"""Rows 10 and 11: how many messages a second does one Web process take over HTTP?

A real `multiconnect up`: login and durability on, one Web, one CoreApp on SQLite.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from bench.figures import Meter, Timing
from bench.http_load import Plan, client
from bench.load import checked
from bench.processes import module_server
from bench.server import server
from bench.traffic import Traffic

BATCH = 1000

pytestmark = pytest.mark.benchmark(group="HTTP to one Web process")


def measure(meter: Meter, plan: Plan, count: int) -> Timing:
    """Time rounds of `count` requests."""
    with client(plan) as post:
        return meter.time(checked(lambda: post(count), count * plan.messages))


def test_raw_asgi(meter: Meter, traffic: Traffic) -> None:
    """The reference of row 10."""
    if find_spec("uvicorn") is None:
        pytest.skip("uvicorn is not installed: row 10 has no ratio without it")
    count = meter.amount(full=40_000, quick=10_000)
    with module_server("bench.raw_asgi") as url:
        timing = measure(meter, Plan.singles(url, "nobody", traffic), count)
    meter.note("http.raw_asgi", timing.rate(count, "req/s"))


def test_single(meter: Meter, traffic: Traffic, folder: Path) -> None:
    count = meter.amount(full=40_000, quick=10_000)
    with server(folder) as up:
        timing = measure(meter, Plan.singles(up.url, up.token, traffic), count)
    meter.note("http.single", timing.rate(count, "req/s"))


def test_batch(meter: Meter, traffic: Traffic, folder: Path) -> None:
    count = meter.amount(full=300, quick=60)
    with server(folder) as up:
        timing = measure(meter, Plan.batches(up.url, up.token, traffic, BATCH), count)
    meter.note("http.batch", timing.rate(count * BATCH))
