"""Peer of rows 10 and 11: FastAPI on uvicorn, one message a request.

What it does: `POST /v1/messages` with a pydantic model of the body, answered with an id; uvloop and
httptools underneath. It is what most Python teams would write first.

Unfair to us: it checks no token and stores nothing. Unfair to it: row 11 compares our batches with
its single messages, because it has no batches of its own; row 10 compares singles with singles.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from bench.asgi_server import serve


def main() -> None:
    """Serve on a free port of loopback; the URL is the first line of output."""
    fastapi, pydantic = import_module("fastapi"), import_module("pydantic")
    app = fastapi.FastAPI()
    message = pydantic.create_model("Message", to=(str, ...), type=(str, ...), text=(dict, ...))
    answer = {"messages": [{"id": "gBEGkYaYVSEEAgnPFrOLcjkFjL8"}], "meta": {"version": "v1"}}

    async def accept(body: Any) -> dict[str, Any]:
        return answer if body.to else {}

    accept.__annotations__ = {"body": message}
    app.post("/v1/messages", status_code=201)(accept)
    serve(app)


if __name__ == "__main__":
    main()
