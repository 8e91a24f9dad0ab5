"""Row 16: does throughput keep when payloads, recipients or the backlog grow? One plot for each.

One owner on SQLite, `send_many` of 1,000, nothing dispatched but what one number takes, so that
acceptance is what is seen. How it changes with the shards stands in test_scaling.py.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pytest

from bench.figures import Meter
from bench.load import checked, send_batches
from bench.owner import owner, routed
from bench.place import place_for_stores
from bench.traffic import Item, Traffic, make_traffic
from multiconnect import Router
from multiconnect.loop import new_event_loop

BATCH, WINDOW, ROUNDS = 1000, 16, 3
#: A tenth of a second of the fastest acceptance; a batch stays below a MiB however large a payload.
ROUND_BYTES = 100_000_000

pytestmark = pytest.mark.benchmark(group="growth")


@pytest.mark.parametrize("payload_bytes", [50, 200, 1000, 4000, 16_000])
def test_payload(meter: Meter, runner: asyncio.Runner, folder: Path, payload_bytes: int) -> None:
    traffic = make_traffic(payload_bytes=payload_bytes)
    size = max(10, min(BATCH, 1_000_000 // payload_bytes))
    messages = min(100_000, meter.amount(ROUND_BYTES, ROUND_BYTES // 4) // payload_bytes)
    batches = traffic.batches(size, messages // size)
    with owner(f"sqlite:///{folder}/log.db", paced=True) as one, routed(runner, [one]) as router:
        timing = meter.time(
            checked(lambda: runner.run(send_batches(router, batches, WINDOW)), size * len(batches)),
            rounds=ROUNDS,
        )
    meter.note(f"growth.payload.{payload_bytes}", timing.rate(size * len(batches)))


@pytest.mark.parametrize("recipients", [1000, 10_000, 100_000, 1_000_000, 10_000_000])
def test_recipients(
    meter: Meter, traffic: Traffic, runner: asyncio.Runner, folder: Path, recipients: int
) -> None:
    batches = list(islice(drawn(traffic, recipients), meter.amount(full=100, quick=30)))
    with owner(f"sqlite:///{folder}/log.db", paced=False) as one, routed(runner, [one]) as router:
        timing = meter.time(
            checked(
                lambda: runner.run(send_batches(router, batches, WINDOW)), BATCH * len(batches)
            ),
            rounds=ROUNDS,
        )
    meter.note(f"growth.recipients.{recipients}", timing.rate(BATCH * len(batches)))


def drawn(traffic: Traffic, recipients: int) -> Iterator[list[Item]]:
    """Yield batches to recipients drawn at random from so many."""
    rng, payloads = random.Random(recipients), traffic.payloads
    while True:
        numbers = (rng.randrange(recipients) for _ in range(BATCH))
        yield [(str(10**11 + n), payloads[n % len(payloads)]) for n in numbers]


@dataclass
class Growing:
    """An owner whose backlog only grows."""

    runner: asyncio.Runner
    router: Router
    pending: int = 0

    def send(self, batches: list[list[Item]]) -> int:
        """Send all; they stay pending."""
        done = self.runner.run(send_batches(self.router, batches, WINDOW))
        self.pending += done
        return done


@pytest.fixture(scope="module")
def growing() -> Iterator[Growing]:
    with (
        place_for_stores() as folder,
        asyncio.Runner(loop_factory=new_event_loop) as runner,
        owner(f"sqlite:///{folder}/log.db", paced=True) as one,
        routed(runner, [one]) as router,
    ):
        found = Growing(runner, router)
        yield found
    assert one.figures["accepted"] == found.pending


@pytest.mark.parametrize("point", [10**3, 10**4, 10**5, 10**6, 10**7])
def test_backlog(meter: Meter, traffic: Traffic, growing: Growing, long: bool, point: int) -> None:
    """Acceptance once so many wait; the rounds come on top."""
    if point > 10**6 and not long:
        pytest.skip("ten million messages take minutes: --long")
    if point > 10**5 and meter.quick:
        pytest.skip("--quick stops at 100,000 messages")
    growing.send(traffic.batches(BATCH, max(0, point - growing.pending) // BATCH))
    batches = traffic.batches(BATCH, 50)
    timing = meter.time(checked(lambda: growing.send(batches), BATCH * 50), rounds=ROUNDS)
    meter.note(f"growth.backlog.{point}", timing.rate(BATCH * 50))
