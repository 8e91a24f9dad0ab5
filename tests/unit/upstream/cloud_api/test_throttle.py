import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiconnect.errors import InvalidSettings
from multiconnect.limits import PAIR_RATE_BURST, PAIR_RATE_INTERVAL_S
from multiconnect.upstream.cloud_api.throttle import NumberRate, PairRate
from multiconnect.upstream.simulator.rates import LeakyBuckets

GAPS_S = st.lists(st.floats(0, 400) | st.just(0.0), min_size=1, max_size=200)


def sent_at(rate, gaps_s, key="k"):
    """Offer a message after each gap; return when those that were let go went."""
    times, now_s = [], 1000.0
    for gap_s in gaps_s:
        now_s += gap_s
        if rate.delay_s(key, now_s) == 0:
            rate.take(key, now_s)
            times.append(now_s)
    return times


def most_over(times, burst, interval_s):
    """Return by how many messages any span exceeds burst + rate x t."""
    return max(
        (end - start + 1) - (burst + (times[end] - times[start]) / interval_s)
        for start in range(len(times))
        for end in range(start, len(times))
    )


@given(GAPS_S, st.integers(1, 8), st.sampled_from([0.5, 6.0, 7.3]))
def test_no_span_holds_more_than_burst_and_rate_allow(gaps_s, burst, interval_s):
    times = sent_at(PairRate(interval_s, burst), gaps_s)
    assert most_over(times, burst, interval_s) <= 1e-6


@given(st.lists(st.floats(0, 0.2), min_size=1, max_size=200), st.floats(1, 500))
def test_the_number_s_rate_is_kept_by_its_shares_together(gaps_s, rate_per_s):
    shares = [NumberRate(rate_per_s, share=1 / 4) for _ in range(4)]
    times = sorted(time for rate in shares for time in sent_at(rate, gaps_s))
    burst = 4 * max(1, int(rate_per_s / 4 * 0.05))
    assert most_over(times, burst, 1 / rate_per_s) <= 1e-6


@given(GAPS_S)
def test_waiting_as_told_is_always_enough(gaps_s):
    rate, now_s = PairRate(6.0, 3), 0.0
    for gap_s in gaps_s:
        now_s += gap_s
        now_s += rate.delay_s("k", now_s)
        assert rate.delay_s("k", now_s) <= 1e-6
        rate.take("k", now_s)


@given(GAPS_S)
def test_the_simulator_s_own_limit_never_refuses_what_was_paced(gaps_s):
    rate = PairRate()
    limit = LeakyBuckets(PAIR_RATE_BURST, 1 / PAIR_RATE_INTERVAL_S, 10)
    assert all(limit.admit("k", time) for time in sent_at(rate, gaps_s))


def test_the_documented_burst_and_then_one_in_six_seconds():
    rate = PairRate()
    for _ in range(45):
        assert rate.delay_s("k", 0.0) == 0
        rate.take("k", 0.0)
    assert rate.delay_s("k", 0.0) == 6
    assert rate.delay_s("k", 2.5) == 3.5
    assert rate.delay_s("k", 6.0) == 0
    assert rate.delay_s("other", 0.0) == 0


@given(GAPS_S, st.integers(1, 60), st.floats(0.001, 10))
def test_room_is_as_many_as_may_go_at_once(gaps_s, burst, interval_s):
    rate, now_s = PairRate(interval_s, burst), 0.0
    for gap_s in gaps_s:
        now_s += gap_s
        room = rate.room("k", now_s)
        assert 0 <= room <= burst
        for _ in range(room):
            assert rate.delay_s("k", now_s) <= interval_s * 1e-5
            rate.take("k", now_s)
        assert rate.delay_s("k", now_s) > 0
        assert rate.room("k", now_s) == 0


def test_asking_costs_nothing():
    rate = PairRate(6.0, 1)
    assert [rate.delay_s("k", 0.0) for _ in range(5)] == [0] * 5
    assert len(rate) == 0


def test_a_penalty_holds_one_key_and_spends_its_burst():
    rate = PairRate(6.0, 45)
    rate.penalise("k", 100.0)
    assert rate.delay_s("k", 90.0) == 10
    assert rate.delay_s("other", 90.0) == 0
    assert rate.delay_s("k", 100.0) == 0
    rate.take("k", 100.0)
    assert rate.delay_s("k", 100.0) == 6


def test_a_penalty_never_shortens_a_wait():
    rate = PairRate(6.0, 1)
    rate.take("k", 0.0)
    rate.penalise("k", 1.0)
    assert rate.delay_s("k", 0.0) == 6


def test_keys_that_owe_nothing_are_forgotten_even_behind_one_that_does():
    rate = PairRate(6.0, 45)
    rate.penalise("held", 1e9)
    for n in range(10_000):
        rate.take(f"k{n}", n * 6.0)
    assert len(rate) < 10
    assert rate.delay_s("held", 60_000.0) > 0


def test_memory_is_bounded_when_all_owe():
    rate = PairRate(6.0, 45, recipients_max=100)
    for n in range(1000):
        rate.take(f"k{n}", 0.0)
        rate.penalise(f"p{n}", 50.0)
    assert len(rate) == 100


def test_a_rate_too_fast_for_the_clock_s_precision():
    rate = NumberRate(1e15)
    rate.take("n", 1e9)
    assert rate.delay_s("n", 1e9) == 0


def test_a_share_of_nothing_holds_everything_until_there_is_one():
    rate = NumberRate(80, share=0)
    assert rate.delay_s("n", 0.0) == math.inf
    assert rate.room("n", 0.0) == 0
    rate.take("n", 0.0)
    rate.set_rate(80, share=1)
    assert rate.delay_s("n", 0.1) == 0


def test_a_new_rate_is_in_force_at_once():
    rate = NumberRate(10)
    rate.take("n", 0.0)
    assert rate.delay_s("n", 0.0) == pytest.approx(0.1)
    rate.set_rate(1000, 1)
    rate.take("n", 1.0)
    assert rate.delay_s("n", 1.0) == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: PairRate(0, 45),
        lambda: PairRate(6, 0),
        lambda: PairRate(math.nan, 1),
        lambda: PairRate(6, 1, 0),
        lambda: NumberRate(0),
        lambda: NumberRate(80, share=1.5),
        lambda: NumberRate(80, share=-1),
        lambda: NumberRate(math.nan),
    ],
)
def test_impossible_rates_are_refused(make):
    with pytest.raises(InvalidSettings):
        make()
