"""The demo's cluster: a real `multiconnect up` as a child, found through its ready file."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from multiconnect.cli.exits import CommandError, Exit
from multiconnect.cli.up import DIE_WITH_PARENT
from multiconnect.model.cluster import Snapshot
from multiconnect.store.open import open_store
from multiconnect.store.port import ControlStore
from multiconnect.supervisor.host import own_data_dir
from multiconnect.supervisor.watched import WatchedProcess

_START_MAX_S: Final = 60.0
_STOP_MAX_S: Final = 15.0
_FLAGS: Final = (
    *("--shards", "2", "--spares", "2", "--masters", "2", "--profile", "local"),
    *("--http", "127.0.0.1:0", "--upstream", "simulator", "--pair-rate", "off"),
)


@dataclass(frozen=True, slots=True)
class DemoCluster:
    """A serving cluster and how to reach it."""

    http: str
    token: str = field(repr=False)
    simulator: str
    account: dict[str, Any] = field(repr=False)
    control: ControlStore
    data_dir: Path

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every request."""
        return {"Authorization": f"Bearer {self.token}"}

    async def snapshot(self) -> Snapshot:
        """Return the control state as it is now."""
        return await self.control.snapshot()

    async def kill(self, incarnation: str) -> float:
        """SIGKILL a process of the cluster; return when, on the loop's clock."""
        node = (await self.snapshot()).node(incarnation)
        if node is None:
            raise CommandError(Exit.FAILED, f"{incarnation} is not in the node table")
        descriptor = os.pidfd_open(node.pid)
        try:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        finally:
            os.close(descriptor)
        return asyncio.get_running_loop().time()


@contextlib.asynccontextmanager
async def demo_cluster(directory: Path) -> AsyncIterator[DemoCluster]:
    """Start a cluster in `directory`, anew; stop it whatever happens."""
    data_dir, ready_file = directory / "cluster", directory / "ready.json"
    _wipe(data_dir)
    ended = asyncio.Event()
    process = WatchedProcess(
        (sys.executable, "-m", "multiconnect.cli", "up", *_FLAGS, "--data-dir", str(data_dir),
         "--ready-file", str(ready_file)),
        stderr_path=directory / "up.log",
        environment={**_clean_environment(), DIE_WITH_PARENT: "1"},
    )  # fmt: skip
    process.watch(ended.set)
    try:
        ready = await _ready(ready_file, process, ended)
        store = await open_store(ready["store"])
        try:
            yield DemoCluster(
                ready["http"], ready["token"], ready["simulator"]["url"], ready["account"],
                store.control, data_dir,
            )  # fmt: skip
        finally:
            await store.aclose()
    finally:
        await _stop(process, ended)


def _wipe(data_dir: Path) -> None:
    # The lock is taken first: a demo that still runs there must not lose its files.
    with own_data_dir(data_dir):
        for left in data_dir.iterdir():
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink()


def _clean_environment() -> dict[str, str]:
    """Return our environment without settings that would change what the demo shows."""
    kept = ("MULTICONNECT_LOOP", "MULTICONNECT_LOG_LEVEL")
    return {k: v for k, v in os.environ.items() if k in kept or not k.startswith("MULTICONNECT_")}


async def _ready(path: Path, process: WatchedProcess, ended: asyncio.Event) -> dict[str, Any]:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_START_MAX_S):
            while (found := _read(path)) is None:
                if ended.is_set():
                    raise CommandError(
                        Exit.FAILED, f"the cluster ended before it served: {process.last_words()}"
                    )
                await asyncio.sleep(0.02)
            return found
    raise CommandError(
        Exit.FAILED, f"the cluster does not serve after {_START_MAX_S:g} s: {process.last_words()}"
    )


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    return found


async def _stop(process: WatchedProcess, ended: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        process.signal(number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), _STOP_MAX_S)
            return
