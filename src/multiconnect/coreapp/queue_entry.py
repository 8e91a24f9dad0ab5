"""One unsettled message in an owner's memory, and what a queue wants written."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from multiconnect.coreapp.batch_states import BatchStates
from multiconnect.model.log import Mark, Progress
from multiconnect.model.message import DUPLICATE_FLAG, State

#: (index, kind, recipient, payload, attributes), as the native core reads a batch.
Record = tuple[int, int, str, bytes, bytes]


class Phase(enum.Enum):
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


@dataclass(slots=True, eq=False)
class Entry:
    """One unsettled message."""

    sequence: int
    batch: BatchStates
    kind: int
    recipient: str
    payload: bytes
    attributes: bytes
    accepted_at_ms: int = 0
    phase: Phase = Phase.WAITING
    attempts: int = 0
    #: Blocked until released: its retry is not due, or its recipient is paced.
    blocked: bool = False
    #: The highest state a webhook reported before the outcome was known, and what came with it.
    early: State | None = None
    early_data: dict[str, object] = field(default_factory=dict)

    @property
    def possible_duplicate(self) -> bool:
        """Whether an earlier attempt may have arrived."""
        return bool(self.batch.get(self.sequence) & DUPLICATE_FLAG)

    @property
    def arrived(self) -> bool:
        """Whether a webhook proves that an attempt arrived, whatever came of the call itself."""
        return self.early in {State.SENT, State.DELIVERED, State.READ}


@dataclass(slots=True)
class QueueWrite:
    """What one queue wants written with the next commit."""

    progress: list[Progress] = field(default_factory=list)
    mark: Mark | None = None
    claims: list[Entry] = field(default_factory=list)


@dataclass(slots=True)
class Loaded:
    """What was found in a batch that an earlier owner had begun to send."""

    in_doubt: list[Entry] = field(default_factory=list)
    held: list[Entry] = field(default_factory=list)
