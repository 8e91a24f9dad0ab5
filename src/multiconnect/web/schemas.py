"""JSON schemas of bodies and answers, by name; what `openapi.py` puts into the document."""

from __future__ import annotations

from typing import Any, Final

from multiconnect.limits import SHARD_COUNTS, TEXT_CHARS_MAX, TRACKING_CHARS_MAX

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_ANY: Final[Schema] = {"type": "object"}
_ID: Final[Schema] = {"type": "string", "description": "Leads straight to the message's record."}


def _object(properties: Schema, *required: str, closed: bool = False) -> Schema:
    schema: Schema = {"type": "object", "properties": properties}
    if required:
        schema["required"] = list(required)
    if closed:
        schema["additionalProperties"] = False
    return schema


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _answer(**properties: Schema) -> Schema:
    return _object({**properties, "meta": _ref("Meta")}, *properties, "meta")


SCHEMAS: Final[dict[str, Schema]] = {
    "Meta": _object(
        {"api_status": {"enum": ["stable", "deprecated", "experimental"]}, "version": _TEXT},
        "api_status",
        "version",
    ),
    "Errors": _answer(
        errors=_list(
            _object(
                {"code": {"type": "integer"}, "title": _TEXT, "details": _TEXT}, "code", "title"
            )
        )
    ),
    "Empty": _answer(),
    "Message": _object(
        {
            "to": {"type": "string", "description": "Phone number or user id."},
            "recipient_type": {"const": "individual"},
            "messaging_product": {"const": "whatsapp"},
            "type": {
                "default": "text",
                "enum": [
                    *("text", "image", "document", "audio", "video", "sticker", "contacts"),
                    *("location", "interactive", "template", "reaction"),
                ],
            },
            "text": _object(
                {
                    "body": {"type": "string", "minLength": 1, "maxLength": TEXT_CHARS_MAX},
                    "preview_url": {"type": "boolean"},
                },
                "body",
                closed=True,
            ),
            **dict.fromkeys(("image", "document", "audio", "video", "sticker"), _ANY),
            **dict.fromkeys(("location", "interactive", "template", "reaction"), _ANY),
            "contacts": {"type": "array", "minItems": 1},
            "preview_url": {"type": "boolean"},
            "ttl": {"type": "integer", "minimum": 1, "description": "Seconds."},
            "context": _ANY,
            "biz_opaque_callback_data": {"type": "string", "maxLength": TRACKING_CHARS_MAX},
        },
        "to",
        closed=True,
    ),
    "Messages": _answer(messages=_list(_object({"id": _ID}, "id"))),
    "Batch": _list(_ref("Message")),
    "Outcome": _object({"index": {"type": "integer"}, "id": _ID, "errors": _list(_ANY)}, "index"),
    "Read": _object({"status": {"const": "read"}}, "status", closed=True),
    "Login": _object({"new_password": _TEXT}, closed=True),
    "Tokens": _answer(
        users=_list(_object({"token": _TEXT, "expires_after": _TEXT}, "token", "expires_after"))
    ),
    "NewUser": _object(
        {"username": _TEXT, "password": _TEXT, "ROLES": {"enum": ["ROLE_ADMIN", "ROLE_USER"]}},
        "username",
        "password",
        closed=True,
    ),
    "Password": _object({"password": _TEXT}, "password", closed=True),
    "Users": _answer(users=_list(_object({"username": _TEXT, "ROLES": _TEXT}, "username"))),
    "SetShards": _object(
        {
            "cc": _TEXT,
            "phone_number": {"type": "string", "description": "Without country code."},
            "shards": {"enum": list(SHARD_COUNTS)},
            "cert": {"type": "string", "contentEncoding": "base64"},
            "pin": {"type": "string", "pattern": "^[0-9]{6}$"},
        },
        "cc",
        "phone_number",
        "shards",
        "cert",
        closed=True,
    ),
    "Shards": _answer(account=_object({"shards": {"enum": list(SHARD_COUNTS)}}, "shards")),
    "Health": _answer(
        health={
            "type": "object",
            "additionalProperties": _object(
                {
                    "gateway_status": {"enum": ["connected", "connecting", "disconnected"]},
                    "role": {"enum": ["primary_master", "secondary_master", "coreapp"]},
                },
                "gateway_status",
                "role",
            ),
        }
    ),
    "Settings": _answer(settings=_object({"application": _ANY}, "application")),
    "SomeSettings": _ANY,
    "Alive": _answer(status=_TEXT),
    "Ready": _answer(status=_TEXT, reasons=_list(_TEXT)),
    "Webhook": _object({"object": _TEXT, "entry": _list(_ANY)}),
}
