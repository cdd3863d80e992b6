"""How a report looks: tables on a terminal, plain text in a pipe, and never wider than the page.

Colours and lines are rich's business (NO_COLOR and dumb terminals are respected by it); where the output cannot show Unicode,
bars and separators are ASCII.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ._report import CacherFacts, RunReport
from .judges import Verdict

PIPE_WIDTH = 140
"""Columns where there is no terminal to ask: wide enough for every table, narrow enough for a log viewer."""
WIDE = 240
"""Columns in which nothing is left out."""
SPARK_WIDTH = 60
RING_WIDTH = 8
VIOLATIONS_SHOWN = 5
"""Of each broken guarantee: the first tell the cause, and the JSON report has more."""


class Glyphs:
    """What bars and separators are made of."""

    def __init__(self, *, ascii_only: bool) -> None:
        self.spark = " .:-=+*#%@" if ascii_only else " ▁▂▃▄▅▆▇█"
        self.full, self.empty = ("#", ".") if ascii_only else ("█", "░")
        self.dot = "-" if ascii_only else "·"
        self.arrow = "->" if ascii_only else "→"
        self.dash = "-" if ascii_only else "–"
        self.ellipsis = "..." if ascii_only else "…"


def console_for(file: TextIO, *, is_wide: bool = False) -> Console:
    """A console on `file`: as wide as its terminal, PIPE_WIDTH where it is none, WIDE where all columns are wanted."""
    if is_wide:
        return Console(file=file, highlight=False, width=WIDE)
    console = Console(file=file, highlight=False, soft_wrap=False)
    return console if console.is_terminal else Console(file=file, highlight=False, width=PIPE_WIDTH)


def render(report: RunReport, console: Console) -> None:
    """Print the whole report. A failing run's first lines say how to repeat it and what was broken first."""
    glyphs = Glyphs(ascii_only=console.options.ascii_only)
    if report.broken or report.differences:
        _render_failure(report, console)
    _render_head(report, console, glyphs)
    _render_deliveries(report, console, glyphs)
    console.print(_fitting(console, lambda left_out: _caches(report.caches, glyphs, left_out), _CACHE_COLUMNS_TO_DROP))
    console.print(_fitting(console, lambda left_out: _kinds(report, left_out), ()))
    if report.verify is not None:
        _line(console, Text("\nCompared with the recorded watches of a real watch cache", style="bold"))
        for line in report.verify.lines:
            _line(console, Text(f"  {line}"))
    render_guarantees(report.guarantees, console)
    console.print()
    _line(console, Text(f"digest: {report.digest}"))
    _line(console, Text(report.verdict, style="bold green" if report.exit_code == 0 else "bold red"))


def _line(console: Console, text: Text) -> None:
    """One line that is never broken, so that it can be searched for and copied."""
    console.print(text, soft_wrap=True)


def _render_failure(report: RunReport, console: Console) -> None:
    _line(console, Text(f"replay: {report.replay}", style="bold red"))
    for verdict in report.guarantees:
        for violation in verdict.violations[:VIOLATIONS_SHOWN]:
            where = f"  {violation.where}, revision {violation.revision}, at {violation.at_s:.3f} s: "
            _line(console, Text(where + violation.message))
        if verdict.broken > VIOLATIONS_SHOWN:
            _line(console, Text(f"  … {verdict.name}: {verdict.broken - VIOLATIONS_SHOWN:,} more"))
    console.print()


def _render_head(report: RunReport, console: Console, glyphs: Glyphs) -> None:
    dot = f" {glyphs.dot} "
    clock = "virtual clock" if report.pace == "max" else "real clock"
    of = "" if report.events_played == report.events else f" of {report.events:,}"
    revisions_of = "" if report.revisions_played == report.revisions else f" of {report.revisions:,}"
    title = Text("trace ", style="bold") + Text(report.trace, style="bold cyan")
    console.print(
        title + Text(dot + dot.join(f"{name} {version}" for name, version in report.versions.items()), style="dim")
    )
    console.print(
        f"  {report.events_played:,}{of} events played in {report.revisions_played:,}{revisions_of} revisions"
        f" ({report.start_revision + 1} to {report.end_revision}), every one equal to the recorded"
    )
    totals = report.totals
    console.print(
        f"  {report.clients:,} clients{dot}{totals.slow:,} slow{dot}{totals.restless:,} close and resume{dot}"
        f"{totals.streaming:,} open with sendInitialEvents{dot}{totals.late:,} come late"
    )
    seconds = f"{report.trace_s:.1f} s of a cluster in {report.play_wall_s:.1f} s"
    console.print(f"  {seconds}{dot}pace {report.pace} ({clock}){dot}seed {report.seed}")
    console.print()


def _render_deliveries(report: RunReport, console: Console, glyphs: Glyphs) -> None:
    dot, totals, lag = f" {glyphs.dot} ", report.totals, report.lag
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column()
    rows.add_row("deliveries", f"{report.deliveries:,}{dot}{report.deliveries_per_s:,.0f} deliveries/s")
    if report.deliveries_by_second:
        width = min(SPARK_WIDTH, max(10, console.width - 40))
        spark = sparkline(report.deliveries_by_second, width, glyphs.spark)
        rows.add_row("", f"{spark}  most in one second: {max(report.deliveries_by_second):,}")
    rows.add_row(
        "lag",
        f"p50 {duration(lag.p50_s)}{dot}p99 {duration(lag.p99_s)}{dot}max {duration(lag.max_s)}"
        f"  (publish{glyphs.arrow}receive, wall clock, {lag.count:,} deliveries)",
    )
    rows.add_row(
        "clients",
        f"{totals.lists:,} lists{dot}{totals.relists:,} relists after {totals.expired:,} expired watches{dot}"
        f"{totals.resumes:,} resumes{dot}{totals.bookmarks:,} bookmarks{dot}{totals.retries:,} retries",
    )
    caches = report.caches
    rows.add_row(
        "caches",
        f"{sum(cache.relists for cache in caches):,} relists{dot}{sum(cache.resumes for cache in caches):,} resumes"
        f"{dot}{sum(cache.ring_resizes for cache in caches):,} ring resizes"
        f"{dot}{sum(cache.ring_evictions for cache in caches):,} events dropped from rings",
    )
    rows.add_row("memory", f"{report.memory_peak_bytes / 2**20:,.0f} MiB at its peak")
    console.print(rows)


