"""Judges every group commit against what clients have submitted (invariants 2, 4, 5, 16)."""

from collections import defaultdict
from collections.abc import Callable
from functools import cache

from multiconnect._native import records
from multiconnect.model.log import Append, LogWrite, Progress
from multiconnect.model.message import DUPLICATE_FLAG, SETTLED, STATE_MASK, State, Stream
from multiconnect.store.memory import MemoryState
from tests.sim.ledger import Ledger
from tests.sim.process import SimProcess

Place = tuple[Stream, int]

#: What a settled message may still become.
_LATER = {
    State.SENT: {State.DELIVERED, State.READ, State.FAILED},
    State.DELIVERED: {State.READ},
    State.UNKNOWN: {State.SENT, State.DELIVERED, State.READ, State.FAILED},
}


@cache
def is_forward(old: int, new: int) -> bool:
    """Tell whether a state byte may become another one: final stays final, marks stay."""
    if old & DUPLICATE_FLAG and not new & DUPLICATE_FLAG:
        return False
    before, after = State(old & STATE_MASK), State(new & STATE_MASK)
    if before == after or before not in SETTLED:
        return after is not State.ACCEPTED or before is State.ACCEPTED
    return after in _LATER.get(before, ())


class LogJudge:
    """Follows the log row by row; `state_of` is what it knows of a message."""

    def __init__(
        self, state: MemoryState, ledger: Ledger, found: Callable[[str, str], None]
    ) -> None:
        self._state = state
        self._ledger = ledger
        self._found = found
        #: One byte per message, as last written.
        self.states: dict[Place, bytearray] = defaultdict(bytearray)
        self.watermarks: dict[Place, int] = defaultdict(lambda: -1)
        #: Messages whose state is not final, for all streams.
        self.unsettled = 0
        #: By router and recipient: the number of the message stored last.
        self._stored_last: dict[tuple[str, str], int] = {}

    def committed(self, owner: SimProcess, write: LogWrite, refused: frozenset[int]) -> None:
        """Look at a group that was carried out."""
        counts = self._ledger.counts
        counts["commits"] += 1
        counts["refused_commits"] += bool(refused)
        for slot, epoch in write.epochs.items():
            if slot not in refused:
                self._check_fence(owner, slot, epoch)
        for append in write.appends:
            if append.slot not in refused:
                self._appended(append)
        for row in write.progress:
            if row.slot not in refused:
                self._progressed(row)
        for mark in write.marks:
            if mark.slot not in refused:
                place = mark.stream, mark.slot
                self.watermarks[place] = max(self.watermarks[place], mark.watermark)
                self._check_settled_below(place, mark.settled_below)

    def _check_fence(self, owner: SimProcess, slot: int, epoch: int) -> None:
        row = self._state.slots[slot]
        if (row.epoch, row.owner) != (epoch, owner.incarnation):
            self._found(
                "2",
                f"{owner.incarnation} wrote to slot {slot} under epoch {epoch}; it is "
                f"{row.owner}'s under epoch {row.epoch}",
            )

    # --- what was accepted -------------------------------------------------------------------
    def _appended(self, append: Append) -> None:
        place = append.stream, append.slot
        states = self.states[place]
        if append.base_seq != len(states):
            self._found("4", f"{place} continues at {append.base_seq}, not at {len(states)}")
        states.extend(append.states or bytes(append.count))
        self.unsettled += sum(
            State(byte) not in SETTLED for byte in append.states or bytes(append.count)
        )
        if append.stream is Stream.INBOUND:
            return
        for index, _kind, recipient, payload, _attributes in records(append.body):
            repeated = states[append.base_seq + index] == State.REPEATED
            self._stored(append.slot, append.base_seq + index, recipient, payload, repeated)

    def _stored(
        self, slot: int, sequence: int, recipient: str, payload: bytes, repeated: bool
    ) -> None:
        sent = self._ledger.by_payload.get(payload)
        if sent is None or sent.recipient != recipient:
            self._found("3", f"{slot}/{sequence} holds what nobody has submitted: {payload!r}")
            return
        if repeated:
            self._ledger.counts["repeated"] += 1
            if not sent.is_stored:
                self._found("4", f"{sent} was called a repeat before it was stored")
            return
        if sent.is_stored:
            self._found("4", f"{sent} was stored again at {slot}/{sequence}")
            return
        sent.slot, sent.sequence = slot, sequence
        self._ledger.at[slot, sequence] = sent
        self._ledger.counts["stored"] += 1
        if sent.key:
            return  # it may have been submitted by several routers
        last = self._stored_last.get((sent.router, recipient), 0)
        self._stored_last[sent.router, recipient] = max(last, sent.number)
        if sent.number < last:
            self._found("5", f"{sent} was stored after message {last} of the same router")

    # --- what became of it -------------------------------------------------------------------
    def _progressed(self, row: Progress) -> None:
        known = self.states[row.stream, row.slot]
        for sequence, new in enumerate(row.states, row.base_seq):
            old = known[sequence]
            if old == new:
                continue
            if not is_forward(old, new):
                self._found(
                    "15", f"{row.stream.name} {row.slot}/{sequence} went from {old:#x} to {new:#x}"
                )
            self.unsettled += (State(new & STATE_MASK) not in SETTLED) - (
                State(old & STATE_MASK) not in SETTLED
            )
            known[sequence] = new
        settled = all(State(byte & STATE_MASK) in SETTLED for byte in row.states)
        if row.settled and not settled:
            self._found("16", f"batch {row.slot}/{row.base_seq} is called settled, and is not")

    def _check_settled_below(self, place: Place, below: int) -> None:
        # Only the last few can have changed since the mark before.
        for sequence in range(max(0, below - 8), min(below, len(self.states[place]))):
            if not self.is_settled(place, sequence):
                self._found("16", f"{place} is called settled below {below}, {sequence} is not")

    # --- questions ---------------------------------------------------------------------------
    def is_settled(self, place: Place, sequence: int) -> bool:
        return State(self.states[place][sequence] & STATE_MASK) in SETTLED

    def state_of(self, slot: int, sequence: int) -> State:
        """Return the stored state of an outbound message."""
        return State(self.states[Stream.OUTBOUND, slot][sequence] & STATE_MASK)

    def is_marked(self, slot: int, sequence: int) -> bool:
        """Tell whether the store has it as a possible duplicate."""
        return bool(self.states[Stream.OUTBOUND, slot][sequence] & DUPLICATE_FLAG)

    def is_claimed(self, slot: int, sequence: int) -> bool:
        """Tell whether a crash now would leave the message in doubt."""
        state = self.state_of(slot, sequence)
        covered = sequence <= self.watermarks[Stream.OUTBOUND, slot]
        return state is State.SENDING or (state is State.ACCEPTED and covered)
