"""Numbers with one owner at a time, and quantities that are equal however they are written."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacher.registry._pools import Pool, static_part
from cacher.registry._quantities import parse_quantity


@given(st.integers(0, 40), st.integers(0, 40), st.lists(st.integers(0, 39)), st.integers())
def test_a_pool_gives_every_number_once_and_the_static_part_last(size, static, freed, seed):
    static = min(static, size)
    pool = Pool(size, static=static, draw=Random(seed).randrange)
    given_out = [pool.take_any() for _ in range(size)]
    assert sorted(number for number in given_out if number is not None) == list(range(size))
    assert all(number is not None and number >= static for number in given_out[: size - static])
    assert pool.take_any() is None
    back = {number for number in freed if number < size}
    pool.free(freed)
    assert {pool.take_any() for _ in range(len(back))} == back or not back
    assert pool.take_any() is None


@pytest.mark.parametrize(
    ("size", "most", "step", "expected"),
    [(8, 256, 16, 0), (256, 256, 16, 16), (4096, 256, 16, 256), (2**20, 256, 16, 256), (2768, 128, 32, 86)],
)
def test_the_static_part_of_a_range(size, most, step, expected):
    assert static_part(size, most=most, step=step) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "1000m"),
        ("1Gi", "1024Mi"),
        ("1.5k", "1500"),
        ("1e3", "1k"),
        ("1E3", "1000"),
        ("1E", "1e18"),
        (2, "2"),
        (".5", "500m"),
    ],
)
def test_equal_quantities_are_equal_however_they_are_written(one, other):
    assert parse_quantity(one) == parse_quantity(other) is not None


@pytest.mark.parametrize("text", ["", "1 Gi", "Gi", "1gi", "one", "1e", None, True, "1e999999999"])
def test_what_is_no_quantity_is_none(text):
    assert parse_quantity(text) is None
