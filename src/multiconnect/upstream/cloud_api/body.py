"""A message's body as the Cloud API wants it, from what an On-Premises client would have sent.

What is translated (both dialects agree on the rest, which passes through untouched):

* `messaging_product` is added, `recipient_type` is "individual" unless the body says otherwise;
* the recipient is the message's own: a business-scoped user id goes into `recipient`, never `to`;
* `preview_url` moves from the top into `text`;
* `template.namespace` and `provider` beside a media link are dropped, as is `ttl` (the Cloud API
  keeps a time to live with the template; the router's own expiry is applied before sending);
* `biz_opaque_callback_data` carries our message id, so that statuses find their way back.

Marking a message as read is another body altogether, without a recipient.
"""

from __future__ import annotations

from typing import Any

from multiconnect.errors import InvalidPayload
from multiconnect.model.message import Kind, Message
from multiconnect.upstream.dialect import is_bsuid

_PRODUCT = "whatsapp"
_MEDIA = ("image", "video", "audio", "document", "sticker")
#: Written by us, or known to the On-Premises dialect only.
_NOT_COPIED = frozenset(
    {
        *("messaging_product", "recipient_type", "to", "recipient", "type"),
        *("preview_url", "ttl", "biz_opaque_callback_data"),
    }
)


def cloud_body(message: Message) -> dict[str, Any]:
    """Return the body of the request; raise InvalidPayload when none can be made."""
    payload = _payload(message)
    if message.kind is Kind.MARK_READ:
        return _read_body(payload)
    if message.kind is not Kind.SEND:
        raise InvalidPayload(f"a message of kind {message.kind.name} is not for the upstream")
    return _send_body(message, payload)


def _payload(message: Message) -> dict[str, Any]:
    try:
        return message.payload
    except ValueError:
        # No cause: the decoder's error quotes the body.
        raise InvalidPayload("the body is not JSON") from None


def _read_body(payload: dict[str, Any]) -> dict[str, Any]:
    message_id = payload.get("message_id") or payload.get("id")
    if not isinstance(message_id, str):
        raise InvalidPayload("nothing to mark as read: message_id is missing")
    return {"messaging_product": _PRODUCT, "status": "read", "message_id": message_id}


def _send_body(message: Message, payload: dict[str, Any]) -> dict[str, Any]:
    kind = payload.get("type", "text")
    content = payload.get(kind) if isinstance(kind, str) else None
    if not isinstance(content, dict):
        raise InvalidPayload(f"type is {kind!r}, but the body has no object of that name")
    field = "recipient" if is_bsuid(message.recipient) else "to"
    body: dict[str, Any] = {
        "messaging_product": _PRODUCT,
        "recipient_type": payload.get("recipient_type", "individual"),
        field: message.recipient,
        "type": kind,
    }
    body.update((key, value) for key, value in payload.items() if key not in _NOT_COPIED)
    body[kind] = _content(kind, content, payload)
    body["biz_opaque_callback_data"] = message.id
    return body


def _content(kind: str, content: dict[str, Any], payload: dict[str, Any]) -> dict[str, Any]:
    if kind == "text" and "preview_url" in payload:
        return {"preview_url": payload["preview_url"], **content}
    if kind == "template":
        return _template(content)
    return _without(content, "provider") if kind in _MEDIA else content


def _template(content: dict[str, Any]) -> dict[str, Any]:
    template = _without(content, "namespace")
    components = template.get("components")
    if isinstance(components, list):
        template["components"] = [_component(entry) for entry in components]
    return template


def _component(component: Any) -> Any:
    if not isinstance(component, dict) or not isinstance(component.get("parameters"), list):
        return component
    return {**component, "parameters": [_parameter(entry) for entry in component["parameters"]]}


def _parameter(parameter: Any) -> Any:
    if not isinstance(parameter, dict):
        return parameter
    return {
        key: _without(value, "provider") if key in _MEDIA and isinstance(value, dict) else value
        for key, value in parameter.items()
    }


def _without(content: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name != key}
