"""The table of targets, as data: which figure a row wants, how good, and compared with what.

The bar of a row is its ratio to references measured in the same run: it is met when it reaches the
least ratio of every reference that was measured. Where none was, or none has a bar, the absolute
target decides. One row of the issue may stand here several times, for several situations.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reference:
    """A figure to compare with, and how many times better ours must be; None: shown, no bar."""

    figure: str
    least: float | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """What one line of the table asks of one figure."""

    row: int
    what: str
    figure: str
    unit: str
    #: None where only a ratio says what is good.
    target: float | None
    references: tuple[Reference, ...] = ()
    lower_is_better: bool = False
    #: False for a second situation of a row that another line answers.
    headline: bool = True

    def ratio_of(self, value: float, reference: float) -> float:
        """Return how many times better `value` is."""
        return reference / value if self.lower_is_better else value / reference

    def reached(self, value: float) -> bool | None:
        """Whether the absolute target is met; None when there is none."""
        if self.target is None:
            return None
        return value <= self.target if self.lower_is_better else value >= self.target


def _rate(
    row: int, what: str, figure: str, target: float | None, *references: Reference
) -> tuple[Target, ...]:
    """A throughput."""
    return (Target(row, what, figure, "msg/s", target, references),)


def _two_situations(
    row: int, what: str, figure: str, target: float, *references: Reference
) -> tuple[Target, ...]:
    """A throughput while messages wait (the headline), and while they leave at once (the floor)."""
    return (
        Target(row, what, f"{figure}.paced", "msg/s", target, references),
        Target(
            row,
            f"{what}, all dispatched meanwhile",
            f"{figure}.at_once",
            "msg/s",
            target,
            references,
            headline=False,
        ),
    )


def _cost(
    row: int, what: str, figure: str, unit: str, target: float | None, *references: Reference
) -> tuple[Target, ...]:
    """Time or memory."""
    return (Target(row, what, figure, unit, target, references, lower_is_better=True),)


_MMH3 = "hash.mmh3"
_REDIS, _NATS = "peer.redis", "peer.jetstream"

TARGETS = (
    *_cost(1, "shard ids of list[str]", "hash.list", "ns", 6.5, Reference(_MMH3, 9)),
    *_cost(2, "shard ids of packed recipients", "hash.packed", "ns", 1.0, Reference(_MMH3, 50)),
    *_cost(
        3,
        "hash and pack by slot, CRC included",
        "pack.native",
        "ns",
        30,
        Reference("pack.python", 9),
    ),
    *_two_situations(
        4,
        "lane, memory store, send_many of 1,024",
        "lane.many",
        6e6,
        Reference("tcp.raw", 0.5),
        Reference("peer.librdkafka", 6),
        Reference("peer.zeromq", 5),
    ),
    *_two_situations(
        5,
        "lane, memory store, send by 1,000 tasks",
        "lane.single",
        250e3,
        Reference(f"{_NATS}.async", 8),
    ),
    *_two_situations(
        6,
        "SQLite, send_many of 1,000",
        "durable.many_1000",
        1.2e6,
        Reference("sqlite.rows_1000", 1.8),
        Reference(f"{_REDIS}.pipeline_1000", 14),
        Reference(f"{_NATS}.file", 30),
    ),
    *_two_situations(
        7,
        "SQLite, send_many of 100",
        "durable.many_100",
        450e3,
        Reference(f"{_REDIS}.pipeline_100", 8),
        Reference(f"{_NATS}.file"),
    ),
    *_two_situations(
        8,
        "SQLite, send by 1,000 tasks",
        "durable.single",
        100e3,
        Reference(f"{_NATS}.tasks", 4),
        Reference(f"{_REDIS}.tasks", 8),
    ),
    *_two_situations(
        9,
        "PostgreSQL, send_many of 1,000",
        "postgres.many_1000",
        350e3,
        Reference("peer.asyncpg_copy", 2),
    ),
    Target(
        10,
        "HTTP POST /v1/messages, durable",
        "http.single",
        "req/s",
        40e3,
        (Reference("http.raw_asgi", 1.3), Reference("peer.fastapi")),
    ),
    *_rate(11, "HTTP batch endpoint, durable", "http.batch", 600e3, Reference("peer.fastapi", 100)),
    *_cost(
        12,
        "acknowledgement at 20k msg/s, p50",
        "latency.p50",
        "ms",
        0.8,
        Reference(f"{_REDIS}.latency.p50", 2),
    ),
    *_cost(
        12,
        "acknowledgement at 20k msg/s, p99",
        "latency.p99",
        "ms",
        6.0,
        Reference(f"{_REDIS}.latency.p99", 1),
    ),
    *_rate(
        13,
        "durable outcomes, end to end in one Engine",
        "dispatch.outcomes",
        300e3,
        Reference("peer.celery", 30),
        Reference("peer.arq", 30),
        Reference("peer.saq", 30),
    ),
    *_rate(
        14,
        "upstream over HTTP, one CoreApp to loopback",
        "upstream.http",
        40e3,
        Reference("upstream.aiohttp", 1),
    ),
    *_cost(15, "memory of a CoreApp, idle", "memory.idle", "MB", 45),
    *_cost(15, "memory of a CoreApp, peak at full rate", "memory.full_rate", "MB", 80),
    *_cost(15, "memory of a Web process, idle", "memory.web.idle", "MB", 45),
    *_cost(15, "memory of a Web process, peak under load", "memory.web.peak", "MB", 80),
    *_cost(15, "memory of a Master, peak", "memory.master.peak", "MB", 80),
    *_cost(15, "growth of a CoreApp over 10M messages", "memory.growth.10000000", "MB", 10),
    *_rate(
        16,
        "acceptance with 1M messages pending",
        "growth.backlog.1000000",
        None,
        Reference("growth.backlog.1000", 0.8),
    ),
    *_rate(
        16,
        "acceptance with 10M messages pending",
        "growth.backlog.10000000",
        None,
        Reference("growth.backlog.1000", 0.8),
    ),
    *_cost(17, "take-over with 1M pending: accepting after", "takeover.accepting", "ms", 50),
    *_cost(17, "take-over with 1M pending: dispatching after", "takeover.dispatching", "ms", 300),
)
