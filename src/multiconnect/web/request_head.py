"""The head of a request: collected piece by piece, then judged as a whole.

The parser has refused what breaks the grammar. Here goes what the grammar allows and a proxy in
front of us might read differently, or what this server does not do.
"""

from __future__ import annotations

from typing import Final

from multiconnect.limits import HTTP_HEADER_BYTES_MAX, HTTP_HEADERS_MAX
from multiconnect.web.errors import ApiError, malformed
from multiconnect.web.messages import Request

#: Headers of which a second one would make the request mean two things.
ONLY_ONCE: Final = frozenset(
    {
        *(b"host", b"content-length", b"transfer-encoding", b"authorization", b"content-type"),
        *(b"expect", b"idempotency-key", b"x-hub-signature-256"),
    }
)


class Head:
    """What has been read of a head so far."""

    __slots__ = ("count", "headers", "size", "target")

    def __init__(self) -> None:
        self.target = b""
        self.headers: dict[bytes, bytes] = {}
        #: Bytes and number of all headers, repeated ones and trailers included.
        self.size = 0
        self.count = 0

    def add_again(self, name: bytes, value: bytes) -> ApiError | None:
        """Take a header that was there before; return why the request must be refused, if so."""
        self.headers[name] += b", " + value
        if name in ONLY_ONCE:
            return malformed(f"the header {name.decode('latin-1')} is given more than once")
        return None

    def length(self) -> int:
        """Return what Content-Length says; 0 when it says nothing."""
        # The parser has seen to it that these are digits, and few enough.
        return int(self.headers.get(b"content-length", b"0"))


def too_large() -> ApiError:
    """Say that the head is too large."""
    return malformed(
        f"the head has more than {HTTP_HEADER_BYTES_MAX} bytes or {HTTP_HEADERS_MAX} headers", 431
    )


def request_of(head: Head, method: bytes, version: str, keep_alive: bool, peer: str) -> Request:
    """Return the request, still without a body; raise ApiError when it must be refused."""
    headers = head.headers
    if version not in ("1.1", "1.0"):
        raise malformed(f"HTTP/{version} is not spoken here; use HTTP/1.1", 505)
    legacy = version == "1.0"
    if b"host" not in headers and not legacy:
        raise malformed("the header Host is missing")
    if b"transfer-encoding" in headers:
        _check_coding(headers[b"transfer-encoding"], legacy)
    if b"expect" in headers and headers[b"expect"].lower() != b"100-continue":
        raise malformed("Expect is not 100-continue, the only expectation met here", 417)
    # A tunnel or another protocol is not opened: the request is answered, and nothing after it.
    if b"upgrade" in headers or method == b"CONNECT":
        keep_alive = False
    path, query = _split(head.target)
    return Request(method, path, query, headers, peer=peer, legacy=legacy, keep_alive=keep_alive)


def _check_coding(coding: bytes, legacy: bool) -> None:
    if legacy:
        raise malformed("HTTP/1.0 knows no Transfer-Encoding")
    if coding.strip().lower() != b"chunked":
        raise malformed("Transfer-Encoding is not chunked, the only coding read here", 501)


def _split(target: bytes) -> tuple[bytes, bytes]:
    """Return path and query; of the absolute form, which proxies send, without the authority."""
    if not target.startswith(b"/"):
        scheme, separator, rest = target.partition(b"://")
        if separator and scheme.lower() in (b"http", b"https"):
            authority, slash, tail = rest.partition(b"/")
            target = slash + tail if slash else b"/" + authority[len(authority.split(b"?")[0]) :]
    path, _, query = target.partition(b"?")
    return path, query
