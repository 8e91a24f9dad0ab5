"""Webhooks in the Cloud API's shape, and their signature. Pure."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from multiconnect.upstream.dialect import is_bsuid
from multiconnect.upstream.simulator.replies import refusal_of
from multiconnect.upstream.simulator.simulation import Accepted

SIGNATURE_HEADER = "X-Hub-Signature-256"
STATUSES = ("sent", "delivered", "read")

_ACCOUNT_ID = "100000000000000"


@dataclass(frozen=True, slots=True)
class Inbound:
    """A text from a user to the number."""

    phone_number_id: str
    sender: str
    text: str
    wamid: str
    at_ms: int


def webhook_body(
    accepted: Sequence[Accepted], inbound: Sequence[Inbound], statuses: Sequence[str]
) -> bytes:
    """Return one webhook with the statuses of all `accepted`, then all `inbound` messages."""
    changes = []
    for number in dict.fromkeys(entry.request.phone_number_id for entry in accepted):
        own = (entry for entry in accepted if entry.request.phone_number_id == number)
        lines = [line for entry in own for line in _statuses(entry, statuses)]
        changes.append(_change(number, {"statuses": lines}))
    for number in dict.fromkeys(message.phone_number_id for message in inbound):
        received = (message for message in inbound if message.phone_number_id == number)
        changes += [_change(number, _inbound(received))]
    entry = {"id": _ACCOUNT_ID, "changes": changes}
    return orjson.dumps({"object": "whatsapp_business_account", "entry": [entry]})


def signature(app_secret: str, body: bytes) -> str:
    """Return the value of X-Hub-Signature-256 for the raw body."""
    return "sha256=" + hmac.new(app_secret.encode(), body, hashlib.sha256).hexdigest()


def _change(phone_number_id: str, content: dict[str, Any]) -> dict[str, Any]:
    metadata = {"display_phone_number": phone_number_id, "phone_number_id": phone_number_id}
    value = {"messaging_product": "whatsapp", "metadata": metadata, **content}
    return {"field": "messages", "value": value}


def _statuses(entry: Accepted, statuses: Sequence[str]) -> list[dict[str, Any]]:
    if entry.fails_with is not None:
        refusal = refusal_of(entry.fails_with)
        details = {"details": refusal.message}
        error = {"code": refusal.code, "title": refusal.message, "error_data": details}
        return [{**_status(entry, "failed"), "errors": [error]}]
    return [_status(entry, status) for status in statuses]


def _status(entry: Accepted, status: str) -> dict[str, Any]:
    request = entry.request
    field = "recipient_user_id" if is_bsuid(request.recipient) else "recipient_id"
    line = {
        "id": entry.wamid,
        "status": status,
        "timestamp": str(entry.at_ms // 1000),
        field: request.recipient,
    }
    if request.opaque_id:
        line["biz_opaque_callback_data"] = request.opaque_id
    return line


def _inbound(messages: Iterable[Inbound]) -> dict[str, Any]:
    contacts, lines = [], []
    for message in messages:
        suffix = "user_id" if is_bsuid(message.sender) else "wa_id"
        contacts.append({"profile": {"name": "Simulated user"}, suffix: message.sender})
        lines.append(
            {
                ("from_user_id" if suffix == "user_id" else "from"): message.sender,
                "id": message.wamid,
                "timestamp": str(message.at_ms // 1000),
                "type": "text",
                "text": {"body": message.text},
            }
        )
    return {"contacts": contacts, "messages": lines}
