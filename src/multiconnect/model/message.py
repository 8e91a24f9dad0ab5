"""What travels: a message on its way out, its outcome, a receipt, an event."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import orjson


class Stream(enum.IntEnum):
    """The two streams of every slot."""

    OUTBOUND = 0
    INBOUND = 1


class Kind(enum.IntEnum):
    """What a record asks for; stored in the record's `kind` byte."""

    SEND = 0
    MARK_READ = 1
    STATUS = 2
    INBOUND_MESSAGE = 3


class State(enum.IntEnum):
    """The state byte of one message (low nibble); states only move forward (design §3).

    HELD and SENDING are the two faces of "not yet final": HELD was not handed over, SENDING was
    claimed one by one because it is not covered by the watermark.
    """

    ACCEPTED = 0
    HELD = 1
    SENDING = 2
    SENT = 3
    DELIVERED = 4
    READ = 5
    FAILED = 6
    EXPIRED = 7
    UNKNOWN = 8
    #: A repeat of an idempotency key: its number is used up, it is never sent.
    REPEATED = 9


#: Set in the state byte before a second send of a message whose first may have arrived.
DUPLICATE_FLAG = 0x80
STATE_MASK = 0x0F
#: Nothing more will be sent for these (delivered and read may still arrive for SENT).
SETTLED = frozenset(
    {
        State.SENT,
        State.DELIVERED,
        State.READ,
        State.FAILED,
        State.EXPIRED,
        State.UNKNOWN,
        State.REPEATED,
    }
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that a message is stored: its id, its slot and shard, its sequence in the slot."""

    id: str
    slot: int
    shard: int
    sequence: int
    #: True when an idempotency key was seen before and this is the first answer again.
    repeated: bool = False


@dataclass(frozen=True)
class Message:
    """One message as it is handed to an upstream.

    `possible_duplicate` is True when an earlier attempt may have arrived (invariant 6).
    """

    id: str
    recipient: str
    body: bytes
    kind: Kind = Kind.SEND
    account: str = ""
    slot: int = 0
    sequence: int = 0
    attempt: int = 1
    possible_duplicate: bool = False
    accepted_at_ms: int = 0

    @cached_property
    def payload(self) -> dict[str, Any]:
        """The body as a dict, decoded once and on demand."""
        value = orjson.loads(self.body)
        return value if isinstance(value, dict) else {"value": value}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the upstream said of one message.

    `status` is "sent", "failed" (permanent) or "retry". For "retry", `after_s` is the least delay
    (None: the dispatcher's own back-off) and `ambiguous` says that the message may have arrived,
    so that the next attempt is a possible duplicate. `number_wide` says that not only this message
    must wait `after_s` but everything the same number sends (throughput used up, number paused).
    """

    status: str
    upstream_id: str | None = None
    code: int | None = None
    reason: str = ""
    after_s: float | None = None
    ambiguous: bool = False
    number_wide: bool = False

    @classmethod
    def sent(cls, upstream_id: str | None = None) -> Outcome:
        """The upstream took it."""
        return cls("sent", upstream_id)

    @classmethod
    def failed(cls, reason: str, code: int | None = None) -> Outcome:
        """The upstream refused it for good."""
        return cls("failed", code=code, reason=reason)

    @classmethod
    def retry(
        cls,
        reason: str,
        *,
        after_s: float | None = None,
        ambiguous: bool = False,
        code: int | None = None,
        number_wide: bool = False,
    ) -> Outcome:
        """Try again later; later messages of the same recipient wait behind it."""
        return cls("retry", None, code, reason, after_s, ambiguous, number_wide)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a message, or a message that came in.

    `type` is "sent", "delivered", "read", "failed", "expired", "unknown" or "message" (inbound:
    `data` holds the upstream's object, `id` its upstream id).
    """

    type: str
    id: str
    recipient: str
    slot: int
    timestamp_ms: int
    possible_duplicate: bool = False
    data: Mapping[str, Any] = field(default_factory=dict)
