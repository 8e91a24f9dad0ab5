"""What the web needs of the rest of the package, in the web's own terms.

`multiconnect.Router` is the `SendPort` of a real server; the control plane is reached through
`multiconnect.store.port.ControlStore`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from multiconnect.dataplane.receipts import Promise
from multiconnect.model.message import Kind, Receipt


class ReceiptsLike(Protocol):
    """Receipts of many messages, in order."""

    def __len__(self) -> int:
        """Return the number of messages."""

    def ids(self) -> list[str]:
        """Return the ids of the messages."""

    def id_lines(self) -> bytes:
        """Return a line of JSON for each message: its index and its id."""


class SendPort(Protocol):
    """Stores messages; a call returns once they are durable.

    Raises InvalidRecipient, InvalidPayload, IdempotencyConflict, Overloaded (nothing stored),
    DeadlineExceeded and StoreUnavailable (it may or may not be stored). A call takes its place in
    the order of its recipient before it first suspends, unless it has to wait for room.
    """

    async def send(
        self,
        recipient: str,
        payload: dict[str, Any] | bytes,
        *,
        account: str = "",
        idempotency_key: str = "",
        expires_at_ms: int = 0,
        kind: Kind = Kind.SEND,
        timeout_s: float | None = None,
    ) -> Receipt:
        """Store one message."""

    def post(
        self,
        recipient: str,
        payload: bytes,
        promise: Promise,
        *,
        idempotency_key: str = "",
        expires_at_ms: int = 0,
        timeout_s: float | None = None,
    ) -> bool:
        """Store one message and tell `promise`, after this call, what became of it.

        False: there is no room just now, and nothing was taken.
        """

    async def send_many(
        self,
        items: Iterable[tuple[str, dict[str, Any] | bytes]],
        *,
        account: str = "",
        kind: Kind = Kind.SEND,
        timeout_s: float | None = None,
    ) -> ReceiptsLike:
        """Store many; one receipt each, in order."""

    async def send_inbound(
        self,
        slot: int | None,
        recipient: str,
        payload: bytes,
        *,
        kind: Kind,
        idempotency_key: str = "",
        timeout_s: float | None = None,
    ) -> Receipt:
        """Store what came in from the upstream; `slot` None: the recipient's own."""
