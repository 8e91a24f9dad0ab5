"""What the body of `POST /v1/messages` must look like.

Checked is what every version of the API agrees on: the envelope, the object named by `type`, and
the few fields without which no upstream can send it. What lies deeper passes through, because
templates and interactive messages grow new fields faster than releases are made.
"""

from __future__ import annotations

from typing import Any, Final

from multiconnect.limits import TEXT_CHARS_MAX, TRACKING_CHARS_MAX
from multiconnect.web.errors import ApiError, invalid, missing, not_required, too_long
from multiconnect.web.fields import refuse_unknown, text
from multiconnect.web.masking import shown

_MEDIA: Final = ("image", "document", "audio", "video", "sticker")
_TYPES: Final = frozenset(
    {*_MEDIA, "text", "contacts", "location", "interactive", "template", "reaction"}
)
_ENVELOPE: Final = frozenset(
    {
        *("recipient_type", "to", "type", "preview_url", "ttl", "biz_opaque_callback_data"),
        *("context", "messaging_product"),
    }
)
_TTL_S_MAX: Final = 30 * 24 * 3600


def recipient_of(message: dict[str, Any]) -> str:
    """Check a message and return its recipient, as written; raise ApiError at the first mistake."""
    kind = message.get("type", "text")
    if kind.__class__ is not str or kind not in _TYPES:
        raise invalid("type", kind, f"one of {', '.join(sorted(_TYPES))}")
    recipient = message.get("to")
    if recipient.__class__ is not str:
        raise _no_recipient(message)
    for name in message:
        if name not in _ENVELOPE and name != kind:
            raise _unknown(name, kind)
    if len(message) > 3:
        _check_envelope(message)
    content = message.get(kind)
    if kind == "text":
        _check_text(message, content)
    else:
        _check_content(message, kind, content)
    return str(recipient)


def expires_at_ms(message: dict[str, Any], now_ms: int) -> int:
    """Return when the message must not be sent any more; 0 is never."""
    ttl_s = message.get("ttl")
    return 0 if ttl_s is None else now_ms + int(ttl_s) * 1000


def _no_recipient(message: dict[str, Any]) -> ApiError:
    expected = "a phone number or user id as text"
    return invalid("to", message["to"], expected) if "to" in message else missing("to", expected)


def _unknown(name: str, kind: str) -> ApiError:
    if name in _TYPES:
        return not_required(name, f"type is {kind}, so expected is the object {kind} alone")
    fields = ", ".join(sorted(_ENVELOPE))
    return not_required(name, f"expected only {fields} and the object named by type")


def _check_envelope(message: dict[str, Any]) -> None:
    to_whom = message.get("recipient_type", "individual")
    if to_whom != "individual":
        if isinstance(to_whom, str):
            raise ApiError(400, 1002, f"recipient_type is {shown(to_whom)}; expected individual")
        raise invalid("recipient_type", to_whom, "individual")
    if message.get("messaging_product", "whatsapp") != "whatsapp":
        raise invalid("messaging_product", message["messaging_product"], "whatsapp")
    if not isinstance(message.get("preview_url", False), bool):
        raise invalid("preview_url", message["preview_url"], "true or false")
    if not isinstance(message.get("context", {}), dict):
        raise invalid("context", message["context"], "an object")
    _check_tracking(message.get("biz_opaque_callback_data", ""))
    _check_ttl(message)


def _check_tracking(tracking: object) -> None:
    field = "biz_opaque_callback_data"
    if not isinstance(tracking, str):
        raise invalid(field, tracking, f"a text of at most {TRACKING_CHARS_MAX} characters")
    if len(tracking) > TRACKING_CHARS_MAX:
        raise too_long(field, len(tracking), TRACKING_CHARS_MAX)


def _check_ttl(message: dict[str, Any]) -> None:
    if "ttl" not in message:
        return
    ttl_s = message["ttl"]
    if isinstance(ttl_s, bool) or not isinstance(ttl_s, int) or not 0 < ttl_s <= _TTL_S_MAX:
        raise invalid("ttl", ttl_s, f"a whole number of seconds from 1 to {_TTL_S_MAX}")


def _check_text(message: dict[str, Any], content: Any) -> None:
    if content.__class__ is not dict:
        raise _no_content(message, "text", "an object with the field body")
    body = content.get("body")
    if body.__class__ is not str or not body:
        expected = f"a text of 1 to {TEXT_CHARS_MAX} characters"
        if "body" in content:
            raise invalid("text.body", body, expected)
        raise missing("text.body", expected)
    if len(body) > TEXT_CHARS_MAX:
        raise too_long("text.body", len(body), TEXT_CHARS_MAX)
    if len(content) > 1:
        refuse_unknown(content, ("body", "preview_url"), "text.")
        if not isinstance(content["preview_url"], bool):
            raise invalid("text.preview_url", content["preview_url"], "true or false")


def _check_content(message: dict[str, Any], kind: str, content: Any) -> None:
    if kind == "contacts":
        if not isinstance(content, list) or not content:
            raise _no_content(message, kind, "a list of at least one contact")
        return
    if not isinstance(content, dict) or not content:
        raise _no_content(message, kind, "an object that is not empty")
    if kind in _MEDIA and not _has_text(content, "id") and not _has_text(content, "link"):
        raise missing(f"{kind}.id", f"{kind}.id or {kind}.link as text")
    if kind == "template":
        text(content, "name", "the template's name", prefix="template.")
        language = content.get("language")
        if not isinstance(language, dict):
            raise invalid("template.language", language, "an object with the field code")
        text(language, "code", "a language such as en_US", prefix="template.language.")


def _no_content(message: dict[str, Any], kind: str, expected: str) -> ApiError:
    if kind not in message:
        return missing(kind, f"{expected}, because type is {kind}")
    return invalid(kind, message[kind], expected)


def _has_text(content: dict[str, Any], name: str) -> bool:
    return isinstance(content.get(name), str) and bool(content[name])
