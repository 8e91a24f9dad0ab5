"""The writes of one handle to the control file, in a thread of their own, and who hears of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import ParamSpec, TypeVar

import apsw

from multiconnect.store.sqlite.database import CONTROL, Database
from multiconnect.store.sqlite.files import Files
from multiconnect.store.sqlite.slots import read_slots
from multiconnect.store.sqlite.waker import Waker
from multiconnect.store.sqlite.worker import Worker
from multiconnect.store.together import Together

P = ParamSpec("P")
T = TypeVar("T")
Step = Callable[[apsw.Connection], bool]


class Writes:
    """The writing connection to the control file."""

    def __init__(self, files: Files) -> None:
        self._worker = Worker("multiconnect-control")
        self._database = Database(files.control, CONTROL, committed=self._ring)
        self._waker: Waker | None = None
        #: Whom the write under way concerns; the worker's thread alone looks at it.
        self._concerned: set[str] = set()
        self._together = Together(self._run_steps)

    async def start(self) -> None:
        """Open the file, making it if needed."""
        await self._worker.run(self._database.open)

    def ring_with(self, waker: Waker) -> None:
        """Ring it after each commit from now on."""
        self._waker = waker

    async def run(self, step: Callable[..., T], *args: object, concerned: Iterable[str] = ()) -> T:
        """Run the step in a write transaction; `concerned` are told, besides whose slots change."""

        def write() -> T:
            with self.transaction(concerned) as db:
                return step(db, *args)

        return await self._worker.run(write)

    async def run_together(self, step: Callable[..., bool], *args: object) -> bool:
        """Run the step in one transaction with all that are asked for in this turn."""
        return await self._together.ask(lambda db: step(db, *args))

    async def _run_steps(self, steps: list[Step]) -> list[bool]:
        return await self.run(lambda db: [step(db) for step in steps])

    async def in_thread(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call that opens its own `transaction`."""
        return await self._worker.run(partial(call, *args, **kwargs))

    @contextmanager
    def transaction(self, concerned: Iterable[str] = ()) -> Iterator[apsw.Connection]:
        """Run the block in a write transaction, and note whose slots it changes."""
        with self._database.write() as db:
            before = read_slots(db)
            yield db
            changed = set(before) ^ set(read_slots(db))
            names = {name for row in changed for name in (row.owner, row.drain_to)}
            self._concerned = {*concerned, *(name for name in names if name is not None)}

    def _ring(self) -> None:
        concerned, self._concerned = self._concerned, set()
        if self._waker is not None:
            self._waker.ring(concerned)

    async def aclose(self, *others: Database) -> None:
        """Close the connection, and others that its thread uses; idempotent."""

        def close() -> None:
            for database in (self._database, *others):
                database.close()

        await self._worker.aclose(close)
