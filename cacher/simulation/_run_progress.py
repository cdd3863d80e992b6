"""How far the work on one tape is, while it goes on: a run that is played, a tape that is shrunk.

On a terminal a line that is drawn anew; elsewhere nothing for the first PLAIN_PERIOD_S, then a line as often as that. Drawn
from the calls of the work itself (`_terminal.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

from ._meter import wall_s
from ._progress import DRAWINGS_A_SECOND_MAX, PLAIN_PERIOD_S
from ._shrink import size
from ._tape import Tape
from ._terminal import TerminalDisplay
from ._world import World


class _Line(TerminalDisplay):
    """One line of figures after a word on what goes on."""

    def __init__(
        self, what: str, *, file: TextIO | None = None, is_quiet: bool = False, wall: Callable[[], float] = wall_s
    ) -> None:
        super().__init__(file, is_quiet=is_quiet)
        self._what = what
        self._wall = wall
        self._began_s = self._drawn_s = 0.0

    def _begin(self) -> None:
        self._began_s = self._drawn_s = self._wall()
        if self._is_live:
            self._draw(f"{self._what} {self._glyphs.ellipsis}")

    def _tell(self, figures: Callable[[], list[str]]) -> None:
        """Show them, if it is time to. Cost: one look at the clock where it is not."""
        if self._is_quiet:
            return
        now_s = self._wall()
        if now_s - self._drawn_s < (1 / DRAWINGS_A_SECOND_MAX if self._is_live else PLAIN_PERIOD_S):
            return
        self._drawn_s = now_s
        told = f" {self._glyphs.dot} ".join([*figures(), f"{now_s - self._began_s:,.1f} s"])
        if self._is_live:
            self._draw(f"{self._what}: {told}")
        else:
            self._print(f"watchcache: {self._what}: {told}")


class PlayDisplay(_Line):
    """How far a world is that is played: virtual time, the store's revision, faults that struck."""

    def looked(self, world: World) -> None:
        """Something happened in it; a `watcher` of `play`. Looks, and changes nothing."""
        self._tell(
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
        self._tell(lambda: [f"{plays:,} runs", f"{self._before:,} operations and faults became {size(smallest):,}"])
