"""Reads the fields of a JSON body; what does not fit raises an ApiError that names the field."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import orjson

from multiconnect.limits import TEXT_CHARS_MAX
from multiconnect.web.errors import invalid, malformed, missing, not_required, too_long


def json_value(body: bytes) -> Any:
    """Return the body as a JSON value."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # Not its text alone: it may quote the body.
        raise malformed(
            f"the body is not JSON (line {error.lineno}, column {error.colno}); "
            "expected a JSON object in UTF-8"
        ) from None


def json_object(body: bytes) -> dict[str, Any]:
    """Return the body as a JSON object."""
    value = json_value(body)
    if not isinstance(value, dict):
        raise invalid("the body", value, "a JSON object")
    return value


def refuse_unknown(value: dict[str, Any], allowed: Collection[str], prefix: str = "") -> None:
    """Raise for the first field that is not among those allowed."""
    for name in value:
        if name not in allowed:
            raise not_required(prefix + name, f"expected only {', '.join(sorted(allowed))}")


def text(
    value: dict[str, Any],
    name: str,
    expected: str,
    *,
    prefix: str = "",
    chars_max: int = TEXT_CHARS_MAX,
) -> str:
    """Return a required, non-empty text."""
    found = value.get(name)
    field = prefix + name
    if found is None and name not in value:
        raise missing(field, expected)
    if not isinstance(found, str) or not found:
        raise invalid(field, found, expected)
    if len(found) > chars_max:
        raise too_long(field, len(found), chars_max)
    return found


def optional_text(value: dict[str, Any], name: str, expected: str) -> str | None:
    """Return a text, or None when the field is not there."""
    return text(value, name, expected) if name in value else None
