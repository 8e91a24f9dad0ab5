"""The send request, read as strictly as the Cloud API reads it. Pure.

A refusal is a value, because refusing is what the endpoint does for a living.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from multiconnect.limits import TEXT_CHARS_MAX
from multiconnect.upstream.dialect import is_bsuid

_OPAQUE_CHARS_MAX = 512
#: Fields of the On-Premises dialect; the Cloud API does not know them at this place.
_ON_PREMISES_ONLY = ("preview_url", "ttl", "hsm")


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer: HTTP status, Meta's code, and what was wrong."""

    status: int
    code: int
    message: str
    details: str = ""


@dataclass(frozen=True, slots=True)
class SendRequest:
    """One message as it arrived. `opaque_id` is `biz_opaque_callback_data`, "" if absent."""

    phone_number_id: str
    recipient: str
    #: The field the recipient stood in: "to" or "recipient".
    field: str
    type: str
    text: str = ""
    opaque_id: str = ""
    #: The sender said that an earlier attempt may have arrived.
    marked: bool = False

    @property
    def is_dropped(self) -> bool:
        """A business-scoped id in `to` is answered with 200 and goes nowhere."""
        return self.field == "to" and is_bsuid(self.recipient)


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """A message of the user's, marked as read."""

    message_id: str


def parse_request(
    phone_number_id: str, body: bytes, *, marked: bool = False
) -> SendRequest | ReadRequest | Refusal:
    """Return what the body asks for, or why it is refused."""
    try:
        value = orjson.loads(body)
    except ValueError:
        return _invalid("The request body is not JSON")
    if not isinstance(value, dict):
        return _invalid("The request body is not a JSON object")
    if value.get("messaging_product") != "whatsapp":
        return _invalid("The parameter messaging_product is required and must be whatsapp")
    if value.get("status") == "read":
        return _read(value)
    for key in _ON_PREMISES_ONLY:
        if key in value:
            return _invalid(f'Unexpected key "{key}"')
    return _send(phone_number_id, value, marked)


def _read(value: dict[str, Any]) -> ReadRequest | Refusal:
    message_id = value.get("message_id")
    if not isinstance(message_id, str) or not message_id:
        return _invalid("The parameter message_id is required")
    return ReadRequest(message_id)


def _send(phone_number_id: str, value: dict[str, Any], marked: bool) -> SendRequest | Refusal:
    field = "recipient" if "recipient" in value else "to"
    recipient, kind = value.get(field), value.get("type", "text")
    opaque_id = value.get("biz_opaque_callback_data", "")
    if not isinstance(recipient, str) or not recipient:
        return _invalid("The parameter to is required")
    content = value.get(kind) if isinstance(kind, str) else None
    if not isinstance(content, dict):
        return _invalid(f"The parameter type is {kind!r}, and no object of that name follows")
    if not isinstance(opaque_id, str) or len(opaque_id) > _OPAQUE_CHARS_MAX:
        return _invalid(f"biz_opaque_callback_data must be at most {_OPAQUE_CHARS_MAX} characters")
    if kind == "template" and "namespace" in content:
        return _invalid('Unexpected key "namespace" on param "template"')
    text = content.get("body", "") if kind == "text" else ""
    if kind == "text" and not _is_text(text):
        return _invalid(f"text.body must be 1 to {TEXT_CHARS_MAX} characters long")
    return SendRequest(phone_number_id, recipient, field, kind, text, opaque_id, marked)


def _is_text(text: object) -> bool:
    return isinstance(text, str) and 0 < len(text) <= TEXT_CHARS_MAX


def _invalid(details: str) -> Refusal:
    return Refusal(400, 100, "Invalid parameter", details)
