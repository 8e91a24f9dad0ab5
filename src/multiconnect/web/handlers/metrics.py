"""`GET /metrics`: figures for Prometheus; those of this process even when the store is down."""

from __future__ import annotations

import asyncio
from typing import Final

from multiconnect.errors import Unavailable
from multiconnect.web.messages import Request, Response
from multiconnect.web.metrics import render
from multiconnect.web.services import Services

_STORE_TIMEOUT_S: Final = 2.0
_PROMETHEUS: Final = b"text/plain; version=0.0.4; charset=utf-8"


async def get(services: Services, request: Request) -> Response:
    """Show the figures."""
    del request
    try:
        async with asyncio.timeout(_STORE_TIMEOUT_S):
            view = await services.snapshots.fresh()
    except (Unavailable, TimeoutError):
        view = None
    text = render(
        services.settings.node,
        services.figures,
        services.connections,
        services.auth.logins_refused,
        view,
    )
    return Response(200, text, _PROMETHEUS)
