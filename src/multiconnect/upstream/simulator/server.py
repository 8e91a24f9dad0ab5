"""The simulator on a socket: reactions performed, and the control endpoints beside them.

The control endpoints need no login: listen on a loopback address, or behind one.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from typing import Any

from aiohttp import web

from multiconnect.clock import Clock, SystemClock
from multiconnect.limits import SIMULATOR_BODY_BYTES_MAX, SIMULATOR_CLOSE_S
from multiconnect.upstream.dialect import DUPLICATE_HEADER
from multiconnect.upstream.simulator.behaviour import Answer
from multiconnect.upstream.simulator.control import ControlRoutes
from multiconnect.upstream.simulator.faults import Script
from multiconnect.upstream.simulator.replies import BODY_TOO_LARGE, WRONG_VERSION, refusal_json
from multiconnect.upstream.simulator.simulation import Reaction, Simulation
from multiconnect.upstream.simulator.webhooks import Webhooks, WebhookTarget

_JSON = "application/json"
#: Close at once and tell the peer so (RST), whatever is still unsent.
_LINGER_NONE = struct.pack("ii", 1, 0)


class SimulatorServer:
    """A simulator that listens; `async with` starts and closes it, `url` says where it is."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        script: Script | None = None,
        token: str = "",
        webhook: WebhookTarget | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._host, self._port = host, port
        self._webhook = webhook
        self._clock = clock or SystemClock()
        self._runner: web.AppRunner | None = None
        self.simulation = Simulation(os.urandom(8), script, token)
        self.url = ""

    async def __aenter__(self) -> SimulatorServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def start(self) -> str:
        """Listen, and return the base URL; raise OSError when the address is taken."""
        self._webhooks = Webhooks()
        self._webhooks.set_target(self._webhook)
        runner = web.AppRunner(
            self._application(),
            access_log=None,
            # A held request ends with its connection instead of sleeping on.
            handler_cancellation=True,
            shutdown_timeout=SIMULATOR_CLOSE_S,
        )
        self._runner = runner
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port, backlog=1024).start()
        except OSError:
            await self.aclose()
            raise
        host, port = runner.addresses[0][:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        return self.url

    async def aclose(self) -> None:
        """Stop listening, end every connection, stop the webhooks; idempotent."""
        runner, self._runner = self._runner, None
        if runner is not None:
            self._closing.set()
            await self._webhooks.aclose()
            await runner.cleanup()

    def report(self) -> dict[str, Any]:
        """Return what `GET /simulator/report` answers."""
        return {**self.simulation.report(), "webhooks": self._webhooks.report()}

    def _application(self) -> web.Application:
        self._closing = asyncio.Event()
        application = web.Application(client_max_size=SIMULATOR_BODY_BYTES_MAX)
        application.router.add_post("/{version}/{phone_number_id}/messages", self._messages)
        ControlRoutes(self.simulation, self._webhooks, self._clock, self.report).add_to(application)
        return application

    async def _messages(self, request: web.Request) -> web.Response:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _response(BODY_TOO_LARGE.status, refusal_json(BODY_TOO_LARGE, "A0"))
        if not request.match_info["version"].startswith("v"):
            return _response(WRONG_VERSION.status, refusal_json(WRONG_VERSION, "A0"))
        headers = request.headers
        reaction = self.simulation.react(
            request.match_info["phone_number_id"],
            headers.get("Authorization", ""),
            body,
            marked=headers.get(DUPLICATE_HEADER) == "1",
            now_s=self._clock.monotonic(),
            now_ms=self._clock.wall_ms(),
        )
        if reaction.accepted is not None:
            self._webhooks.put(reaction.accepted)
        return await self._answer(request, reaction)

    async def _answer(self, request: web.Request, reaction: Reaction) -> web.Response:
        if reaction.delay_s:
            await self._wait(reaction.delay_s)
        if reaction.answer is not Answer.REPLY and request.transport is not None:
            _hang_up(request.transport, reset=reaction.answer is Answer.RESET)
        return _response(reaction.status, reaction.body)

    async def _wait(self, delay_s: float) -> None:
        try:
            await asyncio.wait_for(self._closing.wait(), delay_s)
        except TimeoutError:
            pass


def _response(status: int, body: bytes) -> web.Response:
    return web.Response(status=status, body=body, content_type=_JSON)


def _hang_up(transport: asyncio.Transport, *, reset: bool) -> None:
    # aiohttp notices that the connection is gone and drops the response it is given.
    if not reset:
        transport.close()
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
    transport.abort()
