"""`/webhooks/whatsapp`: what Meta tells us: statuses of our messages, and messages from people.

Guarantees: nothing is believed without the app secret's signature over the raw body; 200 is said
only once everything of ours in it is durable, so what is lost is told again; what is told twice is
stored once (messages, by their id) or moves nothing (statuses).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Coroutine, Iterator
from itertools import islice
from typing import Any, Final

import orjson

from multiconnect.errors import IdempotencyConflict, UsageError
from multiconnect.limits import IDEMPOTENCY_KEY_BYTES_MAX
from multiconnect.model.message import Kind, Receipt, Stream
from multiconnect.model.message_id import MessageAddress, decode_id
from multiconnect.web.errors import answer, denied, of_exception
from multiconnect.web.fields import json_object
from multiconnect.web.messages import TEXT, Request, Response
from multiconnect.web.services import Services

_log = logging.getLogger(__name__)
#: Records stored side by side before the next ones are looked at.
_STEP: Final = 1000
_Store = Coroutine[Any, Any, Receipt]


def verify(services: Services, request: Request) -> Response:
    """Answer the challenge by which Meta makes sure that the URL is ours."""
    token = request.query_value("hub.verify_token") or ""
    expected = services.settings.verify_token
    fits = hmac.compare_digest(token.encode(), expected.encode()) and expected != ""
    if request.query_value("hub.mode") != "subscribe" or not fits:
        raise denied("hub.verify_token or hub.mode is not what was agreed; expected subscribe")
    challenge = request.query_value("hub.challenge") or ""
    return Response(200, challenge.encode(), TEXT)


async def receive(services: Services, request: Request) -> Response:
    """Store what a signed webhook says."""
    if not _is_signed(services, request):
        services.figures.webhook_signatures_refused += 1
        raise denied(
            "X-Hub-Signature-256 does not fit the body; expected sha256= and the HMAC of the raw "
            "body under the app secret",
            status=401,
        )
    cluster = await services.snapshots.cluster()
    stores = _stores(services, json_object(request.body), cluster)
    while chunk := list(islice(stores, _STEP)):
        await _store_all(chunk)
    return answer(200, {})


def _is_signed(services: Services, request: Request) -> bool:
    given = request.headers.get(b"x-hub-signature-256", b"")
    settings = services.settings
    fits = False
    for secret in (settings.app_secret, settings.old_app_secret):
        if secret:
            digest = hmac.new(secret.encode(), request.body, hashlib.sha256).hexdigest()
            fits |= hmac.compare_digest(f"sha256={digest}".encode(), given.lower())
    return fits


async def _store_all(stores: list[_Store]) -> None:
    results = await asyncio.gather(*stores, return_exceptions=True)
    for result in results:
        if isinstance(result, IdempotencyConflict):
            continue  # The same message, told in other words.
        if isinstance(result, UsageError):
            # Telling it again cannot help, and must not hold up what else is in the queue.
            told = of_exception(result)
            _log.warning("webhook_entry_refused: %s", told.details if told else "")
        elif isinstance(result, BaseException):
            raise result


def _stores(services: Services, body: dict[str, Any], cluster: int) -> Iterator[_Store]:
    """Return what must be stored, in the order it was told."""
    for value in _values(body):
        for status in _dicts(value.get("statuses")):
            yield from _status(services, status, cluster)
        for message in _dicts(value.get("messages")):
            yield from _message(services, message, value)


def _status(services: Services, status: dict[str, Any], cluster: int) -> Iterator[_Store]:
    address = _address(status)
    recipient = _first_text(status, "recipient_id", "recipient_user_id")
    if address is None or address.cluster != cluster or address.stream != Stream.OUTBOUND:
        services.figures.webhook_foreign += 1
    elif not recipient or not isinstance(status.get("status"), str):
        services.figures.webhook_malformed += 1
    else:
        services.figures.webhook_statuses += 1
        yield services.sender.send_inbound(
            address.slot,
            recipient,
            orjson.dumps(status),
            kind=Kind.STATUS,
            timeout_s=services.settings.send_timeout_s,
        )


def _message(
    services: Services, message: dict[str, Any], value: dict[str, Any]
) -> Iterator[_Store]:
    sender = _first_text(message, "from", "from_user_id", "user_id")
    key = _first_text(message, "id")
    if not sender or not key or len(key.encode()) > IDEMPOTENCY_KEY_BYTES_MAX:
        services.figures.webhook_malformed += 1
        return
    services.figures.webhook_messages += 1
    yield services.sender.send_inbound(
        None,
        sender,
        orjson.dumps(_with_profile(message, sender, value)),
        kind=Kind.INBOUND_MESSAGE,
        idempotency_key=key,
        timeout_s=services.settings.send_timeout_s,
    )


def _with_profile(message: dict[str, Any], sender: str, value: dict[str, Any]) -> dict[str, Any]:
    """Return the message with what the webhook says beside it of its sender and our number."""
    found: dict[str, Any] = dict(message)
    for contact in _dicts(value.get("contacts")):
        if sender in (contact.get("wa_id"), contact.get("user_id")):
            found["profile"] = contact.get("profile")
            break
    if isinstance(value.get("metadata"), dict):
        found["metadata"] = value["metadata"]
    return found


def _values(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for entry in _dicts(body.get("entry")):
        for change in _dicts(entry.get("changes")):
            if isinstance(change.get("value"), dict):
                yield change["value"]


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _address(status: dict[str, Any]) -> MessageAddress | None:
    tracking = status.get("biz_opaque_callback_data")
    return decode_id(tracking) if isinstance(tracking, str) else None


def _first_text(value: dict[str, Any], *names: str) -> str:
    return next((value[n] for n in names if isinstance(value.get(n), str) and value[n]), "")
