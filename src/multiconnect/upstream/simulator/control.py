"""The control endpoints: read the counts, change the faults, make a user write.

Bodies and answers are JSON; a body that is not understood is a 400 with `{"error": text}`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from multiconnect.clock import Clock
from multiconnect.errors import InvalidSettings
from multiconnect.limits import SIMULATOR_ARRIVALS_PAGE
from multiconnect.upstream.simulator.faults import parse_script
from multiconnect.upstream.simulator.simulation import Simulation
from multiconnect.upstream.simulator.webhook_body import STATUSES, Inbound
from multiconnect.upstream.simulator.webhooks import Webhooks, WebhookTarget

_DEFAULT_NUMBER_ID = "100000000000001"


class ControlRoutes:
    """Everything under `/simulator/`."""

    def __init__(
        self,
        simulation: Simulation,
        webhooks: Webhooks,
        clock: Clock,
        report: Callable[[], dict[str, Any]],
    ) -> None:
        self._simulation = simulation
        self._webhooks = webhooks
        self._clock = clock
        self._report = report

    def add_to(self, application: web.Application) -> None:
        """Add the routes."""
        get, post = application.router.add_get, application.router.add_post
        get("/simulator/report", _json(self._get_report))
        get("/simulator/messages", _json(self._get_messages))
        get("/simulator/recipient/{recipient}", _json(self._get_recipient))
        post("/simulator/reset", _json(self._post_reset))
        post("/simulator/faults", _json(self._post_faults))
        post("/simulator/inbound", _json(self._post_inbound))
        post("/simulator/configure", _json(self._post_configure))

    async def _get_report(self, _: web.Request) -> Any:
        return self._report()

    async def _get_messages(self, request: web.Request) -> Any:
        text = request.query.get("since", "0")
        if not text.isdecimal() or len(text) > 18:
            raise InvalidSettings("since must be a number: the n of the last message you have")
        page = self._simulation.ledger.since(int(text), SIMULATOR_ARRIVALS_PAGE)
        return [arrival.as_json() for arrival in page]

    async def _get_recipient(self, request: web.Request) -> Any:
        recipient = request.match_info["recipient"]
        found = self._simulation.ledger.of_recipient(recipient, SIMULATOR_ARRIVALS_PAGE)
        return {"recipient": recipient, "messages": [arrival.as_json() for arrival in found]}

    async def _post_reset(self, _: web.Request) -> Any:
        self._simulation.reset()
        self._webhooks.reset_counts()
        return self._report()

    async def _post_faults(self, request: web.Request) -> Any:
        script = parse_script(await _body(request, empty=[]))
        self._simulation.set_script(script)
        return {"faults": len(script.faults)}

    async def _post_inbound(self, request: web.Request) -> Any:
        body = _object(await _body(request))
        message = Inbound(
            phone_number_id=_text(body, "phone_number_id", _DEFAULT_NUMBER_ID),
            sender=_text(body, "from"),
            text=_text(body, "text"),
            wamid=self._simulation.next_wamid(),
            at_ms=self._clock.wall_ms(),
        )
        if not self._webhooks.put(message):
            raise InvalidSettings("no webhook is configured, or its queue is full")
        return {"id": message.wamid}

    async def _post_configure(self, request: web.Request) -> Any:
        body = _object(await _body(request))
        unknown = body.keys() - {"webhook", "token"}
        if unknown:
            raise InvalidSettings(f"{min(unknown)!r} is unknown; known are webhook and token")
        if "webhook" in body:
            self._webhooks.set_target(webhook_target(body["webhook"]))
        if "token" in body:
            self._simulation.token = _text(body, "token", "")
        return {"configured": sorted(body)}


def webhook_target(value: Any) -> WebhookTarget | None:
    """Return the target in `{"url", "app_secret"?, "statuses"?}`; None for null."""
    if value is None:
        return None
    fields = _object(value)
    url = _text(fields, "url")
    if not url.startswith(("http://", "https://")):
        raise InvalidSettings("webhook.url must start with http:// or https://")
    statuses = fields.get("statuses", list(STATUSES))
    if not isinstance(statuses, list) or not set(statuses) <= set(STATUSES):
        raise InvalidSettings(f"webhook.statuses must be a list of some of {', '.join(STATUSES)}")
    return WebhookTarget(url, _text(fields, "app_secret", ""), tuple(statuses))


def _json(handler: Callable[[web.Request], Awaitable[Any]]) -> Any:
    async def handle(request: web.Request) -> web.Response:
        try:
            status, answer = 200, await handler(request)
        except InvalidSettings as error:
            status, answer = 400, {"error": str(error)}
        body = orjson.dumps(answer)
        return web.Response(status=status, body=body, content_type="application/json")

    return handle


async def _body(request: web.Request, empty: Any = None) -> Any:
    try:
        raw = await request.read()
        return orjson.loads(raw) if raw else empty
    except ValueError:
        raise InvalidSettings("the body is not JSON") from None


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidSettings("the body must be a JSON object")
    return value


def _text(fields: dict[str, Any], key: str, default: str | None = None) -> str:
    value = fields.get(key, default)
    if not isinstance(value, str) or (default is None and not value):
        raise InvalidSettings(f"{key} must be a text")
    return value
