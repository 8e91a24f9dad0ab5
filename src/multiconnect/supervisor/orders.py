"""SIGTERM and SIGINT as events: the first asks for an orderly end, the second for a quick one."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from typing import Final

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Orders:
    """What the signals so far have asked for."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()
        self.last: signal.Signals | None = None

    def give(self, number: signal.Signals) -> None:
        """Take a signal."""
        self.last = number
        if self.stop.is_set():
            self.hurry.set()
        self.stop.set()


@contextlib.contextmanager
def orders() -> Iterator[Orders]:
    """Turn signals into orders while the context lasts."""
    loop = asyncio.get_running_loop()
    given = Orders()
    for number in _SIGNALS:
        loop.add_signal_handler(number, given.give, number)
    try:
        yield given
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
