"""Messages that were being sent when two owners ended: one of them may be what ends owners.

Pure. A message in doubt for the first time costs nothing. Found in doubt again (so it was marked as
a possible duplicate before), it is a suspect: that is written down before it is sent once more, and
suspects are sent one at a time, so that a third death says which of them it was. That one is given
up, and its slot goes on. A message that was only near when others died is sent alone and settled.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from multiconnect.coreapp.queue_entry import Entry
from multiconnect.coreapp.slot_work import SlotWork
from multiconnect.limits import OWNERS_LOST_MAX
from multiconnect.model.log import Retry
from multiconnect.model.message import Stream

#: The reason in the retry row of a suspect; owners know it from that.
SUSPECTED: Final = "two owners ended while they sent it"
GIVEN_UP: Final = f"{OWNERS_LOST_MAX} owners ended while they sent it"

Suspect = tuple[SlotWork, Stream, Entry]


def is_suspect(earlier: Retry | None) -> bool:
    """Whether an earlier owner wrote down that a message is one."""
    return earlier is not None and earlier.reason == SUSPECTED


def owners_lost(entry: Entry, earlier: Retry | None) -> int:
    """Return how many owners ended while they sent a message that is in doubt, as far as known."""
    if is_suspect(earlier):
        return OWNERS_LOST_MAX
    return 2 if entry.possible_duplicate else 1


class Suspects:
    """Those of all slots of one owner, in the order they were found."""

    def __init__(self) -> None:
        self._waiting: deque[Suspect] = deque()
        self._alone: Suspect | None = None

    def add(self, work: SlotWork, stream: Stream, entry: Entry) -> None:
        """Take a suspect; it stays blocked until its turn."""
        self._waiting.append((work, stream, entry))

    def over(self, entries: list[Entry]) -> None:
        """The upstream has answered for messages, or they were settled without being sent."""
        if self._alone is not None and self._alone[2] in entries:
            self._alone = None

    def next(self) -> Suspect | None:
        """Return the suspect whose turn it is now, None while another one is out."""
        if self._alone is not None and self._alone[0].is_open:
            return None
        self._alone = None
        while self._waiting and self._alone is None:
            found = self._waiting.popleft()
            # Those of slots that are somebody else's by now are theirs.
            self._alone = found if found[0].is_open else None
        return self._alone
