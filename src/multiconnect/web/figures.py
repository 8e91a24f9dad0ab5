"""What one web process counts, for /metrics. Plain integers, touched only by the event loop."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

#: Upper bounds of the latency buckets, in seconds.
BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Latency:
    """A histogram; `counts` has one more for what is slower than all buckets."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.sum_s = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(BUCKETS_S, seconds)] += 1
        self.sum_s += seconds


class Figures:
    """Counters of one process."""

    def __init__(self) -> None:
        #: (method, path pattern, status) → answers given.
        self.answers: dict[tuple[str, str, int], int] = {}
        #: (method, path pattern) → how long they took.
        self.latencies: dict[tuple[str, str], Latency] = {}
        self.messages_accepted = 0
        self.messages_repeated = 0
        self.webhook_statuses = 0
        self.webhook_messages = 0
        #: Statuses of messages that are not ours, and entries that could not be read.
        self.webhook_foreign = 0
        self.webhook_malformed = 0
        self.webhook_signatures_refused = 0

    def answered(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count one answer."""
        answer = (method, path, status)
        self.answers[answer] = self.answers.get(answer, 0) + 1
        key = (method, path)
        latency = self.latencies.get(key)
        if latency is None:
            latency = self.latencies[key] = Latency()
        latency.add(seconds)
