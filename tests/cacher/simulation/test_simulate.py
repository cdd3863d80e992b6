"""cacher.simulation._simulate: a decorated test is played under many seeds, and fails with a story."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random

import msgspec
import pytest

from cacher._cli import main
from cacher.simulation import Broken, Swarm, Tape, World, simulate
from cacher.simulation._simulate import _ordinal
from reflector import Controller, Manager

PODS = "v1/pods"
POD = {"metadata": {"name": "p", "namespace": "default"}, "spec": {"containers": [{"name": "c", "image": "c"}]}}
EXAMPLES = Path(__file__).parents[3] / "examples"


def test_a_test_that_holds_is_played_under_each_seed():
    seeds = []

    @simulate(seeds=5)
    async def a_pod_is_there(world: World) -> None:
        seeds.append(world.tape.seed)
        await world.create(PODS, POD)
        await world.settle()

    a_pod_is_there()
    assert {0, 1, 2, 3, 4} <= set(seeds)


def test_a_check_that_is_broken_fails_the_test_with_the_seed_to_play_again():
    @simulate(seeds=5, faults=Swarm(kinds=()))
    async def no_pod_is_made(world: World) -> None:
        world.never("created", PODS)
        await world.create(PODS, POD)
        await world.settle()

    with pytest.raises(Broken, match=r"never created v1/pods(.|\n)*--sim-seed 0"):
        no_pod_is_made()


def test_a_number_of_seeds_that_tests_nothing_is_refused():
    with pytest.raises(ValueError, match="choose 1 or more"):
        simulate(seeds=0)


def test_the_example_fails_with_a_story_and_its_seed_comes_first_the_next_time(tmp_path):
    def run(*words: str) -> str:
        command = [sys.executable, "-m", "pytest", "-p", "cacher.simulation.pytest_plugin", "-o", f"cache_dir={tmp_path}",
                   "-o", "addopts=", "-o", "filterwarnings=", "--rootdir", str(EXAMPLES), str(EXAMPLES), *words]  # fmt: skip
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=EXAMPLES.parent).stdout

    first = run()
    assert "broke NoOvershoot" in first
    told = first.replace(str(tmp_path), ".pytest_cache").partition("Broken: ")[2].splitlines()
    readme = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8").splitlines()
    begins = readme.index(told[0])
    shown = readme[begins : readme.index("```", begins)]
    assert shown == [told[0], *(line[4:] for line in told[1 : len(shown)])], "the README shows what comes out"
    assert len(shown) <= 25
    assert "1 failed" in first
    assert "failed at the first history" not in first
    assert "failed at the first history" in run()
    assert "seed 10" in run("--sim-seed", "10")


BIRDS = "test_a_flock_never_has_more_birds_than_it_wants"


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The cache of a run that failed, and how to run once more."""
    cache = tmp_path_factory.mktemp("cache")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest", "-p", "cacher.simulation.pytest_plugin", "-o", f"cache_dir={cache}",
                   "-o", "addopts=", "-o", "filterwarnings=", "--rootdir", str(EXAMPLES), str(EXAMPLES), *words]  # fmt: skip
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=EXAMPLES.parent)

    run()
    return cache / "d" / "watchcache-tapes" / f"{BIRDS}.json", run


@pytest.mark.slow
def test_a_failure_is_told_as_small_as_it_gets_unless_that_is_not_wanted(kept):
    file, run = kept
    whole, small = run("--sim-no-shrink").stdout, run().stdout
    assert "of whose 5 faults it takes 1\n" in small
    assert struck(small) == 1
    assert struck(whole) == 5
    assert len(Tape.from_json(file.read_bytes()).faults) == 1, "the small one is kept"


def struck(text: str) -> int:
    """How many faults a story tells."""
    story = text.partition("what went wrong in the world\n")[2].partition("which write")[0]
    return len(story.strip().splitlines())


