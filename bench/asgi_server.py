"""Serves an ASGI application as a Python user would: uvicorn on uvloop and httptools."""

from __future__ import annotations

import socket
from importlib import import_module
from typing import Any


def serve(app: Any) -> None:
    """Serve on a free port of loopback; the URL is the first line of output."""
    uvicorn = import_module("uvicorn")
    config = uvicorn.Config(
        app, loop="uvloop", http="httptools", lifespan="off", access_log=False, log_level="warning"
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        uvicorn.Server(config).run(sockets=[listener])
