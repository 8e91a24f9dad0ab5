"""Is a recipient's message late? Two judges, both for first arrivals only. Pure.

*By id*: our ids carry (slot, sequence), and a recipient's messages are numbered in the order in
which they were accepted (invariant 5). *By text*: a text such as `seq:17` carries the sender's own
count, which also covers senders whose ids are not ours. A message is late when one with a higher
number arrived before it.
"""

from __future__ import annotations

import re

from multiconnect.model.message_id import MessageAddress

_NUMBER = re.compile(r"\bseq\"?\s*[:=]\s*(\d{1,18})")


class RecipientTrack:
    """The highest numbers that arrived for one recipient, and where its arrivals are listed."""

    __slots__ = ("_number", "_place", "_sequence", "last_arrival", "recipient")

    def __init__(self, recipient: str) -> None:
        self.recipient = recipient
        #: Number of the recipient's newest arrival in the list of all; 0 if none.
        self.last_arrival = 0
        self._place = (-1, -1, -1)
        self._sequence = -1
        self._number = -1

    def is_late_by_id(self, address: MessageAddress) -> bool:
        """Note an id; True if a later one of the same cluster, stream and slot came first."""
        place = address[:3]
        if place != self._place:
            self._place, self._sequence = place, address.sequence
            return False
        if address.sequence < self._sequence:
            return True
        self._sequence = address.sequence
        return False

    def is_late_by_text(self, text: str) -> bool:
        """Note the number in a text, if there is one; True if a higher one came first."""
        found = _NUMBER.search(text)
        if found is None:
            return False
        number = int(found[1])
        if number < self._number:
            return True
        self._number = number
        return False
