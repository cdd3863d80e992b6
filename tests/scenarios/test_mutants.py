"""Bugs planted in our own code are found: a few of them in turn here, all of them in `make long`."""

from __future__ import annotations

import datetime as dt
import os

import pytest

from cacher.simulation import shipped_scenarios
from tests.museum_table import load_rows
from tests.scenarios.mutants import SEEDS, Change, Mutant, catch, mutants, planted

MUTANTS = mutants()
PARTS = {"ring", "snapshot", "cacher", "router", "reflector", "informer", "work queue", "embedded etcd"}
IN_TURN = int(os.environ.get("WATCHCACHE_MUTANTS", "5"))
"""How many are hunted here."""
CHEAP_SEEDS = 20
"""Who was found within so many, last time that the table was made, is cheap enough to be hunted here."""
SPARE = 10
"""So many times as many seeds as it took then may be needed now: other code is another history."""


def in_turn() -> list[str]:
    """The names of those whose turn it is today: WATCHCACHE_MUTANTS_FROM chooses another day."""
    rows = load_rows().mutants
    cheap = [name for name in MUTANTS if name in rows and rows[name].is_found and rows[name].seeds <= CHEAP_SEEDS]
    day = int(os.environ.get("WATCHCACHE_MUTANTS_FROM", dt.date.today().toordinal()))
    return [cheap[(day * IN_TURN + turn) % len(cheap)] for turn in range(min(IN_TURN, len(cheap)))]


def test_there_is_a_bug_in_every_part_and_each_text_is_still_in_its_file_once():
    for mutant in MUTANTS.values():
        assert len(mutant.sources()) >= 1
        assert mutant.found_by in shipped_scenarios()
    assert {mutant.part for mutant in MUTANTS.values()} == PARTS
    assert len(MUTANTS) >= 30


def test_every_changed_source_can_be_compiled_and_differs():
    for mutant in MUTANTS.values():
        for module, text in mutant.sources().items():
            compile(text, module, "exec", dont_inherit=True)
        assert all(change.old != change.new for change in mutant.changes)


def test_a_text_that_is_gone_is_told():
    gone = Mutant("gone", "ring", "", "self-check-readers", (Change("cacher/_ring.py", "no such line", ""),))
    with pytest.raises(ValueError, match=r"0 times in cacher/_ring\.py: write it anew"):
        gone.sources()


def test_a_mutant_is_not_planted_in_what_was_imported_before():
    with pytest.raises(RuntimeError, match="in a process of its own"), planted(MUTANTS["ring-resumes-one-early"]):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("name", in_turn())
def test_the_simulator_finds_a_planted_bug(name):
    seeds = max(50, load_rows().mutants[name].seeds * SPARE)

    assert catch(MUTANTS[name], seeds=seeds).is_found


@pytest.mark.long
@pytest.mark.parametrize("name", MUTANTS)
def test_the_simulator_finds_every_planted_bug_in_a_thousand_seeds(name):
    assert catch(MUTANTS[name], seeds=SEEDS, jobs=2).is_found
