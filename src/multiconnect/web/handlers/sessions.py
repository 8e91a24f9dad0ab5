"""`POST /v1/users/login` and `/v1/users/logout`."""

from __future__ import annotations

from datetime import UTC, datetime

from multiconnect.web.errors import answer, denied
from multiconnect.web.fields import json_object, optional_text, refuse_unknown
from multiconnect.web.messages import Request, Response
from multiconnect.web.services import Services

#: A token must not stay in a cache on the way.
_NOT_STORED = ((b"Cache-Control", b"no-store"),)


async def log_in(services: Services, request: Request) -> Response:
    """Check name and password (HTTP Basic); answer with a token good for seven days."""
    chosen = None
    if request.body.strip():
        body = json_object(request.body)
        refuse_unknown(body, ("new_password",))
        chosen = optional_text(body, "new_password", "a text")
    header = request.headers.get(b"authorization")
    issued = await services.auth.log_in(header, request.peer, chosen)
    expires = datetime.fromtimestamp(issued.expires_at_ms // 1000, UTC)
    user = {"token": issued.token, "expires_after": expires.isoformat(sep=" ")}
    return answer(200, {"users": [user]}, _NOT_STORED)


async def log_out(services: Services, request: Request) -> Response:
    """Make the token that came with the request void."""
    if request.principal is None or not request.principal.token_key:
        raise denied("there is no token to make void", status=401)
    await services.auth.log_out(request.principal)
    return answer(200, {})
