"""The application's settings: the document of kind "settings", key "application".

Only what differs from the defaults of the original is stored, so a default may change with a
release. Those who act on a setting read it through `read_settings`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from multiconnect.store.port import ControlStore
from multiconnect.web.errors import ApiError, invalid
from multiconnect.web.fields import refuse_unknown

KIND: Final = "settings"
KEY: Final = "application"
_URL_CHARS_MAX: Final = 2048
#: How often somebody else may be faster in changing them.
_ATTEMPTS_MAX: Final = 5

DEFAULTS: Final[Mapping[str, Any]] = {
    "callback_backoff_delay_ms": 3000,
    "callback_persist": True,
    "garbagecollector_enable": {"media": False, "messages": True},
    "heartbeat_interval": 5,
    "max_callback_backoff_delay_ms": 900_000,
    "media": {"auto_download": []},
    "notify_user_change_number": False,
    "pass_through": False,
    "sent_status": False,
    "show_security_notifications": False,
    "unhealthy_interval": 30,
    "webhooks": {
        "url": "",
        "max_concurrent_requests": 6,
        "message": {"sent": True, "delivered": True, "read": True},
    },
}


def _between(low: int, high: int) -> Callable[[str, Any], None]:
    def check(field: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise invalid(field, value, f"a whole number from {low} to {high}")

    return check


def _one_of(*allowed: int) -> Callable[[str, Any], None]:
    def check(field: str, value: Any) -> None:
        if isinstance(value, bool) or value not in allowed:
            raise invalid(field, value, f"one of {', '.join(map(str, allowed))}")

    return check


def _switch(field: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise invalid(field, value, "true or false")


def _media_types(field: str, value: Any) -> None:
    allowed = ("image", "document", "audio", "video", "voice", "sticker")
    if not isinstance(value, list) or not all(kind in allowed for kind in value):
        raise invalid(field, value, f"a list of some of {', '.join(allowed)}")


def _url(field: str, value: Any) -> None:
    expected = f"an http or https URL of at most {_URL_CHARS_MAX} characters, without a user name"
    if not isinstance(value, str) or len(value) > _URL_CHARS_MAX or not value.isprintable():
        raise invalid(field, value, expected)
    if value:
        try:
            parts = urlsplit(value)
            port_is_good = parts.port is None or parts.port > 0
        except ValueError:
            raise invalid(field, value, expected) from None
        good = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
        if not good or not port_is_good:
            raise invalid(field, value, expected)


_CHECKS: Final[Mapping[str, Callable[[str, Any], None]]] = {
    "callback_backoff_delay_ms": _between(100, 900_000),
    "heartbeat_interval": _between(1, 3600),
    "max_callback_backoff_delay_ms": _between(100, 86_400_000),
    "media.auto_download": _media_types,
    "unhealthy_interval": _between(1, 3600),
    "webhooks.url": _url,
    "webhooks.max_concurrent_requests": _one_of(6, 12, 18, 24),
}


async def read_settings(control: ControlStore) -> dict[str, Any]:
    """Return the settings in force: the defaults with what was changed."""
    document = await control.document(KIND, KEY)
    return merged(DEFAULTS, document.value if document else {})


async def change_settings(control: ControlStore, changes: Mapping[str, Any]) -> None:
    """Check and store changes; fields not named stay. Raises ApiError."""
    check(changes, DEFAULTS)
    for _ in range(_ATTEMPTS_MAX):
        document = await control.document(KIND, KEY)
        value = merged(document.value if document else {}, changes)
        version = document.version if document else 0
        if await control.put_document(KIND, KEY, value, version) is not None:
            return
    raise ApiError(409, 1004, "others keep changing the settings; try again")


async def reset_settings(control: ControlStore) -> None:
    """Go back to the defaults."""
    await control.delete_document(KIND, KEY)


def check(changes: Mapping[str, Any], known: Mapping[str, Any], prefix: str = "") -> None:
    """Raise ApiError for a field that is unknown or whose value does not fit."""
    refuse_unknown(dict(changes), known, prefix)
    for name, value in changes.items():
        field = prefix + name
        if isinstance(known[name], Mapping):
            if not isinstance(value, dict):
                raise invalid(field, value, "an object")
            check(value, known[name], f"{field}.")
        else:
            _CHECKS.get(field, _switch)(field, value)


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `changes` laid over it, object by object."""
    result = dict(base)
    for name, value in changes.items():
        below = result.get(name)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            result[name] = merged(below, value)
        else:
            result[name] = value
    return result
