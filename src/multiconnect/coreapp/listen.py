"""Where a CoreApp's lanes come in: "unix:/path" on one host, "tcp:HOST:PORT" otherwise.

Guarantee: off this machine nobody is let in who has proven nothing.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from multiconnect.coreapp.doorkeeper import Doorkeeper, OwnUserOnly
from multiconnect.coreapp.endpoint import Endpoint
from multiconnect.dataplane.lane_tls import owner_context
from multiconnect.errors import InvalidSettings
from multiconnect.limits import (
    LANE_GREETING_MAX_S,
    LANE_KEEPALIVE_IDLE_S,
    LANE_KEEPALIVE_INTERVAL_S,
    LANE_KEEPALIVE_PROBES,
)
from multiconnect.model.lane_address import LaneAddress, listening_place
from multiconnect.model.lane_credentials import NO_CREDENTIALS, REMEDY, LaneCredentials


async def listen(
    new_endpoint: Callable[[], Endpoint],
    socket_path: str,
    lane_listen: str,
    credentials: LaneCredentials = NO_CREDENTIALS,
    incarnation: str = "",
) -> tuple[asyncio.Server, str]:
    """Listen; return the server and the address routers reach it under.

    Raises InvalidSettings for an address that others reach, without credentials.
    """
    if lane_listen:
        place = listening_place(lane_listen)
        return await _listen_tcp(new_endpoint, place, credentials, incarnation)
    forget_socket(socket_path)
    before = os.umask(0o077)
    try:
        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(lambda: OwnUserOnly(new_endpoint), socket_path)
    finally:
        os.umask(before)
    return server, f"unix:{socket_path}"


async def _listen_tcp(
    new_endpoint: Callable[[], Endpoint],
    place: LaneAddress,
    credentials: LaneCredentials,
    incarnation: str,
) -> tuple[asyncio.Server, str]:
    check_listening(place, credentials)
    guarded = lambda: Doorkeeper(new_endpoint, credentials.secrets, incarnation)
    server = await asyncio.get_running_loop().create_server(
        guarded if credentials.secrets else new_endpoint,
        place.host,
        place.port,
        ssl=owner_context(credentials) if credentials.has_tls else None,
        ssl_handshake_timeout=LANE_GREETING_MAX_S if credentials.has_tls else None,
    )
    for bound in server.sockets:
        _notice_dead_peers(bound)
    return server, str(replace(place, port=server.sockets[0].getsockname()[1]))


def check_listening(place: LaneAddress, credentials: LaneCredentials) -> None:
    """Raise InvalidSettings for a place that others reach, without anything to prove."""
    if place.leaves_the_machine and not credentials:
        raise InvalidSettings(
            f"lanes is {place.host!r}, an address off this machine, and there are no lane "
            f"credentials; expected some, as anybody could send through it: {REMEDY}"
        )


def _notice_dead_peers(bound: socket.socket) -> None:
    """Let connections accepted here end when the router's host is silent.

    Routers notice by themselves (link.py); an owner would keep what they left behind for hours.
    """
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    wanted = {
        "TCP_KEEPIDLE": LANE_KEEPALIVE_IDLE_S,
        "TCP_KEEPINTVL": LANE_KEEPALIVE_INTERVAL_S,
        "TCP_KEEPCNT": LANE_KEEPALIVE_PROBES,
        # In milliseconds. The same for bytes that nobody confirms.
        "TCP_USER_TIMEOUT": 1000
        * (LANE_KEEPALIVE_IDLE_S + LANE_KEEPALIVE_INTERVAL_S * LANE_KEEPALIVE_PROBES),
    }
    for name, value in wanted.items():
        option = getattr(socket, name, None)
        if option is not None:
            bound.setsockopt(socket.IPPROTO_TCP, option, value)


def forget_socket(socket_path: str) -> None:
    """Remove the file of a socket that nobody listens on (any more)."""
    if socket_path:
        Path(socket_path).unlink(missing_ok=True)
