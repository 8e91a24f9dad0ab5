"""The ledgers a log reads: its own, and those of the owners that held its slots before it.

A slot's *chain* lists, newest first, under which epoch which ledger was granted the slot. A ledger
that is in no chain any more was collected: its file may vanish at any time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import apsw

from multiconnect.limits import LEDGERS_OPEN_MAX
from multiconnect.store.sqlite.files import Files
from multiconnect.store.sqlite.ledger import Ledger


class Tenure(NamedTuple):
    """One link of a chain: the ledger that was granted a slot under an epoch."""

    epoch: int
    ledger: str


def read_chain(control: apsw.Connection, slot: int) -> list[Tenure]:
    """Return the tenures of a slot, newest first."""
    rows: Any = control.execute(
        "SELECT epoch, ledger FROM chain WHERE slot = ? ORDER BY epoch DESC", (slot,)
    )
    return [Tenure(*row) for row in rows]


class Ledgers:
    """Connections to ledgers by incarnation; those of others are kept while they are in use."""

    def __init__(self, files: Files, incarnation: str) -> None:
        self._files = files
        self._incarnation = incarnation
        self.own = Ledger(files.ledger(incarnation))
        self._others: OrderedDict[str, Ledger] = OrderedDict()

    def get(self, incarnation: str) -> Ledger | None:
        """Return a ledger, or None if it does not exist (any more)."""
        ledger = self.own if incarnation == self._incarnation else self._other(incarnation)
        if ledger.exists():
            return ledger
        self.forget(incarnation)
        return None

    def forget(self, incarnation: str) -> None:
        """Close the connection to another's ledger."""
        ledger = self._others.pop(incarnation, None)
        if ledger is not None:
            ledger.close()

    @contextmanager
    def views(self, incarnations: Iterable[str]) -> Iterator[list[apsw.Connection]]:
        """Open a read transaction in each ledger that exists, in the order given."""
        with ExitStack() as stack:
            ledgers = [self.get(name) for name in dict.fromkeys(incarnations)]
            yield [stack.enter_context(found.read()) for found in ledgers if found is not None]
        self.trim()

    def trim(self) -> None:
        """Close the connections used least recently, beyond LEDGERS_OPEN_MAX.

        To be called between uses: whoever works on a chain holds all of it open.
        """
        while len(self._others) > LEDGERS_OPEN_MAX:
            self.forget(next(iter(self._others)))

    def close(self) -> None:
        """Close every connection."""
        for name in list(self._others):
            self.forget(name)
        self.own.close()

    def _other(self, incarnation: str) -> Ledger:
        ledger = self._others.pop(incarnation, None)
        if ledger is None:
            ledger = Ledger(self._files.ledger(incarnation), visitor=True)
        self._others[incarnation] = ledger
        return ledger
