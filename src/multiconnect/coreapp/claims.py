"""How many messages of a queue are claimed, how far by the watermark, and how many more may be.

Pure. Keeps the bound of invariant 6: after a crash at most `WATERMARK_STEP` messages that this
owner claimed are in doubt.
"""

from __future__ import annotations

from multiconnect.limits import WATERMARK_STEP
from multiconnect.model.message import State

_ACCEPTED, _SENDING = int(State.ACCEPTED), int(State.SENDING)


class Claims:
    """The watermark of one stream of one slot, and the entries claimed under it or one by one."""

    __slots__ = ("_inherited", "ahead", "count", "watermark")

    def __init__(self, watermark: int) -> None:
        #: What the previous owner had claimed: unsettled messages up to here are in doubt.
        self._inherited = watermark
        self.watermark = watermark
        #: Entries that are CLAIMING, CLAIMED or IN_FLIGHT.
        self.count = 0
        #: The watermark that is being written together with an append, -1 if none is.
        self.ahead = -1

    def is_in_doubt(self, sequence: int, state: int) -> bool:
        """Whether a message found in the store may have been sent by an earlier owner."""
        return state == _SENDING or (state == _ACCEPTED and sequence <= self._inherited)

    def unloaded(self, loaded_to: int) -> int:
        """Return how many messages are claimed by our watermark and not loaded.

        There are some after "don't know" (the watermark turned out to be written), and when there
        was no room any more for a batch that was claimed by the append itself.
        """
        return max(0, self.watermark + 1 - max(loaded_to, self._inherited + 1))

    def room(self, loaded_to: int) -> int:
        """Return how many more messages may be claimed now."""
        return max(0, WATERMARK_STEP - self.count - self.unloaded(loaded_to))

    def are_few(self, loaded_to: int) -> bool:
        """Whether the claimed ones may soon be through: less than half of what may be claimed."""
        return 2 * self.room(loaded_to) > WATERMARK_STEP
