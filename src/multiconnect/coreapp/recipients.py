"""Unsettled messages by recipient: one line each, in sequence order (invariant 5).

Pure. Also counts how many entries stand behind a blocked first one, so that a recipient who must
wait does not use up the memory window of everybody else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from multiconnect.coreapp.queue_entry import Entry


class Recipients:
    """A line of entries per recipient."""

    __slots__ = ("_lines", "count", "parked", "payload_bytes")

    def __init__(self) -> None:
        self._lines: dict[str, deque[Entry]] = {}
        self.count = 0
        #: Entries whose recipient's first entry is blocked.
        self.parked = 0
        self.payload_bytes = 0

    def __iter__(self) -> Iterator[Entry]:
        """Return all entries, recipient by recipient."""
        return (entry for line in self._lines.values() for entry in line)

    def line(self, recipient: str) -> deque[Entry]:
        """Return a recipient's entries, first one first."""
        return self._lines[recipient]

    def first(self, recipient: str) -> Entry:
        """Return the entry whose turn it is."""
        return self._lines[recipient][0]

    def add(self, entry: Entry) -> None:
        """Append an entry to its recipient's line."""
        line = self._lines.get(entry.recipient)
        if line is None:
            line = self._lines[entry.recipient] = deque()
        elif line[0].blocked:
            self.parked += 1
        line.append(entry)
        self.count += 1
        self.payload_bytes += len(entry.payload)

    def remove(self, entry: Entry) -> Entry | None:
        """Take an entry out; return the one that is first of its recipient now, if any."""
        self.unblock(entry)
        self.count -= 1
        self.payload_bytes -= len(entry.payload)
        line = self._lines[entry.recipient]
        was_first = line[0] is entry
        line.remove(entry)
        if not line:
            del self._lines[entry.recipient]
            return None
        if line[0].blocked:
            self.parked += len(line) if was_first else -1
        return line[0]

    def block(self, entry: Entry) -> None:
        """Keep an entry, and all behind it, from being tried."""
        if not entry.blocked:
            entry.blocked = True
            if self.first(entry.recipient) is entry:
                self.parked += len(self.line(entry.recipient))

    def unblock(self, entry: Entry) -> None:
        """Undo `block`."""
        if entry.blocked:
            entry.blocked = False
            if self.first(entry.recipient) is entry:
                self.parked -= len(self.line(entry.recipient))
