"""`python -m benchmarks [--runs N] [--only TEXT] [--json FILE] [--html FILE] [--quick]`: the tables of this machine.

`--only peers`, or `--only "peers: lists"`, is the table beside Kubernetes' own alone, which `benchmarks.beside` makes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import statistics
from pathlib import Path

import msgspec
import trio
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from cacher.reports import Document, report_of_tables, write_page
from cacher.reports import Table as ReportTable

from ._cluster import FULL, USUAL, Rolled, Rollout, measure_rollout, rollouts
from ._cluster import PEER as ROLLOUT_PEER
from ._controllers import PEER as CONTROLLERS_PEER
from ._controllers import PEERS as CONTROLLERS_PEERS
from ._controllers import Part, Rate, measure_part, parts
from ._durable import VALUE_BYTES, Durable, Kept, durables, measure_durable
from ._http import EVENT_BYTES, HTTPCase, HTTPMeasured, http_cases, measure_http
from ._http import PEER as HTTP_PEER
from ._live_cluster import PEER as ALIVE_PEER
from ._live_cluster import Alive, Lived, alive_cases, measure_alive
from ._path import OBJECT_BYTES, Case, Measured, cases, measure
from ._remote import CURE, KEYS, Ingested, measure_remote, remote_rows
from ._remote import Row as RemoteRow
from ._report_page import CURE as BROWSER_CURE
from ._report_page import Opened, ReportCase, measure_report, report_cases
from ._storage import PEER, Row, Sized, measure_lists, peer, sizes
from ._verbs import BODY_BYTES, VERBS, Verbs, measure_verbs, verb_cases
from ._verbs import Rate as VerbRate
from ._worlds import (
    SIEVE_HOURS,
    SIEVE_PLANS,
    Plans,
    PlanSpeed,
    Worlds,
    WorldSpeed,
    measure_plans,
    measure_world,
    plan_cases,
    world_cases,
)
from .beside.__main__ import RUNS as PEER_RUNS
from .beside.__main__ import measure as measure_beside
from .beside.__main__ import publish
from .beside._report import keep

RUNS = 5
PIPED_WIDTH = 130
"""Columns where nobody's terminal says how many there are: every row of the table in one line."""


