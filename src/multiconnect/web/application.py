"""From a request to a handler and from an exception to an answer: the door's policy, in one place.

Guarantees: a handler runs only for a caller its route admits; whatever is raised becomes an answer
in the documented shape; an internal error is logged in full and shown as no more than 1014.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine

from multiconnect.limits import HTTP_BODY_BYTES_MAX
from multiconnect.web.auth import may
from multiconnect.web.errors import ApiError, denied, of_exception
from multiconnect.web.messages import Request, Response
from multiconnect.web.pipeline import Answer
from multiconnect.web.principal import Access, Principal
from multiconnect.web.routing import Route, RouteTable
from multiconnect.web.services import Services

_log = logging.getLogger(__name__)
#: These look at their callers themselves.
_OPEN = frozenset({Access.PUBLIC, Access.BASIC, Access.SIGNATURE})


class WebApplication:
    """Answers the requests of all connections."""

    def __init__(self, services: Services, table: RouteTable) -> None:
        self._services = services
        self._table = table

    def body_limit(self, request: Request) -> int:
        """Find the route and return how large the body may be."""
        try:
            return self._table.find(request).body_bytes_max
        except ApiError as refusal:
            request.refusal = refusal.response()
            return HTTP_BODY_BYTES_MAX

    def handle(self, request: Request) -> Answer:
        """Answer now, or return the coroutine that will."""
        route = request.route
        try:
            if route is None:
                route = self._table.find(request)
            if route.access not in _OPEN:
                header = request.headers.get(b"authorization")
                principal = self._services.auth.peek(header, route.access)
                if principal is None:
                    return self._check_first(route, request)
                _admit(route, request, principal)
            return route.handler(self._services, request)
        except Exception as error:
            return self.failed(request, error)

    def failed(self, request: Request, error: BaseException) -> Response:
        """Return the answer for an exception."""
        if isinstance(error, asyncio.CancelledError):
            return ApiError(503, 1011, "the server is stopping").response(close=True)
        told = of_exception(error) if isinstance(error, Exception) else None
        if told is None:
            route = request.route.path if request.route else ""
            _log.error("handler_failed", exc_info=error, extra={"route": route})
            told = ApiError(500, 1014, "an error inside the server; its log has the details")
        return told.response()

    def answered(self, request: Request, response: Response) -> None:
        """Count the answer."""
        route = request.route
        if route is None:
            method, path = "", "(refused)"
        else:
            method, path = route.method, route.path
        services = self._services
        seconds = services.clock.monotonic() - request.started_s
        services.figures.answered(method, path, response.status, seconds)

    async def _check_first(self, route: Route, request: Request) -> Response:
        """Ask the store who is calling, then go on."""
        header = request.headers.get(b"authorization")
        _admit(route, request, await self._services.auth.check(header, route.access))
        result = route.handler(self._services, request)
        return await result if isinstance(result, Coroutine) else result


def _admit(route: Route, request: Request, principal: Principal) -> None:
    if not may(principal, route.access):
        raise denied(f"{route.method} {route.path} is for admins; this user is not one")
    request.principal = principal
