"""cacher.simulation._on_line: a run that is judged while it grows is the same run, ends soon after a breach, and never at none."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest

from cacher.simulation import (
    At,
    Fault,
    LieProgress,
    RunResult,
    Scenario,
    Swarm,
    World,
    draw,
    load_scenario,
    play,
    run_seed,
    shipped_scenarios,
)
from cacher.simulation._history import History
from cacher.simulation._on_line import FIRST_LOOK_LINES, GROWTH, OnLine
from cacher.simulation.judges import NOT_ON_LINE, WORLD_JUDGES, Judge
from cacher.simulation.judges._case import Case
from cacher.simulation.judges._verdict import Tally
from tests.cacher.simulation.worlds import BUGGY, ZOMBIE

NAMES = [judge.name for judge in WORLD_JUDGES]
SMALL = tuple(name for name in shipped_scenarios() if load_scenario(name).scale is None)


def both(scenario: Scenario, seed: int, variant: str, *, hunting: bool = True) -> tuple[RunResult, RunResult]:
    """The run to its end, and the one that is judged on line."""
    tape = draw(scenario, seed, variant, hunting=hunting)
    whole, early = play(scenario, tape, keep=True), play(scenario, tape, keep=True, stops_at=NAMES)
    assert whole.chronicle is not None
    assert early.chronicle is not None
    assert early.chronicle.lines == whole.chronicle.lines[: len(early.chronicle.lines)], "step by step the same"
    return whole, early


def test_a_run_ends_soon_after_its_first_breach_and_says_so():
    whole, early = both(load_scenario("lying-bookmark"), 0, "buggy", hunting=False)

    assert "Coherent" in whole.broken
    assert "Coherent" in early.broken
    assert early.outcome == "broken"
    assert early.steps < whole.steps
    assert early.virtual_s < whole.virtual_s / 2
    assert any("ended at the first breach" in note for note in early.notes)
    breach_s = min(violation.at_s for violation in early.verdict("Coherent").violations)
    assert early.virtual_s < 2 * breach_s + 5


@pytest.mark.parametrize("name", ["zombie-delete", "self-check-readers", "missed-edge"])
def test_a_run_in_which_nothing_is_broken_is_the_same_to_its_end(name):
    scenario = load_scenario(name)
    whole, early = both(scenario, 3, scenario.variants[-1])

    assert whole.outcome == "held"
    assert (early.outcome, early.digest, early.steps) == (whole.outcome, whole.digest, whole.steps)
    assert early.verdicts == whole.verdicts
    assert early.notes == whole.notes


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_what_is_broken_in_a_part_of_a_run_is_broken_in_all_of_it(name):
    """Else a run would be ended for nothing. Of every scenario, its bug and its fix."""
    scenario = load_scenario(name)
    for variant in scenario.variants:
        for seed in range(4):
            whole, early = both(scenario, seed, variant)
            if early.steps < whole.steps:
                assert set(early.broken) <= set(whole.broken)
                assert early.broken
            else:
                assert early.digest == whole.digest


def test_only_what_was_asked_for_ends_a_run():
    scenario = load_scenario("lying-bookmark")
    tape = draw(scenario, 0, "buggy", hunting=False)
    whole = play(scenario, tape)

    assert play(scenario, tape, stops_at=("Paired",)).digest == whole.digest
    assert play(scenario, tape, stops_at=("Coherent",)).steps < whole.steps
    assert play(scenario, tape, stops_at=NOT_ON_LINE).digest == whole.digest


def test_a_guarantee_that_a_scenario_ignores_ends_nothing():
    scenario = msgspec.structs.replace(load_scenario("lying-bookmark"), ignores=("Coherent", "Fresh", "Bookmarkable"))
    tape = draw(scenario, 0, "buggy", hunting=False)

    assert play(scenario, tape, stops_at=("Coherent",)).digest == play(scenario, tape).digest


def test_who_watches_a_run_still_sees_each_line_of_it():
    lines: list[int] = []

    def look(world: World) -> None:
        lines.append(len(world.chronicle.lines))

    tape = draw(ZOMBIE, 1, BUGGY, hunting=False)
    result = play(ZOMBIE, tape, watcher=look, stops_at=NAMES)
    assert lines[: result.steps] == list(range(1, result.steps + 1))


# ---- when it looks ---------------------------------------------------------------------------------------------------


def looks(broken_from: int = 1 << 30, lines: int = 1_000) -> tuple[list[int], int]:
    """At how many lines a judge was asked, and how often the run was stopped."""
    asked: list[int] = []
    stopped: list[int] = []
    now = [0]

    def of_caches(case: Case, tally: Tally) -> None:
        asked.append(now[0])
        tally.checked(1)
        if now[0] >= broken_from:
            tally.broke("here", "it is broken", revision=0, at_s=0.0)

    on_line = OnLine([Judge("Mine", "it is not broken", of_caches=of_caches)], lambda: stopped.append(now[0]))
    history = History({}, [], [], 1, {}, finished=False)
    for now[0] in range(1, lines + 1):
        on_line.look(history, now[0], 1)
    return asked, len(stopped)


def test_each_look_comes_after_half_as_much_again_so_that_all_cost_three_times_the_last():
    asked, _ = looks()
    assert asked[0] == FIRST_LOOK_LINES
    assert all(after <= GROWTH * before + 1 for before, after in pairwise(asked))
    assert sum(asked) < 3 * asked[-1] + FIRST_LOOK_LINES


def test_a_breach_is_told_once_and_nothing_is_looked_at_after_it():
    asked, stopped = looks(broken_from=100)
    assert stopped == 1
    assert asked[-1] <= GROWTH * 100 + 1
    assert asked[-1] >= 100


def test_guarantees_about_the_end_are_not_looked_at_before_it():
    kept = OnLine(WORLD_JUDGES, lambda: None).judges
    assert [judge.name for judge in WORLD_JUDGES if judge not in kept] == [
        name for name in NAMES if name in NOT_ON_LINE
    ]
    assert set(NOT_ON_LINE) <= set(NAMES)


def test_a_store_that_was_restored_is_judged_in_the_end():
    whole, early = both(load_scenario("restored-backup"), 1, "buggy", hunting=False)
    assert (early.digest, early.broken) == (whole.digest, whole.broken)


def test_without_a_wish_nothing_is_judged_on_line_and_the_swarm_draws_as_ever():
    scenario = load_scenario("lying-bookmark")
    tape = msgspec.structs.replace(
        draw(scenario, 5, "buggy", hunting=False), faults=(Fault(At(1.0), LieProgress("api-1", 0.5)),)
    )
    assert play(scenario, tape).digest == run_seed(scenario, 5, "buggy", hunting=False).digest
    assert Swarm().restores == 0.0
