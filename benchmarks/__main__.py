"""`python -m benchmarks [--runs N] [--only TEXT] [--json FILE] [--quick]`: the table of this machine."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
from pathlib import Path

import trio
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ._path import OBJECT_BYTES, Case, Measured, cases, measure
from ._storage import PEER, Row, Sized, measure_lists, peer, sizes
from ._verbs import BODY_BYTES, VERBS, Rate, Verbs, measure_verbs, verb_cases

PIPED_WIDTH = 130
"""Columns where nobody's terminal says how many there are: every row of the table in one line."""


def main() -> None:
    """Run every case several times, interleaved, and print medians with their spread."""
    options = _options()
    rows = [case for case in cases(quick=options.quick) if options.only in case.name]
    lists = [sized for sized in sizes(quick=options.quick) if options.only in sized.name]
    verbs = [case for case in verb_cases(quick=options.quick) if options.only in case.name]
    results: dict[Case, list[Measured]] = {case: [] for case in rows}
    rates: dict[Verbs, list[list[Rate]]] = {case: [] for case in verbs}
    listed: dict[Sized, list[list[Row]]] = {sized: [] for sized in lists}
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPED_WIDTH)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("measuring", total=(len(rows) + len(lists) + len(verbs)) * options.runs)
        for run in range(options.runs):  # interleaved, so that a noisy minute does not fall on one row
            for case in rows:
                progress.update(task, description=case.name)
                results[case].append(measure(case, seed=run))
                progress.advance(task)
            for kind in verbs:
                progress.update(task, description=kind.name)
                rates[kind].append(measure_verbs(kind, seed=run))
                progress.advance(task)
            for sized in lists:
                progress.update(task, description=sized.name)
                listed[sized].append(measure_lists(sized, seed=run))
                progress.advance(task)
    if rows:
        console.print(_table(results, options.runs))
    if verbs:
        console.print(_verb_table(rates, options.runs))
    for sized, runs in listed.items():
        console.print(_list_table(sized, runs))
    if options.json:
        Path(options.json).write_text(json.dumps(_document(results, listed, rates), indent=1) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each row (5)")
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name contains TEXT")
    parser.add_argument("--json", metavar="FILE", help="write every run to FILE")
    parser.add_argument("--quick", action="store_true", help="a tenth of the events: does it run?")
    return parser.parse_args()


def _table(results: dict[Case, list[Measured]], runs: int) -> Table:
    table = Table(
        title=f"put → etcd → reflector → cache → watchers, objects of {OBJECT_BYTES} bytes, median of {runs} (least–most)",
        caption=_machine(),
    )
    for heading in ("watchers", "writers", "events", "events/s", "deliveries/s"):
        table.add_column(heading, justify="left" if heading == "watchers" else "right")
    for case, measured in results.items():
        table.add_row(
            case.name,
            str(case.writers),
            f"{case.events:,}",
            _spread([one.events_per_s for one in measured]),
            _spread([one.deliveries_per_s for one in measured]) if case.watchers else "–",
        )
    return table


def _verb_table(rates: dict[Verbs, list[list[Rate]]], runs: int) -> Table:
    table = Table(
        title=f"verbs a second of a registry, bodies of {BODY_BYTES} bytes, median of {runs} (least–most)",
        caption=_machine(),
    )
    for heading in ("resource", *VERBS):
        table.add_column(heading, justify="left" if heading == "resource" else "right")
    for case, measured in rates.items():
        found = {verb: [rate.per_s for run in measured for rate in run if rate.verb == verb] for verb in VERBS}
        table.add_row(case.plural, *(_spread(values) for values in found.values()))
    return table


def _list_table(sized: Sized, runs: list[list[Row]]) -> Table:
    table = Table(
        title=f"CacherStorage, {sized.name} of {OBJECT_BYTES} bytes, median of {len(runs)} (least–most)",
        caption=f"{_machine()}\nbeside: {PEER}",
    )
    for heading in ("row", "here", "peer", "times as good"):
        table.add_column(heading, justify="left" if heading == "row" else "right")
    for name in [row.name for row in runs[0]]:
        values = [row.value for run in runs for row in run if row.name == name]
        show = _bytes if name.startswith("memory") else _duration
        here, theirs = statistics.median(values), peer(name, sized.objects)
        spread = f"{show(here)} ({show(min(values))}–{show(max(values))})"
        if theirs is None:
            table.add_row(name, spread, "–", "–")
        else:
            median, best = theirs
            shown = show(median) if best is None else f"{show(median)} ({show(best)})"
            ratios = f"{median / here:.1f}" if best is None else f"{median / here:.1f} ({best / here:.1f})"
            table.add_row(name, spread, shown, ratios)
    return table


def _duration(seconds: float) -> str:
    return (
        f"{seconds * 1e6:.3g} µs"
        if seconds < 1e-3
        else f"{seconds * 1e3:.3g} ms"
        if seconds < 1
        else f"{seconds:.3g} s"
    )


def _bytes(value: float) -> str:
    return f"{value:,.0f} B"


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):,.0f} ({min(values):,.0f}–{max(values):,.0f})"


def _machine() -> str:
    return f"Python {platform.python_version()}, trio {trio.__version__}, {os.cpu_count()} cores, {platform.machine()}"


def _document(
    results: dict[Case, list[Measured]], listed: dict[Sized, list[list[Row]]], rates: dict[Verbs, list[list[Rate]]]
) -> dict[str, object]:
    return {
        "machine": _machine(),
        "object_bytes": OBJECT_BYTES,
        "rows": [
            {
                "name": case.name,
                "watchers": case.watchers,
                "writers": case.writers,
                "events": case.events,
                "events_per_s": [one.events_per_s for one in measured],
                "deliveries_per_s": [one.deliveries_per_s for one in measured],
            }
            for case, measured in results.items()
        ],
        "lists": [
            {"objects": sized.objects, "runs": [{row.name: row.value for row in run} for run in runs]}
            for sized, runs in listed.items()
        ],
        "verbs": [
            {"resource": case.plural, "runs": [{rate.verb: rate.per_s for rate in run} for run in runs]}
            for case, runs in rates.items()
        ],
    }


if __name__ == "__main__":
    main()
