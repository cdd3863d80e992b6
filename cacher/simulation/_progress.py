"""How far a run is, while it runs: a live display on a terminal, a line at the start and at the end elsewhere."""

from __future__ import annotations

from typing import TextIO

from rich.console import Group
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

from ._hunt import HuntResult
from ._render import duration, gauge
from ._terminal import TerminalDisplay
from ._trace_run import TraceRun

DRAWINGS_A_SECOND_MAX = 10
"""Of wall time. A drawing costs about 2 ms, so this takes at most a fiftieth of the run."""
PLAIN_PERIOD_S = 10.0
"""Between two lines of progress where there is no terminal."""


class ProgressDisplay(TerminalDisplay):
    """A `Display` for people. Use it as a context, so that the terminal is whole again afterwards."""

    def __init__(self, file: TextIO | None = None, *, is_quiet: bool = False) -> None:
        super().__init__(file, is_quiet=is_quiet)
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

    def phase(self, text: str) -> None:
        """Something else begins: shown at once on a terminal, elsewhere only the start of the play."""
        self._progress.update(self._task, description=text)
        if self._is_live:
            self._draw(self._progress)
        elif text == "playing":
            self._print(f"watchcache: playing {self._glyphs.ellipsis}")

    def stepped(self, run: TraceRun) -> None:
        """One more revision is written: draws, at most ten times a second of wall time."""
        if self._is_live and run.meter.is_time_to_draw(1 / DRAWINGS_A_SECOND_MAX):
            self._progress.update(self._task, completed=run.played.events, total=len(run.trace.events))
            self._draw(Group(self._progress, self._figures(run)))
        elif not self._is_live and run.played.revisions == run.revisions:
            self._print(f"watchcache: {run.played.events:,} events played, {run.meter.deliveries:,} deliveries")

    def _figures(self, run: TraceRun) -> Text:
        meter, lag = run.meter, run.meter.lag()
        dot = f" {self._glyphs.dot} "
        first = (
            f"  {run.played.t:,.1f} s of {run.trace.duration_s:,.1f} s of the trace{dot}{meter.deliveries:,} deliveries"
            f"{dot}{meter.deliveries_per_s:,.0f}/s{dot}lag p50 {duration(lag.p50_s)}, p99 {duration(lag.p99_s)}"
        )
        main = run.main_cache()
        if main is None:
            return Text(first)
        name, cache = main
        ring = gauge(cache.ring_length, cache.ring_capacity, self._glyphs)
        second = (
            f"  {name}: ring {ring} {cache.ring_length:,}/{cache.ring_capacity:,}"
            f"{dot}{cache.watches:,} watches of {cache.views:,} views{dot}{cache.objects:,} objects"
        )
        return Text(f"{first}\n{second}")


class HuntDisplay(TerminalDisplay):
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
        super().__init__(file, is_quiet=is_quiet)
        self._what = what
        self._is_detailed = is_detailed
        self._seeds = seeds
        self._drawn_s = -1.0

    def _begin(self) -> None:
        if self._is_live:
            self._draw(f"{self._what} {self._glyphs.ellipsis}")
        else:
            self._print(f"watchcache: {self._what}, {self._seeds:,} seeds {self._glyphs.ellipsis}")

    def played(self, result: HuntResult) -> None:
        """One more seed is played."""
        period_s = 1 / DRAWINGS_A_SECOND_MAX if self._is_live else PLAIN_PERIOD_S
        if self._is_quiet or result.seconds - max(self._drawn_s, 0.0) < period_s:
            return
        self._drawn_s = result.seconds
        if self._is_live:
            gone = gauge(result.seeds, self._seeds, self._glyphs)
            self._draw("\n".join([f"{self._what} {gone}", *self._figures(result)]))
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
