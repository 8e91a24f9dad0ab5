"""Text of others, made fit to be kept: one line, short, without whole phone numbers.

Keeps invariant 17: what an upstream or a user's function says ends up in dead letters, events and
now and then in a log, so it is cut and masked where it comes in.
"""

from __future__ import annotations

import re

from multiconnect.limits import UPSTREAM_REASON_CHARS_MAX

#: Seven digits or more, however they are grouped; error codes and ports are shorter.
_NUMBER = re.compile(r"\d(?:[ ().-]{0,2}\d){6,}")


def safe_reason(text: str, *, secret: str = "") -> str:
    """Return `text` in one line of limited length; long numbers and `secret` are masked."""
    line = " ".join(text.split())
    if secret:
        line = line.replace(secret, "***")
    line = _NUMBER.sub(_masked, line)
    if len(line) > UPSTREAM_REASON_CHARS_MAX:
        line = line[: UPSTREAM_REASON_CHARS_MAX - 1] + "…"
    return line


def _masked(match: re.Match[str]) -> str:
    return f"…{match[0][-2:]}"
