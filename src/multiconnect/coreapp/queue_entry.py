"""One unsettled message in an owner's memory, its line, and what a queue wants written.

Compiled (docs/native.md): the types of the attributes are in `queue_entry.pxd`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator

import cython  # type: ignore[import-untyped]  # gone from what is compiled

from multiconnect.coreapp.batch_states import BatchStates
from multiconnect.model.log import Mark, Progress
from multiconnect.model.message import DUPLICATE_FLAG, State

#: (index, kind, recipient, payload, attributes), as the native core reads a batch.
Record = tuple[int, int, str, bytes, bytes]


class Phase(enum.IntEnum):
    """Where an entry stands."""

    #: Behind another message of its recipient, or above the watermark.
    WAITING = 0
    #: Durable as HELD (or about to be); needs a claim of its own before it may be sent.
    HELD = 1
    #: A claim of its own is being written.
    CLAIMING = 2
    #: Claimed; may be handed out once it is first of its recipient.
    CLAIMED = 3
    IN_FLIGHT = 4
    SETTLED = 5


_WAITING = int(Phase.WAITING)
_ARRIVED = frozenset({State.SENT, State.DELIVERED, State.READ})


@cython.no_gc
@cython.cclass
class Entry:
    """One unsettled message. Made by `new_entry`."""

    __slots__ = (
        *("sequence", "batch", "kind", "recipient", "payload", "attributes", "accepted_at_ms"),
        *("phase", "attempts", "blocked", "early", "early_data", "line", "ahead", "behind"),
    )

    sequence: int
    batch: BatchStates
    kind: int
    recipient: str
    payload: bytes
    attributes: bytes
    accepted_at_ms: int
    phase: int
    attempts: int
    #: Blocked until released: its retry is not due, or its recipient is paced.
    blocked: bool
    #: The highest state a webhook reported before the outcome was known, and what came with it.
    early: State | None
    early_data: dict[str, object] | None
    #: Its recipient's line while it stands in one, and its neighbours there.
    line: Line
    ahead: Entry | None
    behind: Entry | None

    @property
    def possible_duplicate(self) -> bool:
        """Whether an earlier attempt may have arrived."""
        return self.is_marked()

    @property
    def arrived(self) -> bool:
        """Whether a webhook proves that an attempt arrived, whatever came of the call itself."""
        return self.early in _ARRIVED

    def leave_line(self) -> None:
        """Forget its line and its neighbours: no cycle is left."""
        self.line = None  # type: ignore[assignment]  # nothing asks any more
        self.ahead = self.behind = None

    def is_marked(self) -> bool:
        """Whether an earlier attempt may have arrived (`possible_duplicate`, for compiled code)."""
        return bool(self.batch.get(self.sequence) & DUPLICATE_FLAG)


def new_entry(sequence: int, batch: BatchStates, record: Record, accepted_at_ms: int) -> Entry:
    """Return an entry for a record of a batch."""
    entry: Entry = Entry.__new__(Entry)
    entry.sequence = sequence
    entry.batch = batch
    _, entry.kind, entry.recipient, entry.payload, entry.attributes = record
    entry.accepted_at_ms = accepted_at_ms
    entry.phase = _WAITING
    entry.attempts = 0
    entry.blocked = False
    entry.early = entry.early_data = entry.ahead = entry.behind = None
    return entry


@cython.no_gc
@cython.cclass
class Line:
    """The unsettled messages of one recipient, in sequence order. Made by `new_line`."""

    __slots__ = ("count", "first", "last")

    first: Entry
    last: Entry
    count: int

    def __iter__(self) -> Iterator[Entry]:
        """Return the entries, first one first."""
        entry: Entry | None = self.first
        while entry is not None:
            yield entry
            entry = entry.behind

    def append(self, entry: Entry) -> None:
        """Put an entry at the end."""
        self.last.behind = entry
        entry.ahead = self.last
        entry.line = self
        self.last = entry
        self.count += 1

    def remove(self, entry: Entry) -> None:
        """Take an entry out, wherever it stands."""
        ahead, behind = entry.ahead, entry.behind
        if ahead is not None:
            ahead.behind = behind
        elif behind is not None:
            self.first = behind
        if behind is not None:
            behind.ahead = ahead
        elif ahead is not None:
            self.last = ahead
        entry.leave_line()
        self.count -= 1


def new_line(entry: Entry) -> Line:
    """Return the line of one entry; it is dropped with its last one."""
    line: Line = Line.__new__(Line)
    line.first = line.last = entry
    line.count = 1
    entry.line = line
    return line


class QueueWrite:
    """What one queue wants written with the next commit."""

    __slots__ = ("claims", "mark", "progress")

    def __init__(self) -> None:
        self.progress: list[Progress] = []
        self.mark: Mark | None = None
        self.claims: list[Entry] = []


class Loaded:
    """What was found in a batch that an earlier owner had begun to send."""

    __slots__ = ("held", "in_doubt")

    def __init__(self) -> None:
        self.in_doubt: list[Entry] = []
        self.held: list[Entry] = []
