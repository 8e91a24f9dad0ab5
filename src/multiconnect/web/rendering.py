"""A response as bytes. Pure: the date is an argument, and is written out once a second at most."""

from __future__ import annotations

from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from multiconnect.web.messages import Response

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def date_line(wall_ms: int) -> bytes:
    """Return the Date header, good for a second."""
    return b"Date: " + formatdate(wall_ms / 1000, usegmt=True).encode() + b"\r\n"


def render(
    response: Response,
    date: bytes,
    *,
    keep_alive: bool = True,
    legacy: bool = False,
    is_head: bool = False,
) -> bytes:
    """Return the whole response; to a HEAD request everything but the body."""
    body = response.body
    head = head_of(response.status, response.content_type)
    if keep_alive and not legacy and not response.headers and not is_head:
        return b"%b%d\r\n%b\r\n%b" % (head, len(body), date, body)
    connection = b""
    if not keep_alive:
        connection = b"Connection: close\r\n"
    elif legacy:
        connection = b"Connection: keep-alive\r\n"
    extra = b"".join([b"%b: %b\r\n" % header for header in response.headers])
    shown = b"" if is_head else body
    return b"%b%d\r\n%b%b%b\r\n%b" % (head, len(body), date, connection, extra, shown)


@lru_cache(maxsize=256)
def head_of(status: int, content_type: bytes) -> bytes:
    """Return a head up to the number that Content-Length says."""
    # nosniff: what a business stores as text must never run as a script in somebody's browser.
    return (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"Content-Type: {content_type.decode()}\r\n"
        "X-Content-Type-Options: nosniff\r\n"
        "Content-Length: "
    ).encode()
