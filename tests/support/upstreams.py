"""Upstreams that write down what arrives: in memory, or in a file that outlives its writers."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path

from multiconnect.model.message import Message, Outcome
from tests.support.history import Arrival


class MemoryUpstream:
    """Takes everything; the arrivals of all members may go into one list.

    While `gate` is clear a send waits before it arrives; while `reply_gate` is clear, after it.
    """

    batch_max = 256
    in_flight_max = 256

    def __init__(self, arrivals: list[Arrival] | None = None) -> None:
        self.arrivals = [] if arrivals is None else arrivals
        self.gate = asyncio.Event()
        self.reply_gate = asyncio.Event()
        self.gate.set()
        self.reply_gate.set()
        #: Messages that `send` was called with, whether or not they arrived.
        self.started: list[Message] = []

    async def start(self) -> None:
        """Nothing to prepare."""

    async def aclose(self) -> None:
        """Nothing to release."""

    async def send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Let the messages arrive."""
        self.started += messages
        await self.gate.wait()
        self.arrivals += [Arrival(m.id, m.recipient, m.possible_duplicate) for m in messages]
        await self.reply_gate.wait()
        return [Outcome.sent()] * len(messages)


class FileUpstream:
    """Appends one line per message to a file shared by all CoreApps of a cluster.

    One `write` with O_APPEND per call: the kernel puts the calls in one order, and what was written
    stays when the writer is killed in the next instant.
    """

    #: As with HTTP: a message that takes long holds up nobody else's outcome.
    batch_max = 1
    in_flight_max = 256

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    async def start(self) -> None:
        """Nothing to prepare."""

    async def aclose(self) -> None:
        """Leave the file to the process's end."""

    async def send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Append the messages."""
        pid = os.getpid()
        lines = [f"{m.id}\t{m.recipient}\t{int(m.possible_duplicate)}\t{pid}\n" for m in messages]
        os.write(self._file, "".join(lines).encode())
        return [Outcome.sent()] * len(messages)


def arrivals_in(path: Path) -> list[Arrival]:
    """Return what was appended so far, in order."""
    return [Arrival(row[0], row[1], row[2] == "1") for row in _rows(path)]


def senders_in(path: Path) -> list[int]:
    """Return the pid of who appended each line."""
    return [int(row[3]) for row in _rows(path)]


def _rows(path: Path) -> list[list[str]]:
    """Return the lines; the last one counts once it is whole."""
    if not path.exists():
        return []
    whole, _, _ = path.read_text().rpartition("\n")
    return [line.split("\t") for line in whole.splitlines()]


def text_of(message: Message) -> str:
    """Return the text of a message, "" when it has none."""
    try:
        return str(json.loads(message.body)["text"]["body"])
    except (ValueError, KeyError, TypeError):
        return ""
