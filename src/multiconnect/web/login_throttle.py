"""Slows down who guesses passwords. Pure: time is an argument.

An attempt is counted when it starts, so that many at once gain nothing, and forgiven when it
succeeds. Names that do not exist are counted like those that do, so the answers tell nothing.
Counters live in one process: with W of them an attacker has W times as many attempts.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from multiconnect.limits import (
    LOGIN_DELAY_MAX_S,
    LOGIN_FAILURES_FREE,
    LOGIN_FAILURES_LOCK,
    LOGIN_LOCK_S,
    LOGIN_PER_ADDRESS_MAX,
    LOGIN_PER_USER_MAX,
    LOGIN_TRACKED_MAX,
)

_WINDOW_S = 60.0
#: Longer names cannot exist, and must not fill the memory.
_NAME_CHARS = 64


@dataclass(frozen=True, slots=True)
class Wait:
    """The attempt is refused without a look at the password."""

    seconds: float
    locked: bool = False


@dataclass(slots=True)
class _Failures:
    count: int = 0
    not_before_s: float = 0.0
    last_s: float = 0.0


class LoginThrottle:
    """Counts attempts per user and address."""

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, str], _Failures] = OrderedDict()
        #: (what, who) → (start of the window, attempts in it).
        self._windows: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def begin(self, user: str, address: str, now_s: float) -> Wait | None:
        """Count an attempt; return how long to wait instead, if so."""
        user = user[:_NAME_CHARS]
        if wait := self.waits(user, address, now_s):
            return wait
        failures = self._of(user, address, now_s)
        wait_s = max(
            self._rate("address", address, LOGIN_PER_ADDRESS_MAX, now_s),
            self._rate("user", user, LOGIN_PER_USER_MAX, now_s),
        )
        if wait_s:
            return Wait(wait_s)
        failures.count += 1
        failures.last_s = now_s
        failures.not_before_s = now_s + _delay_s(failures.count)
        return None

    def waits(self, user: str, address: str, now_s: float) -> Wait | None:
        """Return how long earlier failures make the next attempt wait; counts nothing."""
        failures = self._failures.get((user[:_NAME_CHARS], address))
        if failures is None or now_s >= failures.not_before_s:
            return None
        return Wait(failures.not_before_s - now_s, failures.count >= LOGIN_FAILURES_LOCK)

    def succeeded(self, user: str, address: str) -> None:
        """The password was right: forget this user's failures from that address."""
        self._failures.pop((user[:_NAME_CHARS], address), None)

    def withdraw(self, user: str, address: str) -> None:
        """The password was not looked at after all: take the last attempt back."""
        failures = self._failures.get((user[:_NAME_CHARS], address))
        if failures is not None:
            failures.count = max(0, failures.count - 1)
            failures.not_before_s = failures.last_s

    def _of(self, user: str, address: str, now_s: float) -> _Failures:
        key = (user, address)
        failures = self._failures.get(key)
        if failures is None or now_s - failures.last_s > LOGIN_LOCK_S:
            failures = self._failures[key] = _Failures()
            while len(self._failures) > LOGIN_TRACKED_MAX:
                self._failures.popitem(last=False)
        self._failures.move_to_end(key)
        return failures

    def _rate(self, what: str, who: str, limit: int, now_s: float) -> float:
        """Count in a window of a minute; return how long to wait when it is full."""
        key = (what, who)
        start_s, count = self._windows.get(key, (now_s, 0))
        if now_s - start_s >= _WINDOW_S:
            start_s, count = now_s, 0
        if count >= limit:
            return start_s + _WINDOW_S - now_s
        self._windows[key] = (start_s, count + 1)
        self._windows.move_to_end(key)
        while len(self._windows) > LOGIN_TRACKED_MAX:
            self._windows.popitem(last=False)
        return 0.0


def _delay_s(failures: int) -> float:
    if failures >= LOGIN_FAILURES_LOCK:
        return LOGIN_LOCK_S
    if failures < LOGIN_FAILURES_FREE:
        return 0.0
    return min(LOGIN_DELAY_MAX_S, 2.0 ** (failures - LOGIN_FAILURES_FREE + 1))
