"""Who guesses passwords waits; the clock is an argument."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiconnect.limits import (
    LOGIN_DELAY_MAX_S,
    LOGIN_FAILURES_FREE,
    LOGIN_FAILURES_LOCK,
    LOGIN_LOCK_S,
    LOGIN_PER_ADDRESS_MAX,
    LOGIN_PER_USER_MAX,
    LOGIN_TRACKED_MAX,
)
from multiconnect.web.login_throttle import LoginThrottle, Wait


def fail(throttle, times, now_s=0.0, user="u", address="a"):
    """Fail so many times, waiting as told; return the time afterwards."""
    for _ in range(times):
        while wait := throttle.begin(user, address, now_s):
            now_s += wait.seconds
    return now_s


def test_the_first_failures_are_free():
    throttle = LoginThrottle()
    assert fail(throttle, LOGIN_FAILURES_FREE) == 0.0
    assert throttle.begin("u", "a", 0.0) == Wait(2.0)


def test_each_further_failure_doubles_the_wait_until_the_lock():
    throttle = LoginThrottle()
    now_s = fail(throttle, LOGIN_FAILURES_FREE)
    for failure in range(1, LOGIN_FAILURES_LOCK - LOGIN_FAILURES_FREE):
        wait = throttle.begin("u", "a", now_s)
        assert wait == Wait(min(2.0**failure, LOGIN_DELAY_MAX_S))
        now_s += wait.seconds
        assert throttle.begin("u", "a", now_s) is None
    last = throttle.begin("u", "a", now_s)
    assert last is not None
    now_s += last.seconds
    assert throttle.begin("u", "a", now_s) is None
    assert throttle.begin("u", "a", now_s) == Wait(LOGIN_LOCK_S, locked=True)


def test_the_lock_ends():
    throttle = LoginThrottle()
    now_s = fail(throttle, LOGIN_FAILURES_LOCK)
    assert throttle.waits("u", "a", now_s + LOGIN_LOCK_S - 1) == Wait(1.0, locked=True)
    assert throttle.begin("u", "a", now_s + LOGIN_LOCK_S + 1) is None
    assert throttle.begin("u", "a", now_s + LOGIN_LOCK_S + 1) is None


@pytest.mark.parametrize(("user", "address"), [("v", "a"), ("u", "b")])
def test_others_do_not_wait(user, address):
    throttle = LoginThrottle()
    now_s = fail(throttle, LOGIN_FAILURES_LOCK)
    assert throttle.waits(user, address, now_s) is None


def test_success_forgives_and_asking_counts_nothing():
    throttle = LoginThrottle()
    fail(throttle, LOGIN_FAILURES_FREE)
    throttle.succeeded("u", "a")
    for _ in range(100):
        assert throttle.waits("u", "a", 0.0) is None
    assert fail(throttle, LOGIN_FAILURES_FREE) == 0.0


def test_an_attempt_that_was_not_looked_at_is_taken_back_and_no_more():
    throttle = LoginThrottle()
    fail(throttle, LOGIN_FAILURES_FREE - 1)
    for _ in range(10):
        assert throttle.begin("u", "a", 0.0) is None
        throttle.withdraw("u", "a")
    assert throttle.begin("u", "a", 0.0) is None
    assert throttle.begin("u", "a", 0.0) is not None


def test_an_address_and_a_user_have_only_so_many_attempts_a_minute():
    throttle = LoginThrottle()
    for number in range(LOGIN_PER_ADDRESS_MAX):
        assert throttle.begin(f"u{number}", "a", 0.0) is None
    assert throttle.begin("v", "a", 1.0) == Wait(59.0)
    assert throttle.begin("v", "a", 60.0) is None
    for number in range(LOGIN_PER_USER_MAX):
        assert throttle.begin("u", f"a{number}", 100.0) is None
    assert throttle.begin("u", "b", 101.0) == Wait(59.0)


def test_memory_is_bounded():
    throttle = LoginThrottle()
    for number in range(LOGIN_TRACKED_MAX + 100):
        throttle.begin(f"{'u' * 10_000}{number}", f"a{number}", 0.0)
        throttle.begin(f"u{number}", f"a{number}", 0.0)
    assert len(throttle._failures) <= LOGIN_TRACKED_MAX
    assert len(throttle._windows) <= LOGIN_TRACKED_MAX
    assert max(len(user) for user, _ in throttle._failures) == 64


@given(st.lists(st.floats(0, 100), max_size=60))
def test_guesses_are_never_faster_than_the_schedule(pauses):
    throttle, now_s, let_through = LoginThrottle(), 0.0, 0
    for pause in pauses:
        now_s += pause
        let_through += throttle.begin("u", "a", now_s) is None
    assert let_through <= LOGIN_FAILURES_LOCK + now_s // LOGIN_LOCK_S * LOGIN_FAILURES_LOCK
