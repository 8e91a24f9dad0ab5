"""What a connector said of a message, made fit to be acted on and stored.

A connector may be anybody's code. An answer that cannot be understood is "don't know", so the
message is tried again and marked as a possible duplicate first (invariant 6); texts are cut and
masked (invariant 17).
"""

from __future__ import annotations

import math
from dataclasses import replace

from multiconnect.limits import UPSTREAM_ID_CHARS_MAX
from multiconnect.model.message import SENT, Outcome
from multiconnect.upstream.reason import safe_reason

#: Stores keep 64 bits.
_CODE_END = 1 << 63
_STATUSES = frozenset({"sent", "failed", "retry"})


def sound(said: object) -> Outcome:
    """Return an outcome that can be stored, whatever was said."""
    if not isinstance(said, Outcome) or said.status not in _STATUSES:
        return Outcome.retry("the upstream's answer was not understood", ambiguous=True)
    if said.status == "sent" and said.upstream_id is None:
        return SENT
    return replace(
        said,
        upstream_id=_upstream_id(said.upstream_id),
        code=_code(said.code),
        reason=safe_reason(_text(said.reason)),
        after_s=_seconds(said.after_s),
        ambiguous=bool(said.ambiguous),
    )


def _code(value: object) -> int | None:
    return value if isinstance(value, int) and abs(value) < _CODE_END else None


def _upstream_id(value: object) -> str | None:
    return None if value is None else _text(value)[:UPSTREAM_ID_CHARS_MAX]


def _text(value: object) -> str:
    return str(value).encode(errors="replace").decode()


def _seconds(value: object) -> float | None:
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return max(0.0, float(value))
