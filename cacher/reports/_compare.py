"""How two runs differ: what they were given, what they came to, and the first line of their stories that is not the same. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, zip_longest

from ._model import DELETED, Comparison, Difference, Report, Timeline

LINES_AROUND = 3
"""Of the chronicle, from the first line that differs on."""
SHOWN_MAX = 20
"""Objects or script lines that are told of each sort of difference."""
NOT_COMPARED = ("digest", "seconds", "trace", "lag, wall clock", "memory at its peak", "deliveries")
"""Facts that have a line of their own here, or that no two runs have in common."""


def compare(a: Report, b: Report, *, named: tuple[str, str] = ("A", "B")) -> Comparison:
    """What differs, from what was given to what came of it; and what does not."""
    found: list[Difference] = []
    same: list[str] = []
    for what, differ in _ASPECTS.items():
        differences = list(differ(a, b))
        found += differences
        if not differences:
            same.append(what)
    return Comparison(named[0], named[1], found, same)


def comparison_lines(comparison: Comparison) -> list[str]:
    """The same for a terminal, A's part above B's."""
    if not comparison.differences:
        return [f"the same: {', '.join(comparison.same)}"]
    lines = [f"A  {comparison.a}", f"B  {comparison.b}"]
    for one in comparison.differences:
        lines.append(one.what)
        lines += [f"  A  {line}" for line in one.a.splitlines()]
        lines += [f"  B  {line}" for line in one.b.splitlines()]
    if comparison.same:
        lines.append(f"the same: {', '.join(comparison.same)}")
    return lines


def _facts(a: Report, b: Report) -> Iterator[Difference]:
    before, after = dict(a.facts), dict(b.facts)
    for name in dict.fromkeys((*before, *after)):
        if before.get(name) != after.get(name) and name not in NOT_COMPARED:
            yield Difference(name, before.get(name, "–"), after.get(name, "–"))


def _script(a: Report, b: Report) -> Iterator[Difference]:
    only_a, only_b = _beyond(a.script, b.script), _beyond(b.script, a.script)
    if only_a or only_b:
        yield Difference("lines of the script that only one of them has", _some(only_a), _some(only_b))
    elif a.script != b.script:
        yield Difference("the order of the script", _some(a.script), _some(b.script))


def _beyond(lines: Sequence[str], others: Sequence[str]) -> list[str]:
    """What `lines` has and `others` has not, each as often as it has it more."""
    left = list(others)
    found = []
    for line in lines:
        if line in left:
            left.remove(line)
        else:
            found.append(line)
    return found


def _some(lines: Sequence[str]) -> str:
    rest = [f"and {len(lines) - SHOWN_MAX} more"] if len(lines) > SHOWN_MAX else []
    return "\n".join([*lines[:SHOWN_MAX], *rest]) or "–"


def _verdict(a: Report, b: Report) -> Iterator[Difference]:
    if a.verdict != b.verdict:
        yield Difference("verdict", a.verdict, b.verdict)


def _guarantees(a: Report, b: Report) -> Iterator[Difference]:
    before = {one.name: one.broken for one in a.guarantees}
    after = {one.name: one.broken for one in b.guarantees}
    for name in dict.fromkeys((*before, *after)):
        if before.get(name) != after.get(name):
            yield Difference(f"broken: {name}", _times(before.get(name)), _times(after.get(name)))


def _times(number: int | None) -> str:
    return "not judged" if number is None else f"{number:,} times" if number else "held"


def _chronicle(a: Report, b: Report) -> Iterator[Difference]:
    before = [f"{one.at_us / 1e6:.6f} {one.who} {one.what}" for one in a.chronicle]
    after = [f"{one.at_us / 1e6:.6f} {one.who} {one.what}" for one in b.chronicle]
    for number, (left, right) in enumerate(zip_longest(before, after)):
        if left != right:
            end = number + LINES_AROUND
            what = f"the first of what happened that is not the same, number {number + 1}"
            yield Difference(what, _some(before[number:end]), _some(after[number:end]))
            return


def _writes(a: Report, b: Report) -> Iterator[Difference]:
    before, after = _revision(a.timeline), _revision(b.timeline)
    if before != after:
        yield Difference("the store's last revision", str(before), str(after))


def _revision(timeline: Timeline | None) -> int:
    return max(accumulate(timeline.versions.revision), default=0) if timeline is not None else 0


def _ends(a: Report, b: Report) -> Iterator[Difference]:
    before, after = _end(a.timeline), _end(b.timeline)
    only_a = [key for key in before if key not in after]
    only_b = [key for key in after if key not in before]
    if only_a or only_b:
        yield Difference("objects that only one of them has in the end", _some(only_a), _some(only_b))


def _end(timeline: Timeline | None) -> dict[str, None]:
    """The keys of what is there in the end, in order."""
    if timeline is None:
        return {}
    versions, last = timeline.versions, dict[int, str]()
    for key, change in zip(versions.key, versions.change, strict=True):
        if change != "?":
            last[key] = change
    return dict.fromkeys(sorted(versions.keys[key] for key, change in last.items() if change != DELETED))


def _peaks(a: Report, b: Report) -> Iterator[Difference]:
    before, after = _highest(a.timeline), _highest(b.timeline)
    for name in dict.fromkeys((*before, *after)):
        if before.get(name) != after.get(name):
            yield Difference(f"peak: {name}", before.get(name, "–"), after.get(name, "–"))


def _highest(timeline: Timeline | None) -> dict[str, str]:
    plots = timeline.plots if timeline is not None else []
    return {
        plot.title: f"{max(value for line in plot.lines for value in line.values):g} {plot.unit}"
        for plot in plots
        if any(line.values for line in plot.lines)
    }


_ASPECTS: dict[str, Callable[[Report, Report], Iterator[Difference]]] = {
    "facts": _facts,
    "script": _script,
    "verdict": _verdict,
    "guarantees": _guarantees,
    "what happened": _chronicle,
    "the store's last revision": _writes,
    "objects in the end": _ends,
    "peaks": _peaks,
}
