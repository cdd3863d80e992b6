"""The table on a terminal, and the raw runs in a file."""

from __future__ import annotations

from pathlib import Path

import msgspec
from rich.table import Table

from ._line import Line, Runs, Sample, cpu_text, goal_text, is_reached, latency_text, ratio_text, ratios, spread
from ._machine import Machine, described

VERDICTS = {True: "yes", False: "no", None: ""}


class Row(msgspec.Struct, frozen=True):
    """A line with all that was measured for it."""

    line: Line
    sides: dict[str, list[Sample]]


class Results(msgspec.Struct, frozen=True):
    """A whole run, as it is kept in benchmarks/results."""

    machine: Machine
    is_whole: bool
    """Every job was run, at its full size."""
    rows: list[Row]


def results_of(machine: Machine, runs: Runs, *, is_whole: bool) -> Results:
    """What is to be kept."""
    return Results(machine, is_whole, [Row(line, sides) for line, sides in runs.items()])


def results_name(results: Results) -> str:
    """The name of their file, after when they were made."""
    return results.machine.date.replace(" UTC", "").replace(" ", "-").replace(":", "") + ".json"


def kept(path: Path) -> Results:
    """What `keep` wrote."""
    return msgspec.json.decode(path.read_bytes(), type=Results)


def keep(path: Path, results: Results) -> None:
    """Write the raw runs."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


HEADINGS = ("work", "ours", "peer", "times as good", "goal", "reached", "CPU µs, ours/peer", "p50/p99 ms, ours | peer")


def cells(row: Row) -> tuple[str, ...]:
    """A row of the table, in the order of HEADINGS."""
    line, ours, peer = row.line, row.sides.get("ours", []), row.sides.get("peer", [])
    notes = sorted({one.note for one in ours if one.note} | {f"peer: {one.note}" for one in peer if one.note})
    cpu = "–" if cpu_text(ours) == cpu_text(peer) == "–" else f"{cpu_text(ours)} / {cpu_text(peer)}"
    late = "–" if latency_text(ours) == latency_text(peer) == "–" else f"{latency_text(ours)} | {latency_text(peer)}"
    noted = f" ({'; '.join(notes)})" if notes else ""
    return (
        line.name + noted,
        spread(line.unit, ours),
        spread(line.unit, peer),
        ratio_text(ratios(line, row.sides)),
        goal_text(line.goal, line.unit),
        VERDICTS[is_reached(line, row.sides)],
        cpu,
        late,
    )


def tables(results: Results) -> list[Table]:
    """One for each group, in the order in which they were measured."""
    made: dict[str, Table] = {}
    for row in results.rows:
        table = made.get(row.line.group)
        if table is None:
            table = made[row.line.group] = Table(title=f"beside Kubernetes' own: {row.line.group}")
            for heading in HEADINGS:
                table.add_column(heading, justify="left" if heading == "work" else "right", overflow="fold")
        table.add_row(*cells(row))
    if made:
        list(made.values())[-1].caption = described(results.machine) + "\n" + CAPTION
    return list(made.values())


CAPTION = (
    "medians (least–most); times as good: the median of the runs' ratios, both sides of a run taken one after the other; "
    "the peer: the better of one core and two"
)


def unreached(results: Results) -> list[Row]:
    """Rows whose goal was not reached."""
    return [row for row in results.rows if is_reached(row.line, row.sides) is False]
