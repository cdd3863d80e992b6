"""cacher.simulation._simulate: a decorated test is played under many seeds, and fails with a story."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cacher.simulation import Broken, Swarm, World, simulate

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
    told = first.partition("Broken: ")[2].splitlines()
    readme = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8").splitlines()
    begins = readme.index(told[0])
    shown = readme[begins : readme.index("```", begins)]
    assert shown == [told[0], *(line[4:] for line in told[1 : len(shown)])], "the README shows what comes out"
    assert len(shown) <= 25
    assert "1 failed" in first
    assert "failed at the first history" not in first
    assert "failed at the first history" in run()
    assert "seed 10" in run("--sim-seed", "10")
