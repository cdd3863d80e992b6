"""SortedKeys: order, ranges and counts, compared with a sorted list."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watch import SortedKeys


def test_keys_come_out_in_order_however_they_went_in():
    keys = SortedKeys([b"c", b"a"])
    keys.add(b"b")
    keys.remove(b"a")
    assert list(keys) == [b"b", b"c"]
    assert len(keys) == 2
    assert b"b" in keys
    assert b"a" not in keys


def test_removing_what_is_not_there_is_an_error():
    with pytest.raises(ValueError):
        SortedKeys(["a"]).remove("b")


@given(st.sets(st.integers(0, 20)), st.integers(0, 20), st.integers(0, 20))
def test_a_range_is_what_a_naive_filter_finds(numbers, low, high):
    keys = SortedKeys(numbers)
    expected = [number for number in sorted(numbers) if low <= number < high]
    assert list(keys.irange(low, high, (True, False))) == expected
    assert [keys.between(low, high, most) for most in (0, 1, 3, 30)] == [expected, expected[:1], expected[:3], expected]
    assert keys.count(low, high) == len(expected)
    assert keys.count(low) == sum(number >= low for number in numbers)
