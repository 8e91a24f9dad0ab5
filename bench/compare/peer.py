"""Run one peer's program: `bench.compare.NAME` in the environment that has its packages."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.compare.install import ROOT
from bench.processes import end


class Peer:
    """A running peer that does a round when told."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def round(self) -> dict[str, Any]:
        """Do one round; return what it says of it."""
        assert self._process.stdin is not None
        self._process.stdin.write("round\n")
        self._process.stdin.flush()
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """Return the next line that it says."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the peer ended with exit code {self._process.wait()}")
        return dict(json.loads(line))


@contextmanager
def peer(name: str, *arguments: str, python: Path) -> Iterator[Peer]:
    """Start a peer and wait until it is ready; it ends when its input does."""
    command = [str(python), "-m", f"bench.compare.{name}", *arguments]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        running = Peer(process)
        running.answer()
        yield running
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)
    finally:
        if process.poll() is None:
            end(process)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
