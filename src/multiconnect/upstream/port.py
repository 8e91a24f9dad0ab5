"""The upstream port: hand over messages, learn what became of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from multiconnect.model.message import Message, Outcome


class Upstream(Protocol):
    """A connector. The dispatcher never has two messages of one recipient in one call or in flight.

    `send` returns one outcome per message, in order. It never raises for a message's sake: an
    exception is a bug of the connector and is treated as an ambiguous failure of all of them.
    """

    #: Largest number of messages the connector wants in one call.
    batch_max: int
    #: Largest number of messages in flight over all calls of one process.
    in_flight_max: int

    async def start(self) -> None:
        """Prepare (sessions, pools) without opening an active connection; idempotent."""

    async def send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Hand messages over and return what became of each."""

    async def aclose(self) -> None:
        """Release what `start` made; idempotent."""
