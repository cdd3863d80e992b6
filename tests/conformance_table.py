"""docs/conformance.md: which of Kubernetes' own tests are held by which of ours. Made from the tests, so that it cannot drift.

    python -m tests.conformance_table        runs the tests that name a row, and writes the table with what came of them

A test stands for a row by naming it in its docstring, as in `[9.3 TestForgetWatcher]`; a case of `conformance.CASES` by its
`rows`. tests/conformance_rows.toml has the rows.
"""

from __future__ import annotations

import ast
import fnmatch
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping

import msgspec
import pytest

from cacher.storage import Semantics, conformance
from tests import source

ROWS = "tests/conformance_rows.toml"
TABLE = "docs/conformance.md"
TAG = re.compile(r"\[(9\.\d(?:\.\d)?) ([^\]]+)\]")
NAMES_SHOWN = 3
"""Of the tests of a row; the others are counted."""

# The tests that run a case, by the storages that it is about.
STORE = "tests/cacher/storage/test_conformance_etcd.py::test_the_store_keeps_the_contract"
CACHE = "tests/cacher/test_conformance_cacher.py::test_the_cache_keeps_the_contract"
UNRULY = f"{CACHE}_slowed_restarted_and_started_over"
RUN_BY = {
    conformance.On.ALL: (STORE, CACHE, UNRULY),
    conformance.On.CACHED: (CACHE, UNRULY),
    conformance.On.UNCACHED: (STORE,),
}
SHORT = {STORE: "store", CACHE: "cache", UNRULY: "unruly cache"}


class Row(msgspec.Struct, frozen=True):
    """One of Kubernetes' tests."""

    section: str
    name: str
    """May hold a `*`: the test has variants."""
    claim: str
    reason: str = ""
    """Why it does not apply; then there is no claim."""

    def is_named(self, section: str, name: str) -> bool:
        """Whether a tag means this row."""
        return self.section == section and fnmatch.fnmatchcase(name, self.name)


class Ours(msgspec.Struct, frozen=True):
    """One of ours that stands for rows."""

    name: str
    node_ids: tuple[str, ...]
    tags: tuple[tuple[str, str], ...]
    runs_on: str = ""


def read_rows() -> tuple[dict[str, str], list[Row]]:
    """(the sections' titles, all rows in order)."""
    sections = tomllib.loads((source.ROOT / ROWS).read_text(encoding="utf-8"))
    rows = []
    for section, content in sections.items():
        rows += [Row(section, name, claim) for name, claim in content["rows"].items()]
        rows += [Row(section, name, "", reason) for name, reason in content.get("elsewhere", {}).items()]
    return {section: content["title"] for section, content in sections.items()}, rows


def case_tests() -> Iterator[Ours]:
    """The cases of the contract, each with the tests that run it."""
    for case in conformance.CASES:
        node_ids = tuple(f"{test}[{case.name}-{each.value}]" for test in RUN_BY[case.on] for each in Semantics)
        tags = tuple((row.partition(" ")[0], row.partition(" ")[2]) for row in case.rows)
        yield Ours(case.name, node_ids, tags, ", ".join(SHORT[test] for test in RUN_BY[case.on]))


