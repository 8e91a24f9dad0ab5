"""`POST /v1/messages/batch`: many messages, one line of outcome for each, in order.

The body is NDJSON (one message a line, stored as the bytes of that line) or a JSON array (whose
elements are written anew). Good messages are stored even when others are bad; the answer is 201
when all are, 200 when some are not, and an error as a whole when storing them failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from multiconnect._native import canonical
from multiconnect.errors import InvalidRecipient
from multiconnect.limits import HTTP_BATCH_MESSAGES_MAX, HTTP_BATCH_STEP, HTTP_BODY_BYTES_MAX
from multiconnect.model.message import Receipt
from multiconnect.web.errors import ApiError, invalid, malformed, not_required, of_exception
from multiconnect.web.fields import json_object, json_value
from multiconnect.web.message_schema import recipient_of
from multiconnect.web.messages import NDJSON, Request, Response
from multiconnect.web.services import Services

#: What is sent on, and where it stood; or why it is not.
_Checked = tuple[str, bytes] | ApiError


async def post(services: Services, request: Request) -> Response:
    """Check all messages, store the good ones together, say what became of each."""
    if b"idempotency-key" in request.headers:
        raise not_required("Idempotency-Key", "a batch has none; send single messages for that")
    checked = await _check_all(request.body)
    good = [entry for entry in checked if not isinstance(entry, ApiError)]
    receipts: Sequence[Receipt] = ()
    if good:
        timeout_s = services.settings.send_timeout_s
        receipts = await services.sender.send_many(good, timeout_s=timeout_s)
        services.figures.messages_accepted += len(good)
    body = await _lines(checked, receipts)
    return Response(201 if len(good) == len(checked) else 200, body, NDJSON)


async def _check_all(body: bytes) -> list[_Checked]:
    checked: list[_Checked] = []
    for raw in _split(body):
        checked.append(_check(raw))
        if len(checked) % HTTP_BATCH_STEP == 0:
            if len(checked) > HTTP_BATCH_MESSAGES_MAX:
                break
            await asyncio.sleep(0)
    if len(checked) > HTTP_BATCH_MESSAGES_MAX:
        raise ApiError(
            413, 1001, f"the batch has more messages than {HTTP_BATCH_MESSAGES_MAX}, the limit"
        )
    if not checked:
        raise malformed("the batch is empty; expected NDJSON, or a JSON array of messages")
    return checked


def _split(body: bytes) -> Iterator[bytes | Any]:
    """Return the messages: bytes of a line, or elements of the array."""
    if body.lstrip()[:1] == b"[":
        value = json_value(body)
        if not isinstance(value, list):
            raise invalid("the body", value, "NDJSON, or a JSON array of messages")
        yield from value
        return
    start = 0
    while start < len(body):
        end = body.find(b"\n", start)
        end = len(body) if end < 0 else end
        line = body[start:end].strip()
        start = end + 1
        if line:
            yield line


def _check(raw: bytes | Any) -> _Checked:
    try:
        if isinstance(raw, bytes):
            message, payload = json_object(raw), raw
        elif isinstance(raw, dict):
            message, payload = raw, orjson.dumps(raw)
        else:
            return invalid("the message", raw, "a JSON object")
        recipient = canonical(recipient_of(message))
    except ApiError as refusal:
        return refusal
    except InvalidRecipient as error:
        return of_exception(error) or malformed("to is not a recipient")
    if "ttl" in message:
        return not_required("ttl", "a batch has none; send single messages for that")
    if len(payload) > HTTP_BODY_BYTES_MAX:
        return ApiError(
            400, 1001, f"the message has {len(payload)} bytes; the limit is {HTTP_BODY_BYTES_MAX}"
        )
    return recipient, payload


async def _lines(checked: list[_Checked], receipts: Sequence[Receipt]) -> bytes:
    lines: list[bytes] = []
    stored = iter(receipts)
    for index, entry in enumerate(checked):
        if isinstance(entry, ApiError):
            lines.append(orjson.dumps({"index": index, "errors": [entry.entry()]}))
        else:
            lines.append(b'{"index":%d,"id":"%b"}' % (index, next(stored).id.encode()))
        if index % HTTP_BATCH_STEP == HTTP_BATCH_STEP - 1:
            await asyncio.sleep(0)
    lines.append(b"")
    return b"\n".join(lines)
