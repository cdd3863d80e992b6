"""The waits: their bounds for any chance, their growth, their reset."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reflector import Backoff, BackoffPolicy

DOUBLING = [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]


class Fixed:
    """A chance that always says the same."""

    def __init__(self, value: float) -> None:
        self.value = value

    def random(self) -> float:
        return self.value


def _waits(backoff: Backoff, count: int) -> list[float]:
    """Each failure comes at once after the wait for the last."""
    now, waits = 0.0, []
    for _ in range(count):
        waits.append(backoff.next(now))
        now += waits[-1]
    return waits


def test_the_waits_are_client_gos_without_jitter() -> None:
    assert _waits(Backoff(Fixed(0)), 8) == pytest.approx(DOUBLING)


def test_jitter_stretches_up_to_twice_as_long() -> None:
    assert _waits(Backoff(Fixed(0.5)), 8) == pytest.approx([1.5 * wait_s for wait_s in DOUBLING])
    assert max(_waits(Backoff(Fixed(0.999999)), 20)) < BackoffPolicy().longest_s == 60.0


@given(st.integers(), st.lists(st.floats(0, 119), max_size=20))
@settings(deadline=None, max_examples=200)
def test_each_wait_is_between_its_base_and_twice_its_base(seed: int, failing_s: list[float]) -> None:
    """However long the failing itself takes, up to the time that counts as quiet."""
    backoff, now = Backoff(Random(seed)), 0.0
    for index, each in enumerate(failing_s):
        base_s = DOUBLING[min(index, 7)]
        assert base_s <= backoff.next(now) < 2 * base_s
        now += each


@given(st.integers(), st.integers(0, 12))
@settings(deadline=None, max_examples=50)
def test_two_quiet_minutes_start_the_waits_anew(seed: int, failures: int) -> None:
    backoff = Backoff(Random(seed))
    for _ in range(failures):
        backoff.next(0.0)
    at_the_edge = Backoff(Random(seed))
    for _ in range(failures):
        at_the_edge.next(0.0)
    assert 0.8 <= backoff.next(120.001) < 1.6
    base_s = DOUBLING[min(failures, 7)]
    assert base_s <= at_the_edge.next(120.0) < 2 * base_s


def test_the_same_seed_gives_the_same_waits() -> None:
    assert _waits(Backoff(Random(3)), 10) == _waits(Backoff(Random(3)), 10)
    assert _waits(Backoff(Random(3)), 10) != _waits(Backoff(Random(4)), 10)


def test_a_policy_of_ones_own_is_followed() -> None:
    policy = BackoffPolicy(first_s=1, factor=3, cap_s=5, jitter=0, reset_after_s=10)
    assert _waits(Backoff(Random(1), policy), 4) == [1, 3, 5, 5]


@pytest.mark.parametrize(
    ("numbers", "problem"),
    [
        ({"first_s": 0.0}, "first_s is 0"),
        ({"first_s": 31.0}, "first_s is 31"),
        ({"factor": 0.5}, "factor 0.5"),
        ({"jitter": -0.1}, "jitter -0.1"),
        ({"reset_after_s": 59.9}, "reset_after_s is 59.9: choose at least 60"),
    ],
)
def test_a_policy_that_could_not_work_is_refused(numbers: dict[str, float], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        BackoffPolicy(**numbers)
    BackoffPolicy(reset_after_s=60)
