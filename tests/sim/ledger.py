"""What clients have submitted, and what became of each message: the judges' common memory."""

from dataclasses import dataclass, field
from typing import Any

from multiconnect.model.message import Receipt

_COUNTED = (
    *("submitted", "acknowledged", "repeated", "unacknowledged", "stored", "effects"),
    *("second_effects", "resent_marked", "lease_deaths", "grants", "planned"),
    *("commits", "refused_commits", "webhooks"),
)


@dataclass(slots=True, eq=False)
class Sent:
    """One message of a client."""

    number: int
    recipient: str
    payload: bytes
    #: The incarnation of the router it was first submitted to.
    router: str
    key: str = ""
    #: The upstream will refuse it for good, whenever it is asked.
    is_refused: bool = False
    #: By wall clocks, which differ; 0: never.
    expires_at_ms: int = 0
    #: The highest sequence acknowledged to anybody for this recipient when it was submitted.
    floor: int = -1
    slot: int = -1
    sequence: int = -1
    receipt: Receipt | None = None
    effects: int = 0

    @property
    def is_stored(self) -> bool:
        return self.sequence >= 0

    def __str__(self) -> str:
        place = f" ({self.slot}/{self.sequence})" if self.is_stored else ""
        return f"message {self.number} to {self.recipient}{place}"


@dataclass(slots=True)
class Ledger:
    """All messages, by payload and, once stored, by place."""

    by_payload: dict[bytes, Sent] = field(default_factory=dict)
    at: dict[tuple[int, int], Sent] = field(default_factory=dict)
    #: The highest sequence acknowledged, by recipient.
    acknowledged: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_COUNTED, 0))

    def submit(self, recipient: str, router: str, **options: Any) -> Sent:
        """Note a new message of a client."""
        number = len(self.by_payload) + 1
        payload = b'{"n":%d}' % number
        sent = Sent(number, recipient, payload, router, **options)
        sent.floor = self.acknowledged.get(recipient, -1)
        self.by_payload[payload] = sent
        self.counts["submitted"] += 1
        return sent
