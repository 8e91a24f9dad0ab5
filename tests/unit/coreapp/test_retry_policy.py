"""When a message is tried again, and when it is given up."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multiconnect.coreapp.retry_policy import gives_up, retry_delay_s
from multiconnect.limits import (
    GIVE_UP_AFTER_S,
    RETRY_DELAY_MAX_S,
    RETRY_DELAY_MIN_S,
    UPSTREAM_RETRY_AFTER_MAX_S,
)
from multiconnect.model.message import Outcome

CHANCE = st.floats(0, 1, exclude_max=True)


@settings(derandomize=True)
@given(st.integers(1, 10**6), CHANCE)
def test_the_delay_grows_and_is_bounded(attempts, chance):
    delay_s = retry_delay_s(Outcome.retry("x"), attempts, chance)
    assert 0.75 * RETRY_DELAY_MIN_S <= delay_s <= RETRY_DELAY_MAX_S
    assert retry_delay_s(Outcome.retry("x"), attempts + 1, chance) >= delay_s


def test_it_doubles():
    delays = [retry_delay_s(Outcome.retry("x"), n, 0.0) for n in range(1, 5)]
    assert delays == pytest.approx([RETRY_DELAY_MIN_S * 2**n for n in range(4)])


@settings(derandomize=True)
@given(st.floats(0, UPSTREAM_RETRY_AFTER_MAX_S), st.integers(1, 50), CHANCE)
def test_the_upstreams_word_is_the_least(after_s, attempts, chance):
    delay_s = retry_delay_s(Outcome.retry("x", after_s=after_s), attempts, chance)
    assert after_s <= delay_s <= 1.25 * after_s


def test_an_upstream_cannot_put_a_message_off_for_ever():
    delay_s = retry_delay_s(Outcome.retry("x", after_s=1e12), 1, 0.5)
    assert delay_s <= 1.25 * UPSTREAM_RETRY_AFTER_MAX_S


def test_a_message_is_given_up_after_its_time():
    limit_ms = int(GIVE_UP_AFTER_S * 1000)
    assert not gives_up(5000, 5000 + limit_ms)
    assert gives_up(5000, 5001 + limit_ms)
