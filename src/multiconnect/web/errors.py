"""Errors as the On-Premises API words them: `{"meta": …, "errors": [{code, title, details}]}`.

`ApiError` is raised by whoever finds the mistake and turned into a response in one place. Details
name the field, the value (shortened, secrets and phone numbers masked: invariant 17) and what was
expected. Nothing of an internal error is shown beyond its code.
"""

from __future__ import annotations

from importlib import metadata
from typing import Any, Final

import orjson

from multiconnect.errors import (
    Closed,
    DeadlineExceeded,
    IdempotencyConflict,
    InvalidPayload,
    InvalidRecipient,
    Overloaded,
    Refused,
    StoreUnavailable,
    Unavailable,
    UsageError,
)
from multiconnect.limits import HTTP_RETRY_AFTER_S
from multiconnect.web.masking import masked, shown
from multiconnect.web.messages import JSON, Headers, Response

TITLES: Final = {
    1000: "Generic error",
    1001: "Message too long",
    1002: "Invalid recipient type",
    1004: "Resource already exists",
    1005: "Access denied",
    1006: "Resource not found",
    1008: "Required parameter is missing",
    1009: "Parameter value is not valid",
    1010: "Parameter is not required",
    1011: "Service not ready",
    1014: "Internal error",
    1015: "Too many requests",
    1016: "System overloaded",
    1017: "Not primary master",
    1018: "Not primary coreapp",
    1023: "Database error",
    1024: "Password change required",
    1025: "Request not valid",
    1031: "Account locked",
}


def _version() -> str:
    try:
        return f"v{metadata.version('multiconnect')}"
    except metadata.PackageNotFoundError:
        return "v0"


META: Final = {"api_status": "stable", "version": _version()}
_RETRY_AFTER: Final[Headers] = ((b"Retry-After", str(HTTP_RETRY_AFTER_S).encode()),)


class ApiError(Exception):
    """What the caller is told instead of a result."""

    def __init__(self, status: int, code: int, details: str, headers: Headers = ()) -> None:
        super().__init__(details)
        self.status = status
        self.code = code
        self.details = details
        self.headers = headers

    def entry(self) -> dict[str, Any]:
        """Return the error as one element of `errors`."""
        return {"code": self.code, "title": TITLES[self.code], "details": self.details}

    def response(self, *, close: bool = False) -> Response:
        """Return the whole answer."""
        body = orjson.dumps({"meta": META, "errors": [self.entry()]})
        return Response(self.status, body, JSON, self.headers, close=close)


def plain(status: int, content: dict[str, Any]) -> Response:
    """Return a JSON answer that is exactly `content`."""
    return Response(status, orjson.dumps(content), JSON)


def answer(status: int, content: dict[str, Any], headers: Headers = ()) -> Response:
    """Return a JSON answer with `meta` added."""
    return Response(status, orjson.dumps({**content, "meta": META}), JSON, headers)


def missing(field: str, expected: str) -> ApiError:
    """Say that a required parameter is not there."""
    return ApiError(400, 1008, f"{field} is missing; expected {expected}")


def invalid(field: str, value: object, expected: str) -> ApiError:
    """Say that a parameter has a wrong type or value."""
    return ApiError(400, 1009, f"{field} is {shown(value, field)}; expected {expected}")


def not_required(field: str, expected: str) -> ApiError:
    """Say that a parameter is unknown here."""
    return ApiError(400, 1010, f"{shown(field)} is not a parameter of this request; {expected}")


def too_long(field: str, length: int, limit: int, unit: str = "characters") -> ApiError:
    """Say that a text is too long."""
    return ApiError(400, 1001, f"{field} has {length} {unit}; expected at most {limit}")


def malformed(details: str, status: int = 400) -> ApiError:
    """Say that this is not a request at all."""
    return ApiError(status, 1025, details)


def denied(details: str, *, status: int = 403, headers: Headers = ()) -> ApiError:
    """Say that the caller may not do this."""
    return ApiError(status, 1005, details, headers)


def too_many(details: str, retry_after_s: float) -> ApiError:
    """Say that the caller must slow down."""
    seconds = str(max(1, round(retry_after_s))).encode()
    return ApiError(429, 1015, details, ((b"Retry-After", seconds),))


def overloaded(details: str) -> ApiError:
    """Say that a limit of ours is reached and nothing was done."""
    return ApiError(503, 1016, details, _RETRY_AFTER)


def not_ready(details: str) -> ApiError:
    """Say that this cannot be answered now."""
    return ApiError(503, 1011, details, _RETRY_AFTER)


def of_exception(error: Exception) -> ApiError | None:
    """Return what the caller is told of one of our exceptions; None: it is a bug, tell nothing."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, IdempotencyConflict):
        return ApiError(409, 1009, masked(str(error)))
    if isinstance(error, InvalidRecipient):
        seen = masked(str(error).partition("; expected")[0])
        return ApiError(400, 1009, f"to: {seen}; expected a phone number or a user id")
    if isinstance(error, InvalidPayload | UsageError):
        return ApiError(400, 1009, masked(str(error)))
    return _of_unavailable(error)


def _of_unavailable(error: Exception) -> ApiError | None:
    if isinstance(error, Overloaded):
        return overloaded(masked(str(error)))
    if isinstance(error, StoreUnavailable):
        return ApiError(
            503,
            1023,
            "the store does not answer; whether this took effect is not known",
            _RETRY_AFTER,
        )
    if isinstance(error, DeadlineExceeded):
        return not_ready(
            "not acknowledged in time: it may or may not be stored; "
            "repeat the request with the same Idempotency-Key to be sure"
        )
    if isinstance(error, Closed | Unavailable | Refused):
        return not_ready(masked(str(error)))
    return None
