"""What all displays of a run have in common: a place on a terminal that is drawn anew, and plain lines elsewhere.

Drawn from the calls of the work itself, never by a timer: under the virtual clock a timer would fire at the wrong time, and
a thread has no place here. Goes to standard error, so that standard output is the report alone.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from ._render import Glyphs


class TerminalDisplay:
    """Use it as a context, so that the terminal is whole again afterwards.

    Args:
        file: standard error, unless told otherwise.
        is_quiet: nothing is written at all.
    """

    def __init__(self, file: TextIO | None = None, *, is_quiet: bool = False) -> None:
        self._console = Console(file=file or sys.stderr, highlight=False, quiet=is_quiet)
        self._is_quiet = is_quiet
        self._is_live = self._console.is_terminal and not is_quiet
        self._glyphs = Glyphs(ascii_only=self._console.options.ascii_only)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        if self._is_live:
            self._live.start()
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._is_live:
            self._live.stop()

    def _begin(self) -> None:
        """What is shown before the work begins: nothing."""

    def _draw(self, what: RenderableType) -> None:
        """In the place of what was drawn before; for terminals. A string is shown as it is."""
        self._live.update(Text(what) if isinstance(what, str) else what, refresh=True)

    def _print(self, line: str) -> None:
        """A line of its own, not broken; for where there is no terminal."""
        self._console.print(line, soft_wrap=True)
