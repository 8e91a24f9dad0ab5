"""What our figures are compared with: other systems doing the same work, in the same run.

Each peer is one file of bench/compare, whose docstring says what it does and where the comparison
is unfair to either side. A peer that cannot be had on this machine is skipped, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.compare.install import Unavailable, peer_python
from bench.compare.peer import peer
from bench.compare.servers import nats, redis
from bench.figures import Figure, Meter
from bench.http_load import Plan
from bench.load import quantile
from bench.processes import module_server
from bench.test_http import measure
from bench.test_latency import GROUP, RATE_PER_S
from bench.traffic import Traffic

pytestmark = pytest.mark.benchmark(group="peers")
#: They are slow, and need not be known to the percent.
ROUNDS = 3

Server = Callable[[Path], AbstractContextManager[int]]


@dataclass(frozen=True, slots=True)
class Case:
    """A peer in one mode: what its program is told besides the number of messages."""

    figure: str
    program: str
    server: Server | None
    messages: int
    batch: int = 1
    window: int = 1
    storage: str = "file"
    lock: str = "compare"

    def arguments(self, messages: int, port: int) -> list[str]:
        """Return its command line."""
        numbers = {"port": port, "messages": messages, "batch": self.batch, "window": self.window}
        told = [part for name, value in numbers.items() for part in (f"--{name}", str(value))]
        return [*told, "--storage", self.storage]


CASES = (
    Case("librdkafka", "librdkafka_mock", None, 512_000, batch=1024, window=8),
    Case("zeromq", "zeromq", None, 300_000),
    Case("jetstream.async", "jetstream", nats, 20_000, batch=1000, storage="memory"),
    Case("jetstream.file", "jetstream", nats, 20_000, batch=1000, window=16),
    Case("jetstream.tasks", "jetstream", nats, 20_000, window=1000),
    Case("redis.pipeline_1000", "redis_streams", redis, 80_000, batch=1000, window=16),
    Case("redis.pipeline_1000.alone", "redis_streams", redis, 40_000, batch=1000),
    Case("redis.pipeline_100", "redis_streams", redis, 80_000, batch=100, window=32),
    Case("redis.pipeline_100.alone", "redis_streams", redis, 40_000, batch=100),
    Case("redis.tasks", "redis_streams", redis, 20_000, window=1000),
    Case("celery", "celery_tasks", redis, 1000),
    Case("arq", "arq_jobs", redis, 1000, window=100, lock="compare-arq"),
    Case("saq", "saq_jobs", redis, 1000, window=100),
)


@contextmanager
def or_skipped() -> Iterator[None]:
    """Skip the benchmark of a peer that cannot be had."""
    try:
        yield
    except Unavailable as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.figure)
def test_peer(meter: Meter, folder: Path, case: Case) -> None:
    quick = max(case.batch * case.window, case.messages // 4)
    messages = meter.amount(full=case.messages, quick=min(quick, case.messages))
    messages -= messages % case.batch
    with (
        or_skipped(),
        case.server(folder) if case.server else nullcontext(0) as port,
        peer(case.program, *case.arguments(messages, port), python=peer_python(case.lock)) as other,
    ):

        def run() -> None:
            done = other.round()["messages"]
            assert done >= messages, f"{done} of {messages} messages"

        timing = meter.time(run, rounds=ROUNDS)
    meter.note(f"peer.{case.figure}", timing.rate(messages))


def test_redis_latency(meter: Meter, folder: Path) -> None:
    """Row 12's reference: the same groups at the same rate."""
    messages = meter.amount(full=2, quick=1) * RATE_PER_S
    told = ["--messages", str(messages), "--batch", str(GROUP), "--rate", str(RATE_PER_S)]
    rounds: list[list[float]] = []
    with (
        or_skipped(),
        redis(folder) as port,
        peer(
            *("redis_streams", "--port", str(port), "--window", "100", *told),
            python=peer_python("compare"),
        ) as other,
    ):
        timing = meter.time(lambda: rounds.append(other.round()["latencies"]))
    counted = rounds[-len(timing.seconds) :]
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        values = [quantile(one, share) * 1000 for one in counted]
        meter.note(f"peer.redis.latency.{name}", Figure.of(values, "ms"))
    meter.note("peer.redis.latency.offered", timing.rate(messages))


def test_fastapi(meter: Meter, traffic: Traffic) -> None:
    """The reference of rows 10 and 11."""
    count = meter.amount(full=10_000, quick=4000)
    with or_skipped():
        python = peer_python("compare")
    with module_server("bench.compare.fastapi_singles", python) as url:
        timing = measure(meter, Plan.singles(url, "nobody", traffic), count)
    meter.note("peer.fastapi", timing.rate(count, "req/s"))
