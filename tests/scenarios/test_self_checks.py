"""The self-checks: what finds planted bugs (`test_mutants.py`) finds none where none was planted, and meets what it is for."""

from __future__ import annotations

import pytest

from cacher.simulation import Scenario, audit, hunt, load_scenario, run_seed

NAMES = ("self-check-readers", "self-check-controllers")
SEEDS = 15
LONG_SEEDS = 2_000


def checked(name: str, seeds: int, jobs: int = 1) -> dict[str, int]:
    """What was met in so many seeds, none of which may break anything."""
    scenario: Scenario = load_scenario(name)
    result = hunt(scenario, scenario.variants[0], seeds=seeds, jobs=jobs)
    assert result.found is None, result.found
    return result.sometimes


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_nothing_breaks_and_what_is_to_happen_happens(name):
    met = checked(name, SEEDS)

    for what in ("relist", "resume", "expired", "stream lost", "ring wrapped", "tombstone", "write", "fault"):
        assert met[what], f"a check in which there was no {what} shows little"
    assert not met["died"], "a program that raises does not do what it is for"


def test_without_faults_a_self_check_is_clean_as_well():
    for name in NAMES:
        scenario = load_scenario(name)
        result = run_seed(scenario, 3, scenario.variants[0], hunting=False)
        assert (result.outcome, result.broken, result.facts) == ("held", (), ())


@pytest.mark.determinism
@pytest.mark.parametrize("name", NAMES)
def test_a_seed_is_the_same_in_another_process_under_another_hash_seed(name):
    assert audit(name, "shipped", [5]) == []


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_two_thousand_seeds_break_nothing(name):
    checked(name, LONG_SEEDS, jobs=2)
