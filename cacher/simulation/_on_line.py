"""Judges on line: a history is judged while it grows, so that a run may end soon after the first breach.

    lines told   64 ─ 96 ─ 144 ─ 216 ─ 324 ─ …      at each of these the history so far is judged, in the step that told the line

The judges are those that look at the whole in the end, pure functions over a history; nothing of them is written twice. Each look
comes after half as much again, so all looks together cost three times the last one, and a breach is seen when the run is half as
long again as when it happened, at the latest. No task waits and no dice are thrown for it, so up to its end a run is step by step
the one that it is without.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ._history import History
from .judges import NOT_ON_LINE, Judge, judge_with

FIRST_LOOK_LINES = 64
GROWTH = 1.5


class OnLine:
    """Looks at one history. `look` after each line of the chronicle.

    Args:
        judges: those that are looked with, as far as a prefix of a run can break what they look for.
        stop: called once, at the first breach that is seen.
    """

    def __init__(self, judges: Sequence[Judge], stop: Callable[[], None]) -> None:
        self.judges = tuple(judge for judge in judges if judge.name not in NOT_ON_LINE)
        self.stopped_after: int | None = None
        """The lines that there were when a breach was seen: after them come the ends of tasks, which are no part of the run."""
        self._stop = stop
        self._next = FIRST_LOOK_LINES

    @property
    def has_stopped(self) -> bool:
        """Whether a breach was seen."""
        return self.stopped_after is not None

    def look(self, history: History, lines: int, revision: int) -> None:
        """Judge what there is, where it is time to.

        A store that was restored from a backup is judged in the end alone: which of its histories a watch is of can be seen late.

        Args:
            lines: how many have been told.
            revision: the store's now.
        Cost: that of the judges, at one call in very many.
        """
        if lines < self._next or self.has_stopped or history.restores:
            return
        self._next = int(lines * GROWTH) + 1
        history.end_revision = revision
        if any(verdict.broken for verdict in judge_with(self.judges, history)):
            self.stopped_after = lines
            self._stop()
