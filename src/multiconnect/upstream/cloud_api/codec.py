"""Message → request, reply → outcome. Sans-IO: no socket, no clock, no token.

Guarantees: every reply has exactly one outcome and nothing raises for a reply's sake; what is not
understood is "don't know" (ambiguous), never "sent" and never "failed" (design §6, 6).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from multiconnect.errors import InvalidSettings
from multiconnect.model.message import Kind, Message, Outcome
from multiconnect.upstream.cloud_api.body import cloud_body
from multiconnect.upstream.cloud_api.errors import ErrorTable
from multiconnect.upstream.reason import safe_reason

_VERSION = re.compile(r"v\d{1,3}(?:\.\d{1,3})?")
_NUMBER_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class CloudApiCodec:
    """The requests and replies of one phone number's `messages` endpoint."""

    def __init__(
        self, version: str, phone_number_id: str, errors: ErrorTable | None = None
    ) -> None:
        if not _VERSION.fullmatch(version):
            raise InvalidSettings(f"Cloud API version is {version!r}; expected one like v24.0")
        if not _NUMBER_ID.fullmatch(phone_number_id):
            raise InvalidSettings("phone_number_id must be the id from the app dashboard, digits")
        self.path = f"/{version}/{phone_number_id}/messages"
        self.errors = errors or ErrorTable()

    def encode(self, message: Message) -> tuple[str, bytes]:
        """Return the path and the body of the request; raise InvalidPayload if there is none."""
        return self.path, orjson.dumps(cloud_body(message))

    def decode(
        self, message: Message, status: int, headers: Mapping[str, str], body: bytes
    ) -> Outcome:
        """Return what the reply says of the message; names in `headers` as HTTP writes them."""
        reply = _json_object(body)
        error = reply.get("error")
        if isinstance(error, dict):
            return self._refusal(message, status, headers, error)
        if 200 <= status < 300:
            return _acceptance(message, status, reply)
        return self._refusal(message, status, headers, {})

    def _refusal(
        self, message: Message, status: int, headers: Mapping[str, str], error: dict[str, Any]
    ) -> Outcome:
        return self.errors.outcome(
            _reason(status, error),
            code=_code(error),
            # An error object inside a 200 says no more than an unreadable answer does.
            status=status if status >= 300 else 500,
            attempt=message.attempt,
            retry_after_s=retry_after_s(headers),
        )


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that Retry-After asks for; None when absent or unreadable.

    A date is read against the reply's own Date, so that no clock of ours is involved.
    """
    text = headers.get("Retry-After")
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text[:9])
    try:
        until, now = (parsedate_to_datetime(part) for part in (text, headers.get("Date", "")))
        return max((until - now).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None


def _acceptance(message: Message, status: int, reply: dict[str, Any]) -> Outcome:
    if message.kind is Kind.MARK_READ:
        if reply.get("success") is True:
            return Outcome.sent()
    else:
        upstream_id = _message_id(reply)
        if upstream_id:
            return Outcome.sent(upstream_id)
    return Outcome.retry(f"HTTP {status} without a message id in the reply", ambiguous=True)


def _message_id(reply: dict[str, Any]) -> str | None:
    messages = reply.get("messages")
    first = messages[0] if isinstance(messages, list) and messages else None
    found = first.get("id") if isinstance(first, dict) else None
    return found if isinstance(found, str) else None


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _code(error: dict[str, Any]) -> int | None:
    code = error.get("code")
    if isinstance(code, str) and code.isdecimal():
        return int(code[:9])
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def _reason(status: int, error: dict[str, Any]) -> str:
    data = error.get("error_data")
    details = data.get("details") if isinstance(data, dict) else data
    parts = [text for text in (error.get("message"), details) if isinstance(text, str) and text]
    if 300 <= status < 400:
        parts.append("redirects are not followed, check the base URL")
    return safe_reason(": ".join([f"HTTP {status}", *parts]))
