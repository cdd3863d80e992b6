"""A live view on a terminal: frames as tables, drawn from the run's own calls. Elsewhere: one line, and plain progress.

A world's time is virtual and would be over before anybody looked: so while it is looked at, each drawing stays for a moment.
"""

from __future__ import annotations

from typing import TextIO

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ._live import Frame, TraceFrames, WorldFrames
from ._meter import pause, wall_s
from ._progress import ProgressDisplay
from ._render import Glyphs, gauge, sparkline
from ._terminal import TerminalDisplay
from ._trace_run import TraceRun
from ._world import World

DRAWINGS_A_SECOND = 8
STAYS_S = 0.06
"""A drawing of a world stays so long."""
WORLD_STEP_S = 0.25
"""Of virtual time, between two drawings of a world where no fault strikes."""
CACHES_SHOWN = 12
SPARK_WIDTH = 50


class LiveView(TerminalDisplay):
    """A `Display` of a trace, and a watcher of worlds. Use it as a context, so that the terminal is whole again afterwards."""

    def __init__(self, file: TextIO | None = None, *, is_quiet: bool = False) -> None:
        super().__init__(file, is_quiet=is_quiet)
        self._plain = ProgressDisplay(file, is_quiet=is_quiet)
        self._trace = TraceFrames()
        self._world: tuple[World, WorldFrames] | None = None
        self._phase = ""
        self._drawn_s = 0.0
        self._shown: tuple[float, int] = (-1.0, 0)

    def _begin(self) -> None:
        if not self._is_live:
            self._print(f"watchcache: a live view needs a terminal {self._glyphs.dash} plain progress instead")

    # ---- a trace -----------------------------------------------------------------------------------------------------

    def phase(self, text: str) -> None:
        """Something else begins."""
        self._phase = text
        if self._is_live:
            self._draw(text)
        else:
            self._plain.phase(text)

    def stepped(self, run: TraceRun) -> None:
        """One more revision is written: draws, at most so many times a second of wall time."""
        if not self._is_live:
            self._plain.stepped(run)
        elif wall_s() - self._drawn_s >= 1 / DRAWINGS_A_SECOND or run.played.revisions == run.revisions:
            self._show(self._trace.frame(run))

    # ---- a world -----------------------------------------------------------------------------------------------------

    def looked(self, world: World) -> None:
        """Something happened in a world: draws where a fault struck, or some time has passed in it."""
        if not self._is_live:
            return
        if self._world is None or self._world[0] is not world:
            self._world, self._shown = (world, WorldFrames()), (-1.0, 0)
        at_s, faults = self._shown
        if world.now_s - at_s < WORLD_STEP_S and len(world.history.acts.faults) == faults:
            return
        self._shown = (world.now_s, len(world.history.acts.faults))
        self._show(self._world[1].frame(world))
        pause(STAYS_S)

    # ---- drawing -----------------------------------------------------------------------------------------------------

    def _show(self, frame: Frame) -> None:
        self._draw(drawn(frame, self._glyphs, phase=self._phase))
        self._drawn_s = wall_s()


def drawn(frame: Frame, glyphs: Glyphs, *, phase: str = "") -> RenderableType:
    """A frame as what a terminal shows."""
    dot = f" {glyphs.dot} "
    head = f"{phase}{dot if phase else ''}{frame.at_s:,.1f} s{dot}store revision {frame.revision:,}"
    parts: list[RenderableType] = [
        Text(frame.title, style="bold cyan"),
        Text(f"{head}{dot}{frame.deliveries:,} deliveries"),
        Text(f"deliveries/s {sparkline(frame.deliveries_by_second[-SPARK_WIDTH:], SPARK_WIDTH, glyphs.spark)}")
        if frame.deliveries_by_second
        else Text("deliveries/s"),
        _caches(frame, glyphs),
    ]
    if frame.selectors:
        parts.append(_selectors(frame))
    if frame.faults:
        more = f" (and {frame.faults_left_out} before)" if frame.faults_left_out else ""
        parts.append(Text(f"faults{more}", style="bold"))
        parts += [Text(f"  {fault}", style="yellow") for fault in frame.faults]
    parts.append(_guarantees(frame))
    return Group(*parts)


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number and column not in ("ring", "selector") else "left")
    return table


def _caches(frame: Frame, glyphs: Glyphs) -> Table:
    table = _table("cache", "revision", "behind", "ring", "watches", "views", "events")
    shown = sorted(frame.caches, key=lambda cache: -cache.events)[:CACHES_SHOWN]
    for cache in shown:
        ring = f"{gauge(cache.ring_length, cache.ring_capacity, glyphs)} {cache.ring_length:,}/{cache.ring_capacity:,}"
        figures = (cache.revision, cache.behind)
        counts = (cache.watches, cache.views, cache.events)
        table.add_row(cache.name, *(f"{one:,}" for one in figures), ring, *(f"{one:,}" for one in counts))
    if len(frame.caches) > len(shown):
        table.add_row(f"and {len(frame.caches) - len(shown)} more")
    return table


def _selectors(frame: Frame) -> Table:
    table = _table("watchers of", "selector", "watches")
    for cache, selector, watches in frame.selectors:
        table.add_row(cache, selector, f"{watches:,}")
    return table


def _guarantees(frame: Frame) -> Text:
    text = Text("guarantees", style="bold")
    if not frame.guarantees:
        return text.append("  judged at the end", style="not bold")
    text.append(f"  as of {frame.judged_at_s:,.1f} s: ", style="not bold")
    for verdict in frame.guarantees:
        if verdict.tested:
            colour = "bold red" if verdict.broken else "green"
            text.append(f"{verdict.name} {verdict.checks:,}", style=colour)
            text.append(f" broken {verdict.broken:,}  " if verdict.broken else "  ", style=colour)
    return text