@pytest.mark.slow
def test_the_command_takes_the_tape_of_a_test_and_the_test_itself(kept, tmp_path, monkeypatch, capsys):
    file, _ = kept
    monkeypatch.chdir(EXAMPLES.parent)
    assert main(["explain", str(file), "--html", str(tmp_path / "report.html")]) == 1
    assert "broke NoOvershoot" in capsys.readouterr().out
    assert (tmp_path / "report.html").exists()
    monkeypatch.chdir(tmp_path)
    assert main(["hunt", f"{EXAMPLES / 'test_flock.py'}:{BIRDS}", "--seeds", "20", "--jobs", "1"]) == 1
    assert "found: " in capsys.readouterr().out
    (tape,) = (tmp_path / ".watchcache").glob("*.json")
    assert main(["shrink", str(tape)]) == 1
    assert "5 operations and faults became 1" in capsys.readouterr().out


def test_a_test_in_a_function_has_no_place(tmp_path):
    @simulate(seeds=1)
    async def nothing(world: World) -> None:
        await world.settle()

    assert vars(nothing)["scenario"].place == ""


def test_a_mistake_of_a_reconcile_is_told_in_words():
    """It is what one's own controller breaks by first, and nothing that the API was asked for shows it."""

    def mistaken(manager: Manager) -> None:
        pods = manager.informers.informer("v1", "pods")

        async def reconcile(key: str) -> None:
            pods.lister.find(key, uid="1")  # type: ignore[call-arg]

        manager.add(Controller("mistaken", reconcile, random=Random(1)).watches(pods))

    @simulate(seeds=1, faults=Swarm(kinds=()))
    async def a_map_is_made_for_a_pod(world: World) -> None:
        world.start(mistaken)
        await world.create(PODS, POD)
        await world.until("v1/configmaps", "p")

    with pytest.raises(Broken) as failure:
        a_map_is_made_for_a_pod()
    story = str(failure.value)
    assert "what reconciles raised\n  mistaken, default/p: TypeError: " in story
    assert "got an unexpected keyword argument 'uid' (and " in story


@pytest.mark.parametrize(
    ("number", "word"),
    [(1, "first"), (3, "third"), (4, "4th"), (11, "11th"), (21, "21st"), (93, "93rd"), (112, "112th"), (122, "122nd")],
)
def test_histories_are_counted_as_people_do(number, word):
    assert _ordinal(number) == word


@pytest.mark.slow
def test_the_tape_of_a_failure_is_kept_and_comes_to_the_same_again(kept):
    file, run = kept
    again = run("--sim-tape", str(file)).stdout
    assert "failed at the first history" in again
    assert "broke NoOvershoot" in again
    assert f"--sim-tape {file}" in again


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"scenario": "another"}, "is a tape of another, and this is"),
        ({"variant": "buggy"}, "is of the variant 'buggy' of a scenario"),
        ({"operations": ()}, "holds operations, and the test does its own"),
        ({"version": 99}, "this tape is of version 99, and 1 is played here"),
    ],
    ids=["another test", "a scenario", "operations", "a version"],
)
def test_a_tape_that_cannot_be_this_tests_is_refused_with_words(kept, tmp_path, change, told):
    file, run = kept
    other = tmp_path / "other.json"
    other.write_text(msgspec.structs.replace(Tape.from_json(file.read_bytes()), **change).to_json())
    done = run("--sim-tape", str(other))
    assert done.returncode != 0
    assert told in done.stdout + done.stderr


@pytest.mark.slow
def test_a_tape_that_is_none_or_has_a_seed_beside_it_is_refused_before_any_test_runs(kept, tmp_path):
    file, run = kept
    bad = tmp_path / "bad.json"
    bad.write_text("{")
    assert "this is no tape" in run("--sim-tape", str(bad)).stderr
    assert "name a file that holds a tape" in run("--sim-tape", str(tmp_path / "none.json")).stderr
    assert "leave --sim-seed out" in run("--sim-tape", str(file), "--sim-seed", "3").stderr
