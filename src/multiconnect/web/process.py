"""The web role as a process: settings in, a server until it is told to stop.

The supervisor passes a listening socket, shared by all Web processes of the host. While this
process stops, the others go on accepting from it.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
from typing import Final

from multiconnect.config.child import ChildContext
from multiconnect.config.process import ProcessSettings
from multiconnect.dataplane.router import Router
from multiconnect.errors import (
    InvalidSettings,
    MulticonnectError,
    Refused,
    StoreUnavailable,
)
from multiconnect.model.cluster import Beat, NodeState
from multiconnect.store.open import open_store
from multiconnect.store.port import ControlStore, Store
from multiconnect.web.server import WebServer
from multiconnect.web.settings import WebSettings

_log = logging.getLogger(__name__)
#: The name the original gives it, so that its users' set-ups work unchanged.
API_KEY_VARIABLE: Final = "WA_API_KEY"
_API_KEY_CHARS: Final = range(12, 129)
#: Requests leave no cycles behind, so the collector may look less often.
_GC_YOUNG_MAX: Final = 50_000


async def run(context: ChildContext) -> None:
    """Serve until `context.stop` is set."""
    settings = context.settings
    store = await open_store(settings.store)
    try:
        if not await store.control.join(context.node(settings.http_url)):
            raise Refused(f"{settings.incarnation} has run before; a supervisor names it anew")
        async with Router(store, events=False, lanes=settings.lane_credentials) as router:
            server = WebServer(store.control, router, web_settings(settings))
            await server.start(sock=_listening(settings.listen_fd))
            gc.collect()
            gc.freeze()
            gc.set_threshold(_GC_YOUNG_MAX)
            try:
                await _serve(context, store.control, server)
            finally:
                await server.stop()
    finally:
        await _leave(store, settings.incarnation)


def web_settings(settings: ProcessSettings) -> WebSettings:
    """Return the server's settings; raise InvalidSettings for an API key of a wrong length."""
    api_key = os.environ.get(API_KEY_VARIABLE, "")
    if api_key and len(api_key) not in _API_KEY_CHARS:
        raise InvalidSettings(f"{API_KEY_VARIABLE} has {len(api_key)} characters; expected 12-128")
    return WebSettings(
        node=settings.name,
        tls_cert=settings.tls_cert,
        tls_key=settings.tls_key,
        api_key=api_key,
        verify_token=settings.verify_token,
        app_secret=settings.app_secret,
    )


async def _serve(context: ChildContext, control: ControlStore, server: WebServer) -> None:
    settings = context.settings
    await control.set_node_state(settings.incarnation, NodeState.READY, "serving")
    context.ready()
    _log.info("serving", extra={"http": settings.http_url})
    count = 0
    while not context.stop.is_set():
        count += 1
        try:
            figures = {"requests": sum(server.services.figures.answers.values())}
            alive = await control.beat(Beat(settings.incarnation, count, figures))
            if not alive:
                _log.warning("declared_dead: ending")
                return
        except StoreUnavailable as error:
            _log.warning("no_beat: %s", error)
        try:
            async with asyncio.timeout(settings.timers.renew_s):
                await context.stop.wait()
        except TimeoutError:
            continue


async def _leave(store: Store, incarnation: str) -> None:
    try:
        await store.control.set_node_state(incarnation, NodeState.DEAD, "stopped")
    except MulticonnectError as error:
        _log.warning("not_signed_off: %s", error)
    await store.aclose()


def _listening(fd: int) -> socket.socket:
    if fd < 0:
        raise InvalidSettings("no listening socket was passed; Web processes need a supervisor")
    return socket.socket(fileno=fd)
