"""The table of targets, as data: which figure a row wants, how good, and compared with what.

The bar of a row is its ratio to a reference measured in the same run. Where a row has none (yet),
or the reference could not run, the absolute target decides. One row may stand here several times:
for several references, or for several situations.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """What one line of the table asks of one figure."""

    row: int
    what: str
    figure: str
    unit: str
    target: float
    #: The figure to compare with, and how many times better ours must be.
    reference: str | None = None
    ratio: float | None = None
    lower_is_better: bool = False

    def ratio_of(self, value: float, reference: float) -> float:
        """Return how many times better `value` is."""
        return reference / value if self.lower_is_better else value / reference

    def reached(self, value: float) -> bool:
        """Whether the absolute target is met."""
        return value <= self.target if self.lower_is_better else value >= self.target


def _cost(
    row: int,
    what: str,
    figure: str,
    unit: str,
    target: float,
    reference: str | None = None,
    ratio: float | None = None,
) -> Target:
    return Target(row, what, figure, unit, target, reference, ratio, lower_is_better=True)


#: In what follows "paced" means that the upstream takes 1,000 messages a second, as the fastest
#: WhatsApp number does, so that a backlog grows; "at once" means that it takes everything.
TARGETS = (
    _cost(1, "shard ids of list[str]", "hash.list", "ns", 6.5, "hash.mmh3", 9),
    _cost(2, "shard ids of packed recipients", "hash.packed", "ns", 1.0, "hash.mmh3", 50),
    _cost(3, "hash and pack by slot, CRC included", "pack.native", "ns", 30, "pack.python", 9),
    Target(
        4,
        "lane, memory store, send_many of 1,024 (paced)",
        "lane.many.paced",
        "msg/s",
        6e6,
        "tcp.raw",
        0.5,
    ),
    Target(
        4,
        "lane, memory store, send_many of 1,024 (at once)",
        "lane.many.at_once",
        "msg/s",
        6e6,
        "tcp.raw",
        0.5,
    ),
    Target(
        5, "lane, memory store, send by 1,000 tasks (paced)", "lane.single.paced", "msg/s", 250e3
    ),
    Target(
        5,
        "lane, memory store, send by 1,000 tasks (at once)",
        "lane.single.at_once",
        "msg/s",
        250e3,
    ),
    Target(
        6,
        "SQLite, send_many of 1,000 (paced)",
        "durable.many_1000.paced",
        "msg/s",
        1.2e6,
        "sqlite.rows_1000",
        1.8,
    ),
    Target(
        6,
        "SQLite, send_many of 1,000 (at once)",
        "durable.many_1000.at_once",
        "msg/s",
        1.2e6,
        "sqlite.rows_1000",
        1.8,
    ),
    Target(7, "SQLite, send_many of 100 (paced)", "durable.many_100.paced", "msg/s", 450e3),
    Target(7, "SQLite, send_many of 100 (at once)", "durable.many_100.at_once", "msg/s", 450e3),
    Target(8, "SQLite, send by 1,000 tasks (paced)", "durable.single.paced", "msg/s", 100e3),
    Target(8, "SQLite, send by 1,000 tasks (at once)", "durable.single.at_once", "msg/s", 100e3),
    Target(
        10, "HTTP POST /v1/messages, durable", "http.single", "req/s", 40e3, "http.raw_asgi", 1.3
    ),
    Target(11, "HTTP batch endpoint, durable", "http.batch", "msg/s", 600e3),
    _cost(12, "acknowledgement at 20k msg/s, p50", "latency.p50", "ms", 0.8),
    _cost(12, "acknowledgement at 20k msg/s, p99", "latency.p99", "ms", 6.0),
    Target(13, "durable outcomes, end to end in one Engine", "dispatch.outcomes", "msg/s", 300e3),
    _cost(15, "memory of a CoreApp, idle", "memory.idle", "MB", 45),
    _cost(15, "memory of a CoreApp, peak at full rate", "memory.full_rate", "MB", 80),
)
