"""Judges what routers tell their clients and what they know (invariants 3, 4, 5, 8, 12)."""

from collections.abc import Callable, Sequence

from multiconnect.coreapp.group import Submitted
from multiconnect.limits import SLOTS
from multiconnect.model.message import SETTLED, Event, Receipt, Stream
from multiconnect.model.message_id import decode_id
from multiconnect.store.memory import MemoryState
from tests.sim.judges.log import LogJudge
from tests.sim.ledger import Ledger, Sent

#: What a router may hold beyond its cap: the message that found room last, and batch headers.
_SLACK_BYTES = 4096


class RouterJudge:
    """Receipts, events and maps."""

    def __init__(self, ledger: Ledger, log: LogJudge, found: Callable[[str, str], None]) -> None:
        self._ledger = ledger
        self._log = log
        self._found = found
        self._epochs: dict[str, list[int]] = {}
        #: (router, owner, slot, stream, producer) → the number that came last over the connection.
        self._numbers: dict[tuple[object, ...], int] = {}

    def acknowledged(self, sent: Sent, receipt: Receipt) -> None:
        """A client was told that its message is durable."""
        counts, ledger = self._ledger.counts, self._ledger
        counts["acknowledged"] += 1
        if ledger.at.get((receipt.slot, receipt.sequence)) is not sent:
            self._found("3", f"{sent} was acknowledged as {receipt.slot}/{receipt.sequence}")
            return
        if sent.receipt is not None and sent.receipt.id != receipt.id:
            self._found("4", f"{sent} was acknowledged as {sent.receipt.id} and as {receipt.id}")
        sent.receipt = receipt
        if sent.sequence <= sent.floor and not receipt.repeated and not sent.key:
            self._found("5", f"{sent} was accepted before one acknowledged earlier ({sent.floor})")
        known = ledger.acknowledged.get(sent.recipient, -1)
        ledger.acknowledged[sent.recipient] = max(known, sent.sequence)

    def told(self, event: Event) -> None:
        """A router published an event: what it says must be durable."""
        address = decode_id(event.id)
        if address is None or address.stream:
            return
        if self._log.state_of(address.slot, address.sequence) not in SETTLED:
            self._found("3", f"{event.type} of {address.slot}/{address.sequence} was told too soon")

    def looked(self, router: str, epochs: Sequence[int], parked_bytes: int, cap: int) -> None:
        """Compare what a router knows and holds with what it did before."""
        before = self._epochs.get(router)
        if before is not None:
            for slot in range(SLOTS):
                if epochs[slot] < before[slot]:
                    self._found("8", f"{router}: slot {slot} fell to epoch {epochs[slot]}")
        self._epochs[router] = list(epochs)
        if parked_bytes > cap + _SLACK_BYTES:
            self._found("12", f"{router} holds {parked_bytes} bytes, {cap} are allowed")

    def received(self, owner: str, batch: Submitted, state: MemoryState) -> None:
        """A batch arrives at an owner: no router skips a number that nobody has stored."""
        header = batch.header
        connection = getattr(batch.answer_to, "_endpoint", None)
        place = (owner, connection, header.stream, header.slot, header.producer)
        last = self._numbers.get(place)
        if last is None or header.producer_seq > last + 1:
            lane = state.lanes[Stream(header.stream), header.slot]
            answers, _ = lane.producers.get(header.producer, ((), 0))
            stored = answers[-1].producer_seq if answers else 0
            if header.producer_seq > stored + 1:
                self._found(
                    "5",
                    f"batch {header.producer_seq} of slot {header.slot} came before batch "
                    f"{stored + 1}",
                )
        self._numbers[place] = header.producer_seq
