"""Each judge lets the honest pass and convicts its culprit; no judge convicts another's."""

from __future__ import annotations

import pytest

from cacher.simulation._history import History
from cacher.simulation.judges import ALL_JUDGES, Verdict, judge_all
from tests.cacher.simulation.doubles import Break, tell_all


def broken_in(history: History) -> set[str]:
    return {verdict.name for verdict in judge_all(history) if verdict.broken}


def verdict_of(name: str, history: History) -> Verdict:
    return next(verdict for verdict in judge_all(history) if verdict.name == name)


def test_there_are_nine_judges_in_the_order_of_the_report():
    names = [judge.name for judge in ALL_JUDGES]
    assert names == [
        "Ordered", "Unique", "Reliable", "Atomic", "Faithful", "Coherent", "Monotonic", "Bounded", "Isolated",
    ]  # fmt: skip


@pytest.mark.parametrize("judge", ALL_JUDGES, ids=lambda judge: judge.name)
def test_a_judge_finds_much_to_look_at_in_an_honest_history_and_nothing_wrong(judge):
    verdict = judge.judge(tell_all().history)
    assert verdict.checks > 1
    assert verdict.violations == ()
    assert verdict.held


def test_a_judge_alone_says_the_same_as_among_all():
    history = tell_all(Break.SWALLOW).history
    assert tuple(judge.judge(history) for judge in ALL_JUDGES) == judge_all(history)


@pytest.mark.parametrize("wrong", Break, ids=lambda wrong: wrong.name)
def test_a_broken_double_is_convicted_by_its_judge_and_by_no_other(wrong):
    worlds = [tell_all(wrong, nth) for nth in range(6)]
    assert worlds[0].broke, f"the story gives no occasion for one who {wrong.deed}"
    for world in worlds:
        assert broken_in(world.history) == ({wrong.judge} if world.broke else set())


@pytest.mark.parametrize("wrong", Break, ids=lambda wrong: wrong.name)
def test_a_violation_says_the_guarantee_in_its_sentence_and_where_and_when_it_was_broken(wrong):
    verdict = verdict_of(wrong.judge, tell_all(wrong).history)
    first = verdict.violations[0]
    assert first.message.startswith(f"broke {verdict.name} - {verdict.sentence}: ")
    assert first.where
    assert first.at_s > 0.0
    assert first.revision > 0


def test_every_judge_has_a_double_that_it_convicts():
    assert {wrong.judge for wrong in Break} == {judge.name for judge in ALL_JUDGES}


def test_judging_leaves_the_history_as_it_was():
    world, again = tell_all(), tell_all()
    assert judge_all(world.history) == judge_all(world.history)
    assert world.history == again.history
