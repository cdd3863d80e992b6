"""The meter: quantiles within their resolution, and which deliveries have a lag at all."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cacher.simulation import _meter
from cacher.simulation._meter import NOT_MEASURED, LagHistogram, Meter, memory_peak_bytes
from watch import Event, EventType, Object, bookmark

LAGS = st.one_of(st.integers(0, 200), st.integers(0, 10**12), st.integers(0, 2**62))


def event(revision: int) -> Event:
    return Event(EventType.ADDED, Object("/registry/pods/a", revision, b"{}"), revision)


@pytest.fixture
def clock(monkeypatch):
    """A wall clock that stands still until it is moved."""

    class Clock:
        now_ns = 1_000_000

    monkeypatch.setattr(_meter, "perf_counter_ns", lambda: Clock.now_ns)
    return Clock


@given(st.lists(LAGS, min_size=1), st.floats(0, 1))
@example([63, 64, 65], 0.5)
@example([2**62 - 1], 1.0)
def test_a_quantile_is_within_two_percent_of_the_true_one(lags, share):
    histogram = LagHistogram()
    for lag in lags:
        histogram.add(lag)
    true = sorted(lags)[max(1, math.ceil(share * len(lags))) - 1]
    assert abs(histogram.quantile_ns(share) - true) <= true * 0.016


@given(st.lists(LAGS, min_size=1))
@example([13_558_709_351_940_095])  # above 2**53, where a float would be rounded up past the maximum
def test_the_maximum_is_exact_and_no_quantile_lies_above_it(lags):
    histogram = LagHistogram()
    for lag in lags:
        histogram.add(lag)
    assert histogram.max_ns == min(max(lags), 2**62 - 1)
    assert histogram.quantile_ns(0.5) <= histogram.quantile_ns(0.99) <= histogram.quantile_ns(1) <= histogram.max_ns
    assert histogram.count == len(lags)


def test_a_histogram_of_nothing_says_0():
    assert LagHistogram().quantile_ns(0.99) == 0


def test_a_negative_lag_counts_as_none():
    histogram = LagHistogram()
    histogram.add(-5)
    assert (histogram.count, histogram.max_ns, histogram.quantile_ns(0.5)) == (1, 0, 0)


def test_the_lag_runs_from_before_the_write_to_the_taking_of_the_batch(clock):
    meter = Meter()
    since = meter.watch_opens()
    clock.now_ns += 1
    meter.published(7)
    clock.now_ns += 2_000_000
    meter.taken(meter.stamps((event(7),)), since)
    assert meter.lag().count == 1
    assert meter.lag().max_s == 0.002


def test_what_a_watch_catches_up_on_is_delivered_but_has_no_lag(clock):
    """A client that came after the write did not wait for it."""
    meter = Meter()
    meter.published(7)
    clock.now_ns += 5
    meter.taken(meter.stamps((event(7), event(3))), meter.watch_opens())
    assert (meter.deliveries, meter.lag().count) == (2, 0)


def test_a_client_told_to_be_slow_is_counted_and_not_timed(clock):
    meter = Meter()
    meter.published(7)
    meter.taken(meter.stamps((event(7),)), NOT_MEASURED)
    assert (meter.deliveries, meter.lag().count) == (1, 0)


def test_a_bookmark_is_no_delivery(clock):
    meter = Meter()
    since = meter.watch_opens()
    clock.now_ns += 1
    meter.published(7)
    stamps = meter.stamps((event(7), bookmark(7)))
    assert len(stamps) == 1
    meter.taken(stamps, since, bookmarks=1)
    assert (meter.deliveries, meter.bookmarks, meter.lag().count) == (1, 1, 1)


def test_the_rate_is_by_the_wall_seconds_of_the_play_alone(clock):
    meter = Meter()
    clock.now_ns += 10**9
    assert (meter.play_wall_s, meter.deliveries_per_s) == (0, 0)
    meter.play_starts()
    meter.taken((0,) * 10, NOT_MEASURED)
    clock.now_ns += 2 * 10**9
    meter.play_ends()
    clock.now_ns += 10**9
    meter.play_ends()
    assert (meter.play_wall_s, meter.deliveries_per_s) == (2, 5)


def test_a_display_is_drawn_at_most_once_an_interval(clock):
    meter = Meter()
    clock.now_ns = 10**9
    assert meter.is_time_to_draw(0.1)
    assert not meter.is_time_to_draw(0.1)
    clock.now_ns += 10**8
    assert meter.is_time_to_draw(0.1)


def test_the_peak_of_memory_is_in_bytes():
    """Any Python process holds more than 5 MB and less than a terabyte."""
    assert 5 * 2**20 < memory_peak_bytes() < 2**40
