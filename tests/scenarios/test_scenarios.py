"""The scenario scripts run as a user runs them, and say how they ended."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from cacher.simulation import shipped_scenarios
from tests.cacher.simulation.busy_trace import write_busy_trace

SCENARIOS = Path(__file__).parents[2] / "scenarios"


def load(name: str) -> ModuleType:
    """The script as a module of its own: scenarios/ is no package."""
    spec = importlib.util.spec_from_file_location(f"scenario_{name}", SCENARIOS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_scenario_is_run_here():
    """Those that are no story of a bug: `test_museum.py` has these, however many there are."""
    museum = {name.replace("-", "_") for name in shipped_scenarios()}
    assert sorted(path.stem for path in SCENARIOS.glob("*.py") if path.stem not in museum) == [
        "owners_and_finalizers",
        "rollout",
        "slow_watcher",
        "ten_deployments",
    ]


def test_a_rollout_keeps_every_guarantee_on_a_small_trace(capsys, tmp_path):
    prefix = write_busy_trace(tmp_path)
    assert load("rollout").main(["--trace", str(prefix), "--clients", "20"]) == 0
    out = capsys.readouterr().out
    assert "50 events in 55 s of a cluster, to 20 clients" in out
    assert "Isolated" in out
    assert re.search(r"^digest: [0-9a-f]{32}$", out, re.MULTILINE)


@pytest.mark.slow
def test_the_recorded_rollout_keeps_every_guarantee(capsys):
    assert load("rollout").main(["--clients", "20"]) == 0
    assert "12,942 events" in capsys.readouterr().out


@pytest.mark.determinism
def test_a_rollout_is_the_same_again_with_the_same_seed(capsys, tmp_path):
    prefix = write_busy_trace(tmp_path)
    digests = []
    for seed in ("3", "3", "4"):
        load("rollout").main(["--trace", str(prefix), "--clients", "20", "--seed", seed])
        digests.append(capsys.readouterr().out.splitlines()[-1])
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["0", "1"])
def test_a_slow_watcher_expires_lists_again_and_is_equal_to_the_store_again(capsys, seed):
    assert load("slow_watcher").main(["--seed", seed]) == 0
    out = capsys.readouterr().out
    assert re.search(r"slow +EXPIRED after \d+ events", out)
    assert "quick  equal to the store" in out
    assert "slow   equal to the store" in out


def test_a_slow_watcher_that_is_not_slow_is_no_story(capsys, monkeypatch):
    """The exit code is earned: a reader that never expires has shown nothing."""
    script = load("slow_watcher")
    monkeypatch.setattr(script, "READ_PERIOD_S", 0.0)
    monkeypatch.setattr(script, "WRITES", 50)
    assert script.main([]) == 1


def test_end_states_that_differ_end_with_1(capsys, monkeypatch):
    script = load("slow_watcher")
    follow = script.Reader._follow

    async def forgetful(self, watch, until_revision):
        revision = await follow(self, watch, until_revision)
        self.objects.popitem()
        return revision

    monkeypatch.setattr(script.Reader, "_follow", forgetful)
    monkeypatch.setattr(script, "WRITES", 50)
    assert script.main([]) == 1
    assert "DIFFERENT FROM the store" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["0", pytest.param("1", marks=pytest.mark.long)])
def test_ten_deployments_end_as_they_ended_under_kubernetes(capsys, seed):
    assert load("ten_deployments").main(["--seed", seed]) == 0
    assert "176 objects compared, 0 differences" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["0", pytest.param("1", marks=pytest.mark.long)])
def test_owners_and_finalizers_end_as_they_ended_under_kubernetes_and_go_in_order(capsys, seed):
    assert load("owners_and_finalizers").main(["--seed", seed]) == 0
    out = capsys.readouterr().out
    assert "220 objects compared, 0 differences" in out
    assert "order of deletion, foreground: asked 37 times there, 37 times here" in out


@pytest.mark.slow
def test_a_user_who_does_something_else_ends_elsewhere(capsys, monkeypatch):
    """The exit code is earned: a tree that is deleted in another way leaves other objects."""
    script = load("owners_and_finalizers")
    monkeypatch.setattr(script, "ORPHAN", "Background")
    assert script.main([]) == 1
    assert "only in theirs" in capsys.readouterr().out
