"""`/`: the cluster's state as a plain page, and `/openapi.json`."""

from __future__ import annotations

from html import escape
from typing import Final

from multiconnect.control.health import ClusterDescription, NodeDescription, describe
from multiconnect.web.errors import META
from multiconnect.web.messages import HTML, Headers, Request, Response
from multiconnect.web.services import Services

#: The page loads nothing, runs nothing and is shown in nobody's frame.
_HEADERS: Final[Headers] = (
    (
        b"Content-Security-Policy",
        b"default-src 'none'; style-src 'unsafe-inline'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"Referrer-Policy", b"no-referrer"),
    (b"Cache-Control", b"no-store"),
)
_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #8885}"
)


async def get(services: Services, request: Request) -> Response:
    """Show state, shards and nodes."""
    del request
    view = await services.snapshots.fresh()
    return Response(200, _page(describe(view.snapshot)).encode(), HTML, _HEADERS)


def openapi(services: Services, request: Request) -> Response:
    """Show what can be asked of this server."""
    del request
    return Response(200, services.openapi())


def _page(cluster: ClusterDescription) -> str:
    rows = "".join(_row(node) for node in cluster.live)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        '<meta http-equiv="refresh" content="5">'
        f"<title>multiconnect: {escape(cluster.state)}</title><style>{_STYLE}</style>"
        f"<h1>multiconnect</h1><p><b>{escape(cluster.state)}</b>: {escape(cluster.detail)}. "
        f"Map {cluster.map_version}, Master {escape(cluster.master or 'none')}.</p>"
        "<table><thead><tr><th>Node<th>Role<th>State<th>Shards<th>Host</thead>"
        f"<tbody>{rows}</tbody></table>"
        f'<p><a href="/metrics">metrics</a> <a href="/readyz">readiness</a> '
        f'<a href="/openapi.json">API</a> {escape(META["version"])}</p></html>'
    )


def _row(node: NodeDescription) -> str:
    shards = ", ".join(map(str, node.shards))
    cells = (node.name, node.role, node.state, shards, node.host)
    return "<tr>" + "".join(f"<td>{escape(str(cell))}" for cell in cells)
