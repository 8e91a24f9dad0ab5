from hypothesis import given
from hypothesis import strategies as st

from multiconnect.upstream.simulator.rates import LeakyBuckets


@given(st.lists(st.floats(0, 20), min_size=1, max_size=150), st.integers(1, 5))
def test_no_span_admits_more_than_size_and_leak_allow(gaps_s, size):
    buckets, now_s, times = LeakyBuckets(size, 0.5, 10), 0.0, []
    for gap_s in gaps_s:
        now_s += gap_s
        if buckets.admit("k", now_s):
            times.append(now_s)
    for start in range(len(times)):
        for end in range(start, len(times)):
            allowed = size + 0.5 * (times[end] - times[start])
            assert end - start + 1 <= allowed + 1e-3


def test_a_refusal_costs_nothing_and_keys_are_apart():
    buckets = LeakyBuckets(2, 1, 10)
    assert [buckets.admit("k", 0.0) for _ in range(5)] == [True, True, False, False, False]
    assert buckets.admit("other", 0.0)
    assert buckets.admit("k", 1.0)
    assert not buckets.admit("k", 1.0)


def test_memory_is_bounded():
    buckets = LeakyBuckets(1, 1, 10)
    for n in range(100):
        buckets.admit(f"k{n}", 0.0)
    assert len(buckets) == 10