_CACHE_COLUMNS = (
    *("events", "objects", "clients", "deliveries", "watches", "views", "bar", "ring"),
    *("relists", "resumes", "bookmarks", "expired"),
)
_CACHE_COLUMNS_TO_DROP = ("bookmarks", "views", "objects", "resumes", "relists", "bar", "expired", "watches")
"""In this order, until the table fits."""


def _caches(caches: Sequence[CacherFacts], glyphs: Glyphs, left_out: Sequence[str]) -> Table:
    table = _table("Caches")
    shown = [name for name in _CACHE_COLUMNS if name not in left_out]
    table.add_column("resource", overflow="fold", no_wrap=not left_out)
    for name in shown:
        table.add_column("" if name == "bar" else name, justify="left" if name == "bar" else "right", no_wrap=True)
    titles = _short_titles(caches)
    for facts in sorted(caches, key=lambda cache: (-cache.deliveries, -cache.events, cache.resource)):
        cells = {
            "watches": f"{facts.watches_peak:,}",
            "views": f"{facts.views_peak:,}",
            "bar": gauge(facts.ring_length, facts.ring_capacity, glyphs),
            "ring": f"{facts.ring_length:,}/{facts.ring_capacity:,}" if facts.ring_capacity else "no cache",
        }
        table.add_row(titles[facts.prefix], *(cells.get(name) or f"{getattr(facts, name):,}" for name in shown))
    return table


def _short_titles(caches: Sequence[CacherFacts]) -> dict[str, str]:
    """By prefix: the resource without its group, where no other goes by that name."""
    plurals = [facts.resource.partition(".")[0] for facts in caches]
    return {
        facts.prefix: plural if plurals.count(plural) == 1 else facts.resource
        for facts, plural in zip(caches, plurals, strict=True)
    }


def _kinds(report: RunReport, left_out: Sequence[str]) -> Table:
    table = _table("Clients, by what they ask for")
    table.add_column("selector", overflow="fold")
    for name in ("clients", "deliveries", "each"):
        table.add_column(name, justify="right", no_wrap=True)
    for facts in report.kinds:
        table.add_row(
            facts.kind, f"{facts.clients:,}", f"{facts.deliveries:,}", f"{facts.deliveries / facts.clients:,.0f}"
        )
    return table


def render_guarantees(guarantees: Sequence[Verdict], console: Console) -> None:
    """Print each guarantee with the checks made and broken, and what it promises."""
    table = _table("Guarantees")
    table.add_column("name", no_wrap=True)
    table.add_column("checks", justify="right", no_wrap=True)
    table.add_column("broken", justify="right", no_wrap=True)
    table.add_column("what is promised", overflow="fold")
    for verdict in guarantees:
        checks = f"{verdict.checks:,}" if verdict.tested else "none"
        broken = Text(f"{verdict.broken:,}", style="bold red" if verdict.broken else "green")
        table.add_row(verdict.name, checks, broken, verdict.sentence)
    console.print(table)


def _table(title: str) -> Table:
    return Table(
        title=f"\n{title}",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )


def _fitting(console: Console, build: Callable[[Sequence[str]], Table], droppable: Sequence[str]) -> Table:
    """The table with as many columns as fit the page: the least interesting go first."""
    for count in range(len(droppable) + 1):
        table = build(droppable[:count])
        # Measured on an endless page: on the real one nothing is ever found wider than it.
        if console.measure(table, options=console.options.update(width=10_000)).maximum <= console.width:
            return table
    return build(droppable)


# ---- small pictures and numbers -----------------------------------------------------------------------------------------


def sparkline(values: Sequence[int], width: int, levels: str) -> str:
    """`values` as one row of at most `width` characters; each shows the mean of its share, the highest fills a whole one.

    >>> sparkline([0, 1, 2, 4], 4, " .:#")
    ' .:#'
    """
    width = min(width, len(values))
    bounds = [len(values) * i // width for i in range(width + 1)]
    means = [sum(values[low:high]) / (high - low) for low, high in pairwise(bounds)]
    top = max(means, default=0.0)
    steps = len(levels) - 1
    return "".join(levels[min(steps, math.ceil(mean * steps / top))] if mean else levels[0] for mean in means)


def gauge(value: int, limit: int, glyphs: Glyphs) -> str:
    """How full something is. Empty only at 0, full only at the limit."""
    if not limit:
        return glyphs.empty * RING_WIDTH
    filled = value * RING_WIDTH // limit
    filled = max(filled, 1) if value else 0
    return glyphs.full * filled + glyphs.empty * (RING_WIDTH - filled)


def duration(seconds: float) -> str:
    """A duration with three digits and the unit that suits it.

    >>> duration(0.00123), duration(12.5), duration(0)
    ('1.23 ms', '12.5 s', '0 ms')
    """
    if seconds >= 1:
        return f"{seconds:.3g} s" if seconds < 1000 else f"{seconds:,.0f} s"
    if seconds and seconds < 1e-3:
        return f"{seconds * 1e6:.3g} us"
    return f"{seconds * 1e3:.3g} ms"
