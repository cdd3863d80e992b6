"""Each scenario of the museum: its script shows the bug and clears the fix, and seeds alone find it."""

from __future__ import annotations

import pytest

from cacher.simulation import audit, explain, hunt, load_scenario, play, run_seed, shipped_scenarios, shrink

NAMES = tuple(name for name in shipped_scenarios() if load_scenario(name).guarantee)
"""The stories of bugs; `test_self_checks.py` has the others."""
FIXED_SEEDS = 20
FIND_SEEDS = 400
SMALL = 12
"""Operations and faults of a find, once it has been made small."""


@pytest.mark.parametrize("name", NAMES)
def test_a_script_convicts_the_buggy_variant_and_clears_the_fixed_one(name):
    scenario = load_scenario(name)
    buggy, fixed = (run_seed(scenario, 1, variant, hunting=False) for variant in scenario.variants)

    assert scenario.guarantee in buggy.broken
    assert (fixed.outcome, fixed.broken, fixed.facts) == ("held", (), ())


@pytest.mark.parametrize("name", NAMES)
def test_a_run_is_the_same_in_another_process_under_another_hash_seed(name):
    scenario = load_scenario(name)

    assert audit(name, scenario.variants[0], [7]) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_seeds_alone_find_the_bug_and_the_find_becomes_small_and_can_be_played_again(name):
    scenario = load_scenario(name)
    found = hunt(scenario, "buggy", seeds=FIND_SEEDS, jobs=2).found
    assert found is not None
    assert scenario.guarantee in found.broken

    small = shrink(scenario, found.load(), guarantee=scenario.guarantee)
    assert small.after <= SMALL
    again = play(scenario, small.tape, keep=True)
    assert again.digest == small.tape.digest
    assert scenario.guarantee in again.broken
    assert 2 <= len(explain(again)) <= 25


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_no_seed_breaks_the_fixed_variant(name):
    result = hunt(load_scenario(name), "fixed", seeds=FIXED_SEEDS, jobs=2)

    assert result.found is None, result.found
    assert result.sometimes["fault"] > FIXED_SEEDS, "a world in which nothing goes wrong shows nothing"


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_two_thousand_seeds_leave_the_fixed_variant_whole(name):
    result = hunt(load_scenario(name), "fixed", seeds=2_000, jobs=2)

    assert result.found is None, result.found


@pytest.mark.long
def test_two_hundred_seeds_are_the_same_in_two_processes():
    for number, name in enumerate(NAMES * (200 // len(NAMES) + 1)):
        if number < 200:
            assert audit(name, "buggy", [1_000 + number]) == []
