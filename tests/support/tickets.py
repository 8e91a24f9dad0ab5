"""How a test tells processes that are not its own what to do wrong, and how often.

A ticket is an empty file in a folder that all of them know. Taking one removes it, so of many
processes that could fail exactly as many do as there are tickets. `stand` puts up a sign instead,
which holds until it falls. "name@seat" is for the process in that seat only.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

VARIABLE = "MULTICONNECT_TEST_TICKETS"
_MOST = 9


class Tickets:
    """One folder of tickets; `seat` is the name of the process that looks."""

    def __init__(self, folder: Path, seat: str = "") -> None:
        self._folder = folder
        self._seat = seat
        folder.mkdir(exist_ok=True)

    def put(self, name: str, count: int = 1) -> None:
        """Put `count` tickets out."""
        assert count <= _MOST
        for number in range(1, count + 1):
            (self._folder / f"{name}.{number}").touch()

    def take(self, name: str) -> bool:
        """Take a ticket if there is one."""
        for text in (name, f"{name}@{self._seat}"):
            for number in range(1, _MOST + 1):
                with contextlib.suppress(FileNotFoundError):
                    (self._folder / f"{text}.{number}").unlink()
                    return True
        return False

    def left(self, name: str) -> int:
        """Count the tickets that nobody took."""
        return len(list(self._folder.glob(f"{name}.*")))

    def stand(self, name: str, text: str = "") -> None:
        """Put up a sign."""
        (self._folder / name).write_text(text)

    def fall(self, name: str) -> None:
        """Take a sign down."""
        (self._folder / name).unlink(missing_ok=True)

    def standing(self, name: str) -> str | None:
        """Return what a sign says, None when it does not stand."""
        for text in (name, f"{name}@{self._seat}"):
            with contextlib.suppress(FileNotFoundError):
                return (self._folder / text).read_text()
        return None
