"""Set-shards as an application calls it."""

from __future__ import annotations

import json
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.support.live_cluster import LiveCluster


def set_shards(cluster: LiveCluster, shards: int) -> tuple[int, str]:
    """POST /v1/account/shards; return the status and the text of the answer."""
    account = cluster.ready["account"]
    body = {key: account[key] for key in ("cc", "phone_number", "cert")} | {"shards": shards}
    if account.get("pin"):
        body["pin"] = account["pin"]
    request = Request(
        f"{cluster.http}/v1/account/shards",
        data=json.dumps(body).encode(),
        headers={**cluster.headers, "Content-Type": "application/json"},
        method="POST",
    )
    try:
        with urlopen(request, timeout=90) as reply:
            return reply.status, reply.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()
