"""One stream of a slot as a store has it: only what was written, and only forward."""

from dataclasses import dataclass, field

from multiconnect.coreapp.slot_work import WorkWrite
from multiconnect.model.log import Mark, Retry, StoredBatch, StreamTail
from multiconnect.model.message import SETTLED, STATE_MASK, Event, State, Stream
from multiconnect.model.message_id import decode_id
from multiconnect.store.rules import all_settled

SLOT = 4

#: What may come after a settled state, in one step or several (invariant 15).
_AFTER = {
    State.SENT: {State.DELIVERED, State.READ, State.FAILED},
    State.DELIVERED: {State.READ},
    State.UNKNOWN: {State.SENT, State.DELIVERED, State.READ, State.FAILED},
}


def may_follow(before: State, after: State) -> bool:
    """Whether a settled message may go from one state to another."""
    return after in _AFTER.get(before, ())


@dataclass
class Stored:
    batches: dict[int, bytes] = field(default_factory=dict)
    recipients: list[str] = field(default_factory=list)
    retries: dict[int, Retry] = field(default_factory=dict)
    watermark: int = -1
    settled_below: int = 0

    def tail(self) -> StreamTail:
        return StreamTail(len(self.recipients), self.watermark, self.settled_below)

    # --- reading -----------------------------------------------------------------------------
    def holding(self, sequence: int) -> StoredBatch:
        base = max(base for base in self.batches if base <= sequence)
        states = self.batches[base]
        return StoredBatch(Stream.OUTBOUND, SLOT, base, len(states), 0, b"body", states)

    def byte(self, sequence: int) -> int:
        batch = self.holding(sequence)
        return batch.states[sequence - batch.base_seq]

    def state(self, sequence: int) -> State:
        return State(self.byte(sequence) & STATE_MASK)

    def has_passed(self, sequence: int, state: State) -> bool:
        return may_follow(state, self.state(sequence))

    def is_claimed(self, sequence: int) -> bool:
        state = self.state(sequence)
        return state is State.SENDING or (state is State.ACCEPTED and sequence <= self.watermark)

    def unsettled(self) -> list[int]:
        states = [byte for base in sorted(self.batches) for byte in self.batches[base]]
        return [n for n, byte in enumerate(states) if State(byte & STATE_MASK) not in SETTLED]

    def doubtful(self) -> list[int]:
        return [n for n in self.unsettled() if self.is_claimed(n)]

    def read(self, from_seq: int, most: int) -> list[StoredBatch]:
        first = max(from_seq, self.settled_below)
        found = [
            StoredBatch(Stream.OUTBOUND, SLOT, base, len(states), 0, b"body", states)
            for base, states in sorted(self.batches.items())
            if base + len(states) > first and not all_settled(states)
        ]
        return found[:most]

    def sequence_of(self, event: Event) -> int:
        address = decode_id(event.id)
        assert address is not None
        assert event.recipient == self.recipients[address.sequence]
        return address.sequence

    # --- writing -----------------------------------------------------------------------------
    def write(self, appends: list[list[str]], write: WorkWrite | None, ahead: Mark | None) -> None:
        for recipients in appends:
            self.batches[len(self.recipients)] = bytes(len(recipients))
            self.recipients += recipients
        if write is not None:
            self._write_rows(write)
        marks = [mark for mark in write.marks() if mark.stream is Stream.OUTBOUND] if write else []
        for mark in [*marks, *([ahead] if ahead else [])]:
            self.watermark = max(self.watermark, mark.watermark)
            self.settled_below = max(self.settled_below, mark.settled_below)
        assert self.watermark < len(self.recipients)
        below = [n for n in self.unsettled() if n < self.settled_below]
        assert not below, "a reader would begin behind these"

    def _write_rows(self, write: WorkWrite) -> None:
        for row in write.progress():
            assert row.settled == all_settled(row.states)
            before = self.batches[row.base_seq]
            assert len(before) == len(row.states)
            for old, new in zip(before, row.states, strict=True):
                self._check_forward(old, new)
            self.batches[row.base_seq] = row.states
        for (_, sequence), retry in write.rows.retries.items():
            self.retries[sequence] = retry
        for _, sequence in write.rows.retries_done:
            self.retries.pop(sequence, None)

    def _check_forward(self, old: int, new: int) -> None:
        before, after = State(old & STATE_MASK), State(new & STATE_MASK)
        assert old & ~STATE_MASK & ~new == 0, "a mark is never taken back"
        if before in SETTLED and before is not after:
            assert may_follow(before, after), (before, after)
