"""Row 9: how many messages a second does one owner make durable on PostgreSQL?

A server of our own on loopback, with fsync and synchronous_commit on. The reference is asyncpg's
COPY of one row per message into the same server (compare/asyncpg_copy.py).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.compare.peer import peer
from bench.environment import file_system_of
from bench.figures import Meter
from bench.load import checked, send_batches
from bench.owner import owner, routed
from bench.traffic import Traffic
from tools import services

if TYPE_CHECKING:
    from tests.support.postgres import PostgresServer

BATCH, WINDOW = 1000, 16
#: What durability takes, and room for its pages: tests run without the first.
SETTINGS = {"fsync": "on", "synchronous_commit": "on", "shared_buffers": "512MB"}

pytestmark = pytest.mark.benchmark(group="durable on PostgreSQL")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    programs = services.postgres_bin()
    if programs is None or find_spec("asyncpg") is None:
        pytest.skip(f"no PostgreSQL: {services.PG_REMEDY}")
    from tests.support.postgres import PostgresServer

    made = PostgresServer(programs)
    made.settings |= SETTINGS
    try:
        if file_system_of(made.folder) == "tmpfs":
            pytest.skip(f"{made.folder} is in memory, where a sync takes no time")
        made.make()
        made.start()
        yield made
    finally:
        made.discard()


def test_asyncpg_copy(meter: Meter, server: PostgresServer) -> None:
    """The reference."""
    messages = meter.amount(full=100_000, quick=30_000)
    told = ["--messages", str(messages), "--batch", str(BATCH)]
    url = server.url("public").partition("?")[0]
    with peer("asyncpg_copy", "--url", url, *told, python=Path(sys.executable)) as other:
        timing = meter.time(checked(lambda: int(other.round()["messages"]), messages))
    meter.note("peer.asyncpg_copy", timing.rate(messages))


@pytest.mark.parametrize("pace", ["paced", "at_once"])
def test_send_many(
    meter: Meter, traffic: Traffic, runner: asyncio.Runner, server: PostgresServer, pace: str
) -> None:
    messages = meter.amount(full=200_000, quick=50_000) // (1 if pace == "paced" else 5)
    batches = traffic.batches(BATCH, messages // BATCH)
    with owner(server.url(), paced=pace == "paced") as one, routed(runner, [one]) as router:
        timing = meter.time(
            checked(lambda: runner.run(send_batches(router, batches, WINDOW)), messages)
        )
    assert one.figures["accepted"] == messages * (len(timing.seconds) + 1)
    meter.note(f"postgres.many_1000.{pace}", timing.rate(messages))
