"""docs/museum.md: how long it takes to find each bug, those of the field in `scenarios/` and those planted in our own code.

    python -m tests.museum_table                 hunts them all, some minutes, and writes the page
    python -m tests.museum_table NAME…           these alone: scenarios or mutants; of the others stays what was measured before
    python -m tests.museum_table --missing       those that have no row yet
    python -m tests.museum_table --write         none: only the page, from what was measured

What was measured is in tests/museum_rows.json. A test fails where a scenario or a mutant has no row, or the page is not what the
rows say.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence

import msgspec

from cacher.simulation import Scenario, Trophy, hunt, load_scenario, shipped_scenarios, shrink
from tests import source
from tests.scenarios.mutants import Caught, Mutant, catch, mutants

PAGE = "docs/museum.md"
ROWS = "tests/museum_rows.json"
FIRST_SEEDS = (0, 1_000, 2_000)
SEEDS = 1_000
"""Played at most from each of them."""


class Find(msgspec.Struct, frozen=True):
    """What hunting a scenario's bug from each of FIRST_SEEDS came to."""

    seeds: tuple[int, ...]
    """Played until it was found; one more than SEEDS: it was not."""
    seconds: tuple[float, ...]
    convicted_by: str
    size: int
    """Operations and faults of the find from the first seed, made small; 0: there was none."""
    seed: int
    """Of that find; -1: there was none."""


class Rows(msgspec.Struct):
    """All that was measured."""

    scenarios: dict[str, Find] = {}
    mutants: dict[str, Caught] = {}


def load_rows() -> Rows:
    """As they were kept; none where nothing was."""
    path = source.ROOT / ROWS
    return msgspec.json.decode(path.read_bytes(), type=Rows) if path.is_file() else Rows()


def keep(rows: Rows) -> None:
    """Writes the rows, in the order of their names, and the page."""
    ordered = Rows(dict(sorted(rows.scenarios.items())), dict(sorted(rows.mutants.items())))
    text = msgspec.json.format(msgspec.json.encode(ordered), indent=1).decode()
    (source.ROOT / ROWS).write_text(f"{text}\n", encoding="utf-8")
    (source.ROOT / PAGE).write_text(page(rows), encoding="utf-8")


def stories() -> dict[str, Scenario]:
    """The scenarios that are of a bug, by name; self-checks are of none."""
    loaded = {name: load_scenario(name) for name in shipped_scenarios()}
    return {name: scenario for name, scenario in loaded.items() if scenario.guarantee}


def missing(rows: Rows) -> list[str]:
    """What is there, and was never measured."""
    return [
        *(name for name in stories() if name not in rows.scenarios),
        *(n for n in mutants() if n not in rows.mutants),
    ]


def strays(rows: Rows) -> list[str]:
    """What was measured, and is no longer there."""
    known = {*stories(), *mutants()}
    return [name for name in (*rows.scenarios, *rows.mutants) if name not in known]


# ---- measuring -------------------------------------------------------------------------------------------------------


def measure(scenario: Scenario, jobs: int = 1) -> Find:
    """Hunts a scenario's bug, and makes the first find small."""
    seeds, seconds = [], []
    first: Trophy | None = None
    for first_seed in FIRST_SEEDS:
        result = hunt(scenario, scenario.variants[0], seeds=SEEDS, first_seed=first_seed, jobs=jobs)
        seeds.append(result.seeds if result.found is not None else SEEDS + 1)
        seconds.append(round(result.seconds, 1))
        first = first or result.found
    if first is None:
        return Find(tuple(seeds), tuple(seconds), "", 0, -1)
    small = shrink(scenario, first.load(), guarantee=scenario.guarantee)
    return Find(tuple(seeds), tuple(seconds), _convicted_by(scenario, first), small.after, first.seed)


def _convicted_by(scenario: Scenario, found: Trophy) -> str:
    """The guarantee; of a check of the scenario's own its name, in words."""
    if scenario.guarantee != "Checks" or not found.facts:
        return scenario.guarantee
    return f"a check: {found.facts[0].partition(':')[0].replace('_', ' ')}"


def measure_mutant(mutant: Mutant, jobs: int = 1) -> Caught:
    """Hunts a planted bug."""
    caught = catch(mutant, seeds=SEEDS, jobs=jobs)
    return msgspec.structs.replace(caught, seconds=round(caught.seconds, 1))


# ---- the page --------------------------------------------------------------------------------------------------------

