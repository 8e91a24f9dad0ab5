"""The one listening HTTP socket that all Web processes of a host share.

The supervisor binds it, so that a Web process can die and come back without the port ever closing:
connections wait in the kernel's queue meanwhile. A port that is taken is an error, never silently
another port.
"""

from __future__ import annotations

import errno
import socket
from typing import Final

from multiconnect.errors import Refused

_BACKLOG: Final = 1024
_PORTS_TRIED: Final = 50


def bind_http(host: str, port: int) -> socket.socket:
    """Return a listening socket; raise Refused when the address cannot be had."""
    try:
        return _listen(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Refused(_taken(host, port)) from None
        raise Refused(
            f"cannot listen on {host}:{port}: {error.strerror or error}; choose another --http"
        ) from None


def base_url(listener: socket.socket, *, tls: bool) -> str:
    """Return the URL under which this machine reaches the socket."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"{'https' if tls else 'http'}://{host}:{port}"


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # A restart must not wait for connections of the last run to be forgotten.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _taken(host: str, port: int) -> str:
    free = _next_free(host, port + 1)
    remedy = f"{host}:{free} is free: use --http {host}:{free}" if free else "use --http HOST:0"
    return f"{host}:{port} is taken by another program; {remedy}"


def _next_free(host: str, first: int) -> int | None:
    for port in range(first, min(first + _PORTS_TRIED, 65536)):
        try:
            _listen(host, port).close()
        except OSError:
            continue
        return port
    return None
