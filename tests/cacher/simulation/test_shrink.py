"""cacher.simulation._shrink: what is left of a tape breaks the same guarantee, and none of it can be left out."""

from __future__ import annotations

import msgspec
import pytest

from cacher.simulation import NothingToShrink, load_scenario, play, run_seed, shrink


def test_what_is_left_is_needed():
    scenario = load_scenario("double-create")
    tape = run_seed(scenario, 1, "buggy").tape
    small = shrink(scenario, tape, guarantee="NoOvershoot")

    assert small.after < small.before
    assert "NoOvershoot" in play(scenario, small.tape).broken
    for number in range(len(small.tape.faults)):
        faults = (*small.tape.faults[:number], *small.tape.faults[number + 1 :])
        assert "NoOvershoot" not in play(scenario, msgspec.structs.replace(small.tape, faults=faults)).broken


def test_a_tape_that_breaks_nothing_cannot_be_made_smaller():
    scenario = load_scenario("double-create")
    tape = run_seed(scenario, 1, "fixed").tape

    with pytest.raises(NothingToShrink, match="breaks nothing"):
        shrink(scenario, tape)
    with pytest.raises(NothingToShrink, match="does not break Fresh"):
        shrink(scenario, run_seed(scenario, 1, "buggy").tape, guarantee="Fresh")


def test_no_more_is_played_than_was_allowed():
    scenario = load_scenario("double-create")
    played = []
    small = shrink(scenario, run_seed(scenario, 1, "buggy").tape, plays_max=5, on_play=lambda n, _: played.append(n))

    assert played == [1, 2, 3, 4, 5]
    assert small.guarantee in play(scenario, small.tape).broken
