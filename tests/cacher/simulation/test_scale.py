"""cacher.simulation._scale: sizes are drawn within their bounds, and made smaller one figure at a time."""

from __future__ import annotations

import subprocess
import sys
from random import Random

import msgspec
import pytest

from cacher.simulation import Scale, load_scenario, play, run_seed, shrink
from cacher.simulation._scale import FIGURES, draw_scale, smaller_scales


def test_a_pair_is_drawn_and_a_number_stays():
    scale = Scale(clients=(5, 9), objects=7, writes_per_s=(1.0, 2.0), duration_s=30.0)
    drawn = [draw_scale(scale, Random(seed)) for seed in range(50)]

    assert {one.client_count for one in drawn} == {5, 6, 7, 8, 9}
    assert {one.object_count for one in drawn} == {7}
    assert all(0.5 <= one.write_period_s <= 1.0 for one in drawn)
    assert all(one.write_count in range(29, 61) for one in drawn)
    assert draw_scale(scale, Random(1)) == draw_scale(scale, Random(1))


def test_where_nobody_writes_there_are_no_writes():
    assert Scale(writes_per_s=0.0).write_count == 0


@pytest.mark.parametrize("figure", FIGURES)
def test_a_smaller_scale_differs_in_one_figure_and_the_smallest_comes_first(figure):
    scale = Scale(clients=100, objects=20, writes_per_s=5.0, duration_s=60.0)
    smaller = list(smaller_scales(scale, figure))
    values = [getattr(one, figure) for one in smaller]

    assert values == sorted(values)
    assert values[0] == 1
    assert values[-1] < getattr(scale, figure)
    assert all(msgspec.structs.replace(one, **{figure: getattr(scale, figure)}) == scale for one in smaller)
    assert list(smaller_scales(smaller[0], figure)) == []


def test_a_find_shrinks_in_clients_objects_and_time():
    scenario = load_scenario("never-catches-up")
    found = run_seed(scenario, 0, "buggy").tape
    small = shrink(scenario, found, guarantee="Lively").tape

    assert found.scale is not None
    assert small.scale is not None
    assert small.scale.clients == 1
    assert small.scale.object_count < found.scale.object_count
    assert small.scale.seconds < found.scale.seconds
    assert "Lively" in play(scenario, small).broken


@pytest.mark.parametrize(("name", "code"), [("never-catches-up", 0), ("double-create", 64)])
def test_the_command_takes_another_number_of_clients_where_the_scenario_is_about_size(name, code):
    command = [sys.executable, "-m", "cacher", "run", name, "--clients", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == code, done.stderr
    assert ("3 of 3 light clients" in done.stdout) is (code == 0)
    assert ("leave --clients out" in done.stderr) is (code != 0)
