"""Answers in Meta's shapes. Pure."""

from __future__ import annotations

import base64

import orjson

from multiconnect.upstream.dialect import is_bsuid
from multiconnect.upstream.simulator.request import Refusal, SendRequest

READ_REPLY = b'{"success":true}'
#: Code → (HTTP status, title) for faults that name only a code.
_KNOWN = {
    1: (500, "API Unknown"),
    2: (503, "API Service"),
    4: (429, "API Too Many Calls"),
    100: (400, "Invalid parameter"),
    190: (401, "Access token has expired"),
    80007: (429, "Rate limit issues"),
    130429: (429, "Rate limit hit"),
    131000: (500, "Something went wrong"),
    131016: (503, "Service unavailable"),
    131026: (400, "Message undeliverable"),
    131047: (400, "Re-engagement message"),
    131056: (429, "(Business Account, Consumer Account) pair rate limit hit"),
    131057: (500, "Account in maintenance mode"),
    133004: (503, "Server Temporarily Unavailable"),
}
NOT_LOGGED_IN = Refusal(401, 190, "Invalid OAuth access token")
WRONG_VERSION = Refusal(400, 2500, "Unknown path components")
BODY_TOO_LARGE = Refusal(413, 100, "Invalid parameter", "The request body is too large")
PAIR_RATE_HIT = Refusal(*_KNOWN[131056][:1], 131056, _KNOWN[131056][1])
NUMBER_RATE_HIT = Refusal(*_KNOWN[130429][:1], 130429, _KNOWN[130429][1])


def refusal_of(code: int | None, status: int | None = None) -> Refusal:
    """Return the refusal for a code; `status` 500 and no error object when there is no code."""
    if code is None:
        return Refusal(status or 500, 0, "")
    known_status, title = _KNOWN.get(code, (400, "Simulated error"))
    return Refusal(status or known_status, code, title)


def refusal_json(refusal: Refusal, trace_id: str) -> bytes:
    """Return the error body; empty for a refusal without a code (a proxy's bare 502)."""
    if not refusal.message:
        return b""
    error = {
        "message": f"(#{refusal.code}) {refusal.message}",
        "type": "OAuthException",
        "code": refusal.code,
        "error_data": {
            "messaging_product": "whatsapp",
            "details": refusal.details or refusal.message,
        },
        "fbtrace_id": trace_id,
    }
    return orjson.dumps({"error": error})


def accepted_json(request: SendRequest, wamid: str) -> bytes:
    """Return the body of a 200."""
    contact = {"input": request.recipient}
    contact["user_id" if is_bsuid(request.recipient) else "wa_id"] = request.recipient
    return orjson.dumps(
        {"messaging_product": "whatsapp", "contacts": [contact], "messages": [{"id": wamid}]}
    )


def wamid_of(run: bytes, number: int) -> str:
    """Return the id of the `number`-th message of a run; `run` tells runs apart."""
    return "wamid." + base64.b64encode(run + number.to_bytes(8, "big")).decode()