def tagged_tests() -> Iterator[Ours]:
    """The test functions that name a row in their docstring."""
    for file in source.python_files("tests"):
        if not file.split("/")[-1].startswith("test_"):
            continue
        for node in ast.walk(source.tree(file)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
                tags = tuple((tag[1], tag[2]) for tag in TAG.finditer(ast.get_docstring(node) or ""))
                if tags:
                    yield Ours(node.name, (f"{file}::{node.name}",), tags)


def tests_of(row: Row, tests: list[Ours]) -> list[Ours]:
    """Those that name the row."""
    return [test for test in tests if any(row.is_named(*tag) for tag in test.tags)]


def stray_tags(rows: list[Row], tests: list[Ours]) -> list[str]:
    """Tags that no row has: a slip, or a row that says that it does not apply."""
    known = [row for row in rows if not row.reason]
    return [
        f"{test.name}: [{' '.join(tag)}]"
        for test in tests
        for tag in test.tags
        if not any(row.is_named(*tag) for row in known)
    ]


def missing(rows: list[Row], tests: list[Ours]) -> list[str]:
    """Rows with neither a test nor a reason."""
    return [f"{row.section} {row.name}" for row in rows if not row.reason and not tests_of(row, tests)]


def render(titles: Mapping[str, str], rows: list[Row], tests: list[Ours], outcomes: Mapping[str, str]) -> str:
    """The table. `outcomes`: what came of a node id that did not pass."""
    held = [row for row in rows if tests_of(row, tests)]
    told = [row for row in rows if row.reason]
    lines = [
        "# Conformance",
        "",
        "Kubernetes tests its storage, cacher, etcd3 and client-go with the tests named on the left. Each row says in our",
        "words what such a test holds, which of ours hold the same, and what came of them. A row that does not apply says why.",
        "The table is made by `python -m tests.conformance_table` from the tests' own docstrings and from a run of them, and a",
        "test fails where it is out of date, or where a row has neither a test nor a reason.",
        "",
        "*store* is EtcdStorage, *cache* CacherStorage over it, *unruly cache* the same slowed, restarted and started over at",
        "random points. Their cases are public: `from cacher.storage import conformance`.",
        "",
        f"{len(rows)} rows: {len(held)} held by {len(tests)} tests, {len(told)} do not apply, "
        f"{len(rows) - len(held) - len(told)} are missing.",
    ]
    for section, title in titles.items():
        lines += [
            "",
            f"## {section} {title}",
            "",
            "| Kubernetes' test | what holds | our tests | result |",
            "|---|---|---|---|",
        ]
        lines += [
            _line(row, tests_of(row, tests), outcomes) for row in rows if row.section == section and not row.reason
        ]
        reasons = [row for row in rows if row.section == section and row.reason]
        if reasons:
            lines += ["", "Do not apply:", ""]
            lines += [f"- {_code(row.name)}: {row.reason}" for row in reasons]
    return "\n".join(lines) + "\n"


def _line(row: Row, found: list[Ours], outcomes: Mapping[str, str]) -> str:
    shown = "; ".join(test.name.removeprefix("test_").replace("_", " ") for test in found[:NAMES_SHOWN])
    if len(found) > NAMES_SHOWN:
        shown += f"; and {len(found) - NAMES_SHOWN} more"
    return f"| {_code(row.name)} | {row.claim} | {shown} | {_result(found, outcomes)} |"


def _result(found: list[Ours], outcomes: Mapping[str, str]) -> str:
    if not found:
        return "**missing**"
    wrong = {outcomes[node_id]: None for test in found for node_id in test.node_ids if node_id in outcomes}
    if wrong:
        return f"**{', '.join(wrong)}**"
    places = {place: None for test in found if test.runs_on for place in test.runs_on.split(", ")}
    return f"passes on {', '.join(places)}" if places else "passes"


def _code(name: str) -> str:
    return f"`{name}`"


def table(outcomes: Mapping[str, str]) -> str:
    """The text of docs/conformance.md, all tests as they are."""
    titles, rows = read_rows()
    return render(titles, rows, [*case_tests(), *tagged_tests()], outcomes)


class _Outcomes:
    """A pytest plugin: what did not pass, by node id with and without its parameters."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self.passed = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.outcome != "passed":
            for node_id in (report.nodeid, report.nodeid.partition("[")[0]):
                self.found[node_id] = report.outcome
        self.passed += report.when == "call" and report.outcome == "passed"


def main() -> int:
    """Runs the tests that name a row and writes the table; how many of them did not pass, 1 at most."""
    tests = [*case_tests(), *tagged_tests()]
    files = {node_id.partition("::")[0]: None for test in tests for node_id in test.node_ids}
    outcomes = _Outcomes()
    pytest.main(["-q", "--no-header", "-p", "no:cacheprovider", *files], plugins=[outcomes])
    (source.ROOT / TABLE).write_text(table(outcomes.found), encoding="utf-8")
    return 1 if outcomes.found else 0


if __name__ == "__main__":
    sys.exit(main())
