"""The upstream of row 14: takes every POST at once, with as little work as Python allows.

It does what it must to be HTTP: it finds where a request ends, and answers it with an id in the
Cloud API's shape. `python -m bench.loopback_server` prints its URL and serves until it is told to
end.
"""

from __future__ import annotations

import asyncio
from typing import cast

from multiconnect.loop import new_event_loop

_BODY = b'{"messaging_product":"whatsapp","messages":[{"id":"wamid.HBgLMTYzMTU1NTAwMDA"}]}'
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(_BODY),
    _BODY,
)
_LENGTH = b"content-length: "


class _Connection(asyncio.Protocol):
    """Answers whole requests, in order."""

    def __init__(self) -> None:
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        while (size := _request_size(received)) and len(received) >= size:
            received = received[size:]
            assert self._transport is not None
            self._transport.write(_ANSWER)
        self._received = received


def _request_size(data: bytes) -> int:
    """Return how long the request at the start is; 0 while its head is not complete."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return 0
    head = data[:end].lower()
    at = head.find(_LENGTH)
    digits = head[at + len(_LENGTH) :].partition(b"\r\n")[0] if at >= 0 else b"0"
    return end + 4 + int(digits)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_serve())
