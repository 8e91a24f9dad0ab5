"""When a message is tried again, and when it is given up. Pure: time and chance are arguments."""

from __future__ import annotations

from multiconnect.limits import (
    GIVE_UP_AFTER_S,
    RETRY_DELAY_MAX_S,
    RETRY_DELAY_MIN_S,
    UPSTREAM_RETRY_AFTER_MAX_S,
)
from multiconnect.model.message import Outcome


def retry_delay_s(outcome: Outcome, attempts: int, chance: float) -> float:
    """Return the seconds to wait after failed attempt number `attempts` (1 is the first).

    The upstream's own word (`after_s`) is the least, up to UPSTREAM_RETRY_AFTER_MAX_S; otherwise
    the delay doubles from RETRY_DELAY_MIN_S to RETRY_DELAY_MAX_S. `chance` in [0, 1) moves it by up
    to a quarter, so that messages that failed together do not come back together.
    """
    if outcome.after_s is not None:
        return min(outcome.after_s, UPSTREAM_RETRY_AFTER_MAX_S) * (1 + 0.25 * chance)
    doubled = RETRY_DELAY_MIN_S * 2.0 ** min(attempts - 1, 30)
    return min(doubled, RETRY_DELAY_MAX_S) * (1 - 0.25 * chance)


def gives_up(accepted_at_ms: int, now_ms: int) -> bool:
    """Whether a message has waited so long that it fails (the original failed it after a day)."""
    return now_ms - accepted_at_ms > GIVE_UP_AFTER_S * 1000
