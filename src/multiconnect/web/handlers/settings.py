"""`/v1/settings/application`: show, change, reset."""

from __future__ import annotations

from multiconnect.web.app_settings import change_settings, read_settings, reset_settings
from multiconnect.web.errors import answer
from multiconnect.web.fields import json_object
from multiconnect.web.messages import Request, Response
from multiconnect.web.services import Services


async def get(services: Services, request: Request) -> Response:
    """Show the settings in force."""
    del request
    return answer(200, {"settings": {"application": await read_settings(services.control)}})


async def patch(services: Services, request: Request) -> Response:
    """Change the fields that are named; the others stay."""
    await change_settings(services.control, json_object(request.body))
    return answer(200, {})


async def delete(services: Services, request: Request) -> Response:
    """Go back to the defaults."""
    del request
    await reset_settings(services.control)
    return answer(200, {})