def main() -> None:
    """Run every case several times, interleaved, and print medians with their spread."""
    options = _options()
    if options.only.startswith("peers"):
        beside = measure_beside(
            Console(width=200),
            runs=options.runs or PEER_RUNS,
            only=options.only,
            quick=options.quick,
            resume=options.resume,
        )
        if options.json:
            keep(Path(options.json), beside)
        if options.publish:
            publish(beside, Console(width=200))
        return
    options.runs = options.runs or RUNS
    rows = [case for case in cases(quick=options.quick) if options.only in case.name]
    lists = [sized for sized in sizes(quick=options.quick) if options.only in sized.name]
    disks = [case for case in durables(quick=options.quick) if options.only in case.name]
    remote = [row for row in remote_rows(quick=options.quick) if options.only in row.name]
    verbs = [case for case in verb_cases(quick=options.quick) if options.only in case.name]
    results: dict[Case, list[Measured]] = {case: [] for case in rows}
    rates: dict[Verbs, list[list[VerbRate]]] = {case: [] for case in verbs}
    listed: dict[Sized, list[list[Row]]] = {sized: [] for sized in lists}
    kept: dict[Durable, list[Kept]] = {case: [] for case in disks}
    ingested: dict[RemoteRow, list[Ingested]] = {row: [] for row in remote}
    chosen = [part for part in parts(quick=options.quick) if options.only in part.name]
    rated: dict[Part, list[list[Rate]]] = {part: [] for part in chosen}
    served: dict[HTTPCase, list[HTTPMeasured]] = {
        case: [] for case in http_cases(quick=options.quick) if options.only in case.name
    }
    lived: dict[Alive, list[Lived]] = {
        case: [] for case in alive_cases(quick=options.quick, full=options.full) if options.only in case.name
    }
    rolled: dict[Rollout, list[Rolled]] = {
        case: [] for case in rollouts(options.cluster, quick=options.quick) if options.only in case.name
    }
    opened: dict[ReportCase, list[Opened]] = {
        case: [] for case in report_cases(quick=options.quick) if options.only in case.name
    }
    worlds: dict[Worlds, list[WorldSpeed]] = {
        case: [] for case in world_cases(quick=options.quick) if options.only in case.name
    }
    planned: dict[Plans, list[PlanSpeed]] = {
        case: [] for case in plan_cases(quick=options.quick) if options.only in case.name
    }
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPED_WIDTH)
    tables: list[Table] = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(
            "measuring",
            total=(
                len(rows)
                + len(lists)
                + len(verbs)
                + len(disks)
                + len(remote)
                + len(chosen)
                + len(served)
                + len(opened)
                + len(worlds)
            )
            * options.runs
            + len(lived)
            + len(rolled)
            + len(planned),
        )
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
            for disk in disks:
                progress.update(task, description=disk.name)
                kept[disk].append(measure_durable(disk, seed=run))
                progress.advance(task)
            for row in remote:
                progress.update(task, description=row.name)
                ingested[row].append(measure_remote(row))
                progress.advance(task)
            for asked in served:
                progress.update(task, description=asked.name)
                served[asked].append(measure_http(asked, seed=run))
                progress.advance(task)
            for case_of_report in opened:
                progress.update(task, description=case_of_report.name)
                opened[case_of_report].append(measure_report(case_of_report))
                progress.advance(task)
            for part in chosen:
                progress.update(task, description=part.name)
                rated[part].append(measure_part(part))
                progress.advance(task)
            for world in worlds:
                progress.update(task, description=world.name)
                worlds[world].append(measure_world(world, seed=run))
                progress.advance(task)
        for alive in lived:  # once: the large one takes minutes, and is a long run by itself
            progress.update(task, description=alive.name)
            lived[alive].append(measure_alive(alive, seed=0))
            progress.advance(task)
        for rollout in rolled:  # once, for the same reason
            progress.update(task, description=rollout.name)
            rolled[rollout].append(measure_rollout(rollout, seed=0))
            progress.advance(task)
        for plans in planned:  # once, for the same reason
            progress.update(task, description=plans.name)
            planned[plans].append(measure_plans(plans))
            progress.advance(task)
    if rows:
        tables.append(_table(results, options.runs))
    if verbs:
        tables.append(_verb_table(rates, options.runs))
    for sized, runs in listed.items():
        tables.append(_list_table(sized, runs))
    if kept:
        tables.append(_durable_table(kept, options.runs))
    if ingested:
        tables.append(_remote_table(ingested, options.runs))
    elif options.only in "etcd":
        console.print(f"ingest from a real etcd: not measured, there is none here: {CURE}")
    if rated:
        tables.append(_rate_table(rated, options.runs))
    if served:
        tables.append(_http_table(served, options.runs))
    if lived:
        tables.append(_alive_table(lived))
    if rolled:
        tables.append(_rollout_table(rolled))
    if opened:
        tables.append(_report_table(opened, options.runs))
    if worlds:
        tables.append(_world_table(worlds, options.runs))
    for table in tables:
        console.print(table)
    if options.html:
        Path(options.html).write_text(_page(tables, options), encoding="utf-8")
    for plans, campaigns in planned.items():
        console.print(_plan_line(plans, campaigns))
    if options.json:
        Path(options.json).write_text(
            json.dumps(
                _document(results, listed, kept, ingested, rated, rates, served, lived, rolled, worlds, planned),
                indent=1,
            )
            + "\n"
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--runs", type=int, help=f"runs of each row ({RUNS}; beside the peers {PEER_RUNS})")
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name contains TEXT")
    parser.add_argument("--json", metavar="FILE", help="write every run to FILE")
    parser.add_argument("--html", metavar="FILE", help="write the tables to FILE as a page")
    parser.add_argument("--quick", action="store_true", help="a tenth of the events: does it run?")
    parser.add_argument("--full", action="store_true", help="the cluster of 5,000 nodes and 50,000 pods too: hours")
    parser.add_argument(
        "--publish", action="store_true", help="with the peers: keep raw runs, write docs/performance.md"
    )
    parser.add_argument(
        "--resume", action="store_true", help="with the peers: go on with a whole run that was cut, after its last job"
    )
    parser.add_argument(
        "--cluster",
        default=USUAL,
        metavar="NODESxPODS",
        help=f"size of the cluster whose deployments are rolled out ({USUAL}); {FULL} takes minutes and gigabytes",
    )
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


def _durable_table(kept: dict[Durable, list[Kept]], runs: int) -> Table:
    table = Table(
        title=f"embedded etcd in a data directory, values of {VALUE_BYTES} bytes, median of {runs} (least–most)",
        caption=_machine(),
    )
    for heading in ("row", "puts", "puts/s, each synced", "opening, s", "opened, bytes a key"):
        table.add_column(heading, justify="left" if heading == "row" else "right")
    for case, measured in kept.items():
        opening = [one.open_s for one in measured]
        table.add_row(
            case.name,
            f"{case.puts:,}",
            _spread([one.puts_per_s for one in measured]),
            f"{statistics.median(opening):.3f} ({min(opening):.3f}–{max(opening):.3f})",
            _spread([one.open_bytes_per_key for one in measured]),
        )
    return table


def _remote_table(ingested: dict[RemoteRow, list[Ingested]], runs: int) -> Table:
    table = Table(
        title=f"ingest from a real etcd, {KEYS:,} keys with objects of {OBJECT_BYTES} bytes, median of {runs} (best)",
        caption=f"{_machine()}\nCPU: the reader's process alone; delays: p50/p99 (least p99)",
    )
    for heading in ("row", "a second", "CPU µs each", "ack → here, ms", "sent → here, ms", "seconds", "load"):
        table.add_column(heading, justify="left" if heading == "row" else "right")
    for row, measured in ingested.items():
        rates = [one.count / one.elapsed_s for one in measured]
        cpu = [one.cpu_s / one.count * 1e6 for one in measured]
        elapsed = [one.elapsed_s for one in measured]
        table.add_row(
            row.name,
            f"{statistics.median(rates):,.0f} ({max(rates):,.0f})",
            f"{statistics.median(cpu):.1f} ({min(cpu):.1f})",
            _delays([one.after_ack_s for one in measured]),
            _delays([one.after_sent_s for one in measured]),
            f"{statistics.median(elapsed):.2f} ({min(elapsed):.2f})",
            f"{statistics.median([one.load for one in measured]):.1f}",
        )
    return table


def _delays(runs: list[tuple[float, float] | None]) -> str:
    """p50/p99, the medians of the runs; and the least p99."""
    found = [run for run in runs if run is not None]
    if not found:
        return "–"
    p50, p99 = (statistics.median([run[which] for run in found]) * 1e3 for which in (0, 1))
    return f"{p50:.1f}/{p99:.1f} ({min(run[1] for run in found) * 1e3:.1f})"


def _rate_table(rated: dict[Part, list[list[Rate]]], runs: int) -> Table:
    table = Table(
        title=f"work queue, store and informer, operations a second of one core, median of {runs} (least–most)",
        caption=f"{_machine()}\nbeside: {CONTROLLERS_PEER}",
    )
    for heading in ("row", "here", "peer"):
        table.add_column(heading, justify="left" if heading == "row" else "right")
    for measured in rated.values():
        for name in [rate.name for rate in measured[0]]:
            beside = CONTROLLERS_PEERS.get(name)
            values = [rate.per_s for run in measured for rate in run if rate.name == name]
            table.add_row(name, _spread(values), f"{beside:,.0f}" if beside else "–")
    return table


def _report_table(opened: dict[ReportCase, list[Opened]], runs: int) -> Table:
    table = Table(
        title=f"the report of a run as a page, median of {runs} (least–most)",
        caption=f"{_machine()}\nopened: from disk in a headless Chromium, from the navigation until the diagram is drawn",
    )
    for heading in ("row", "made, s", "size, MB", "opened, s"):
        table.add_column(heading, justify="left" if heading == "row" else "right")
    for case, measured in opened.items():
        opening = [one.open_ms / 1e3 for one in measured if one.open_ms is not None]
        table.add_row(
            case.name,
            _decimals([one.make_s for one in measured]),
            f"{measured[0].page_bytes / 1e6:.2f}",
            _decimals(opening) if opening else f"– ({BROWSER_CURE})",
        )
    return table


def _decimals(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def _page(tables: list[Table], options: argparse.Namespace) -> str:
    """The tables as a report; of each the second column of figures is drawn as bars too."""
    shown = [
        ReportTable(
            title=str(table.title or ""),
            columns=[str(column.header) for column in table.columns],
            rows=[
                list(row)
                for row in zip(*([str(cell) for cell in column.cells] for column in table.columns), strict=True)
            ],
            note=str(table.caption or ""),
            bars=list(range(1, len(table.columns))),
        )
        for table in tables
    ]
    words = [
        "python",
        "-m",
        "benchmarks",
        "--runs",
        str(options.runs),
        *(["--only", options.only] if options.only else []),
    ]
    words += ["--quick"] if options.quick else []
    report = report_of_tables("benchmarks", shown, facts=[("machine", _machine())], replay=shlex.join(words))
    return write_page(Document("benchmarks", [report], made_by="watchcache"))


def _http_table(served: dict[HTTPCase, list[HTTPMeasured]], runs: int) -> Table:
    table = Table(
        title=f"HTTP, events of {EVENT_BYTES} bytes to each watch, median of {runs} (least–most)",
        caption=f"{_machine()}\nCPU: the server's process, with store and cache; beside: {HTTP_PEER}",
    )
    for heading in ("row", "CPU µs each", "a second"):
        table.add_column(heading, justify="left" if heading == "row" else "right")
    for case, measured in served.items():
        cpu = [one.cpu_us for one in measured]
        shown = f"{statistics.median(cpu):,.2f} ({min(cpu):,.2f}–{max(cpu):,.2f})"
        table.add_row(case.name, shown, _spread([one.per_s for one in measured]))
    return table


def _alive_table(lived: dict[Alive, list[Lived]]) -> Table:
    table = Table(title="a cluster that lives in one process, one run", caption=f"{_machine()}\nbeside: {ALIVE_PEER}")
    for heading in ("row", "all Running, s", "pods/s", "CPU, s", "events/s", "memory, MB"):
        table.add_column(heading, justify="left" if heading == "row" else "right")
    for case, measured in lived.items():
        for one in measured:
            table.add_row(
                case.name,
                f"{one.running_s:,.1f}",
                f"{case.pods / one.running_s:,.0f}",
                f"{one.cpu_s:,.1f}",
                f"{one.events_per_s:,.0f}",
                f"{one.memory_bytes / 1e6:,.0f}",
            )
    return table


def _rollout_table(rolled: dict[Rollout, list[Rolled]]) -> Table:
    table = Table(
        title="deployments until all of their pods are ready, all controllers, in virtual time, one run",
        caption=f"{_machine()}\nbeside: {ROLLOUT_PEER}; a second of CPU is the processor's, whoever else shares it",
    )
    for heading in (
        "row",
        "nodes, s",
        "pods, s",
        "CPU, s",
        "pods/s of CPU",
        "events/s of CPU",
        "virtual, s",
        "peak, MB",
    ):
        table.add_column(heading, justify="left" if heading == "row" else "right")
    for case, measured in rolled.items():
        for one in measured:
            table.add_row(
                case.name,
                f"{one.nodes_s:,.1f}",
                f"{one.pods_s:,.1f}",
                f"{one.cpu_s:,.1f}",
                f"{case.pods / one.cpu_s:,.0f}",
                f"{one.events / one.cpu_s:,.0f}",
                f"{one.virtual_s:,.1f}",
                f"{one.peak_rss_mb:,.0f}",
            )
    return table


def _world_table(worlds: dict[Worlds, list[WorldSpeed]], runs: int) -> Table:
    table = Table(title=f"simulated worlds, played and judged, median of {runs} (least–most)", caption=_machine())
    for heading in ("row", "steps", "steps/s of CPU", "virtual seconds/s of CPU"):
        table.add_column(heading, justify="left" if heading == "row" else "right")
    for case, measured in worlds.items():
        table.add_row(
            case.name,
            f"{statistics.median([one.steps for one in measured]):,.0f}",
            _spread([one.steps / one.cpu_s for one in measured]),
            _spread([one.virtual_s / one.cpu_s for one in measured]),
        )
    return table


def _plan_line(case: Plans, campaigns: list[PlanSpeed]) -> str:
    one = campaigns[0]
    return (
        f"{case.name} of the shipped scenarios: {one.seconds:.0f} s in {case.jobs} processes, {one.plans / one.seconds * 60:,.0f} a"
        f" minute, {one.cpu_s:.0f} s of CPU, {one.finds} finds; beside: Sieve's {SIEVE_PLANS:,} took {SIEVE_HOURS} machine hours"
    )


def _verb_table(rates: dict[Verbs, list[list[VerbRate]]], runs: int) -> Table:
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
        caption=f"{_machine()}\nbeside: {PEER}; * asks the store, which is in this process here",
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
    results: dict[Case, list[Measured]],
    listed: dict[Sized, list[list[Row]]],
    kept: dict[Durable, list[Kept]],
    ingested: dict[RemoteRow, list[Ingested]],
    rated: dict[Part, list[list[Rate]]],
    rates: dict[Verbs, list[list[VerbRate]]],
    served: dict[HTTPCase, list[HTTPMeasured]],
    lived: dict[Alive, list[Lived]],
    rolled: dict[Rollout, list[Rolled]],
    worlds: dict[Worlds, list[WorldSpeed]],
    planned: dict[Plans, list[PlanSpeed]],
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
        "durable": [
            {"name": case.name, "puts": case.puts, "runs": [msgspec.to_builtins(one) for one in measured]}
            for case, measured in kept.items()
        ],
        "remote": [
            {"name": row.name, "runs": [msgspec.to_builtins(one) for one in measured]}
            for row, measured in ingested.items()
        ],
        "controllers": [
            {"name": part.name, "runs": [{rate.name: rate.per_s for rate in run} for run in measured]}
            for part, measured in rated.items()
        ],
        "http": [
            {"name": asked.name, "runs": [msgspec.to_builtins(one) for one in measured]}
            for asked, measured in served.items()
        ],
        "alive": [
            {"name": case.name, "runs": [msgspec.to_builtins(one) for one in measured]}
            for case, measured in lived.items()
        ],
        "deployments": [
            {"name": case.name, "runs": [msgspec.to_builtins(one) for one in measured]}
            for case, measured in rolled.items()
        ],
        "verbs": [
            {"resource": case.plural, "runs": [{rate.verb: rate.per_s for rate in run} for run in runs]}
            for case, runs in rates.items()
        ],
        "worlds": [
            {"name": case.name, "runs": [msgspec.to_builtins(one) for one in measured]}
            for case, measured in worlds.items()
        ],
        "plans": [
            {"name": case.name, "runs": [msgspec.to_builtins(one) for one in measured]}
            for case, measured in planned.items()
        ],
    }


if __name__ == "__main__":
    main()
