"""Processes that a benchmark starts: servers of one module each, and how any of them is ended."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.owner import ROOT

STOP_MAX_S = 10.0


@contextmanager
def module_server(module: str, python: Path = Path(sys.executable)) -> Iterator[str]:
    """Run a module that prints its URL and serves until it is told to end; yield the URL."""
    command = [str(python), "-m", module]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            end(process)


def end(
    process: subprocess.Popen[bytes] | subprocess.Popen[str], stop_max_s: float = STOP_MAX_S
) -> None:
    """Ask a process to end; kill it if it does not."""
    process.terminate()
    try:
        process.wait(stop_max_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
