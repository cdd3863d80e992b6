"""How far the work on one tape is, while it goes on: a run that is played, a tape that is shrunk.

On a terminal a line that is drawn anew; elsewhere nothing for the first PLAIN_PERIOD_S, then a line as often as that. Drawn
from the calls of the work itself, as `_progress.py` is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from ._meter import wall_s
from ._progress import DRAWINGS_A_SECOND_MAX, PLAIN_PERIOD_S
from ._render import Glyphs
from ._shrink import size
from ._tape import Tape
from ._world import World


class _Line:
    """One line of figures after a word on what goes on. Use it as a context, so that the terminal is whole again afterwards."""

    def __init__(
        self, what: str, *, file: TextIO | None = None, is_quiet: bool = False, wall: Callable[[], float] = wall_s
    ) -> None:
        self._what = what
        self._is_quiet = is_quiet
        self._wall = wall
        self._console = Console(file=file or sys.stderr, highlight=False)
        self._is_live = self._console.is_terminal and not is_quiet
        self._glyphs = Glyphs(ascii_only=self._console.options.ascii_only)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._began_s = self._drawn_s = 0.0

    def __enter__(self) -> Self:
        self._began_s = self._drawn_s = self._wall()
        if self._is_live:
            self._live.start()
            ellipsis = "..." if self._console.options.ascii_only else "…"
            self._live.update(Text(f"{self._what} {ellipsis}"), refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._is_live:
            self._live.stop()

    def _draw(self, figures: Callable[[], list[str]]) -> None:
        """Show them, if it is time to. Cost: one look at the clock where it is not."""
        if self._is_quiet:
            return
        now_s = self._wall()
        if now_s - self._drawn_s < (1 / DRAWINGS_A_SECOND_MAX if self._is_live else PLAIN_PERIOD_S):
            return
        self._drawn_s = now_s
        told = f" {self._glyphs.dot} ".join([*figures(), f"{now_s - self._began_s:,.1f} s"])
        if self._is_live:
            self._live.update(Text(f"{self._what}: {told}"), refresh=True)
        else:
            self._console.print(f"watchcache: {self._what}: {told}", soft_wrap=True)


class PlayDisplay(_Line):
    """How far a world is that is played: virtual time, the store's revision, faults that struck."""

    def looked(self, world: World) -> None:
        """Something happened in it; a `watcher` of `play`. Looks, and changes nothing."""
        self._draw(
            lambda: [
                f"{world.now_s:,.1f} s of virtual time",
                f"store revision {world.store.revision:,}",
                f"{len(world.history.acts.faults):,} faults",
            ]
        )


class ShrinkDisplay(_Line):
    """How far a tape is shrunk: candidates played, and what is left of it."""

    def __init__(
        self,
        what: str,
        tape: Tape,
        *,
        file: TextIO | None = None,
        is_quiet: bool = False,
        wall: Callable[[], float] = wall_s,
    ) -> None:
        super().__init__(what, file=file, is_quiet=is_quiet, wall=wall)
        self._before = size(tape)

    def played(self, plays: int, smallest: Tape) -> None:
        """One more candidate is about to be played; an `on_play` of `shrink`."""
        self._draw(lambda: [f"{plays:,} runs", f"{self._before:,} operations and faults became {size(smallest):,}"])
