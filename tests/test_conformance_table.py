"""docs/conformance.md says what is so: every row of Kubernetes' tests has a test of ours, or a reason why not."""

from __future__ import annotations

import pytest

from tests import conformance_table, source
from tests.conformance_table import Ours, Row, case_tests, missing, read_rows, render, stray_tags, tagged_tests


@pytest.fixture(scope="module")
def rows():
    return read_rows()[1]


@pytest.fixture(scope="module")
def tests():
    return [*case_tests(), *tagged_tests()]


def test_every_row_has_a_test_or_a_reason(rows, tests):
    assert missing(rows, tests) == []


def test_every_tag_names_a_row(rows, tests):
    assert stray_tags(rows, tests) == []


def test_the_table_is_what_its_generator_would_write():
    """All tests passing; mend it with `python -m tests.conformance_table`."""
    written = (source.ROOT / conformance_table.TABLE).read_text(encoding="utf-8")
    assert written == conformance_table.table({}), "run: python -m tests.conformance_table"


def test_a_row_is_held_missing_failed_or_told_away():
    """The generator itself, on a few rows."""
    rows = [
        Row("9.1", "Held", "a"),
        Row("9.1", "Lost", "b"),
        Row("9.1", "Gone*", "c"),
        Row("9.1", "Other", "", "why not"),
    ]
    tests = [
        Ours("holds_it", ("f::holds_it",), (("9.1", "Held"),)),
        Ours("fails", ("f::fails",), (("9.1", "GoneAway"),)),
        Ours("strays", ("f::strays",), (("9.1", "Unknown"), ("9.2", "Held"), ("9.1", "Other"))),
    ]
    text = render({"9.1": "title"}, rows, tests, {"f::fails": "failed"})
    assert "| `Held` | a | holds it | passes |" in text
    assert "| `Lost` | b |  | **missing** |" in text
    assert "| `Gone*` | c | fails | **failed** |" in text
    assert "- `Other`: why not" in text
    assert missing(rows, tests) == ["9.1 Lost"]
    assert stray_tags(rows, tests) == ["strays: [9.1 Unknown]", "strays: [9.2 Held]", "strays: [9.1 Other]"]
