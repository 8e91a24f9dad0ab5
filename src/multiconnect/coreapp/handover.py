"""Messages on their way to an upstream in one call: from entries to what it gets, and back.

Pure. What most messages are (no attributes, not paced, sent at once) is done here in plain loops;
whatever is out of the ordinary is handed back to the dispatcher. Compiled (docs/native.md).
"""

from __future__ import annotations

from multiconnect.coreapp.queue_entry import Entry
from multiconnect.coreapp.slot_work import SlotWork
from multiconnect.model.attributes import decode_attributes
from multiconnect.model.message import Kind, Message, Outcome, Stream, stored_message

_KINDS = {kind.value: kind for kind in Kind}


def is_known(kind: int) -> bool:
    """Whether a record's kind is one of ours."""
    return kind in _KINDS


def _is_plain(entry: Entry) -> bool:
    """Whether there is nothing to look at before a message may go."""
    return not entry.attributes and entry.early is None and entry.kind in _KINDS


class Handover:
    """The messages of one call to an upstream, of any number of slots."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.entries: list[Entry] = []
        self._works: list[SlotWork] = []
        #: Those of which the outcome is not simply "sent".
        self.unsent: list[tuple[SlotWork, Entry, Outcome]] = []

    def __len__(self) -> int:
        """Return the number of messages."""
        return len(self.entries)

    def add(self, work: SlotWork, entry: Entry) -> None:
        """Take a message along."""
        self.entries.append(entry)
        self._works.append(work)

    def add_plain(self, work: SlotWork, entries: list[Entry]) -> list[Entry]:
        """Take along what may go as it is; return those that must be looked at first."""
        others = []
        for entry in entries:
            if _is_plain(entry):
                self.add(work, entry)
            else:
                others.append(entry)
        return others

    def parts(self, most: int) -> list[Handover]:
        """Return the messages in parts of at most so many; itself if that is enough."""
        if len(self.entries) <= most:
            return [self] if self.entries else []
        parts = []
        for at in range(0, len(self.entries), most):
            part = Handover(self.stream)
            part.entries = self.entries[at : at + most]
            part._works = self._works[at : at + most]
            parts.append(part)
        return parts

    def messages(self) -> list[Message]:
        """Return the messages as the upstream gets them."""
        return [
            _message(work, self.stream, entry)
            for work, entry in zip(self._works, self.entries, strict=True)
        ]

    def settle(self, outcomes: list[Outcome], now_ms: int) -> int:
        """Settle what was sent, leave the others in `unsent`; return how many were sent.

        One outcome per message, in their order. Slots that are somebody else's by now are theirs.
        """
        sent = 0
        for at, entry in enumerate(self.entries):
            work, outcome = self._works[at], outcomes[at]
            if not work.is_open:
                continue
            if outcome.status == "sent":
                work.sent(self.stream, entry, outcome, now_ms)
                sent += 1
            else:
                self.unsent.append((work, entry, outcome))
        return sent


def _message(work: SlotWork, stream: Stream, entry: Entry) -> Message:
    message = stored_message(work.cluster, stream, work.slot, entry.sequence)
    attributes = entry.attributes
    message.recipient = entry.recipient
    message.body = entry.payload
    message.kind = _KINDS[entry.kind]
    message.account = decode_attributes(attributes).account if attributes else ""
    message.attempt = entry.attempts + 1
    message.possible_duplicate = entry.is_marked()
    message.accepted_at_ms = entry.accepted_at_ms
    return message
