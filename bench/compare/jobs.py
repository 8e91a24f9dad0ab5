"""What the peers of row 13 share: a worker in a process of its own, waiting for the last job."""

from __future__ import annotations

import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

WAIT_MAX_S = 120.0
#: How often the bench asks whether all is done: 2 ms in a round of a second is nothing.
ASK_EVERY_S = 0.002


@contextmanager
def worker(name: str, told: Namespace) -> Iterator[None]:
    """Run `bench.compare.NAME --worker` beside the producer, told the same."""
    command = [sys.executable, "-W", "ignore", "-m", f"bench.compare.{name}", "--worker"]
    command += ["--port", str(told.port), "--window", str(told.window)]
    root = Path(__file__).resolve().parents[2]
    # Output is for people: standard output belongs to the producer's rounds.
    process = subprocess.Popen(
        command, cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until(finished: Callable[[], int], expected: int) -> int:
    """Wait for the last job; return how many finished."""
    deadline = monotonic() + WAIT_MAX_S
    while (done := finished()) < expected and monotonic() < deadline:
        sleep(ASK_EVERY_S)
    return done
