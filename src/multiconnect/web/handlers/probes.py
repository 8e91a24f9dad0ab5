"""`/livez` and `/readyz`: for whoever decides to restart this process, or to send it traffic."""

from __future__ import annotations

import asyncio
from typing import Final

from multiconnect.errors import Unavailable
from multiconnect.model.cluster import NodeState, Snapshot
from multiconnect.web.errors import answer
from multiconnect.web.messages import Request, Response
from multiconnect.web.services import Services

_STORE_TIMEOUT_S: Final = 2.0


def live(services: Services, request: Request) -> Response:
    """The loop runs and requests are read: that is all there is to say."""
    del services, request
    return answer(200, {"status": "alive"})


async def ready(services: Services, request: Request) -> Response:
    """Say whether a message sent now would be stored, and if not, why not."""
    del request
    reasons = []
    if services.connections.stopping:
        reasons.append("this server is stopping")
    try:
        async with asyncio.timeout(_STORE_TIMEOUT_S):
            view = await services.snapshots.fresh()
        reasons += _gaps(view.snapshot)
    except (Unavailable, TimeoutError):
        reasons.append("the store does not answer")
    status = "not ready" if reasons else "ready"
    return answer(503 if reasons else 200, {"status": status, "reasons": reasons})


def _gaps(snapshot: Snapshot) -> list[str]:
    live_ones = {node.incarnation for node in snapshot.nodes if node.state is not NodeState.DEAD}
    lost = [row.slot for row in snapshot.slots if row.owner not in live_ones]
    if not lost:
        return []
    shown = ", ".join(map(str, lost[:8])) + (", …" if len(lost) > 8 else "")
    return [f"{len(lost)} of {len(snapshot.slots)} slots have no live owner: {shown}"]
