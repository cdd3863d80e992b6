"""Frugal: what is asked of the store, by whomever, stays within a budget.

Source: k#86483 (all clients list anew, and the store is overloaded); KEP-4568.
"""

from __future__ import annotations

from collections import deque

from .._acts import Asked
from ._case import Case
from ._judge import Judge
from ._verdict import Tally

WINDOW_S = 60.0
LISTS_MAX = 120
"""Lists in a window that one server may ask the store for, of one resource: two a second, where one a minute would do."""


def frugal(lists_max: int = LISTS_MAX, *, objects_max: int | None = None, window_s: float = WINDOW_S) -> Judge:
    """The judge with this budget: lists of a resource by a server, and objects in them from all servers, in any `window_s`."""

    def of_caches(case: Case, tally: Tally) -> None:
        lists = [asked for asked in case.history.acts.asked if asked.what == "list"]
        by_place: dict[tuple[str, str], list[Asked]] = {}
        for asked in lists:
            by_place.setdefault((asked.server, _resource_of(asked.prefix)), []).append(asked)
        for (server, prefix), several in by_place.items():
            tally.checked(len(several))
            if peak := _peak(several, window_s, lists_max, by_objects=False):
                facts = f"{server} listed {prefix} {peak[1]} times within {window_s:g} s; {lists_max} are in the budget"
                tally.broke(server, facts, revision=0, at_s=peak[0])
        if objects_max is not None and (peak := _peak(lists, window_s, objects_max, by_objects=True)):
            facts = f"the store listed {peak[1]} objects within {window_s:g} s; {objects_max} are in the budget"
            tally.broke("store", facts, revision=0, at_s=peak[0])

    return Judge(
        "Frugal",
        "what is asked of the store stays within a budget, whatever the clients do",
        of_caches=of_caches,
    )


def _peak(asked: list[Asked], window_s: float, budget: int, *, by_objects: bool) -> tuple[float, int] | None:
    """When the budget was first exceeded, and the most that was asked for in any window; None where it never was."""
    window: deque[tuple[float, int]] = deque()
    total, first_s, most = 0, None, 0
    for one in asked:
        amount = one.objects if by_objects else 1
        window.append((one.at_s, amount))
        total += amount
        while window[0][0] < one.at_s - window_s:
            total -= window.popleft()[1]
        if total > budget and first_s is None:
            first_s = one.at_s
        most = max(most, total)
    return None if first_s is None else (first_s, most)


def _resource_of(prefix: str) -> str:
    """Enough of a key to tell resources apart: pages of one list start at different keys."""
    return "/".join(prefix.split("/")[: 4 if "." in prefix.split("/")[2] else 3]) if prefix.count("/") > 2 else prefix


FRUGAL = frugal()
