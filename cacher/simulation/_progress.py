"""How far a run is, while it runs: a live display on a terminal, a line at the start and at the end elsewhere.

Drawn from the calls that the run makes, never by a timer: under the virtual clock a timer would fire at the wrong time, and
a thread has no place here. Goes to standard error, so that standard output is the report alone.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

from ._hunt import HuntResult
from ._render import Glyphs, duration, gauge
from ._trace_run import TraceRun

DRAWINGS_A_SECOND_MAX = 10
"""Of wall time. A drawing costs about 2 ms, so this takes at most a fiftieth of the run."""
PLAIN_PERIOD_S = 10.0
"""Between two lines of progress where there is no terminal."""


class ProgressDisplay:
    """A `Display` for people. Use it as a context, so that the terminal is whole again afterwards."""

    def __init__(self, file: TextIO | None = None, *, is_quiet: bool = False) -> None:
        self._console = Console(file=file or sys.stderr, highlight=False, quiet=is_quiet)
        self._is_live = self._console.is_terminal and not is_quiet
        self._progress = Progress(
            SpinnerColumn("line"),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("events"),
            console=self._console,
            auto_refresh=False,
        )
        self._task = self._progress.add_task("", total=None)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        if self._is_live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._is_live:
            self._live.stop()

    def phase(self, text: str) -> None:
        """Something else begins: shown at once on a terminal, elsewhere only the start of the play."""
        self._progress.update(self._task, description=text)
        if self._is_live:
            self._live.update(self._progress, refresh=True)
        elif text == "playing":
            self._console.print(
                "watchcache: playing …" if not self._console.options.ascii_only else "watchcache: playing ..."
            )

    def stepped(self, run: TraceRun) -> None:
        """One more revision is written: draws, at most ten times a second of wall time."""
        if self._is_live and run.meter.is_time_to_draw(1 / DRAWINGS_A_SECOND_MAX):
            self._progress.update(self._task, completed=run.played.events, total=len(run.trace.events))
            self._live.update(Group(self._progress, self._figures(run)), refresh=True)
        elif not self._is_live and run.played.revisions == run.revisions:
            self._console.print(f"watchcache: {run.played.events:,} events played, {run.meter.deliveries:,} deliveries")

    def _figures(self, run: TraceRun) -> Text:
        meter, lag = run.meter, run.meter.lag()
        glyphs = Glyphs(ascii_only=self._console.options.ascii_only)
        dot = f" {glyphs.dot} "
        first = (
            f"  {run.played.t:,.1f} s of {run.trace.duration_s:,.1f} s of the trace{dot}{meter.deliveries:,} deliveries"
            f"{dot}{meter.deliveries_per_s:,.0f}/s{dot}lag p50 {duration(lag.p50_s)}, p99 {duration(lag.p99_s)}"
        )
        main = run.main_cache()
        if main is None:
            return Text(first)
        name, cache = main
        second = (
            f"  {name}: ring {gauge(cache.ring_length, cache.ring_capacity, glyphs)} {cache.ring_length:,}/{cache.ring_capacity:,}"
            f"{dot}{cache.watches:,} watches of {cache.views:,} views{dot}{cache.objects:,} objects"
        )
        return Text(f"{first}\n{second}")


class HuntDisplay:
    """How far a hunt is: seeds, seeds/s, virtual time, and how much of what should be met sometimes has been.

    `is_detailed`: with what was met, how often, and how many checks of which guarantee were made.

    On a terminal it is drawn anew; elsewhere it is a line to begin with, and one every PLAIN_PERIOD_S.
    """

    def __init__(
        self,
        what: str,
        seeds: int,
        *,
        file: TextIO | None = None,
        is_quiet: bool = False,
        is_detailed: bool = False,
    ) -> None:
        self._what = what
        self._is_detailed = is_detailed
        self._seeds = seeds
        self._is_quiet = is_quiet
        self._console = Console(file=file or sys.stderr, highlight=False)
        self._is_live = self._console.is_terminal and not is_quiet
        self._glyphs = Glyphs(ascii_only=self._console.options.ascii_only)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._drawn_s = -1.0

    def __enter__(self) -> Self:
        if self._is_live:
            self._live.start()
            self._live.update(Text(f"{self._what} {self._ellipsis}"), refresh=True)
        elif not self._is_quiet:
            self._print(f"watchcache: {self._what}, {self._seeds:,} seeds {self._ellipsis}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._is_live:
            self._live.stop()

    def played(self, result: HuntResult) -> None:
        """One more seed is played."""
        period_s = 1 / DRAWINGS_A_SECOND_MAX if self._is_live else PLAIN_PERIOD_S
        if self._is_quiet or result.seconds - max(self._drawn_s, 0.0) < period_s:
            return
        self._drawn_s = result.seconds
        if self._is_live:
            gone = gauge(result.seeds, self._seeds, self._glyphs)
            self._live.update(Text("\n".join([f"{self._what} {gone}", *self._figures(result)])), refresh=True)
        else:
            self._print(f"watchcache: {self._figures(result)[0].strip()}")

    def _figures(self, result: HuntResult) -> list[str]:
        dot = f" {self._glyphs.dot} "
        rate = result.seeds / result.seconds if result.seconds else 0.0
        met = [name for name, number in result.sometimes.items() if number]
        never = [name for name, number in result.sometimes.items() if not number]
        others = f"{dot}{result.others_count:,} broke something else" if result.others_count else ""
        lines = [
            f"  {result.seeds:,}/{self._seeds:,} seeds{dot}{rate:,.1f} seeds/s{dot}{result.virtual_s:,.0f} s of virtual time"
            f"{dot}{result.steps:,} steps{dot}met {len(met)} of {len(met) + len(never)}{others}"
        ]
        if never:
            lines.append(f"  not met yet: {', '.join(never)}")
        if self._is_detailed:
            lines.append(
                f"  met: {', '.join(f'{name} {number:,}' for name, number in result.sometimes.items() if number)}"
            )
            lines.append(
                f"  checks: {', '.join(f'{name} {number:,}' for name, number in result.checks.items() if number)}"
            )
            if result.others:
                last = result.others[-1]
                lines.append(f"  last of the others: seed {last.seed}, {', '.join(last.broken) or last.outcome}")
        return lines

    @property
    def _ellipsis(self) -> str:
        return "..." if self._console.options.ascii_only else "…"

    def _print(self, line: str) -> None:
        self._console.print(line, soft_wrap=True)
