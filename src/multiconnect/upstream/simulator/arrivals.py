"""The last million arrivals in columns, 40 bytes each. Pure and bounded.

Arrivals are numbered from 1 for ever; the oldest are overwritten. Each also points to the arrival
before it of the same recipient, so that one recipient's list needs no search.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from multiconnect.limits import SIMULATOR_ARRIVALS_KEPT
from multiconnect.model.message_id import MessageAddress, encode_id


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message as it arrived; `duplicate`: its id had arrived before; `marked`: it came with
    the header that says so could be.
    """

    n: int
    id: str
    recipient: str
    at_ms: int
    duplicate: bool
    marked: bool

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)


class Arrivals:
    """A ring of arrivals."""

    def __init__(self, kept: int = SIMULATOR_ARRIVALS_KEPT) -> None:
        self._kept = kept
        self.count = 0
        self._sequences = array("Q")
        #: cluster, stream, slot; all ones for an id that is not ours.
        self._places = array("Q")
        self._at_ms = array("Q")
        self._previous = array("Q")
        #: Bit 0: its id had arrived before; bit 1: it was marked as a possible duplicate.
        self._flags = bytearray()
        #: The text is shared with the recipient's track, so this costs a pointer.
        self._recipients: list[str] = []
        self._foreign: dict[int, str] = {}

    def add(
        self,
        address: MessageAddress | None,
        foreign_id: str,
        recipient: str,
        *,
        at_ms: int,
        duplicate: bool,
        marked: bool,
        previous: int,
    ) -> int:
        """Add an arrival and return its number; `foreign_id` counts when `address` is None."""
        self.count += 1
        index = (self.count - 1) % self._kept
        if index == len(self._recipients):
            self._grow()
        self._foreign.pop(self.count - self._kept, None)
        if address is None:
            self._foreign[self.count] = foreign_id
            place, sequence = _FOREIGN, 0
        else:
            place = address.cluster << 8 | address.stream << 7 | address.slot
            sequence = address.sequence
        self._sequences[index], self._places[index] = sequence, place
        self._at_ms[index], self._previous[index] = at_ms, previous
        self._flags[index], self._recipients[index] = duplicate | marked << 1, recipient
        return self.count

    def since(self, n: int, limit: int) -> list[Arrival]:
        """Return up to `limit` arrivals numbered above `n`, oldest first."""
        first = max(n + 1, self.count - self._kept + 1, 1)
        return [self._at(k) for k in range(first, min(first + limit, self.count + 1))]

    def chain(self, last: int, limit: int) -> list[Arrival]:
        """Return up to `limit` arrivals that end with `last` and are linked, oldest first."""
        return [self._at(n) for n in reversed(list(self._links(last, limit)))]

    def _links(self, last: int, limit: int) -> Iterator[int]:
        oldest = max(self.count - self._kept + 1, 1)
        while last >= oldest and limit > 0:
            yield last
            limit -= 1
            last = self._previous[(last - 1) % self._kept]

    def _at(self, n: int) -> Arrival:
        index = (n - 1) % self._kept
        place = self._places[index]
        if place == _FOREIGN:
            message_id = self._foreign[n]
        else:
            sequence = self._sequences[index]
            message_id = encode_id(place >> 8, place & 0x7F, sequence, place >> 7 & 1)
        flags = self._flags[index]
        return Arrival(
            n,
            message_id,
            self._recipients[index],
            self._at_ms[index],
            bool(flags & 1),
            bool(flags & 2),
        )

    def _grow(self) -> None:
        for column in (self._sequences, self._places, self._at_ms, self._previous):
            column.append(0)
        self._flags.append(0)
        self._recipients.append("")


_FOREIGN = (1 << 64) - 1
