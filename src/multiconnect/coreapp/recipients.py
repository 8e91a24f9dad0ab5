"""Unsettled messages by recipient: one line each, in sequence order (invariant 5).

Pure. Also counts how many entries stand behind a blocked first one, so that a recipient who must
wait does not use up the memory window of everybody else. Compiled (docs/native.md).
"""

from __future__ import annotations

from collections.abc import Iterator

from multiconnect.coreapp.queue_entry import Entry, Line, new_line


class Recipients:
    """A line of entries per recipient."""

    __slots__ = ("_lines", "count", "parked", "payload_bytes")

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}
        self.count = 0
        #: Entries whose recipient's first entry is blocked.
        self.parked = 0
        self.payload_bytes = 0

    def __del__(self) -> None:
        """End the cycles of lines and entries: the collector does not look at them.

        There are too many of them, in the middle of somebody else's program maybe.
        """
        for entry in list(self):
            entry.leave_line()

    def __iter__(self) -> Iterator[Entry]:
        """Return all entries, recipient by recipient."""
        return (entry for line in self._lines.values() for entry in line)

    def add(self, entry: Entry) -> None:
        """Append an entry to its recipient's line."""
        line = self._lines.get(entry.recipient)
        if line is None:
            self._lines[entry.recipient] = new_line(entry)
        else:
            if line.first.blocked:
                self.parked += 1
            line.append(entry)
        self.count += 1
        self.payload_bytes += len(entry.payload)

    def remove(self, entry: Entry) -> Entry | None:
        """Take an entry out; return the one that is first of its recipient now, if any."""
        self.unblock(entry)
        self.count -= 1
        self.payload_bytes -= len(entry.payload)
        line = entry.line
        was_first = line.first is entry
        line.remove(entry)
        if not line.count:
            del self._lines[entry.recipient]
            return None
        if line.first.blocked:
            self.parked += line.count if was_first else -1
        return line.first

    def block(self, entry: Entry) -> None:
        """Keep an entry, and all behind it, from being tried."""
        if not entry.blocked:
            entry.blocked = True
            if entry.line.first is entry:
                self.parked += entry.line.count

    def unblock(self, entry: Entry) -> None:
        """Undo `block`."""
        if entry.blocked:
            entry.blocked = False
            if entry.line.first is entry:
                self.parked -= entry.line.count
