"""The product's own roles in processes that fail on command, at exactly the moment that is asked.

`python -m tests.support.faulty_role coreapp|master`, started by a supervisor in the place of
`multiconnect.coreapp` (tests/support/faulty_up.py). Everything is the real thing but for hooks at
the ports. Tickets (tests/support/tickets.py), each for one failure:

    die-at-open           killed by itself when it has just opened its slots
    die-after-commit      … when a commit with messages is durable and nobody was answered
    die-when-drained      … when the store has taken its word that a slot is drained
    stop-before-commit    stopped (SIGSTOP) with a commit in its hands
    stop-in-transaction   … inside the transaction, with the ledger locked
    stop-before-send      … between the look at the lease and the first byte to the upstream,
                          and in no write transaction
    stop-before-assign    a Master: … between its decision and the grant
    block-loop            its event loop does not turn for 3 s
Signs, which hold until they fall:
    no-coreapp no-master  ends at once instead of starting
    cut-store             every call of the store is "don't know"
    wall                  seconds by which the wall clock is wrong
    poison                a message with this text kills who sends it
    hold                  messages to this recipient are not sent before it falls
    arrivals              messages go into this file instead of to the upstream
    measured              none of the others is looked at after the start: that takes time

`die-when-drained` leaves a sign "drained" with the slot behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw

from multiconnect.clock import SystemClock
from multiconnect.config.process import PROCESS_VARIABLE
from multiconnect.errors import StoreUnavailable
from multiconnect.model.log import LogWrite
from multiconnect.model.message import Message, Outcome
from multiconnect.store.sqlite.database import Database
from multiconnect.supervisor.child import serve_child
from tests.support.shim import StoreShim
from tests.support.tickets import VARIABLE, Tickets
from tests.support.upstreams import FileUpstream, text_of


def die() -> None:
    """End as by a power cut."""
    os.kill(os.getpid(), signal.SIGKILL)


class Writers:
    """How many threads are in a write transaction of an SQLite file, one on behalf of another."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def one_more(self) -> Iterator[None]:
        """Count the block."""
        with self._changed:
            self._count += 1
        try:
            yield
        finally:
            with self._changed:
                self._count -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def none(self) -> Iterator[None]:
        """Run the block while there is none, and none begins."""
        with self._changed:
            self._changed.wait_for(lambda: self._count == 0)
            yield


_writers = Writers()


def stop() -> None:
    """Freeze, all threads at once, and none of them in the middle of a write.

    Whoever is frozen in one keeps its file locked, and nobody can take the slots over before it is
    killed: that is another case (`stop-in-transaction`), and one that needs a supervisor.
    """
    with _writers.none():
        freeze()


def freeze() -> None:
    """Freeze, all threads at once, whatever they are doing."""
    os.kill(os.getpid(), signal.SIGSTOP)


def watch_writes() -> None:
    """Count every write transaction of this process."""
    write = Database.write

    @contextlib.contextmanager
    def watched(self: Database) -> Iterator[apsw.Connection]:
        with _writers.one_more(), write(self) as connection:
            yield connection

    Database.write = watched  # type: ignore[method-assign]


