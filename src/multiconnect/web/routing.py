"""Which handler answers which request: the mechanism. The table itself is routes.py.

Fixed paths are found by one look-up of the raw bytes; patterns ("/v1/users/{name}") one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from multiconnect.limits import HTTP_BODY_BYTES_MAX
from multiconnect.web.errors import ApiError
from multiconnect.web.masking import shown
from multiconnect.web.messages import Request, Response
from multiconnect.web.principal import Access
from multiconnect.web.services import Services

Handler = Callable[[Services, Request], Response | Coroutine[Any, Any, Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the table.

    `parallel`: requests of one connection may run side by side. `body` and `answers` name schemas
    of the OpenAPI document; an answer's name is empty where it has no JSON body.
    """

    method: str
    path: str
    handler: Handler
    access: Access
    summary: str
    body: str = ""
    answers: Mapping[int, str] = field(default_factory=dict)
    body_bytes_max: int = HTTP_BODY_BYTES_MAX
    parallel: bool = False
    #: (name, description) of the query parameters and headers looked at.
    query: Mapping[str, str] = field(default_factory=dict)
    header: Mapping[str, str] = field(default_factory=dict)


class RouteTable:
    """Finds the route of a request."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._fixed: dict[bytes, dict[bytes, Route]] = {}
        self._patterns: list[tuple[list[bytes], dict[bytes, Route]]] = []
        for route in routes:
            methods = self._methods_at(route.path.encode())
            methods[route.method.encode()] = route
            if route.method == "GET":
                methods.setdefault(b"HEAD", route)

    def fixed(self, method: str, path: str) -> Route:
        """Return the route of a fixed path."""
        return self._fixed[path.encode()][method.encode()]

    def find(self, request: Request) -> Route:
        """Set `request.route` and `request.params`; raise ApiError 404 or 405."""
        methods = self._fixed.get(request.path)
        if methods is None:
            methods = self._match(request)
        route = methods.get(request.method)
        if route is None:
            allowed = ", ".join(sorted(method.decode() for method in methods))
            method = request.method.decode("latin-1")
            raise ApiError(
                405,
                1025,
                f"{method} is not for this path; expected {allowed}",
                ((b"Allow", allowed.encode()),),
            )
        request.route = route
        return route

    def _match(self, request: Request) -> dict[bytes, Route]:
        parts = request.path.split(b"/")
        for pattern, methods in self._patterns:
            if len(pattern) == len(parts):
                params = _params(pattern, parts)
                if params is not None:
                    request.params = params
                    return methods
        path = shown(request.path.decode("latin-1"))
        raise ApiError(404, 1006, f"there is nothing at {path}; /openapi.json says what there is")

    def _methods_at(self, path: bytes) -> dict[bytes, Route]:
        if b"{" not in path:
            return self._fixed.setdefault(path, {})
        pattern = path.split(b"/")
        for known, methods in self._patterns:
            if known == pattern:
                return methods
        methods = {}
        self._patterns.append((pattern, methods))
        return methods


def _params(pattern: list[bytes], parts: list[bytes]) -> dict[str, str] | None:
    """Return the values of a pattern's parameters, or None when the path does not fit."""
    params: dict[str, str] = {}
    for expected, part in zip(pattern, parts, strict=True):
        if expected.startswith(b"{"):
            try:
                params[expected[1:-1].decode()] = unquote_to_bytes(part).decode()
            except UnicodeDecodeError:
                return None
        elif expected != part:
            return None
    return params
