"""What a process of its own does to a SQLite store, so that it can be killed or stopped.

Run as `python -m tests.contract.sqlite_child MODE URL`; says what it did, line by line, on stdout.
"""

import asyncio
import os
import resource
import sys
import threading

from multiconnect.errors import StoreUnavailable
from multiconnect.model.log import LogWrite
from multiconnect.store.open import open_store
from multiconnect.store.port import Store
from multiconnect.store.sqlite.database import CONTROL, LEDGER, Database
from multiconnect.store.sqlite.files import files_of
from tests.contract.cluster import OUT, append, node

BODY = os.urandom(20_000)


def say(text: object) -> None:
    os.write(1, f"{text}\n".encode())


async def commit_forever(store: Store) -> None:
    """Append to slot 0 as owner "a"; report each batch once it is committed."""
    log = await store.log("a")
    epoch = (await store.control.snapshot()).slots[0].epoch
    tail = await log.open_slot(0, epoch)
    assert tail is not None
    sequence = tail.streams[OUT].next_seq
    while True:
        assert not await log.commit(LogWrite({0: epoch}, (append(0, sequence, body=BODY),)))
        sequence += 4
        say(sequence)


async def commit_to_the_limit(store: Store) -> None:
    """Append until no file may grow any more, then be allowed to again; report both counts."""
    log = await store.log("a")
    await log.open_slot(0, 1)
    stored = 0
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
    try:
        while stored < 10_000:
            await log.commit(LogWrite({0: 1}, (append(0, stored, body=BODY),)))
            stored += 4
    except StoreUnavailable as error:
        say(stored)
        say(type(error.__cause__).__name__)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    tail = await log.open_slot(0, 1)
    assert tail is not None
    say(tail.streams[OUT].next_seq)
    await log.commit(LogWrite({0: 1}, (append(0, tail.streams[OUT].next_seq, body=BODY),)))
    say("wrote on")


async def join_and_show(store: Store) -> None:
    """Join a cluster that others may be making at this moment; report what it is."""
    assert await store.control.join(node(f"child-{os.getpid()}"))
    snapshot = await store.control.snapshot()
    say(f"{snapshot.cluster.cluster} {len(snapshot.slots)}")


def hold(database: Database) -> None:
    """Stay in a write transaction until killed."""
    with database.write():
        say("locked")
        threading.Event().wait()


async def run(mode: str, url: str) -> None:
    store = await open_store(url)
    await {
        "commit_forever": commit_forever,
        "commit_to_the_limit": commit_to_the_limit,
        "join_and_show": join_and_show,
    }[mode](store)
    await store.aclose()


if __name__ == "__main__":
    mode, url = sys.argv[1:]
    files = files_of(url)
    if mode == "hold_ledger":
        hold(Database(files.ledger("a"), LEDGER))
    elif mode == "hold_control":
        hold(Database(files.control, CONTROL))
    else:
        asyncio.run(run(mode, url))
