"""Reports of what the simulator came to: of a run, a hunt, a shrunk tape, a trace, and of a benchmark's tables. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ..simulation import (
    Chronicle,
    History,
    HuntResult,
    RunReport,
    RunResult,
    Shrunk,
    Tape,
    Verdict,
    explain,
    tell_fault,
)
from ._levels import MARKS_MAX
from ._model import Breach, Guarantee, Report, Table, Told
from ._timeline import timeline_of

CHRONICLE_MAX = 6_000
"""Lines that a page shows: beyond them, those far from any breach are left out."""
OBJECT_CHARACTERS_MAX = 400
"""Of one line of a script: an object of a custom definition can be pages long."""


def report_of_run(
    result: RunResult, *, kind: str = "run", replay: str = "", script: Tape | None = None, marks_max: int = MARKS_MAX
) -> Report:
    """The report of a run that was played with `keep=True`.

    Args:
        replay: the command that does the same again.
        script: a smaller tape that fails in the same way, where there is one; else the run's own is shown.
    """
    assert result.history is not None, "a report is made of a run that was kept"
    tape = result.tape
    timeline, breaches = timeline_of(result.history, result.verdicts, result.chronicle, marks_max=marks_max)
    chronicle, left_out = _chronicle(result.chronicle, breaches)
    shown = script or tape
    return Report(
        title=f"{tape.scenario}, {tape.variant}, seed {tape.seed}",
        kind=kind,
        verdict=_verdict(result),
        is_ok=result.outcome == "held",
        replay=replay,
        facts=[
            ("scenario", tape.scenario),
            ("variant", tape.variant),
            ("seed", str(tape.seed)),
            ("digest", result.digest),
            ("virtual time", f"{result.virtual_s:,.1f} s"),
            ("steps", f"{result.steps:,}"),
            ("servers", str(tape.topology.servers)),
            ("met", ", ".join(f"{name} {count}" for name, count in result.sometimes.items() if count) or "nothing"),
        ],
        story=list(explain(result)),
        script=script_lines(shown),
        script_title=f"The smallest script that was found, of {_size(tape)} operations and faults"
        if script
        else "The script",
        guarantees=_guarantees(result.verdicts),
        breaches=breaches,
        chronicle=chronicle,
        chronicle_left_out=left_out,
        notes=[*result.notes, *([result.failure] if result.failure else [])],
        timeline=timeline,
    )


def _verdict(result: RunResult) -> str:
    if result.outcome == "held":
        return f"held: {len(result.verdicts)} guarantees, {sum(one.checks for one in result.verdicts):,} checks"
    what = ", ".join(result.broken) or "; ".join(result.facts)
    return f"{result.outcome}: {what}" if what else result.outcome


def _guarantees(verdicts: Sequence[Verdict]) -> list[Guarantee]:
    return [Guarantee(one.name, one.sentence, one.checks, one.broken) for one in verdicts]


def _size(tape: Tape) -> int:
    return len(tape.operations or ()) - len(tape.skipped) + len(tape.faults)


def script_lines(tape: Tape) -> list[str]:
    """What a tape does, a line each: operations in order, then faults with what they wait for."""
    if tape.operations is None:
        lines = ["the workload is an async function of the scenario's file"]
    else:
        every = enumerate(tape.operations)
        lines = [_call(operation) for number, operation in every if number not in tape.skipped]
    return [*lines, *(f"fault: {tell_fault(fault)}" for fault in tape.faults)]


def _call(operation: msgspec.Struct) -> str:
    """An operation as a call, without what says nothing."""
    members = msgspec.to_builtins(operation)
    told = {name: value for name, value in members.items() if name != "type" and value not in ("", None)}
    shown = ", ".join(f"{name}={_plain(value)}" for name, value in told.items())
    if len(shown) > OBJECT_CHARACTERS_MAX:
        shown = f"{shown[:OBJECT_CHARACTERS_MAX]}…"
    return f"{type(operation).__name__}({shown})"


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value)


def _chronicle(chronicle: Chronicle | None, breaches: Sequence[Breach]) -> tuple[list[Told], int]:
    """The lines that are shown, and how many are not: the beginning, the end, and those before each breach are."""
    lines = chronicle.lines if chronicle is not None else []
    if len(lines) <= CHRONICLE_MAX:
        return [_told(line) for line in lines], 0
    told = [_told(line) for line in lines]
    reach = CHRONICLE_MAX // (2 * (len(breaches[:20]) + 2))
    wanted = [*range(reach), *range(len(lines) - reach, len(lines))]
    for breach in breaches[:20]:
        at = next((number for number, one in enumerate(told) if one.at_us > breach.at_us), len(told))
        wanted += range(max(0, at - reach), min(len(told), at + reach))
    kept = [told[number] for number in sorted(dict.fromkeys(wanted))]
    return kept, len(told) - len(kept)


def _told(line: str) -> Told:
    at_s, who, what = (*line.split(" ", 2), "")[:3]
    return Told(round(float(at_s) * 1e6), who, what)


# ---- many runs -----------------------------------------------------------------------------------------------------------


def report_of_hunt(
    result: HuntResult,
    guarantee: str,
    *,
    found: RunResult | None = None,
    smallest: Tape | None = None,
    replay: str = "",
) -> Report:
    """The report of a hunt: its find as a run, with what was met in all seeds.

    Args:
        found: the find, played again with `keep=True`; None where nothing was found.
        smallest: the find's tape, shrunk.
        replay: the command that plays the find.
    """
    met = Table(
        "What was met in all seeds",
        ["what", "times"],
        [[name, f"{number:,}"] for name, number in result.sometimes.items()],
        bars=[1],
    )
    others = Table(
        "Seeds that broke something else",
        ["seed", "what"],
        [[str(one.seed), ", ".join(one.broken) or one.outcome] for one in result.others],
        note=f"{result.others_count:,} altogether" if result.others_count else "",
    )
    facts = [
        ("seeds played", f"{result.seeds:,}"),
        ("seconds", f"{result.seconds:.1f}"),
        ("steps of all seeds", f"{result.steps:,}"),
    ]
    tables = [met, *([others] if others.rows else [])]
    if found is None:
        return Report(
            title=f"{result.scenario}, {result.variant}: {result.seeds} seeds",
            kind="hunt",
            verdict=result.line(guarantee),
            is_ok=True,
            replay=replay,
            facts=facts,
            tables=tables,
        )
    report = report_of_run(found, kind="hunt", replay=replay, script=smallest)
    report.verdict = result.line(guarantee)
    report.facts = [*report.facts, *facts]
    report.tables = tables
    return report


def report_of_shrunk(shrunk: Shrunk, *, replay: str = "") -> Report:
    """The report of the smallest tape: its run, and what it was made of."""
    report = report_of_run(shrunk.result, kind="shrink", replay=replay)
    report.facts.append(
        ("shrunk", f"{shrunk.before} operations and faults became {shrunk.after}, in {shrunk.plays} runs")
    )
    report.script_title = f"The smallest script that was found, of {shrunk.before} operations and faults"
    return report


# ---- a trace -------------------------------------------------------------------------------------------------------------


def report_of_trace(report: RunReport, history: History, *, marks_max: int = MARKS_MAX) -> Report:
    """The report of a trace that was played to clients. Cost: a few µs a delivery."""
    timeline, breaches = timeline_of(history, report.guarantees, marks_max=marks_max)
    lag, totals = report.lag, report.totals
    return Report(
        title=f"trace {report.trace}, {report.clients:,} clients",
        kind="trace",
        verdict=report.verdict,
        is_ok=report.exit_code == 0,
        replay=report.replay,
        facts=[
            *((name, version) for name, version in report.versions.items()),
            ("seed", str(report.seed)),
            ("pace", report.pace),
            ("digest", report.digest),
            ("events", f"{report.events_played:,} of {report.events:,}"),
            ("revisions", f"{report.start_revision + 1:,} to {report.end_revision:,}"),
            ("trace", f"{report.trace_s:,.1f} s, played in {report.play_wall_s:,.1f} s"),
            ("deliveries", f"{report.deliveries:,}, {report.deliveries_per_s:,.0f} a second"),
            (
                "lag, wall clock",
                f"p50 {lag.p50_s * 1e3:.3g} ms, p99 {lag.p99_s * 1e3:.3g} ms, max {lag.max_s * 1e3:.3g} ms",
            ),
            ("lists", f"{totals.lists:,}, {totals.relists:,} again, after {totals.expired:,} expired watches"),
            ("memory at its peak", f"{report.memory_peak_bytes / 2**20:,.0f} MiB"),
        ],
        story=_trace_story(report),
        guarantees=_guarantees(report.guarantees),
        breaches=breaches,
        tables=_trace_tables(report),
        timeline=timeline,
    )


def _trace_story(report: RunReport) -> list[str]:
    lines = [
        f"{violation.where}, revision {violation.revision}, at {violation.at_s:.3f} s: {violation.message}"
        for verdict in report.guarantees
        for violation in verdict.violations
    ]
    return [*lines, *(report.verify.lines if report.verify is not None else ())]


def _trace_tables(report: RunReport) -> list[Table]:
    caches = [
        [
            *(cache.resource, f"{cache.events:,}", f"{cache.objects:,}", f"{cache.clients:,}", f"{cache.deliveries:,}"),
            *(
                f"{cache.watches_peak:,}",
                f"{cache.ring_length:,}/{cache.ring_capacity:,}",
                f"{cache.relists:,}",
                f"{cache.expired:,}",
            ),
        ]
        for cache in sorted(report.caches, key=lambda cache: (-cache.deliveries, -cache.events))
    ]
    columns = ["resource", "events", "objects", "clients", "deliveries", "watches", "ring", "relists", "expired"]
    kinds = [[kind.kind, f"{kind.clients:,}", f"{kind.deliveries:,}"] for kind in report.kinds]
    return [
        Table("Caches", columns, caches, bars=[4]),
        Table("Clients, by what they ask for", ["selector", "clients", "deliveries"], kinds, bars=[2]),
    ]


# ---- a benchmark ---------------------------------------------------------------------------------------------------------


def report_of_tables(
    title: str, tables: Sequence[Table], *, facts: Sequence[tuple[str, str]] = (), replay: str = ""
) -> Report:
    """The report of figures alone, as of a benchmark."""
    rows = sum(len(table.rows) for table in tables)
    verdict = f"{rows} rows measured" if rows else "nothing was measured"
    return Report(title, "benchmark", verdict, bool(rows), replay, facts=list(facts), tables=list(tables))
