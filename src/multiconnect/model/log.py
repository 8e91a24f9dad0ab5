"""What an owner writes to the log and reads back when it takes a slot over.

What is made for each batch is a named tuple: a frozen dataclass takes five times as long to make.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from multiconnect.model.message import Stream

#: A packed batch; a view where it is a part of the frame it came in.
Body: TypeAlias = bytes | memoryview

#: (index in the batch, kind, sequence): kind 1 repeats the message `sequence`, 2 conflicts with it.
AnswerException = tuple[int, int, int]
REPEATS = 1
CONFLICTS = 2


class Answer(NamedTuple):
    """The answer an owner gave to one batch; given again, unchanged, to a resend."""

    producer_seq: int
    base_seq: int
    exceptions: tuple[AnswerException, ...] = ()


@dataclass(frozen=True, slots=True)
class KeyRow:
    """An idempotency key: `key` is a 16-byte hash of account, recipient and key."""

    key: bytes
    sequence: int
    body_hash: bytes
    at_ms: int


class Append(NamedTuple):
    """One batch to store, exactly as the router packed it.

    `answers` are all answers kept for this producer after this batch. `states` is given only when
    some records are settled from the start (repeats of an idempotency key).
    """

    stream: Stream
    slot: int
    base_seq: int
    count: int  # type: ignore[assignment]  # hides tuple.count, which is of no use here
    producer: int
    answers: tuple[Answer, ...]
    accepted_at_ms: int
    body: Body
    keys: tuple[KeyRow, ...] = ()
    states: bytes | None = None


class Progress(NamedTuple):
    """The state bytes of one batch, one per message, all of them; `settled`: none is pending."""

    stream: Stream
    slot: int
    base_seq: int
    states: bytes
    settled: bool
    at_ms: int


@dataclass(frozen=True, slots=True)
class Retry:
    """A message that waits for another attempt. `due_at_ms` is wall clock, for display only after
    a change of owner: a new owner retries at once or at `due_at_ms`, whichever is later.
    """

    stream: Stream
    slot: int
    sequence: int
    attempts: int
    due_at_ms: int
    code: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a message is failed, expired or unknown: the dead letter's label."""

    stream: Stream
    slot: int
    sequence: int
    attempts: int
    at_ms: int
    code: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class UpstreamId:
    """The id the upstream gave to a message."""

    stream: Stream
    slot: int
    sequence: int
    upstream_id: str


class Mark(NamedTuple):
    """Positions of one stream of a slot that only grow.

    Messages above `watermark` were never handed to the upstream (unless SENDING or later). All
    messages below `settled_below` are settled, so a reader may start there.
    """

    stream: Stream
    slot: int
    watermark: int
    settled_below: int


@dataclass(frozen=True, slots=True)
class LogWrite:
    """One group commit. `epochs` names every slot written to and the epoch it is written under.

    The store checks each epoch in the same transaction (invariant 2): a slot whose fence refuses
    has none of its rows written, the other slots have all of theirs.
    """

    epochs: Mapping[int, int]
    appends: tuple[Append, ...] = ()
    progress: tuple[Progress, ...] = ()
    marks: tuple[Mark, ...] = ()
    retries: tuple[Retry, ...] = ()
    #: (stream, slot, sequence) whose retry row goes.
    retries_done: tuple[tuple[Stream, int, int], ...] = ()
    failures: tuple[Failure, ...] = ()
    upstream_ids: tuple[UpstreamId, ...] = ()


@dataclass(frozen=True, slots=True)
class StreamTail:
    """Where one stream of a slot ends and where its unsettled part begins."""

    next_seq: int = 0
    watermark: int = -1
    settled_below: int = 0


@dataclass(frozen=True, slots=True)
class SlotTail:
    """What a new owner must know before it may accept."""

    slot: int
    epoch: int
    streams: Mapping[Stream, StreamTail]
    #: (stream, producer) → answers kept, oldest first; the last one is the newest batch stored.
    producers: Mapping[tuple[Stream, int], tuple[Answer, ...]]
    retries: tuple[Retry, ...] = ()


class StoredBatch(NamedTuple):
    """A batch as stored, with the state byte of each of its messages.

    `body` is the whole packed batch (header included); None once the body was collected.
    """

    stream: Stream
    slot: int
    base_seq: int
    count: int  # type: ignore[assignment]  # hides tuple.count, which is of no use here
    accepted_at_ms: int
    body: Body | None
    states: bytes


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """Everything the store knows of one message."""

    batch: StoredBatch
    sequence: int
    upstream_id: str | None = None
    retry: Retry | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A small versioned value: a user, a token, the account, a setting."""

    key: str
    version: int
    value: Mapping[str, object] = field(default_factory=dict)
