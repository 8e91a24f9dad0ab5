"""The tour's cluster: `multiconnect up` as a child, looked at from outside like any user would."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from multiconnect.control.health import ClusterDescription, NodeDescription, describe
from multiconnect.errors import DeadlineExceeded, Refused
from multiconnect.model.cluster import Role
from multiconnect.store.open import open_store
from multiconnect.store.port import Store
from multiconnect.supervisor.http_call import HttpConnection

_START_MAX_S = 60.0
_STOP_MAX_S = 15.0
_LOOK_S = 0.01


class TourCluster:
    """A cluster in `folder`; everything is thrown away with it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self._store: Store | None = None
        self.ready: dict[str, Any] = {}

    async def start(self, *options: str) -> None:
        """Start `multiconnect up` and wait until it serves."""
        ready = self._folder / "ready.json"
        with (self._folder / "up.log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "multiconnect.cli", "up",
                "--data-dir", str(self._folder / "data"), "--http", "127.0.0.1:0",
                "--upstream", "simulator", "--ready-file", str(ready), *options,
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )
        await self._until(ready.exists, _START_MAX_S, "the cluster serves")
        self.ready = json.loads(ready.read_text())
        self._store = await open_store(str(self.ready["store"]))

    async def stop(self) -> None:
        """End it in order; what does not end is killed."""
        if self._store is not None:
            await self._store.aclose()
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(_STOP_MAX_S):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()

    async def look(self) -> ClusterDescription:
        """Return the cluster as the store has it now."""
        if self._store is None:
            raise Refused("the cluster was not started")
        return describe(await self._store.control.snapshot())

    async def until(
        self, holds: Callable[[ClusterDescription], bool], limit_s: float, what: str
    ) -> ClusterDescription:
        """Wait until the cluster looks as wanted; raises DeadlineExceeded naming `what`."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + limit_s
        while True:
            seen = await self.look()
            if holds(seen):
                return seen
            if loop.time() > deadline_s:
                raise DeadlineExceeded(f"not within {limit_s} s: {what}; it is {seen.detail}")
            await asyncio.sleep(_LOOK_S)

    async def owner_of(self, shard: int) -> NodeDescription:
        """Return the CoreApp that owns the shard."""
        seen = await self.look()
        for node in seen.live:
            if node.role is Role.COREAPP and shard in node.shards:
                return node
        raise Refused(f"nobody owns shard {shard}")

    async def set_shards(self, shards: int) -> tuple[int, str]:
        """POST /v1/account/shards as an application does; return status and text."""
        account = {k: v for k, v in self.ready["account"].items() if v is not None}
        headers = {"Authorization": f"Bearer {self.ready['token']}"}
        async with HttpConnection(
            str(self.ready["http"]), headers=headers, timeout_s=60.0
        ) as connection:
            answer = await connection.post("/v1/account/shards", account | {"shards": shards})
            return answer.status, answer.body.decode()

    async def arrivals(self) -> list[dict[str, Any]]:
        """Return everything the simulator received, in order."""
        found: list[dict[str, Any]] = []
        async with HttpConnection(str(self.ready["simulator"]["url"])) as connection:
            while True:
                since = found[-1]["n"] if found else 0
                answer = await connection.get(f"/simulator/messages?since={since}")
                page = answer.json()
                if not page:
                    return found
                found += page

    async def _until(self, holds: Callable[[], bool], limit_s: float, what: str) -> None:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + limit_s
        while not holds():
            ended = self._process is not None and self._process.returncode is not None
            if ended or loop.time() > deadline_s:
                log = (self._folder / "up.log").read_text()[-2000:]
                raise DeadlineExceeded(f"not within {limit_s} s: {what}. Its log ends:\n{log}")
            await asyncio.sleep(_LOOK_S)
