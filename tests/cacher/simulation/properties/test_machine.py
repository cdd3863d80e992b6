"""cacher.simulation.properties: a machine finds a planted bug, makes it small, and says how to play it again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

import pytest
from hypothesis import Phase, reject, settings
from hypothesis.errors import InvalidArgument
from hypothesis.stateful import run_state_machine_as_test

from cacher.simulation import Crash, Create, Kind, Tape, Wait, World, play, shrink
from cacher.simulation.properties import BrokenWorld, WorldMachine, objects
from tests.cacher.simulation.worlds import PARENTS, pairs

CHILDREN = "v1/pods"
SETTINGS = settings(
    max_examples=60, stateful_step_count=6, derandomize=True, deadline=None, database=None,
    phases=(Phase.generate, Phase.shrink),
)  # fmt: skip


class Pairs(WorldMachine):
    """A parent has two children: `pairs` looks for the second only when the first is missing, so that a crash loses it."""

    resources = {PARENTS: objects(PARENTS, names=("one", "two"), members={})}  # noqa: RUF012 - declared as a ClassVar above
    processes = ("pairs",)
    kinds: ClassVar[Sequence[Kind]] = (Kind.CRASH, Kind.LAG)
    is_fixed = False

    @classmethod
    def start(cls, world: World) -> None:
        world.start(partial(pairs, is_fixed=cls.is_fixed), name="pairs")
        world.at_rest(_has_both, why="both children are there")


class FixedPairs(Pairs):
    """The same, by a controller that looks for each."""

    is_fixed = True


def _has_both(world: World) -> str:
    there = {child.name for child in world.objects(CHILDREN)}
    lost = [f"{parent.name}-b" for parent in world.objects(PARENTS) if f"{parent.name}-a" in there
            and f"{parent.name}-b" not in there]  # fmt: skip
    return f"without {', '.join(lost)}" if lost else ""


@pytest.mark.slow
def test_a_planted_bug_is_found_and_made_small_and_its_tape_is_played_again():
    with pytest.raises(BrokenWorld) as caught:
        run_state_machine_as_test(Pairs, settings=settings(SETTINGS, max_examples=400))
    tape = caught.value.result.tape
    assert {type(operation) for operation in tape.operations or ()} == {Create, Wait}, "Hypothesis took the rest away"
    assert [type(fault.do) for fault in tape.faults] == [Crash]
    small = shrink(Pairs.scenario(), tape).tape
    assert [type(operation) for operation in small.operations or () if not isinstance(operation, Wait)] == [Create]
    told = str(caught.value)
    assert "both children are there" in told
    assert "again: play(Pairs.scenario(), Tape.from_json(TAPE))" in told
    again = play(Pairs.scenario(), Tape.from_json(told.splitlines()[-1]))
    assert (again.outcome, again.digest) == ("broken", caught.value.result.digest)
    steps = "\n".join(getattr(caught.value, "__notes__", ()))
    assert re.search(r"state = Pairs\(\)(.|\n)*state\.does\(operation=Create\(", steps), steps


@pytest.mark.slow
def test_where_nothing_is_wrong_nothing_is_found():
    run_state_machine_as_test(FixedPairs, settings=SETTINGS)


def test_what_rules_do_is_a_tape_and_waiting_moves_what_strikes_after_it():
    machine = FixedPairs()
    machine.draws(7)
    machine.does(Create(PARENTS, {"metadata": {"name": "one", "namespace": "default"}}))
    machine.strikes(Crash("pairs"), 2.0)
    tape = machine.tape()
    assert (tape.seed, tape.schedule, len(tape.operations or ()), len(tape.faults)) == (7, 7, 2, 1)
    assert Tape.from_json(tape.to_json()) == tape
    machine.teardown()


def test_a_machine_without_resources_says_what_to_add():
    class Nothing(WorldMachine):
        pass

    with pytest.raises((ValueError, InvalidArgument), match="resources is empty"):
        run_state_machine_as_test(Nothing, settings=settings(SETTINGS, max_examples=5))


def test_an_example_that_was_given_up_is_not_played(monkeypatch):
    """Else a half of it would be judged, and Hypothesis' own word for giving up be lost."""
    played = []
    monkeypatch.setattr("cacher.simulation.properties._machine.play", lambda *_, **__: played.append(1))

    class GivesUp(FixedPairs):
        def check_invariants(self, *args, **kwargs):
            reject()

    with pytest.raises(Exception, match=r"(?i)unsatisf|filter|health"):
        run_state_machine_as_test(GivesUp, settings=settings(SETTINGS, max_examples=5, suppress_health_check=()))
    assert not played


class Quiet(FixedPairs):
    """Nothing goes wrong in it."""

    kinds = ()


def test_a_machine_without_faults_has_none():
    run_state_machine_as_test(Quiet, settings=settings(SETTINGS, max_examples=5))
