"""What conftest.py promises to all other tests, seen from outside: small test files are run by a pytest of their own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import trio

from tests import source


def run_pytest(directory, text, *options, **environment):
    """The output of pytest over one test file, with this project's settings and conftest."""
    (directory / "test_it.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider"]
    command += ["--config-file", str(source.ROOT / "pyproject.toml"), *options, str(directory / "test_it.py")]
    inherited = {
        name: value for name, value in os.environ.items() if name not in {"HYPOTHESIS_PROFILE", "WATCHCACHE_NO_SKIPS"}
    }
    done = subprocess.run(
        command, cwd=source.ROOT, capture_output=True, text=True, check=False, env={**inherited, **environment}
    )
    return done.stdout + done.stderr


def test_a_sleep_costs_nothing_under_the_virtual_clock(run_trio):
    async def an_hour():
        started = trio.current_time()
        await trio.sleep(3600)
        return trio.current_time() - started

    assert run_trio(an_hour) == 3600


SKIPS = """
import pytest
def test_that_skips():
    pytest.skip("no lamp")
@pytest.mark.xfail
def test_that_is_known_to_fail():
    assert False
"""


@pytest.mark.slow
def test_a_skip_is_a_failure_where_skips_are_forbidden(tmp_path):
    forbidden = run_pytest(tmp_path, SKIPS, WATCHCACHE_NO_SKIPS="1")
    assert "1 failed, 1 xfailed" in forbidden
    assert "no lamp" in forbidden


@pytest.mark.slow
def test_what_only_go_can_build_may_be_missing_where_there_is_no_go(tmp_path):
    allowed = run_pytest(tmp_path, SKIPS.replace("no lamp", "no Go here: install it"), WATCHCACHE_NO_SKIPS="1")
    assert "1 skipped, 1 xfailed" in allowed


@pytest.mark.slow
def test_a_module_that_skips_itself_is_an_error_where_skips_are_forbidden(tmp_path):
    text = "import pytest\npytest.importorskip('no_such_module')\ndef test_nothing(): ...\n"
    assert "1 error" in run_pytest(tmp_path, text, WATCHCACHE_NO_SKIPS="1")


EXAMPLES = """
from hypothesis import given, settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, rule
seen, runs = [], []
@settings(max_examples=3)
@given(strategies.integers())
def test_with_examples_of_its_own(number):
    seen.append(number)
class Machine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        runs.append(1)
    @rule()
    def step(self): ...
TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=2, stateful_step_count=2)
def test_how_many():
    assert (len(seen), len(runs)) == ({seen}, {runs})
"""


@pytest.mark.slow
def test_make_long_multiplies_also_the_examples_that_a_test_asks_for_itself(tmp_path):
    """It relies on a private attribute of Hypothesis, so this is the canary."""
    assert "3 passed" in run_pytest(tmp_path, EXAMPLES.format(seen=3, runs=2))
    table = tmp_path / "table"
    long = run_pytest(
        tmp_path, EXAMPLES.format(seen=150, runs=100), HYPOTHESIS_PROFILE="long", WATCHCACHE_LONG_TABLE=str(table)
    )
    assert "3 passed" in long
    assert "test_with_examples_of_its_own | 150 |" in long
    assert "TestMachine::runTest | 100 |" in long
    assert [row for row in long.splitlines() if row in table.read_text().splitlines()], "each row is kept as it comes"
