"""`POST /v1/messages` and `PUT /v1/messages/{id}`.

Guarantees: 201 is said only once the message is durable (invariant 3); what is stored are the bytes
that came; with an Idempotency-Key the same request is answered again and stored once (invariant 4).
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Final

import orjson

from multiconnect.limits import IDEMPOTENCY_KEY_BYTES_MAX
from multiconnect.model.message import Kind, Receipt, Stream
from multiconnect.model.message_id import decode_id
from multiconnect.web.errors import META, ApiError, answer, invalid, too_long
from multiconnect.web.fields import json_object, refuse_unknown, text
from multiconnect.web.message_schema import expires_at_ms, recipient_of
from multiconnect.web.messages import Request, Response
from multiconnect.web.services import Services

#: What stands around the id in the answer.
BEFORE_ID: Final = b'{"messages":[{"id":"'
AFTER_ID: Final = b'"}],"meta":%b}' % orjson.dumps(META)
_READ_KEY: Final = "read"
_MESSAGE_ID_CHARS_MAX: Final = 250


def post(services: Services, request: Request) -> Coroutine[Any, Any, Response]:
    """Check a message here and now; return the coroutine that stores it."""
    recipient, expiry_ms = recipient_and_expiry(services, request.body)
    key = request.headers.get(b"idempotency-key")
    return _store(services, recipient, request.body, "" if key is None else key_of(key), expiry_ms)


def recipient_and_expiry(services: Services, body: bytes) -> tuple[str, int]:
    """Check a message; return whom it is for, and until when (0: for ever)."""
    message = json_object(body)
    recipient = recipient_of(message)
    if "ttl" not in message:
        return recipient, 0
    return recipient, expires_at_ms(message, services.clock.wall_ms())


async def _store(
    services: Services, recipient: str, body: bytes, idempotency_key: str, expiry_ms: int
) -> Response:
    receipt = await services.sender.send(
        recipient,
        body,
        idempotency_key=idempotency_key,
        expires_at_ms=expiry_ms,
        timeout_s=services.settings.send_timeout_s,
    )
    count_accepted(services, receipt)
    return created(receipt)


def count_accepted(services: Services, receipt: Receipt) -> None:
    """Count a message that is stored, or was before."""
    if receipt.repeated:
        services.figures.messages_repeated += 1
    else:
        services.figures.messages_accepted += 1


def created(receipt: Receipt) -> Response:
    """Return the answer to a message that is stored."""
    return Response(201, BEFORE_ID + receipt.id.encode() + AFTER_ID)


async def put(services: Services, request: Request) -> Response:
    """Ask the upstream to mark a message that came in as read."""
    body = json_object(request.body)
    refuse_unknown(body, ("status",))
    if text(body, "status", "read") != "read":
        raise invalid("status", body["status"], "read")
    message_id = request.params["id"]
    address = decode_id(message_id)
    if address is not None and address.stream == Stream.OUTBOUND:
        raise ApiError(400, 1009, "the id is of a message sent from here; expected one received")
    if not message_id.isprintable() or not message_id.strip():
        raise invalid("id", message_id, "the id of a message received")
    if len(message_id) > _MESSAGE_ID_CHARS_MAX:
        raise too_long("id", len(message_id), _MESSAGE_ID_CHARS_MAX)
    # The upstream wants no recipient for this, so the id itself decides the slot; and it is done
    # once, however often it is asked for.
    await services.sender.send(
        message_id,
        orjson.dumps({"status": "read", "message_id": message_id}),
        idempotency_key=_READ_KEY,
        kind=Kind.MARK_READ,
        timeout_s=services.settings.send_timeout_s,
    )
    return answer(200, {"messages": [{"id": message_id}]})


def key_of(header: bytes) -> str:
    """Return the idempotency key in a header."""
    if len(header) > IDEMPOTENCY_KEY_BYTES_MAX:
        raise too_long("Idempotency-Key", len(header), IDEMPOTENCY_KEY_BYTES_MAX, "bytes")
    key = header.decode("latin-1")
    if not key.strip() or not (key.isascii() and key.isprintable()):
        raise invalid("Idempotency-Key", key, "1 to 255 printable ASCII characters")
    return key
