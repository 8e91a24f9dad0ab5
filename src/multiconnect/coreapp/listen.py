"""Where a CoreApp's lanes come in: "unix:/path" on one host, "tcp:host:port" otherwise."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from multiconnect.coreapp.endpoint import Endpoint


async def listen(
    new_endpoint: Callable[[], Endpoint], socket_path: str, lane_listen: str
) -> tuple[asyncio.Server, str]:
    """Listen; return the server and the address routers reach it under."""
    loop = asyncio.get_running_loop()
    if lane_listen:
        host, _, port = lane_listen.partition(":")
        server = await loop.create_server(new_endpoint, host, int(port or 0))
        bound = server.sockets[0].getsockname()[1]
        return server, f"tcp:{host}:{bound}"
    forget_socket(socket_path)
    before = os.umask(0o077)
    try:
        server = await loop.create_unix_server(new_endpoint, socket_path)
    finally:
        os.umask(before)
    return server, f"unix:{socket_path}"


def forget_socket(socket_path: str) -> None:
    """Remove the file of a socket that nobody listens on (any more)."""
    if socket_path:
        Path(socket_path).unlink(missing_ok=True)
