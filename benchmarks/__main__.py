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

PIPED_WIDTH = 130
"""Columns where nobody's terminal says how many there are: every row of the table in one line."""


def main() -> None:
    """Run every case several times, interleaved, and print medians with their spread."""
    options = _options()
    rows = [case for case in cases(quick=options.quick) if options.only in case.name]
    results: dict[Case, list[Measured]] = {case: [] for case in rows}
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPED_WIDTH)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("measuring", total=len(rows) * options.runs)
        for run in range(options.runs):  # interleaved, so that a noisy minute does not fall on one row
            for case in rows:
                progress.update(task, description=case.name)
                results[case].append(measure(case, seed=run))
                progress.advance(task)
    console.print(_table(results, options.runs))
    if options.json:
        Path(options.json).write_text(json.dumps(_document(results), indent=1) + "\n")


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


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):,.0f} ({min(values):,.0f}–{max(values):,.0f})"


def _machine() -> str:
    return f"Python {platform.python_version()}, trio {trio.__version__}, {os.cpu_count()} cores, {platform.machine()}"


def _document(results: dict[Case, list[Measured]]) -> dict[str, object]:
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
    }


if __name__ == "__main__":
    main()
