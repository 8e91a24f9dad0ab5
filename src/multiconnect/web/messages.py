"""A request and a response, as handlers see them: bytes in, bytes out, no sockets.

`Request` is a plain slotted class and not a frozen dataclass: one is made for every request, and
a frozen dataclass costs four times as much to make. Handlers treat it as read-only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from multiconnect.web.principal import Principal
    from multiconnect.web.routing import Route

JSON: Final = b"application/json"
NDJSON: Final = b"application/x-ndjson"
TEXT: Final = b"text/plain; charset=utf-8"
HTML: Final = b"text/html; charset=utf-8"

Headers = tuple[tuple[bytes, bytes], ...]
_NO_PARAMS: Final[Mapping[str, str]] = {}


class Request:
    """One request, complete.

    `headers` have lower-case names; those that may be repeated are joined by ", ". `path` is the
    raw target without its query. `held_bytes` is what its body takes of the shared budget.
    """

    __slots__ = (
        "body",
        "headers",
        "held_bytes",
        "is_head",
        "keep_alive",
        "legacy",
        "method",
        "params",
        "path",
        "peer",
        "principal",
        "query",
        "refusal",
        "route",
        "started_s",
    )

    def __init__(
        self,
        method: bytes,
        path: bytes,
        query: bytes,
        headers: dict[bytes, bytes],
        *,
        peer: str = "",
        legacy: bool = False,
        keep_alive: bool = True,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.peer = peer
        #: HTTP/1.0: the connection closes unless both sides say otherwise.
        self.legacy = legacy
        self.keep_alive = keep_alive
        self.is_head = method == b"HEAD"
        self.body = b""
        self.held_bytes = 0
        self.started_s = 0.0
        self.route: Route | None = None
        self.refusal: Response | None = None
        self.params: Mapping[str, str] = _NO_PARAMS
        self.principal: Principal | None = None

    def query_value(self, name: str) -> str | None:
        """Return the first value of a query parameter, or None."""
        try:
            pairs = parse_qsl(self.query.decode("ascii"), keep_blank_values=True, max_num_fields=50)
        except ValueError:
            return None
        return next((value for key, value in pairs if key == name), None)


class Response:
    """What goes back; `close` ends the connection after it."""

    __slots__ = ("body", "close", "content_type", "headers", "status")

    def __init__(
        self,
        status: int,
        body: bytes,
        content_type: bytes = JSON,
        headers: Headers = (),
        *,
        close: bool = False,
    ) -> None:
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = headers
        self.close = close
