"""`GET /v1/health`: every Master and CoreApp, from a snapshot begun after the request came."""

from __future__ import annotations

from typing import Final

from multiconnect.control.health import NodeDescription, describe
from multiconnect.model.cluster import Role
from multiconnect.web.errors import answer
from multiconnect.web.messages import Request, Response
from multiconnect.web.services import Services

#: What a node's state is called on the original's side; a spare has no connection upstream.
_GATEWAY: Final = {
    "owner": "connected",
    "draining": "connected",
    "primary": "connected",
    "joining": "connecting",
}


async def get(services: Services, request: Request) -> Response:
    """Show role and connection of each node that is not dead."""
    del request
    view = await services.snapshots.fresh()
    nodes = [
        node for node in describe(view.snapshot).live if node.role in (Role.COREAPP, Role.MASTER)
    ]
    health = {
        f"{node.name}:{node.incarnation}": {
            "gateway_status": _GATEWAY.get(node.state, "disconnected"),
            "role": _role(node),
        }
        for node in nodes
    }
    return answer(200, {"health": health})


def _role(node: NodeDescription) -> str:
    if node.role is Role.COREAPP:
        return "coreapp"
    return "primary_master" if node.state == "primary" else "secondary_master"
