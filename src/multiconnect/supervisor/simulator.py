"""The simulator as a child of the supervisor: started, found, configured, started again.

It is no node of the cluster: nobody fails over to another one. When it dies it comes back on the
same port, with its counts gone, and the connectors try again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from multiconnect.errors import Refused, Unavailable
from multiconnect.limits import RESTART_DELAY_MAX_S, RESTART_DELAY_MIN_S
from multiconnect.supervisor.http_call import HttpConnection
from multiconnect.supervisor.watched import WatchedProcess

_READY_MAX_S: Final = 20.0
_STOP_MAX_S: Final = 0.5
_MODULE: Final = "multiconnect.upstream.simulator"
_log = logging.getLogger(__name__)


class SimulatorChild:
    """Keeps one simulator running."""

    def __init__(self, data_dir: Path, logs: Path) -> None:
        self.url = ""
        self._ready_file = data_dir / "simulator.json"
        self._stderr_path = logs / "simulator.stderr"
        self._webhook: dict[str, Any] | None = None
        self._process: WatchedProcess | None = None
        self._ended = asyncio.Event()
        self._pipe: int | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Start it and return its URL; raise Refused when it does not come up."""
        await self._launch("127.0.0.1:0")
        self._keeper = asyncio.create_task(self._keep())
        return self.url

    async def configure(self, webhook_url: str, app_secret: str) -> None:
        """Send its webhooks to us, signed."""
        self._webhook = {"url": webhook_url, "app_secret": app_secret}
        await self._apply()

    async def aclose(self) -> None:
        """End it: asked first, killed if it does not listen; idempotent."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._process is not None:
            self._process.signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._ended.wait(), _STOP_MAX_S)
            except TimeoutError:
                self._process.signal(signal.SIGKILL)
                await self._ended.wait()
        self._close_pipe()

    async def _launch(self, listen: str) -> None:
        self._ready_file.unlink(missing_ok=True)
        self._close_pipe()
        # It reads this pipe's end of file when we die, however we die.
        theirs, self._pipe = os.pipe()
        arguments = ("--parent-pipe", str(theirs), "--ready-file", str(self._ready_file))
        try:
            process = WatchedProcess(
                (sys.executable, "-m", _MODULE, "--listen", listen, *arguments),
                stderr_path=self._stderr_path,
                passed_fds=(theirs,),
            )
        finally:
            os.close(theirs)
        self._ended.clear()
        self._process = process
        process.watch(self._ended.set)
        self.url = await self._ready_url(process)

    async def _ready_url(self, process: WatchedProcess) -> str:
        try:
            async with asyncio.timeout(_READY_MAX_S):
                while not self._ready_file.exists():
                    if process.code is not None:
                        raise Refused(
                            f"the simulator ended with {process.code} before it served: "
                            f"{process.last_words() or 'it said nothing'}"
                        )
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise Refused(f"the simulator did not serve within {_READY_MAX_S:g} s") from None
        return str(json.loads(self._ready_file.read_bytes())["url"])

    async def _keep(self) -> None:
        delay_s = RESTART_DELAY_MIN_S
        while True:
            await self._ended.wait()
            _log.warning("the simulator ended", extra={"restart_in_s": delay_s})
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, RESTART_DELAY_MAX_S)
            try:
                await self._launch(urlsplit(self.url).netloc)
                await self._apply()
            except (Refused, Unavailable, OSError) as error:
                _log.warning("the simulator does not come back", extra={"why": str(error)})

    async def _apply(self) -> None:
        if self._webhook is None:
            return
        async with HttpConnection(self.url) as connection:
            answer = await connection.post("/simulator/configure", {"webhook": self._webhook})
        if answer.status != 200:
            raise Unavailable(f"the simulator refused its webhook: {answer.body[:200]!r}")

    def _close_pipe(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None
