"""`POST /v1/messages/batch`: many messages, one line of outcome for each, in order.

The body is NDJSON (one message a line) or a JSON array; each message is stored as the bytes it is
written in. Good messages are stored even when others are bad; the answer is 201 when all are, 200
when some are not, and an error as a whole when storing them failed.

A batch of plain text messages only takes a short way: the compiled core finds where each lies in
the body, packs it from there and writes the answer; no message becomes an object. That way refuses
nothing and has no rules of its own: when anything is not plain, the long way begins anew, on which
the others, and whatever the core does not understand, are checked by the rules of single messages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, cast

import orjson

from multiconnect._native import (
    array_elements,
    canonical,
    cut_array,
    cut_lines,
    id_lines,
    plain_lines,
)
from multiconnect.dataplane.body_messages import BodyMessages
from multiconnect.errors import InvalidRecipient
from multiconnect.limits import (
    HTTP_BATCH_CUT_STEP,
    HTTP_BATCH_MESSAGES_MAX,
    HTTP_BATCH_STEP,
    HTTP_BODY_BYTES_MAX,
)
from multiconnect.web.errors import ApiError, invalid, malformed, not_required, of_exception
from multiconnect.web.fields import json_object, json_value
from multiconnect.web.message_schema import recipient_of
from multiconnect.web.messages import NDJSON, Request, Response
from multiconnect.web.ports import ReceiptsLike
from multiconnect.web.services import Services

#: What is sent on: the recipient and the message.
_Good = tuple[str, bytes]


async def post(services: Services, request: Request) -> Response:
    """Check all messages, store the good ones together, say what became of each."""
    if b"idempotency-key" in request.headers:
        raise not_required("Idempotency-Key", "a batch has none; send single messages for that")
    plain = await _cut_all(request.body)
    if plain is not None:
        return Response(201, (await _store(services, plain, len(plain))).id_lines(), NDJSON)
    checked = await _check_all(request.body)
    good = [entry for entry in checked if isinstance(entry, tuple)]
    ids = (await _store(services, good, len(good))).ids() if good else []
    if len(good) == len(checked):
        return Response(201, id_lines(ids, 0), NDJSON)
    return Response(200, await _lines(checked, ids), NDJSON)


async def _store(services: Services, messages: Iterable[_Good], count: int) -> ReceiptsLike:
    timeout_s = services.settings.send_timeout_s
    receipts = await services.sender.send_many(messages, timeout_s=timeout_s)
    services.figures.messages_accepted += count
    return receipts


def _is_array(body: bytes) -> bool:
    return body.lstrip()[:1] == b"["


async def _cut_all(body: bytes) -> BodyMessages | None:
    """Return the messages if all of them are plain, and neither none nor too many; or None."""
    if _is_array(body):
        cuts = cut_array(body, HTTP_BATCH_MESSAGES_MAX + 1)
    else:
        cuts = await _cut_lines(body)
    messages = BodyMessages(body, cuts or b"")
    return messages if 0 < len(messages) <= HTTP_BATCH_MESSAGES_MAX else None


async def _cut_lines(body: bytes) -> bytes | None:
    at = 0
    parts: list[bytes] = []
    while at < len(body) and len(parts) <= HTTP_BATCH_MESSAGES_MAX // HTTP_BATCH_CUT_STEP:
        found = cut_lines(body, at, HTTP_BATCH_CUT_STEP)
        if found is None:
            return None
        at, cuts = found
        parts.append(cuts)
        if at < len(body):
            await asyncio.sleep(0)
    return b"".join(parts)


async def _check_all(body: bytes) -> list[_Good | ApiError]:
    checked = await (_check_array(body) if _is_array(body) else _check_lines(body))
    if len(checked) > HTTP_BATCH_MESSAGES_MAX:
        raise _too_many()
    if not checked:
        raise malformed("the batch is empty; expected NDJSON, or a JSON array of messages")
    return checked


async def _check_lines(body: bytes) -> list[_Good | ApiError]:
    checked: list[_Good | ApiError] = []
    at = 0
    while at < len(body) and len(checked) <= HTTP_BATCH_MESSAGES_MAX:
        found: list[_Good | bytes] = []
        at, others = plain_lines(body, at, HTTP_BATCH_STEP, found)
        if others:
            checked += [_check_line(line) if isinstance(line, bytes) else line for line in found]
        else:
            checked += cast(list[_Good], found)
        if at < len(body):
            await asyncio.sleep(0)
    return checked


async def _check_array(body: bytes) -> list[_Good | ApiError]:
    values = json_value(body)
    if len(values) > HTTP_BATCH_MESSAGES_MAX:
        raise _too_many()
    checked: list[_Good | ApiError] = []
    for value, raw in zip(values, array_elements(body), strict=True):
        checked.append(_check_element(value, raw))
        if len(checked) % HTTP_BATCH_STEP == 0:
            await asyncio.sleep(0)
    return checked


def _check_line(raw: bytes) -> _Good | ApiError:
    try:
        return _check(json_object(raw), raw)
    except ApiError as refusal:
        return refusal


def _check_element(value: Any, raw: bytes) -> _Good | ApiError:
    if not isinstance(value, dict):
        return invalid("the message", value, "a JSON object")
    return _check(value, raw)


def _check(message: dict[str, Any], raw: bytes) -> _Good | ApiError:
    try:
        recipient = canonical(recipient_of(message))
    except ApiError as refusal:
        return refusal
    except InvalidRecipient as error:
        return of_exception(error) or malformed("to is not a recipient")
    if "ttl" in message:
        return not_required("ttl", "a batch has none; send single messages for that")
    if len(raw) > HTTP_BODY_BYTES_MAX:
        return ApiError(
            400, 1001, f"the message has {len(raw)} bytes; the limit is {HTTP_BODY_BYTES_MAX}"
        )
    return recipient, raw


def _too_many() -> ApiError:
    return ApiError(
        413, 1001, f"the batch has more messages than {HTTP_BATCH_MESSAGES_MAX}, the limit"
    )


async def _lines(checked: list[_Good | ApiError], ids: list[str]) -> bytes:
    """Return the lines of a batch of which some were refused."""
    lines: list[bytes] = []
    stored = 0
    for index, entry in enumerate(checked):
        if isinstance(entry, ApiError):
            lines.append(orjson.dumps({"index": index, "errors": [entry.entry()]}) + b"\n")
        else:
            lines.append(id_lines(ids[stored : stored + 1], index))
            stored += 1
        if index % HTTP_BATCH_STEP == HTTP_BATCH_STEP - 1:
            await asyncio.sleep(0)
    return b"".join(lines)
