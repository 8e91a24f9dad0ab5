"""The event loop of our own processes: uvloop where it can run, asyncio's own elsewhere.

Only processes and the command line choose a loop; the library runs on whatever loop it finds.
MULTICONNECT_LOOP=asyncio asks for asyncio's own, for debugging and for tests on both.
"""

from __future__ import annotations

import asyncio
import os


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a new loop, for `asyncio.Runner(loop_factory=new_event_loop)`."""
    if os.environ.get("MULTICONNECT_LOOP") == "asyncio":
        return asyncio.new_event_loop()
    try:
        import uvloop  # noqa: PLC0415 -- absent on Windows, and nothing else may depend on it
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
