"""The waits after failures: client-go's arithmetic, to the number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reflector import BucketLimiter, ExponentialLimiter, MaxOfLimiter, default_limiter


def test_the_waits_of_a_key_double_from_5_ms_to_1000_s():
    limiter = ExponentialLimiter[str]()
    waits = [limiter.when("a", now=0.0) for _ in range(20)]
    assert waits[:4] == [0.005, 0.01, 0.02, 0.04]
    assert waits[17] == 0.005 * 2**17 == 655.36  # the last one below the cap
    assert waits[18:] == [1000.0, 1000.0]


def test_a_key_that_fails_for_ever_stays_at_the_cap():
    """[9.5 TestItemExponentialFailureRateLimiterOverFlow]"""
    limiter = ExponentialLimiter[str](first_s=0.001, cap_s=64.0)
    waits = [limiter.when("a", now=0.0) for _ in range(5000)]  # 2.0**1024 would overflow
    assert waits[-1] == max(waits) == 64.0
    assert limiter.num_requeues("a") == 5000


@pytest.mark.parametrize(("first_s", "cap_s"), [(5e-324, 1.0), (5e-324, 1.7e308), (1.0, 1.7e308), (1.0, 1.0)])
def test_the_extremes_of_floats_do_not_overflow(first_s, cap_s):
    limiter = ExponentialLimiter[str](first_s, cap_s)
    waits = [limiter.when("a", now=0.0) for _ in range(2200)]
    assert waits == sorted(waits)
    assert waits[0] == first_s
    assert waits[-1] == cap_s


def test_each_key_has_failures_of_its_own_and_forget_is_of_one():
    """[9.5 TestItemExponentialFailureRateLimiter]"""
    limiter = ExponentialLimiter[str]()
    assert [limiter.when(key, now=0.0) for key in "aab"] == [0.005, 0.01, 0.005]
    limiter.forget("a")
    limiter.forget("never seen")
    assert (limiter.num_requeues("a"), limiter.num_requeues("b")) == (0, 1)
    assert (limiter.when("a", now=0.0), limiter.when("b", now=0.0)) == (0.005, 0.01)


def test_a_bucket_lets_a_burst_through_and_then_spreads_the_rest():
    limiter = BucketLimiter[int]()
    waits = [limiter.when(key, now=7.0) for key in range(1000)]
    assert waits[:100] == [0.0] * 100
    assert waits[100] == pytest.approx(0.1)
    assert waits[-1] == pytest.approx(90.0)


def test_a_bucket_fills_again_and_never_beyond_its_burst():
    limiter = BucketLimiter[str](qps=10, burst=2)
    assert [limiter.when("a", now=0.0) for _ in range(3)] == pytest.approx([0, 0, 0.1])
    assert limiter.when("a", now=0.1) == pytest.approx(0.1)  # the debt of one is paid, and a new one made
    assert [limiter.when("a", now=1000.0) for _ in range(3)] == pytest.approx([0, 0, 0.1])


@given(st.lists(st.floats(0, 1), max_size=60), st.integers(1, 5))
def test_no_window_of_time_has_more_turns_of_a_bucket_than_its_burst_and_its_rate(steps, burst):
    limiter = BucketLimiter[str](qps=10, burst=burst)
    now, turns = 0.0, []
    for step in steps:
        now += step
        turns.append(now + limiter.when("a", now))
    assert turns == sorted(turns)
    for first, start in enumerate(turns):
        for last, end in enumerate(turns[first:], start=1):
            assert last <= burst + (end - start) * 10 + 1e-6


def test_the_default_is_the_longer_of_the_keys_own_wait_and_the_buckets():
    """[9.5 TestMaxOfRateLimiter]"""
    limiter = default_limiter()
    assert [limiter.when("a", now=0.0) for _ in range(4)] == [0.005, 0.01, 0.02, 0.04]
    for other in range(96):
        limiter.when(other, now=0.0)
    assert limiter.when("b", now=0.0) == pytest.approx(0.1)  # the bucket is empty
    assert limiter.when("a", now=0.0) == pytest.approx(0.2)
    assert limiter.num_requeues("a") == 5  # each limiter counts every failure, also one that did not decide
    limiter.forget("a")
    assert limiter.num_requeues("a") == 0
    assert limiter.when("a", now=0.0) == pytest.approx(0.3)  # the bucket forgets nothing


@pytest.mark.parametrize(
    "make",
    [
        lambda: ExponentialLimiter(0, 1),
        lambda: ExponentialLimiter(2, 1),
        lambda: ExponentialLimiter(1, float("inf")),
        lambda: ExponentialLimiter(float("nan"), 1),
        lambda: BucketLimiter(qps=0),
        lambda: BucketLimiter(qps=float("inf")),
        lambda: BucketLimiter(burst=0),
        MaxOfLimiter,
    ],
)
def test_limits_that_make_no_sense_are_refused(make):
    with pytest.raises(ValueError, match=r"choose|hand in"):
        make()
