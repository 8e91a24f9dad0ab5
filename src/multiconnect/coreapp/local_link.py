"""A link without a socket: a router and a CoreApp in one process (`Engine`)."""

from __future__ import annotations

import asyncio
from typing import Protocol

from multiconnect._native import read_header
from multiconnect.coreapp.group import Entry, Submitted
from multiconnect.dataplane.lane_set import AnswerEntry
from multiconnect.model.shard_map import Owner


class LocalApp(Protocol):
    """The CoreApp as this link needs it."""

    def submit(self, batch: Submitted) -> None:
        """Take a batch."""


class LocalUser(Protocol):
    """The router as this link needs it."""

    def link_ready(self, link: LocalLink) -> None:
        """Frames may be submitted."""

    def link_answered(self, link: LocalLink, entries: list[AnswerEntry]) -> None:
        """Answers came."""


class LocalLink:
    """Hands batches over as they are; answers of one turn of the loop come back together."""

    def __init__(self, owner: Owner, app: LocalApp, user: LocalUser) -> None:
        self.owner = owner
        self.ready = True
        self.frames_in_flight = 0
        self.bytes_in_flight = 0
        self.problem = ""
        self._app = app
        self._user = user
        self._answers: list[Entry] = []
        self._closed = False

    def submit(self, parts: list[bytes], batches: int, size: int) -> None:
        """Hand the batches to the CoreApp."""
        frame = _Frame(self, batches, size)
        self.frames_in_flight += 1
        self.bytes_in_flight += size
        for data in parts:
            self._app.submit(Submitted(read_header(data), data, frame.answered))

    def close(self) -> None:
        """Pass nothing on any more."""
        self._closed = True
        self.ready = False

    def answered(self, entry: Entry) -> None:
        """Collect an answer."""
        if not self._answers:
            asyncio.get_running_loop().call_soon(self._flush)
        self._answers.append(entry)

    def _flush(self) -> None:
        entries, self._answers = self._answers, []
        if not self._closed:
            self._user.link_answered(self, entries)


class _Frame:
    """What is still unanswered of one submit."""

    __slots__ = ("_left", "_link", "_size")

    def __init__(self, link: LocalLink, batches: int, size: int) -> None:
        self._link = link
        self._left = batches
        self._size = size

    def answered(self, entry: Entry) -> None:
        self._left -= 1
        if self._left == 0:
            self._link.frames_in_flight -= 1
            self._link.bytes_in_flight -= self._size
        self._link.answered(entry)
