"""docs/museum.md tells of every scenario and every mutant, and says what was measured."""

from __future__ import annotations

from cacher.simulation import load_scenario
from tests import museum_table, source
from tests.museum_table import Find, Rows, load_rows, missing, page, stories, strays
from tests.scenarios.mutants import Caught, mutants


def test_every_scenario_and_every_mutant_has_a_row_and_no_row_is_of_another():
    """Mend it with `python -m tests.museum_table --missing`."""
    assert missing(load_rows()) == []
    assert strays(load_rows()) == []


def test_the_page_is_what_the_rows_say():
    """Mend it with `python -m tests.museum_table --write`."""
    assert (source.ROOT / museum_table.PAGE).read_text(encoding="utf-8") == page(load_rows())


def test_every_mutant_was_found_in_a_thousand_seeds_and_every_scenario_from_each_seed():
    rows = load_rows()
    assert [name for name, caught in rows.mutants.items() if not caught.is_found] == []
    assert [name for name, find in rows.scenarios.items() if max(find.seeds) > museum_table.SEEDS] == []


def test_what_was_not_found_is_told_as_that():
    """The page itself, on two rows."""
    story, mutant = next(iter(stories())), next(iter(mutants()))
    text = page(
        Rows({story: Find((3, 1_001, 5), (1.0, 9.0, 2.0), "Coherent", 4, 2)}, {mutant: Caught(1_000, 80.0, None)})
    )
    assert "| **found 2 times of 3** | 2 | 4 |" in text
    assert f"`watchcache hunt {load_scenario(story).name} --first-seed 2 --seeds 1`" in text
    assert f"| `{mutant}` |" in text
    assert "**not found in 1000** | 80 |" in text
