"""What all handles on one memory store share.

The methods of the handles never await while they look at this, so each call is atomic.
"""

from __future__ import annotations

import asyncio
import secrets
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from multiconnect.clock import Clock, SystemClock
from multiconnect.limits import AUDIT_ROWS_KEPT, SLOTS
from multiconnect.model.cluster import AuditEntry, Beat, Cluster, Concern, Node, Slot, Snapshot
from multiconnect.model.log import (
    Answer,
    Append,
    Document,
    Failure,
    KeyRow,
    Progress,
    Retry,
)
from multiconnect.model.message import Stream


@dataclass(slots=True)
class Lane:
    """One stream of one slot. Batches and their progress are keyed by base sequence."""

    next_seq: int = 0
    watermark: int = -1
    settled_below: int = 0
    #: The base sequences of `batches`, ascending.
    bases: list[int] = field(default_factory=list)
    batches: dict[int, Append] = field(default_factory=dict)
    bodies_dropped: set[int] = field(default_factory=set)
    progress: dict[int, Progress] = field(default_factory=dict)
    #: producer → its answers and when it was last heard of.
    producers: dict[int, tuple[tuple[Answer, ...], int]] = field(default_factory=dict)
    retries: dict[int, Retry] = field(default_factory=dict)
    failures: dict[int, Failure] = field(default_factory=dict)
    upstream_ids: dict[int, str] = field(default_factory=dict)

    def batches_from(self, sequence: int) -> Iterator[Append]:
        """Yield the batches that hold `sequence` or anything after it, in order."""
        first = max(bisect_right(self.bases, sequence) - 1, 0)
        for base in self.bases[first:]:
            batch = self.batches[base]
            if base + batch.count > sequence:
                yield batch


@dataclass(slots=True)
class Fence:
    """Who may write to a slot: the incarnation that opened it, under this epoch."""

    incarnation: str
    epoch: int


class MemoryState:
    """One cluster and its log."""

    def __init__(self, clock: Clock | None = None, cluster: int | None = None) -> None:
        self.clock: Clock = clock or SystemClock()
        self.cluster = Cluster(
            cluster=secrets.randbits(32) if cluster is None else cluster,
            shards=1,
            target_shards=1,
            generation=0,
            map_version=1,
            term=0,
            master=None,
        )
        self.nodes: dict[str, Node] = {}
        self.died_at_ms: dict[str, int] = {}
        self.slots: list[Slot] = [Slot(slot, 0, None) for slot in range(SLOTS)]
        self.audit: deque[AuditEntry] = deque(maxlen=AUDIT_ROWS_KEPT)
        self.documents: dict[tuple[str, str], Document] = {}
        self.beats: dict[str, Beat] = {}
        self.lanes = {(stream, slot): Lane() for stream in Stream for slot in range(SLOTS)}
        self.keys: dict[tuple[int, bytes], KeyRow] = {}
        self.fences: dict[int, Fence] = {}
        #: Grows with each change of control data; `waiters` are woken in the order they came.
        self.changes = 0
        self.waiters: list[asyncio.Future[None]] = []

    def change(self, **cluster_fields: object) -> None:
        """Note a change of control data (and of the cluster row) and wake who waits for one."""
        if cluster_fields:
            self.cluster = replace(self.cluster, **cluster_fields)  # type: ignore[arg-type]
        self.changes += 1
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def is_news(self, seen: int | None, since: Snapshot | None, concerning: str | None) -> bool:
        """Return whether there was a change that whoever waits should know of."""
        if self.changes == seen or since is None or concerning is None:
            return self.changes != seen
        now = Concern.of(concerning, self.nodes.get(concerning), self.slots)
        return now != since.concern(concerning)


class MemoryStates:
    """The named memory stores of one process: `memory://NAME` handles share a state through it."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock
        self._states: dict[str, MemoryState] = {}

    def state(self, name: str) -> MemoryState:
        """Return the state of that name; made at its first use, kept as long as this object."""
        return self._states.setdefault(name, MemoryState(self._clock))
