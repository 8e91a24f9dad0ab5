"""A role process that does nothing, in one of several ways: `python -m tests.support.dummy_role`.

MULTICONNECT_DUMMY names the way, as "word" or "seat=word,seat=word":
serve (the default) · block (its loop stops for ever once it is ready) · die (at once) · raise ·
stubborn (does not end when told to) · slow (says goodbye, then takes a second to be gone).
It writes what became of it to DATA_DIR/<incarnation>.txt, one word a line.
"""

import asyncio
import atexit
import os
import time
from pathlib import Path

from multiconnect.config.child import ChildContext
from multiconnect.supervisor.child import serve_child


def way_of(name: str) -> str:
    """Return how the seat `name` is to behave."""
    text = os.environ.get("MULTICONNECT_DUMMY", "serve")
    if "=" not in text:
        return text
    ways = dict(item.split("=", 1) for item in text.split(","))
    return ways.get(name, "serve")


async def run(context: ChildContext) -> None:
    """Behave as told, then end."""
    diary = Path(context.settings.data_dir) / f"{context.settings.incarnation}.txt"
    way = way_of(context.settings.name)
    note(diary, "started")
    if way == "die":
        raise SystemExit(3)
    if way == "raise":
        raise RuntimeError("told to fail; +16315550123 must not appear whole")
    context.ready()
    note(diary, "ready")
    if way == "block":
        # Long enough for the ready byte and the first sign of life to leave.
        await asyncio.sleep(0.3)
        time.sleep(3600)  # noqa: ASYNC251 -- the point of it
    await context.stop.wait()
    note(diary, "stopping")
    if way == "stubborn":
        await asyncio.sleep(3600)
    if way == "slow":
        atexit.register(time.sleep, 1.2)
    note(diary, "stopped")


def note(diary: Path, word: str) -> None:
    """Append a line to the diary."""
    with diary.open("a") as file:
        file.write(f"{word}\n")


if __name__ == "__main__":
    serve_child(run)
