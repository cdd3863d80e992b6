"""benchmarks/beside/_page.py: what docs/performance.md says of each line."""

import re

import pytest

from benchmarks.beside._limits import UNKNOWN, limit_of
from benchmarks.beside._line import Goal, GoalKind, Line, Sample, Unit, is_reached, ratios
from benchmarks.beside._machine import Machine
from benchmarks.beside._report import Results, Row
from tests import source

TWICE = Goal(GoalKind.RATIO, 2.0)


def row(name, unit, goal, ours, peer=()):
    return Row(
        Line("lists", name, unit, goal), {"ours": [Sample(one) for one in ours], "peer": [Sample(one) for one in peer]}
    )


@pytest.mark.parametrize(
    ("unit", "goal", "ours", "peer", "expected"),
    [
        (Unit.EVENTS, TWICE, [4.0], [2.0], True),
        (Unit.EVENTS, TWICE, [3.0], [2.0], False),
        (Unit.CPU, TWICE, [1.0], [2.0], True),
        (Unit.CPU, TWICE, [2.0], [1.0], False),
        (Unit.EVENTS, TWICE, [4.0], [], None),
        (Unit.SECONDS, Goal(GoalKind.AT_MOST, 0.01), [0.02], [], False),
        (Unit.SHARE, Goal(GoalKind.AT_LEAST, 1.0), [1.0], [], True),
        (Unit.EVENTS, None, [1.0], [1.0], None),
    ],
)
def test_a_goal_is_reached_by_the_median_of_the_runs_ratios_or_of_ours(unit, goal, ours, peer, expected):
    one = row("a line", unit, goal, ours, peer)
    assert is_reached(one.line, one.sides) is expected


def test_a_ratio_is_of_both_sides_of_one_run():
    one = row("a line", Unit.EVENTS, None, [10.0, 100.0], [5.0, 10.0])
    assert ratios(one.line, one.sides) == [2.0, 10.0]


def test_the_page_has_figures_goals_verdicts_limits_and_its_line_in_the_index(tmp_path, monkeypatch):
    page = pytest.importorskip(
        "benchmarks.beside._page", exc_type=ModuleNotFoundError
    )  # the plots' library may be missing
    monkeypatch.setattr(page, "DOCS", tmp_path)
    (tmp_path / "index.md").write_text("\nguarantees\nconformance\ndesign\n")
    rows = [
        row("fast", Unit.EVENTS, TWICE, [4.0], [1.0]),
        row("a cached object, 100 pods", Unit.BYTES, TWICE, [10.0], [10.0]),
    ]
    results = Results(Machine("2026-01-01 00:00 UTC", "a processor", 2, "", "", {}, {}, 0.0), True, rows)
    for _ in range(2):
        page.write_page(results)
    text = (tmp_path / "performance.md").read_text()
    assert "Of 2 goals 1 were reached." in text
    assert "| fast | 4/s | 1/s | 4× | ≥ 2× | yes |" in text
    assert f"- **a cached object, 100 pods** (1×): {limit_of(rows[1].line)}." in text
    assert "performance/memory.svg" in text
    assert "python -m benchmarks.beside --page benchmarks/results/2026-01-01-0000.json" in text
    assert (tmp_path / "performance" / "memory.svg").exists()
    assert (tmp_path / "index.md").read_text() == "\nguarantees\nconformance\nperformance\ndesign\n"


def test_the_page_and_its_pictures_are_what_its_raw_runs_come_to(tmp_path, monkeypatch):
    page = pytest.importorskip("benchmarks.beside._page", exc_type=ModuleNotFoundError)
    kept = pytest.importorskip("benchmarks.beside.__main__").kept
    docs = source.ROOT / "docs"
    text = (docs / "performance.md").read_text()
    named = re.search(r"--page (benchmarks/results/\S+\.json)`", text)
    assert named is not None
    monkeypatch.setattr(page, "DOCS", tmp_path)
    (tmp_path / "index.md").write_text((docs / "index.md").read_text())
    page.write_page(kept(source.ROOT / named[1]))
    assert (tmp_path / "performance.md").read_text() == text
    assert (tmp_path / "index.md").read_text() == (docs / "index.md").read_text()
    pictures = sorted(path.name for path in (docs / "performance").iterdir())
    assert sorted(path.name for path in (tmp_path / "performance").iterdir()) == pictures


def test_a_line_that_nobody_has_profiled_says_so():
    assert limit_of(Line("none", "of these", Unit.EVENTS)) == UNKNOWN
