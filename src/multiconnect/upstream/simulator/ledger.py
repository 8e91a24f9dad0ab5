"""What the simulator saw: every count that a promise is measured by. Pure and bounded.

A message counts as *received* when it took effect, whether or not its sender ever learnt of it.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from typing import Any

from multiconnect.limits import SIMULATOR_ARRIVALS_KEPT, SIMULATOR_RECIPIENTS_MAX
from multiconnect.model.message_id import decode_id
from multiconnect.upstream.simulator.arrivals import Arrival, Arrivals
from multiconnect.upstream.simulator.order import RecipientTrack
from multiconnect.upstream.simulator.request import SendRequest
from multiconnect.upstream.simulator.seen import SeenIds

_EXAMPLES_KEPT = 20


class Ledger:
    """Arrivals, duplicates and order, as they happen."""

    def __init__(
        self,
        arrivals_kept: int = SIMULATOR_ARRIVALS_KEPT,
        recipients_max: int = SIMULATOR_RECIPIENTS_MAX,
    ) -> None:
        self._arrivals = Arrivals(arrivals_kept)
        self._seen = SeenIds()
        self._tracks: OrderedDict[str, RecipientTrack] = OrderedDict()
        self._recipients_max = recipients_max
        self._counts: Counter[str] = Counter()
        self._by_status: Counter[str] = Counter()
        self._by_fault: Counter[str] = Counter()
        self._late: deque[dict[str, str]] = deque(maxlen=_EXAMPLES_KEPT)
        self._first_at_ms = self._last_at_ms = 0

    def note_answer(self, status: str, fault: str = "") -> None:
        """Count one request by what it was answered with (an HTTP status, or "none")."""
        self._counts["requests"] += 1
        self._by_status[status] += 1
        if fault:
            self._by_fault[fault] += 1

    def note_read(self) -> None:
        """Count one message marked as read."""
        self._counts["reads"] += 1

    def note_dropped(self) -> None:
        """Count a message that was answered with 200 and dropped (a BSUID in `to`)."""
        self._counts["dropped_bsuid"] += 1

    def note_arrival(self, request: SendRequest, at_ms: int) -> Arrival:
        """Count a message that took effect, judge it, and return it as listed."""
        self._counts["received"] += 1
        self._counts["marked"] += request.marked
        self._first_at_ms = self._first_at_ms or at_ms
        self._last_at_ms = at_ms
        address = decode_id(request.opaque_id)
        if address is not None:
            is_new = self._seen.add_address(address)
        elif request.opaque_id:
            is_new = self._seen.add_foreign(request.opaque_id)
        else:
            is_new = True
        track = self._track(request.recipient)
        self._count_repeat(request, is_new)
        if is_new:
            by_id = address is not None and track.is_late_by_id(address)
            by_text = track.is_late_by_text(request.text)
            self._count_late(request, by_id, by_text)
        number = self._arrivals.add(
            address,
            request.opaque_id,
            track.recipient,
            at_ms=at_ms,
            duplicate=not is_new,
            marked=request.marked,
            previous=track.last_arrival,
        )
        track.last_arrival = number
        return Arrival(
            number, request.opaque_id, request.recipient, at_ms, not is_new, request.marked
        )

    def since(self, n: int, limit: int) -> list[Arrival]:
        """Return up to `limit` arrivals numbered above `n`, in order of arrival."""
        return self._arrivals.since(n, limit)

    def of_recipient(self, recipient: str, limit: int) -> list[Arrival]:
        """Return the recipient's last `limit` arrivals, in order; none if it is unknown."""
        track = self._tracks.get(recipient)
        return self._arrivals.chain(track.last_arrival, limit) if track else []

    def report(self) -> dict[str, Any]:
        """Return all counts as a JSON object."""
        names = (
            *("requests", "received", "distinct", "without_id"),
            *("duplicates", "duplicates_marked", "duplicates_unmarked", "marked"),
            *("out_of_order", "out_of_order_by_text", "reads", "dropped_bsuid"),
        )
        return {
            **{name: self._counts[name] for name in names},
            "recipients": len(self._tracks) + self._counts["recipients_forgotten"],
            "by_status": dict(self._by_status),
            "by_fault": dict(self._by_fault),
            "out_of_order_last": list(self._late),
            "first_at_ms": self._first_at_ms,
            "last_at_ms": self._last_at_ms,
            "recipients_forgotten": self._counts["recipients_forgotten"],
            "ids_forgotten": self._seen.forgotten,
        }

    def _count_repeat(self, request: SendRequest, is_new: bool) -> None:
        if not request.opaque_id:
            self._counts["without_id"] += 1
        elif is_new:
            self._counts["distinct"] += 1
        else:
            self._counts["duplicates"] += 1
            self._counts["duplicates_marked" if request.marked else "duplicates_unmarked"] += 1

    def _count_late(self, request: SendRequest, by_id: bool, by_text: bool) -> None:
        self._counts["out_of_order"] += by_id
        self._counts["out_of_order_by_text"] += by_text
        if by_id or by_text:
            self._late.append({"recipient": request.recipient, "id": request.opaque_id})

    def _track(self, recipient: str) -> RecipientTrack:
        track = self._tracks.get(recipient)
        if track is None:
            track = self._tracks[recipient] = RecipientTrack(recipient)
            if len(self._tracks) > self._recipients_max:
                self._tracks.popitem(last=False)
                self._counts["recipients_forgotten"] += 1
        return track
