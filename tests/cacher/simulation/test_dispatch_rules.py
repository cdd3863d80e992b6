"""cacher.simulation._dispatch_rules: the budget fills with time up to its limit, and channels hold a second of the ring."""

from __future__ import annotations

import pytest

from cacher.simulation._dispatch_rules import TimeBudget, channel_size


def test_the_budget_is_empty_at_first_and_fills_up_to_its_limit():
    budget = TimeBudget(10.0)

    assert budget.take(10.0) == 0.0
    assert budget.take(11.0) == pytest.approx(0.05)
    assert budget.take(11.0) == 0.0
    assert budget.take(100.0) == pytest.approx(0.1)


def test_what_is_given_back_is_there_again_and_less_than_nothing_is_nothing():
    budget = TimeBudget(0.0)
    budget.take(1.0)
    budget.give_back(0.03)
    budget.give_back(-5.0)
    assert budget.take(1.0) == pytest.approx(0.03)

    budget.give_back(7.0)
    assert budget.take(1.0) == pytest.approx(0.1)


def test_a_clock_that_goes_back_adds_nothing():
    budget = TimeBudget(10.0)
    assert budget.take(3.0) == 0.0
    assert budget.take(4.0) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("capacity", "size"), [(100, 10), (750, 10), (751, 11), (7425, 99), (7500, 100), (75_000, 100)]
)
def test_channels_hold_a_second_of_the_ring_between_10_and_100(capacity, size):
    assert channel_size(capacity, 75.0) == size
