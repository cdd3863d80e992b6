"""What all tests share: the virtual clock, the Hypothesis profiles, skips that fail, the etcd found, the table of `make long`."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio
import trio.testing
from hypothesis import settings

from tests.built_with_go import NO_GO
from tests.etcd_binaries import report_line

Result = TypeVar("Result")

# `default` draws the same examples at every run, so a red `make test` stays red until somebody mends it. `long` draws fresh
# ones, and as many times more of them as the profile has more than the default; a test's own `max_examples` is multiplied too.
EXAMPLES_DEFAULT = 100
EXAMPLES_LONG = 5000
settings.register_profile("default", deadline=None, derandomize=True, max_examples=EXAMPLES_DEFAULT)
settings.register_profile("long", deadline=None, derandomize=False, max_examples=EXAMPLES_LONG, print_blob=True)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "default")
settings.load_profile(PROFILE)


@pytest.fixture
def run_trio() -> Callable[..., Any]:
    """A function that runs an async function to its end under a virtual clock, and returns its result.

    Time stands still while any task can run and jumps to the next deadline when none can: a sleep of an hour costs nothing.
    """

    def run(async_fn: Callable[..., Awaitable[Result]], *args: object) -> Result:
        return trio.run(async_fn, *args, clock=trio.testing.MockClock(autojump_threshold=0))

    return run


# --- a skip that nobody chose ---------------------------------------------------------------------------------------
# On a developer's machine a test may be skipped for want of something. Where everything is meant to be there, as it is for
# continuous integration, a skip is a hole in the evidence: WATCHCACHE_NO_SKIPS=1 makes it a failure. Programs that only Go can
# build are not among what is meant to be there; where there is Go, `.ci/run` builds them.
NO_SKIPS = os.environ.get("WATCHCACHE_NO_SKIPS") == "1"


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if NO_SKIPS and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        if NO_GO in str(why):
            return
        report.outcome = "failed"
        report.longrepr = f"skipped where WATCHCACHE_NO_SKIPS=1 forbids it: {why}"


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A module that skips itself as a whole (`importorskip`) is a skip too."""
    report = yield
    _refuse_skip(report)
    return report


# --- `make long` ----------------------------------------------------------------------------------------------------
_LONG_ROWS = pytest.StashKey[list[tuple[str, str, str, str]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_LONG_ROWS] = []


def pytest_report_header() -> str:
    """Which etcd servers the tests are run against."""
    return report_line()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Under the profile `long`, the tests that ask for a number of examples of their own get it multiplied as well."""
    if PROFILE == "long":
        for item in items:
            _lengthen(item)


def _lengthen(item: pytest.Item) -> None:
    # Hypothesis has no public way to change the settings of a test that is already decorated; it reads this attribute when
    # the test is called. tests/test_conftest.py fails if that ceases to be so.
    test = getattr(item, "obj", None)
    _multiply(getattr(test, "__func__", test), "_hypothesis_internal_use_settings")
    if isinstance(item, pytest.Function) and item.cls is not None:
        _multiply(item.cls, "settings")  # of a state machine's TestCase


def _multiply(holder: object, attribute: str) -> None:
    own = getattr(holder, attribute, None)
    if isinstance(own, settings) and own.max_examples != EXAMPLES_LONG:
        longer = settings(own, max_examples=own.max_examples * EXAMPLES_LONG // EXAMPLES_DEFAULT)
        setattr(holder, attribute, longer)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse_skip(report)
    if PROFILE == "long" and report.when == "call":
        tried = sum(map(int, re.findall(r"(\d+) passing", getattr(item, "hypothesis_statistics", ""))))
        if tried or item.get_closest_marker("long"):
            row = (item.nodeid, f"{tried or 1}", f"{report.duration:.0f}", report.outcome)
            item.config.stash[_LONG_ROWS].append(row)
            _keep(row)
    return report


def _keep(row: tuple[str, ...]) -> None:
    """Write the row down at once: a campaign of hours that is cut off has still tried what it has tried."""
    if file := os.environ.get("WATCHCACHE_LONG_TABLE"):
        with Path(file).open("a", encoding="utf-8") as table:
            table.write(f"| {' | '.join(row)} |\n")


_ROUND = "round of faults "


@pytest.fixture
def tell_rounds(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """A function that takes what a round of faults came to, in a line that begins with its seed, for the end of the report.

    A second line of the same seed replaces the first: so a round that never ended can be told of too.
    """
    told = request.node.user_properties  # part of the test's report, which also a worker of `pytest -n` hands over

    def tell(line: str) -> None:
        name = _ROUND + line.partition(":")[0]
        told[:] = [one for one in told if one[0] != name] + [(name, line)]

    return tell


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rounds: dict[str, list[str]] = {}
    for report in (report for reports in terminalreporter.stats.values() for report in reports):
        told = [str(line) for name, line in getattr(report, "user_properties", ()) if name.startswith(_ROUND)]
        if told and report.when == "call":
            rounds[report.nodeid] = told
    if rounds:
        terminalreporter.section("rounds of faults on real servers")
        for test, lines in rounds.items():
            terminalreporter.write_line(test.partition("::")[2])
            for line in lines:
                terminalreporter.write_line(f"    {line}")
    rows = config.stash[_LONG_ROWS]
    if rows:
        terminalreporter.section("what was tried (rows for docs/track-record.md)")
        terminalreporter.write_line("| campaign | examples that passed | seconds | outcome |")
        terminalreporter.write_line("|---|---|---|---|")
        for row in rows:
            terminalreporter.write_line(f"| {' | '.join(row)} |")
