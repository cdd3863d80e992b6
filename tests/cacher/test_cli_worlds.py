"""cacher._cli_worlds: list, run, hunt, replay, shrink, explain, and what they end with."""

from __future__ import annotations

import pytest

from cacher._cli import main


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_scenarios_are_listed_with_what_they_break(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("zombie-delete") and "NoStaleDestruction" in line for line in lines)


def test_a_run_tells_both_variants_and_is_the_same_again(capsys):
    assert main(["run", "missed-edge", "--seed", "3"]) == 0
    first = capsys.readouterr().out
    assert "missed-edge, buggy, seed 3: broken" in first
    assert "missed-edge, fixed, seed 3: held" in first
    assert main(["run", "missed-edge", "--seed", "3"]) == 0
    assert capsys.readouterr().out == first


def test_a_variant_that_breaks_ends_with_1():
    assert main(["run", "missed-edge", "--variant", "buggy"]) == 1
    assert main(["run", "missed-edge", "--variant", "fixed"]) == 0


def test_a_find_is_kept_replayed_made_small_and_told(capsys):
    assert main(["hunt", "missed-edge", "--seeds", "100", "--jobs", "1"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("watchcache replay ")
    assert lines[1].startswith("found: Checks after ")
    tape = lines[0].removeprefix("watchcache replay ")
    assert main(["replay", tape]) == 1
    assert main(["explain", tape]) == 1
    capsys.readouterr()
    assert main(["shrink", tape, "--out", "small.json"]) == 1
    assert "watchcache replay small.json" in capsys.readouterr().out
    assert main(["replay", "small.json"]) == 1


def test_a_clean_hunt_says_what_it_met_and_ends_with_0(capsys):
    assert main(["hunt", "missed-edge", "--variant", "fixed", "--seeds", "3", "--jobs", "1"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("clean: 3 seeds")
    assert "met: " in out


def test_a_tape_of_another_digest_is_told_as_not_repeatable(capsys):
    main(["hunt", "missed-edge", "--seeds", "100", "--jobs", "1"])
    tape = capsys.readouterr().out.splitlines()[0].removeprefix("watchcache replay ")
    with open(tape) as file:
        text = file.read()
    digest = text.partition('"digest": "')[2][:32]
    with open("other.json", "w") as file:
        file.write(text.replace(digest, "0" * 32))
    assert main(["replay", "other.json"]) == 3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "zombi-delete"], "did you mean zombie-delete?"),
        (["run", "nothing"], "there is no scenario nothing"),
        (["run", "nothing.py"], "there is no file nothing.py"),
        (["hunt", "missed-edge", "--variant", "odd"], "has no variant 'odd'"),
        (["replay", "none.json"], "No such file"),
        (["replay", "bad.json"], "this is no tape"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(capsys, words, says):
    with open("bad.json", "w") as file:
        file.write("{")
    assert main(words) == 64
    assert says in capsys.readouterr().err
