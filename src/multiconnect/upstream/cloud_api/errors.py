"""What a Cloud API error code means for a message: one table, and how to change it.

Decisions rest on `code` alone; Meta says that HTTP statuses and titles are not reliable. A code
that the table knows was an answer: the message was not taken, so trying again duplicates nothing.
Without a known code the HTTP status decides, and a 5xx leaves the question open (ambiguous).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from multiconnect.errors import InvalidSettings
from multiconnect.limits import (
    RETRY_DELAY_MAX_S,
    UPSTREAM_PAUSE_S,
    UPSTREAM_RETRY_AFTER_MAX_S,
    UPSTREAM_THROTTLE_S,
)
from multiconnect.model.message import Outcome


class Action(enum.StrEnum):
    """What to do about an error code."""

    #: Something passing: try this message again after the dispatcher's own back-off.
    RETRY = "retry"
    #: Too many to one recipient: wait 4^X seconds before the next one to that recipient.
    PACE = "pace"
    #: Too many from the number: everything from it slows down.
    THROTTLE = "throttle"
    #: The number is being moved to another throughput: everything from it waits a little.
    PAUSE = "pause"
    #: Trying again cannot help.
    PERMANENT = "permanent"


_RETRY = (
    *(1, 2, 4),  # unknown API error, service down, too many calls of the app
    80007,  # too many calls of the account
    131000,  # something went wrong
    131016,  # service unavailable
    133004,  # server temporarily unavailable
)
_PERMANENT = (
    *(0, 3, 10, 33, 100, 190),  # login, permission, a deleted number, a parameter, the token
    *range(200, 300),  # permission
    *(368, 130472, 130497),  # policy, experiment, country
    *(131005, 131008, 131009, 131021, 131026, 131030, 131031, 131037, 131042, 131045, 131047),
    # 131048 and 131049 are judgements on quality: trying again makes them worse.
    *(131048, 131049, 131050, 131051, 131052, 131053, 131055, 131062),
    *(132000, 132001, 132005, 132007, 132012, 132015, 132016, 132018, 132068, 132069),
    *(133000, 133005, 133006, 133008, 133009, 133010, 133015, 133016),
    *(134011, 135000),
)
DEFAULT_ACTIONS: Mapping[int, Action] = {
    **dict.fromkeys(_PERMANENT, Action.PERMANENT),
    **dict.fromkeys(_RETRY, Action.RETRY),
    131056: Action.PACE,
    130429: Action.THROTTLE,
    131057: Action.PAUSE,
}


class ErrorTable:
    """The default actions with a user's changes on top; immutable.

    `changes` maps codes to actions or their names, for example {131049: "retry"}.
    """

    def __init__(self, changes: Mapping[int, Action | str] | None = None) -> None:
        self._actions = dict(DEFAULT_ACTIONS)
        for code, action in (changes or {}).items():
            self._actions[code] = _action_named(code, action)

    def action(self, code: int | None) -> Action | None:
        """Return what to do about `code`, or None when the table does not know it."""
        return None if code is None else self._actions.get(code)

    def outcome(
        self,
        reason: str,
        *,
        code: int | None,
        status: int,
        attempt: int = 1,
        retry_after_s: float | None = None,
    ) -> Outcome:
        """Return the outcome of an error reply to the `attempt`-th try (counted from 1)."""
        action = self.action(code)
        if action is None:
            return _by_status(reason, code, status, retry_after_s)
        if action is Action.PERMANENT:
            return Outcome.failed(reason, code)
        after_s = _longer(_delay_s(action, attempt), retry_after_s)
        number_wide = action in (Action.THROTTLE, Action.PAUSE)
        return Outcome.retry(reason, code=code, after_s=after_s, number_wide=number_wide)


def _by_status(reason: str, code: int | None, status: int, retry_after_s: float | None) -> Outcome:
    after_s = _longer(None, retry_after_s)
    if status == 429:
        return Outcome.retry(reason, code=code, after_s=after_s)
    # 408: the server gave up reading; how much of the request it used is not known.
    if status >= 500 or status == 408:
        return Outcome.retry(reason, code=code, after_s=after_s, ambiguous=True)
    return Outcome.failed(reason, code)


def _delay_s(action: Action, attempt: int) -> float | None:
    if action is Action.PACE:
        # Documented: 4^X seconds, X from 0. The exponent is cut before it is used.
        return float(min(4 ** min(max(attempt, 1) - 1, 8), RETRY_DELAY_MAX_S))
    if action is Action.THROTTLE:
        return UPSTREAM_THROTTLE_S
    return UPSTREAM_PAUSE_S if action is Action.PAUSE else None


def _longer(delay_s: float | None, retry_after_s: float | None) -> float | None:
    if retry_after_s is None:
        return delay_s
    return max(delay_s or 0.0, min(max(retry_after_s, 0.0), UPSTREAM_RETRY_AFTER_MAX_S))


def _action_named(code: object, action: object) -> Action:
    names = ", ".join(Action)
    if isinstance(code, bool) or not isinstance(code, int):
        raise InvalidSettings(f"upstream error code {code!r} is not a number")
    try:
        return Action(str(action))
    except ValueError:
        raise InvalidSettings(
            f"upstream error {code}: action {action!r} is unknown; use one of {names}"
        ) from None
