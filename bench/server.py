"""A whole cluster as a user starts it, for the benchmarks of HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from bench.owner import NUMBER_RATE_PER_S, ROOT
from bench.processes import end

START_MAX_S, STOP_MAX_S = 60.0, 30.0


@dataclass(frozen=True, slots=True)
class Server:
    """What `multiconnect up` wrote when it was ready."""

    ready: dict[str, Any]

    @property
    def url(self) -> str:
        """The base URL."""
        return str(self.ready["http"])

    @property
    def token(self) -> str:
        """A bearer token that is valid."""
        return str(self.ready["token"])

    def web_pid(self) -> int:
        """Return the process that speaks HTTP."""
        return next(int(n["pid"]) for n in self.ready["nodes"] if n["role"] == "web")


@contextmanager
def server(folder: Path) -> Iterator[Server]:
    """Run `multiconnect up` on SQLite: one shard, one Web, the null upstream paced."""
    ready, log = folder / "ready.json", folder / "up.log"
    command = [
        *(sys.executable, "-m", "multiconnect.cli", "up", "--data-dir", str(folder / "data")),
        *("--shards", "1", "--spares", "0", "--masters", "1", "--webs", "1"),
        *("--http", "127.0.0.1:0", "--ready-file", str(ready), "--upstream", "null"),
        *("--number-rate", str(int(NUMBER_RATE_PER_S)), "--pair-rate", "off"),
    ]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out)
    try:
        yield Server(_until_ready(ready, log, process))
    finally:
        end(process, STOP_MAX_S)


def _until_ready(ready: Path, log: Path, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    deadline = monotonic() + START_MAX_S
    while not ready.exists():
        if process.poll() is not None or monotonic() > deadline:
            raise RuntimeError(f"`multiconnect up` does not serve:\n{log.read_text()[-2000:]}")
        sleep(0.02)
    return dict(json.loads(ready.read_text("utf-8")))
