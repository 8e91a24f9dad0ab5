"""The OpenAPI 3.1 document, made from the route table, so that the two cannot differ. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from multiconnect.web.errors import META
from multiconnect.web.principal import Access
from multiconnect.web.routing import Route
from multiconnect.web.schemas import SCHEMAS

_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_SECURITY: Final[dict[Access, list[dict[str, list[str]]]]] = {
    Access.PUBLIC: [],
    Access.TOKEN: [{"token": []}],
    Access.ADMIN: [{"token": []}],
    Access.APIKEY: [{"token": []}, {"apikey": []}],
    Access.BASIC: [{"basic": []}],
    Access.SIGNATURE: [{"signature": []}],
}
_SCHEMES: Final = {
    "token": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "basic"},
    "apikey": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`Apikey` and the key, for monitoring.",
    },
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Hub-Signature-256",
        "description": "`sha256=` and the HMAC-SHA256 of the raw body under the app secret.",
    },
}


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """Return the document."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "multiconnect", "version": META["version"].removeprefix("v")},
        "paths": paths,
        "components": {"schemas": SCHEMAS, "securitySchemes": _SCHEMES},
    }


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{route.method.lower()}{re.sub(r'[^a-zA-Z0-9]+', '_', route.path)}",
        "summary": route.summary,
        "security": _SECURITY[route.access],
        "responses": _responses(route),
    }
    parameters = [_parameter("path", name, "") for name in _PARAMETER.findall(route.path)]
    parameters += [_parameter("query", name, text) for name, text in route.query.items()]
    parameters += [_parameter("header", name, text) for name, text in route.header.items()]
    if parameters:
        operation["parameters"] = parameters
    if route.body:
        operation["requestBody"] = {
            "required": route.access is not Access.BASIC,
            "content": {"application/json": {"schema": _ref(route.body)}},
        }
    return operation


def _responses(route: Route) -> dict[str, Any]:
    responses = {}
    for status, name in route.answers.items():
        responses[str(status)] = {"description": HTTPStatus(status).phrase, **_content(name)}
    responses["default"] = {"description": "An error", **_content("Errors")}
    return responses


def _content(name: str) -> dict[str, Any]:
    if not name:
        return {}
    if "/" in name:
        return {"content": {name: {"schema": {"type": "string"}}}}
    kind = "application/x-ndjson" if name == "Outcome" else "application/json"
    return {"content": {kind: {"schema": _ref(name)}}}


def _parameter(place: str, name: str, text: str) -> dict[str, Any]:
    parameter: dict[str, Any] = {
        "in": place,
        "name": name,
        "required": place == "path",
        "schema": {"type": "string"},
    }
    if text:
        parameter["description"] = text
    return parameter


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
