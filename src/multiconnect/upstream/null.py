"""The connector that goes nowhere: it takes every message at once and counts.

For benchmarks of everything in front of it, and for trying the router without an account.
"""

from __future__ import annotations

from collections.abc import Sequence

from multiconnect.limits import UPSTREAM_BATCH_MAX, UPSTREAM_IN_FLIGHT_MAX
from multiconnect.model.message import SENT, Message, Outcome


class NullUpstream:
    """An `Upstream` that says "sent" of everything."""

    def __init__(
        self,
        *,
        batch_max: int = UPSTREAM_BATCH_MAX,
        in_flight_max: int = UPSTREAM_IN_FLIGHT_MAX,
    ) -> None:
        self.batch_max = batch_max
        self.in_flight_max = in_flight_max
        #: Messages taken, and how many of them were marked as possible duplicates.
        self.count = 0
        self.count_marked = 0

    async def start(self) -> None:
        """Do nothing."""

    async def send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Count the messages; all are sent."""
        self.count += len(messages)
        self.count_marked += len([m for m in messages if m.possible_duplicate])
        return [SENT] * len(messages)

    async def aclose(self) -> None:
        """Do nothing."""
