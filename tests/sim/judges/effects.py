"""Judges what reaches the upstream: when sends start, and what they cause (invariants 5, 6, 7)."""

from collections.abc import Callable

from multiconnect.model.message import Message, State
from multiconnect.store.memory import MemoryState
from tests.sim.judges.log import LogJudge
from tests.sim.ledger import Ledger, Sent
from tests.sim.process import SimProcess

#: A message that ended like this was not sent as far as anybody can know: its late effect has no
#: place in the order.
_GIVEN_UP = {State.FAILED, State.UNKNOWN, State.EXPIRED}


class EffectJudge:
    """Follows every send from its start to its effect."""

    def __init__(
        self, state: MemoryState, ledger: Ledger, log: LogJudge, found: Callable[[str, str], None]
    ) -> None:
        self._state = state
        self._ledger = ledger
        self._log = log
        self._found = found
        #: By recipient: the highest sequence that had an effect.
        self._newest: dict[str, int] = {}

    def started(self, owner: SimProcess, message: Message) -> None:
        """An owner begins to send a message."""
        sent = self._sent(message)
        if sent is None:
            return
        row = self._state.slots[message.slot]
        if owner.monotonic() >= owner.lease_until_s:
            late_s = owner.monotonic() - owner.lease_until_s
            self._found("7", f"{sent} was sent {late_s:.3f} s after the lease ran out")
        if row.owner != owner.incarnation:
            self._found("7", f"{sent} was sent by {owner.incarnation}, it is {row.owner}'s")
            return
        if not self._log.is_claimed(sent.slot, sent.sequence):
            state = self._log.state_of(sent.slot, sent.sequence)
            self._found("6", f"{sent} was sent without a durable claim (it is {state.name})")
        if message.possible_duplicate:
            self._ledger.counts["resent_marked"] += 1
        elif sent.effects:
            self._found("6", f"{sent} is sent a second time, and is not marked")

    def arrived(self, message: Message) -> None:
        """A send has its effect upstream."""
        sent = self._sent(message)
        if sent is None:
            return
        counts = self._ledger.counts
        sent.effects += 1
        counts["effects"] += 1
        if sent.effects > 1:
            counts["second_effects"] += 1
            if not self._log.is_marked(sent.slot, sent.sequence):
                self._found("6", f"{sent} had a second effect, and was not marked before")
            return
        self._check_order(sent)

    def _check_order(self, sent: Sent) -> None:
        newest = self._newest.get(sent.recipient, -1)
        if sent.sequence > newest:
            self._newest[sent.recipient] = sent.sequence
        elif self._log.state_of(sent.slot, sent.sequence) not in _GIVEN_UP:
            self._found("5", f"{sent} had its first effect after sequence {newest} had one")

    def _sent(self, message: Message) -> Sent | None:
        sent = self._ledger.at.get((message.slot, message.sequence))
        if sent is None or sent.payload != message.body or sent.recipient != message.recipient:
            self._found("3", f"{message.slot}/{message.sequence} went out and was never accepted")
            return None
        return sent