INTRODUCTION = """# The bug museum

Bugs of real controllers and clients, each a story of its own in `scenarios/`: a workload, a script of what goes wrong, a variant
with the bug and one without, and what convicts the first. And bugs planted in this library, for the same simulator to find.

```console
$ watchcache run zombie-delete                             # by its script
$ watchcache hunt zombie-delete --variant buggy            # from seeds alone, told nothing of the script
$ watchcache hunt zombie-delete --variant fixed --seeds 2000
```

This page is made by `python -m tests.museum_table`, which plays all that it tells of (`NAME…`: these alone), in one process. The
seconds are those of the machine that did, and of whatever else it was doing.
`tests/scenarios/test_museum.py` does it again, and fails where a bug is not found, a find stays larger than 12, or a seed breaks
a fixed variant: a few seeds of it in `make test`, 2,000 in `make long`.

## Of the field

Seeds and seconds are medians of three hunts, which begin at the seeds 0, 1,000 and 2,000; *size* is what the first find shrank
to, in operations and faults.

| scenario | what it shows | from | convicted by | seeds | seconds | size | again |
|---|---|---|---|---|---|---|---|
"""

PLANTED = """
## Planted

Small bugs in our own code, planted one at a time as its modules are imported (`tests/scenarios/mutants.toml` has the texts), and
hunted by two self-checks that know of none: [self-check-readers](../scenarios/self_check_readers.py) has caches of every length
under all that reads them, [self-check-controllers](../scenarios/self_check_controllers.py) informers, queues, controllers and
writes that compete. Without a planted bug both are to be clean: 15 seeds of each in `make test`, 2,000 in `make long`. Seeds are
counted from 0; 1,000 are the most that may be needed.

```console
$ python -m tests.scenarios.mutants ring-forgets-what-it-evicted
```

| mutant | in | what goes wrong | hunted by | convicted by | seeds | seconds |
|---|---|---|---|---|---|---|
"""


def page(rows: Rows) -> str:
    """The text of docs/museum.md."""
    field = [
        _scenario_line(scenario, rows.scenarios[name]) for name, scenario in stories().items() if name in rows.scenarios
    ]
    planted = [_mutant_line(mutant, rows.mutants[name]) for name, mutant in mutants().items() if name in rows.mutants]
    return INTRODUCTION + "".join(field) + PLANTED + "".join(planted)


def _scenario_line(scenario: Scenario, find: Find) -> str:
    link = f"[{scenario.name}](../scenarios/{scenario.name.replace('-', '_')}.py)"
    found = [seeds for seeds in find.seeds if seeds <= SEEDS]
    seeds = (
        f"{statistics.median(find.seeds):g}" if len(found) == len(find.seeds) else f"**found {len(found)} times of 3**"
    )
    seconds = f"{statistics.median(find.seconds):g}"
    again = f"`watchcache hunt {scenario.name} --first-seed {find.seed} --seeds 1`" if find.seed >= 0 else ""
    told = (link, scenario.title, scenario.source, find.convicted_by, seeds, seconds, str(find.size or ""), again)
    return f"| {' | '.join(told)} |\n"


def _mutant_line(mutant: Mutant, caught: Caught) -> str:
    seeds = str(caught.seeds) if caught.is_found else f"**not found in {caught.seeds}**"
    by = ", ".join(caught.convicted_by)
    told = (f"`{mutant.name}`", mutant.part, mutant.breaks, mutant.found_by, by, seeds, f"{caught.seconds:g}")
    return f"| {' | '.join(told)} |\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures what is asked for, a line each, and writes the page; how much was not found, 1 at most."""
    parser = argparse.ArgumentParser(description="Hunts the museum's bugs, and writes docs/museum.md.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a scenario or a mutant (default: all)")
    parser.add_argument("--missing", action="store_true", help="those without a row")
    parser.add_argument("--write", action="store_true", help="none: only the page")
    parser.add_argument("--jobs", type=int, default=1, help="processes of a hunt (default: 1)")
    options = parser.parse_args(arguments)
    rows, scenarios, planted = load_rows(), stories(), mutants()
    for name in strays(rows):
        rows.scenarios.pop(name, None)
        rows.mutants.pop(name, None)
    chosen = [] if options.write else options.names or (missing(rows) if options.missing else [*scenarios, *planted])
    if unknown := [name for name in chosen if name not in scenarios and name not in planted]:
        parser.error(f"no scenario of a bug and no mutant: {', '.join(unknown)}")
    failed = 0
    for name in chosen:
        if name in scenarios:
            find = rows.scenarios[name] = measure(scenarios[name], options.jobs)
            failed += max(find.seeds) > SEEDS
            print(f"{name}: {find.seeds} seeds, {find.seconds} s, size {find.size}", flush=True)
        else:
            caught = rows.mutants[name] = measure_mutant(planted[name], options.jobs)
            failed += not caught.is_found
            print(
                f"{name}: {caught.seeds} seeds, {caught.seconds} s, {', '.join(caught.convicted_by) or '-'}", flush=True
            )
        keep(rows)
    keep(rows)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
