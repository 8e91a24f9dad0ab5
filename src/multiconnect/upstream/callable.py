"""Your own function as a connector: `async def deliver(messages) -> outcomes`.

Lenient towards what the function returns, strict about what that means: whatever cannot be
understood is "don't know", so every message of the call is tried again and marked as a possible
duplicate first (invariant 6). Nothing of a message's body is ever logged (invariant 17).
"""

from __future__ import annotations

import inspect
import logging
import traceback
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from multiconnect.errors import InvalidSettings
from multiconnect.limits import UPSTREAM_BATCH_MAX, UPSTREAM_IN_FLIGHT_MAX
from multiconnect.model.message import Message, Outcome
from multiconnect.upstream.reason import safe_reason

#: What may be returned: None (all sent), or one entry per message, in order. An entry is an
#: Outcome, None, True or an id (sent), False (refused), or an exception (don't know).
Returned = Sequence[Outcome | str | bool | BaseException | None] | None
Deliver = Callable[[list[Message]], Awaitable[Returned] | Returned]

_log = logging.getLogger(__name__)


class CallableUpstream:
    """An `Upstream` around a function of a list of messages.

    The function should be a coroutine function; an ordinary one works but holds up its event loop.
    """

    def __init__(
        self,
        deliver: Deliver,
        *,
        batch_max: int = UPSTREAM_BATCH_MAX,
        in_flight_max: int = UPSTREAM_IN_FLIGHT_MAX,
    ) -> None:
        if not callable(deliver):
            raise InvalidSettings(f"upstream is {type(deliver).__name__}; expected a function")
        self._deliver = deliver
        self.batch_max = batch_max
        self.in_flight_max = in_flight_max

    async def start(self) -> None:
        """Do nothing: the function needs no preparation."""

    async def send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Call the function and return one outcome per message."""
        try:
            returned: Any = self._deliver(list(messages))
            if inspect.isawaitable(returned):
                returned = await returned
        except Exception as error:
            _log.warning(
                "the upstream function raised %s at %s; %d messages will be tried again",
                type(error).__name__,
                _place(error),
                len(messages),
            )
            return [_unclear(_reason(error))] * len(messages)
        return outcomes_of(returned, len(messages))

    async def aclose(self) -> None:
        """Do nothing."""


def outcomes_of(returned: Any, count: int) -> list[Outcome]:
    """Return `count` outcomes for what a function returned for `count` messages."""
    if returned is None:
        return [Outcome.sent()] * count
    if isinstance(returned, (str, bytes)) or not isinstance(returned, Sequence):
        return _misunderstood(f"returned {type(returned).__name__}, not a list or None", count)
    if len(returned) != count:
        return _misunderstood(f"returned {len(returned)} outcomes for {count} messages", count)
    return [_outcome_of(entry) for entry in returned]


def _outcome_of(entry: object) -> Outcome:
    if isinstance(entry, Outcome):
        known = entry.status in ("sent", "failed", "retry")
        return entry if known else _unclear(f"an outcome has the status {entry.status!r}")
    if entry is None or entry is True:
        return Outcome.sent()
    if isinstance(entry, str):
        return Outcome.sent(entry)
    if entry is False:
        return Outcome.failed("the upstream function refused it")
    if isinstance(entry, BaseException):
        return _unclear(_reason(entry))
    return _unclear(f"the upstream function returned {type(entry).__name__} for it")


def _misunderstood(what: str, count: int) -> list[Outcome]:
    _log.warning("the upstream function %s; the messages will be tried again", what)
    return [_unclear(f"the upstream function {what}")] * count


def _unclear(reason: str) -> Outcome:
    return Outcome.retry(reason, ambiguous=True)


def _reason(error: BaseException) -> str:
    text = str(error)
    return safe_reason(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def _place(error: BaseException) -> str:
    # The text of the exception may quote the message; where it was raised does not.
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].name}:{frames[-1].lineno}" if frames else "an unknown place"
