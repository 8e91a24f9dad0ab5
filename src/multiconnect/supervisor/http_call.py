"""A small HTTP/1.1 client for our own loopback: readiness, the simulator's controls, the demo.

One connection, one request at a time, JSON in and out; bounded in bytes and time. It is no client
for the world: what talks to the Cloud API lives in `upstream`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import urlsplit

from multiconnect.errors import Unavailable

_BODY_BYTES_MAX: Final = 64 * 1024 * 1024
_LINE_BYTES_MAX: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A status and a body."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Return the body decoded; None when it is empty."""
        return json.loads(self.body) if self.body else None


class HttpConnection:
    """One keep-alive connection to `base_url`; it reconnects before a request, never within one.

    `headers` go with every request. A certificate is not checked: the other end is our own.
    """

    def __init__(
        self, base_url: str, *, headers: Mapping[str, str] | None = None, timeout_s: float = 10.0
    ) -> None:
        parts = urlsplit(base_url)
        self._host = parts.hostname or "127.0.0.1"
        self._tls = parts.scheme == "https"
        self._port = parts.port or (443 if self._tls else 80)
        self._netloc = parts.netloc
        self._headers = dict(headers or {})
        self._timeout_s = timeout_s
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        """Connect at the first request."""
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Close, and wait until the socket is gone."""
        writer = self._writer
        self.close()
        if writer is not None:
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def close(self) -> None:
        """Drop the connection; idempotent."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    async def get(self, path: str) -> HttpAnswer:
        """GET; raises Unavailable when there is no answer."""
        return await self.request("GET", path)

    async def post(
        self, path: str, body: object, headers: Mapping[str, str] | None = None
    ) -> HttpAnswer:
        """POST `body` as JSON; raises Unavailable when there is no answer (it may have arrived)."""
        return await self.request("POST", path, json.dumps(body).encode(), headers)

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> HttpAnswer:
        """Send one request and read its answer."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._exchange(method, path, body, headers or {})
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            self.close()
            raise Unavailable(
                f"{method} {path} on {self._netloc}: {str(error) or type(error).__name__}"
            ) from error
        except BaseException:
            # Half an answer may still come: the connection cannot be used for another request.
            self.close()
            raise

    async def _exchange(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> HttpAnswer:
        reader, writer = await self._connected()
        fields = {"Host": self._netloc, **self._headers, **headers}
        if body:
            fields = {"Content-Type": "application/json", **fields}
        if body or method != "GET":
            fields["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body)
        await writer.drain()
        status = _status_of(await reader.readline())
        answered = await _read_headers(reader)
        content = await _read_body(reader, status, answered)
        if answered.get("connection", "").lower() == "close":
            self.close()
        return HttpAnswer(status, content)

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._reader is None or self._writer is None or self._reader.at_eof():
            self.close()
            self._reader, self._writer = await asyncio.open_connection(
                self._host, self._port, ssl=_unchecked() if self._tls else None
            )
        return self._reader, self._writer


def _status_of(line: bytes) -> int:
    if not line:
        raise EOFError("the connection was closed without an answer")
    words = line.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1."):
        raise ValueError("the answer is not HTTP")
    return int(words[1])


async def _read_headers(reader: asyncio.StreamReader) -> dict[str, str]:
    found: dict[str, str] = {}
    size = 0
    while line := (await reader.readline()).strip():
        size += len(line)
        if size > _LINE_BYTES_MAX:
            raise ValueError("headers are too long")
        name, _, value = line.decode("latin-1").partition(":")
        found[name.strip().lower()] = value.strip()
    return found


async def _read_body(
    reader: asyncio.StreamReader, status: int, headers: Mapping[str, str]
) -> bytes:
    if status in (204, 304):
        return b""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return await _read_chunks(reader)
    size = int(headers.get("content-length", "0"))
    if size > _BODY_BYTES_MAX:
        raise ValueError(f"an answer of {size} bytes is too long")
    return await reader.readexactly(size)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int((await reader.readline()).split(b";")[0], 16):
        if len(body) + size > _BODY_BYTES_MAX:
            raise ValueError("an answer is too long")
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readline()
    return bytes(body)


def _unchecked() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
