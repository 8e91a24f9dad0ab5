"""What travels: a message on its way out, its outcome, a receipt, an event."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import cython  # type: ignore[import-untyped]  # gone from what is compiled
import orjson

from multiconnect.model.message_id import encode_id


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


class Receipt(NamedTuple):
    """Proof that a message is stored: its id, its slot and shard, its sequence in the slot."""

    id: str
    slot: int
    shard: int
    sequence: int
    #: True when an idempotency key was seen before and this is the first answer again.
    repeated: bool = False


@cython.no_gc
@cython.cclass
class Message:
    """One message as it is handed to an upstream. It never changes.

    `possible_duplicate` is True when an earlier attempt may have arrived (invariant 6).
    """

    __slots__ = (
        *("recipient", "body", "kind", "account", "slot", "sequence", "attempt"),
        *("possible_duplicate", "accepted_at_ms", "_cluster", "_stream", "_id", "_payload"),
    )

    #: Where it lies, when `_id` is not known yet.
    _cluster: int
    _stream: int
    _id: str | None
    _payload: dict[str, Any] | None

    def __init__(  # noqa: PLR0913, PLR0917 -- what a message says of itself
        self,
        id: str,  # noqa: A002
        recipient: str,
        body: bytes,
        kind: Kind = Kind.SEND,
        account: str = "",
        slot: int = 0,
        sequence: int = 0,
        attempt: int = 1,
        possible_duplicate: bool = False,
        accepted_at_ms: int = 0,
    ) -> None:
        self._id = id
        self.recipient = recipient
        self.body = body
        self.kind = kind
        self.account = account
        self.slot = slot
        self.sequence = sequence
        self.attempt = attempt
        self.possible_duplicate = possible_duplicate
        self.accepted_at_ms = accepted_at_ms
        self._payload = None

    @property
    def id(self) -> str:
        """The id its sender was given; it says where the message lies and is made on demand."""
        if self._id is None:
            self._id = encode_id(self._cluster, self.slot, self.sequence, self._stream)
        return self._id

    @property
    def payload(self) -> dict[str, Any]:
        """The body as a dict, decoded once and on demand."""
        if self._payload is None:
            value = orjson.loads(self.body)
            self._payload = value if isinstance(value, dict) else {"value": value}
        return self._payload

    def __repr__(self) -> str:
        return f"Message(id={self.id!r}, slot={self.slot}, sequence={self.sequence})"


def stored_message(cluster: int, stream: int, slot: int, sequence: int) -> Message:
    """Return the message that lies there, its content to be filled in by the caller."""
    message: Message = Message.__new__(Message)
    message._id = None
    message._payload = None
    message._cluster = cluster
    message._stream = stream
    message.slot = slot
    message.sequence = sequence
    return message


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
        return SENT if upstream_id is None else cls("sent", upstream_id)

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


#: The most frequent outcome; one object, so that it is quickly recognised.
SENT: Final = Outcome("sent")


class Event(NamedTuple):
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
    data: Mapping[str, Any] = MappingProxyType({})
