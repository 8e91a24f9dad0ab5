"""Packed batches as a router would send them, and the answers they got."""

import orjson

from multiconnect._native import Packer, split_batches
from multiconnect.coreapp.group import Entry, Submitted
from multiconnect.model.attributes import Attributes
from multiconnect.model.message import Kind, Stream


class Sender:
    """One router's numbering of one slot; `answers` are what came back."""

    def __init__(self, slot: int = 4, producer: int = 5, stream: Stream = Stream.OUTBOUND) -> None:
        self.slot = slot
        self.producer = producer
        self.number = 0
        self.answers: list[Entry] = []
        self._packer = Packer(stream, orjson.dumps)

    def batch(
        self,
        *records: tuple[str, bytes, str],
        account: str = "",
        kind: int = Kind.SEND,
        number: int | None = None,
    ) -> Submitted:
        """Return a batch of (recipient, payload, idempotency key) under the next number."""
        for recipient, payload, key in records:
            raw = Attributes(account, key).encode()
            self._packer.append_at(self.slot, recipient, payload, raw, kind, bool(key))
        self.number = self.number + 1 if number is None else number
        data = self._packer.take(self.slot, self.producer, self.number, 0)
        assert data is not None
        ((header, copy),) = split_batches(data)
        return Submitted(header, copy, self.answers.append)

    @property
    def statuses(self) -> list[int]:
        """The statuses answered so far."""
        return [entry[2] for entry in self.answers]
