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
from multiconnect.store.sqlite.database import LEDGER, Database
from multiconnect.store.sqlite.files import Files


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
        self.own = Database(files.ledger(incarnation), LEDGER)
        self._others: OrderedDict[str, Database] = OrderedDict()

    def get(self, incarnation: str) -> Database | None:
        """Return a ledger, or None if it does not exist (any more)."""
        database = self.own if incarnation == self._incarnation else self._other(incarnation)
        if database.exists():
            return database
        self.forget(incarnation)
        return None

    def forget(self, incarnation: str) -> None:
        """Close the connection to another's ledger."""
        database = self._others.pop(incarnation, None)
        if database is not None:
            database.close()

    @contextmanager
    def views(self, incarnations: Iterable[str]) -> Iterator[list[apsw.Connection]]:
        """Open a read transaction in each ledger that exists, in the order given."""
        with ExitStack() as stack:
            databases = [self.get(name) for name in dict.fromkeys(incarnations)]
            yield [stack.enter_context(found.read()) for found in databases if found is not None]
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

    def _other(self, incarnation: str) -> Database:
        database = self._others.pop(incarnation, None)
        if database is None:
            database = Database(self._files.ledger(incarnation), LEDGER, visitor=True)
        self._others[incarnation] = database
        return database
