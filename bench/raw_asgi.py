"""The reference of row 10: an ASGI application on uvicorn that checks and stores nothing.

It does decode the JSON, as everybody must, and answers in the same shape.
`python -m bench.raw_asgi` prints its URL and serves until it is told to end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from bench.asgi_server import serve

_ANSWER = b'{"messages":[{"id":"gBEGkYaYVSEEAgnPFrOLcjkFjL8"}],"meta":{"api_status":"stable"}}'
_START = {
    "type": "http.response.start",
    "status": 201,
    "headers": [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(_ANSWER)).encode()),
    ],
}
_BODY = {"type": "http.response.body", "body": _ANSWER}


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Answer every POST of a JSON object."""
    assert scope["type"] == "http"
    body, more = b"", True
    while more:
        event = await receive()
        body, more = body + event.get("body", b""), event.get("more_body", False)
    if not orjson.loads(body)["to"]:
        raise ValueError("no recipient")
    await send(_START)
    await send(_BODY)


def main() -> None:
    """Serve on a free port of loopback."""
    serve(app)


if __name__ == "__main__":
    main()
