"""The HTTP server: listens, admits connections, stops gracefully. Works on any asyncio loop.

Guarantees: `stop` accepts nothing more, lets running requests finish and closes idle connections
at once; `/readyz` says so meanwhile. It installs no loop and touches no global state.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from functools import cache
from typing import cast

import orjson

from multiconnect._native.compiled import require_compiled
from multiconnect.clock import Clock, SystemClock
from multiconnect.errors import InvalidSettings, MulticonnectError
from multiconnect.limits import HTTP_HEADER_DEADLINE_S, TOKENS_PURGE_S
from multiconnect.store.port import ControlStore
from multiconnect.web.application import WebApplication
from multiconnect.web.auth import Authenticator
from multiconnect.web.connection import HttpConnection
from multiconnect.web.connections import ConnectionSet
from multiconnect.web.express import ExpressLane
from multiconnect.web.figures import Figures
from multiconnect.web.openapi import document
from multiconnect.web.ports import SendPort
from multiconnect.web.routes import ROUTES
from multiconnect.web.routing import RouteTable
from multiconnect.web.services import Services
from multiconnect.web.settings import WebSettings
from multiconnect.web.snapshots import Snapshots

require_compiled()

_log = logging.getLogger(__name__)
_BACKLOG = 1024


class WebServer:
    """Serves the `/v1` API of one cluster on one listening socket."""

    def __init__(
        self,
        control: ControlStore,
        sender: SendPort,
        settings: WebSettings | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._control = control
        self._sender = sender
        self._settings = settings or WebSettings()
        self._clock = clock or SystemClock()
        self._server: asyncio.Server | None = None
        self._services: Services | None = None
        self._purging: asyncio.Task[None] | None = None

    @property
    def services(self) -> Services:
        """What the handlers work with; for those who embed or test the server."""
        if self._services is None:
            raise MulticonnectError("the web server has not been started")
        return self._services

    @property
    def address(self) -> tuple[str, int]:
        """Host and port it listens on."""
        if self._server is None or not self._server.sockets:
            raise MulticonnectError("the web server is not listening")
        name = self._server.sockets[0].getsockname()
        return str(name[0]), int(name[1])

    async def start(
        self, host: str = "127.0.0.1", port: int = 0, *, sock: socket.socket | None = None
    ) -> None:
        """Listen on host and port, or on a bound socket; raise OSError or InvalidSettings."""
        tls = tls_context(self._settings.tls_cert, self._settings.tls_key)
        services = self._services = self._new_services()
        table = RouteTable(ROUTES)
        application = WebApplication(services, table)
        shared = services.connections
        express = ExpressLane(services, table.fixed("POST", "/v1/messages"))
        where = {"sock": sock} if sock is not None else {"host": host, "port": port}
        self._server = await asyncio.get_running_loop().create_server(
            lambda: cast(asyncio.Protocol, HttpConnection(shared, application, express)),
            backlog=_BACKLOG,
            ssl=tls,
            ssl_handshake_timeout=HTTP_HEADER_DEADLINE_S if tls else None,
            **where,
        )
        shared.start()
        self._purging = asyncio.create_task(self._purge_tokens())

    async def stop(self) -> None:
        """Stop accepting, finish what runs, close the rest; idempotent."""
        if self._server is None or self._services is None:
            return
        server, self._server = self._server, None
        server.close()
        await self._services.connections.stop(self._settings.stop_grace_s)
        if self._purging is not None:
            self._purging.cancel()
            await asyncio.gather(self._purging, return_exceptions=True)
        await self._services.auth.aclose()

    def _new_services(self) -> Services:
        settings = self._settings
        return Services(
            control=self._control,
            sender=self._sender,
            settings=settings,
            clock=self._clock,
            auth=Authenticator(self._control, self._clock, settings.api_key),
            snapshots=Snapshots(self._control),
            figures=Figures(),
            connections=ConnectionSet(self._clock, settings.connections_max),
            openapi=cache(lambda: orjson.dumps(document(ROUTES))),
        )

    async def _purge_tokens(self) -> None:
        """Delete tokens that have expired, now and then; a store that fails is asked again."""
        while True:
            await asyncio.sleep(TOKENS_PURGE_S)
            try:
                purged = await self.services.auth.purge()
                _log.info("tokens_purged", extra={"purged": purged})
            except MulticonnectError as error:
                _log.warning("tokens_not_purged: %s", error)


def tls_context(cert: str, key: str) -> ssl.SSLContext | None:
    """Return what `cert` and `key` (paths) make; None without them; raise InvalidSettings."""
    if not cert and not key:
        return None
    if not cert or not key:
        raise InvalidSettings("TLS needs both --tls-cert and --tls-key; one of them is missing")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise InvalidSettings(
            f"--tls-cert {cert} and --tls-key {key} cannot be used: {error}; "
            "expected a certificate chain and its private key as PEM"
        ) from error
    return context