class FaultyUpstream:
    """The real upstream, or a file, with a moment before each send."""

    def __init__(self, inner: Any, tickets: Tickets) -> None:
        self._inner = inner
        self._tickets = tickets
        self.batch_max = inner.batch_max
        self.in_flight_max = inner.in_flight_max

    async def start(self) -> None:
        """Start the real one."""
        await self._inner.start()

    async def aclose(self) -> None:
        """Close the real one."""
        await self._inner.aclose()

    async def send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Fail if told to, then send."""
        poison = self._tickets.standing("poison")
        if poison and any(poison == text_of(message) for message in messages):
            die()
        if self._tickets.take("stop-before-send"):
            stop()
        if self._tickets.take("block-loop"):
            time.sleep(3)  # noqa: ASYNC251 -- the point of it
        while self._tickets.standing("hold") in {message.recipient for message in messages}:  # noqa: ASYNC110 -- a file tells nobody
            await asyncio.sleep(0.01)
        return list(await self._inner.send(messages))


class Faults:
    """Puts the hooks around what a role uses."""

    def __init__(self, tickets: Tickets) -> None:
        self._tickets = tickets

    def store(self, inner: Any) -> StoreShim:
        """Return the store with its hooks."""
        shim = StoreShim(inner)
        for hooks in (shim.before, shim.control.before, shim.log_before):
            hooks["*"] = self._cut
        shim.control.before["assign"] = self._before_assign
        shim.control.after["report_drained"] = self._after_drained
        shim.log_before["commit"] = self._before_commit
        shim.log_after["commit"] = self._after_commit
        shim.log_after["open_slots"] = self._after_open
        return shim

    async def _cut(self, *_: object, **__: object) -> None:
        if self._tickets.standing("cut-store") is not None:
            raise StoreUnavailable("told to")

    async def _before_assign(self, *_: object, **__: object) -> None:
        if self._tickets.take("stop-before-assign"):
            stop()

    async def _after_drained(self, said: bool, slot: int, *_: object) -> None:
        if said and self._tickets.take("die-when-drained"):
            self._tickets.stand("drained", str(slot))
            die()

    async def _before_commit(self, write: LogWrite) -> None:
        await self._cut()
        if write.appends and self._tickets.take("stop-before-commit"):
            stop()

    async def _after_commit(self, _: object, write: LogWrite) -> None:
        if write.appends and self._tickets.take("die-after-commit"):
            die()

    async def _after_open(self, tails: object, *_: object) -> None:
        if tails and self._tickets.take("die-at-open"):
            die()


def faulty_coreapp(tickets: Tickets) -> Any:
    """Return the CoreApp's `run` with hooks."""
    # Names that the modules import for themselves, so that only this process is changed.
    process: Any = importlib.import_module("multiconnect.coreapp.process")
    log: Any = importlib.import_module("multiconnect.store.sqlite.log")
    faults, open_store, open_upstream = Faults(tickets), process.open_store, process.open_upstream
    write_group = log.write_group

    async def store(*args: Any, **options: Any) -> Any:
        return faults.store(await open_store(*args, **options))

    def upstream(*args: Any, **options: Any) -> Any:
        path = tickets.standing("arrivals")
        return FileUpstream(Path(path)) if path else open_upstream(*args, **options)

    def faulty_upstream(*args: Any, **options: Any) -> Any:
        return FaultyUpstream(upstream(*args, **options), tickets)

    def in_transaction(db: Any, write: LogWrite, put: Any) -> Any:
        refused = write_group(db, write, put)
        if write.appends and tickets.take("stop-in-transaction"):
            freeze()
        return refused

    process.open_upstream = upstream
    if tickets.standing("measured") is None:
        process.open_store, process.open_upstream = store, faulty_upstream
        log.write_group = in_transaction
    return process.run


def faulty_master(tickets: Tickets) -> Any:
    """Return the Master's `run` with hooks."""
    process: Any = importlib.import_module("multiconnect.master.process")
    faults, open_store = Faults(tickets), process.open_store

    async def store(*args: Any, **options: Any) -> Any:
        return faults.store(await open_store(*args, **options))

    if tickets.standing("measured") is None:
        process.open_store = store
    return process.run


def wrong_clock(tickets: Tickets) -> None:
    """Let the wall clock of this process be wrong by what the sign says."""
    right = SystemClock.wall_ms

    def wall_ms(self: SystemClock) -> int:
        return right(self) + int(float(tickets.standing("wall") or 0) * 1000)

    SystemClock.wall_ms = wall_ms  # type: ignore[method-assign]


def main(role: str) -> None:
    """Be the role."""
    seat = json.loads(os.environ[PROCESS_VARIABLE])["name"]
    tickets = Tickets(Path(os.environ[VARIABLE]), seat)
    if tickets.standing(f"no-{role}") is not None:
        raise SystemExit(3)
    if tickets.standing("measured") is None:
        wrong_clock(tickets)
        watch_writes()
    serve_child({"coreapp": faulty_coreapp, "master": faulty_master}[role](tickets))


if __name__ == "__main__":
    main(sys.argv[1])
