"""The state bytes of one batch in memory; states only move forward once settled (invariant 15)."""

from __future__ import annotations

from multiconnect.model.message import DUPLICATE_FLAG, SETTLED, STATE_MASK, State

#: What a webhook may still change a settled message to.
_FORWARD = {
    State.SENT: {State.DELIVERED, State.READ, State.FAILED},
    State.DELIVERED: {State.READ},
    # The reply to a resend in doubt never came, the webhook knows better.
    State.UNKNOWN: {State.SENT, State.DELIVERED, State.READ, State.FAILED},
}
#: Every byte of a settled message, flagged or not: what is left without them is unsettled.
_SETTLED_BYTES = bytes(byte for byte in range(256) if byte & STATE_MASK in SETTLED)


class BatchStates:
    """One byte per message: state in the low nibble, the possible-duplicate flag on top."""

    __slots__ = ("base_seq", "changed", "states", "unsettled")

    def __init__(self, base_seq: int, states: bytes) -> None:
        self.base_seq = base_seq
        self.states = bytearray(states)
        self.unsettled = len(states.translate(None, _SETTLED_BYTES))
        #: Changed since its states were last collected to be written.
        self.changed = False

    def get(self, sequence: int) -> int:
        """Return the byte of a message."""
        return self.states[sequence - self.base_seq]

    def set(self, sequence: int, state: int) -> None:
        """Set the state, keeping the flag."""
        index = sequence - self.base_seq
        self.states[index] = self.states[index] & DUPLICATE_FLAG | state

    def add_flag(self, sequence: int, flag: int) -> None:
        """Set a flag, keeping the state."""
        self.states[sequence - self.base_seq] |= flag

    def advance(self, sequence: int, state: State) -> bool:
        """Move a settled message forward; False when that would not be forward."""
        current = State(self.get(sequence) & STATE_MASK)
        if state not in _FORWARD.get(current, ()):
            return False
        self.set(sequence, state)
        return True
