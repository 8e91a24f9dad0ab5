"""The answers to one frame's batches, collected until they leave in one write.

Compiled (docs/native.md): it is called with every batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiconnect.coreapp.endpoint import Endpoint
    from multiconnect.coreapp.group import Entry


class FrameAnswers:
    """Called with each answer as it is known; tells the endpoint of the first of them."""

    __slots__ = ("_endpoint", "_entries", "number")

    def __init__(self, endpoint: Endpoint, number: int) -> None:
        self.number = number
        self._endpoint = endpoint
        self._entries: list[Entry] = []

    def __call__(self, entry: Entry) -> None:
        """Take an answer."""
        if not self._entries:
            self._endpoint.answered(self)
        self._entries.append(entry)

    def take(self) -> list[Entry]:
        """Return what was not taken yet."""
        entries, self._entries = self._entries, []
        return entries
