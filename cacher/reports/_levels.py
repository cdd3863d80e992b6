"""What is left out where a run is too long for one file, so that what is kept is whole, and breaches are always kept. Pure.

Whole clients go first: what a client believed can only be told from all that it saw. Where the lanes that are left are too
long by themselves, each keeps what is near a breach, its beginning and its end; a gap says how much is missing, and the whole
state stands behind it, so that what is told there is true again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import msgspec

from ._believed import Believed
from ._lanes import ClientMarks, Marks
from ._model import GAP, LISTED, Lane
from ._versions import VersionTable

MARKS_MAX = 1_100_000
"""A million events and what opens and closes their watches: 2 to 5 MB in the file."""


class Chosen(msgspec.Struct, frozen=True):
    """Names, in the order in which they were given."""

    kept: tuple[str, ...]
    left_out: tuple[str, ...]


def choose(sizes: Sequence[tuple[str, int, bool]], marks_max: int) -> Chosen:
    """Which of the clients (name, marks, whether something was broken for it) are kept: all while they fit into `marks_max`.

    Those with a breach are kept in any case. Of the others an even choice is: every second, every third and so on.
    """
    total = sum(size for _, size, _ in sizes)
    if total <= marks_max:
        return Chosen(tuple(name for name, *_ in sizes), ())
    room = marks_max - sum(size for _, size, is_broken in sizes if is_broken)
    others = [(number, size) for number, (_, size, is_broken) in enumerate(sizes) if not is_broken]
    kept: dict[int, None] = {}
    for number, size in _evenly(others):
        if size <= room:
            kept[number] = None
            room -= size
    is_kept = [is_broken or number in kept for number, (*_, is_broken) in enumerate(sizes)]
    names = [name for name, *_ in sizes]
    return Chosen(
        tuple(name for name, yes in zip(names, is_kept, strict=True) if yes),
        tuple(name for name, yes in zip(names, is_kept, strict=True) if not yes),
    )


def _evenly(items: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same, so ordered that each beginning of it is spread evenly: by the bits of their numbers, the last bit first."""
    bits = max(1, (len(items) - 1).bit_length())
    order = sorted(range(len(items)), key=lambda number: int(f"{number:0{bits}b}"[::-1], 2))
    return [items[number] for number in order]


def thin(lane: Lane, marks_max: int, around_us: Sequence[int], table: VersionTable, clients: ClientMarks) -> Lane:
    """`lane` with at most some `marks_max` marks: those nearest to the times `around_us` and to its beginning and end.

    Gaps and the states behind them come on top: at most one of each for each time.
    """
    marks = list(lane.marks())
    if len(marks) <= marks_max:
        return lane
    spots = sorted({0, len(marks), *(_index_at(marks, at_us) for at_us in around_us)})
    reach = max(1, marks_max // (2 * max(1, len(spots) - 1)))  # the two ends have one side each
    windows: list[tuple[int, int]] = []
    for spot in spots:
        low, high = max(0, spot - reach), min(len(marks), spot + reach)
        if windows and low <= windows[-1][1]:
            windows[-1] = (windows[-1][0], high)
        else:
            windows.append((low, high))
    thinned, belief, done = Marks(), Believed(table.key, table.revisions, clients.listings), 0
    for low, high in windows:
        for mark in marks[done:low]:
            belief.take(mark[1], mark[2])
        if low > done:
            thinned.add(marks[low][0], GAP, low - done)
            if lane.kind in ("watch", "client"):
                state = tuple(sorted(belief.state.values()))
                thinned.add(marks[low][0], LISTED, clients.listing(belief.revision, state))
        for mark in marks[low:high]:
            thinned.add(*mark)
            belief.take(mark[1], mark[2])
        done = high
    short = thinned.lane(
        lane.name, lane.kind, under=lane.under, note=lane.note, sees_all=lane.sees_all, prefix=lane.prefix
    )
    short.left_out = len(marks) - sum(high - low for low, high in windows)
    return short


def fair_share(lengths: Sequence[int], marks_max: int) -> int:
    """How many marks each lane may have so that all fit: the short ones whole, and what they leave is for the long ones."""
    room, share = marks_max, marks_max
    for done, length in enumerate(sorted(lengths)):
        share = room // (len(lengths) - done)
        if length > share:
            return share
        room -= length
    return max(share, *lengths, 0)


def _index_at(marks: Sequence[tuple[int, str, int]], at_us: int) -> int:
    """The first mark at or after a time; the last where there is none."""
    return min(bisect_left(marks, at_us, key=lambda mark: mark[0]), len(marks) - 1)
