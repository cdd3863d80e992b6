"""A timeline as a log with vector clocks, which https://bestchai.bitbucket.io/shiviz/ draws with its own pattern. Pure.

    (?<host>\\S*) (?<clock>{.*})\\n(?<event>.*)

Messages are writes that were asked for (process → store) and events that were delivered (store → whoever was told).
Source: the "log format" page of ShiViz: one line with host and clock, one with the event.
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import NamedTuple

import msgspec

from ._model import ASKED, EVENTS, LISTED, WRITTEN, Lane, Report, Timeline

PATTERN = r"(?<host>\S*) (?<clock>{.*})\n(?<event>.*)"
"""What ShiViz is to read the log with: its own default."""
EVENTS_MAX = 5_000
"""ShiViz draws each as an element: of a longer run, those around the first violation are taken, or the first ones."""
HOSTS_MAX = 40
"""A clock has an entry for each host: of more lanes, those with the fewest marks are left out."""


class _Step(NamedTuple):
    at_us: int
    order: int
    lane: int
    text: str
    sends: tuple[str, int] | None
    takes: tuple[str, int] | None


def to_shiviz(report: Report) -> str:
    """The log; empty for a report without a timeline. A message whose beginning was left out is an event of its own."""
    if report.timeline is None:
        return ""
    steps = sorted(_steps(report.timeline))
    if len(steps) > EVENTS_MAX:
        first_us = report.breaches[0].at_us if report.breaches else 0
        middle = sum(step.at_us < first_us for step in steps)
        low = max(0, min(middle - EVENTS_MAX * 3 // 4, len(steps) - EVENTS_MAX))
        steps = steps[low : low + EVENTS_MAX]
    names = _host_names(report.timeline.lanes)
    clocks: dict[int, dict[str, int]] = {}
    sent: dict[tuple[str, int], dict[str, int]] = {}
    lines = []
    for step in steps:
        clock, name = clocks.setdefault(step.lane, {}), names[step.lane]
        if step.takes is not None:
            for other, count in sent.get(step.takes, {}).items():
                clock[other] = max(clock.get(other, 0), count)
        clock[name] = clock.get(name, 0) + 1
        if step.sends is not None:
            sent[step.sends] = dict(clock)
        lines.append(f"{name} {msgspec.json.encode(clock).decode()}\n{_one_line(step.text)}\n")
    return "".join(lines)


def _steps(timeline: Timeline) -> list[_Step]:
    versions = timeline.versions
    revisions = list(accumulate(versions.revision))
    found = []
    for number in _hosts(timeline.lanes):
        lane = timeline.lanes[number]
        for at_us, kind, ref in lane.marks():
            if kind == WRITTEN:
                asked = versions.request[ref]
                takes = ("request", asked) if asked >= 0 else None
                text = f"revision {revisions[ref]}: {versions.keys[versions.key[ref]]}"
                found.append(_Step(at_us, 1, number, text, ("version", ref), takes))
            elif kind == ASKED:
                request = timeline.requests[ref]
                found.append(_Step(at_us, 0, number, f"{request.text}: {request.outcome}", ("request", ref), None))
            elif kind in EVENTS:
                text = f"is told of revision {revisions[ref]}: {versions.keys[versions.key[ref]]}"
                found.append(_Step(at_us, 2, number, text, None, ("version", ref)))
            elif kind == LISTED:
                text = f"lists {len(timeline.listings[ref].versions)} objects at revision {timeline.listings[ref].revision}"
                found.append(_Step(at_us, 2, number, text, None, None))
    return found


def _hosts(lanes: list[Lane]) -> list[int]:
    """The lanes that have a part in it: the store, and of the others those with the most marks."""
    told = [
        number for number, lane in enumerate(lanes) if lane.at_us and lane.kind != "cache" and lane.kind != "workload"
    ]
    told.sort(key=lambda number: (lanes[number].kind != "store", -len(lanes[number].at_us), number))
    return sorted(told[:HOSTS_MAX])


def _host_names(lanes: list[Lane]) -> dict[int, str]:
    """Without white space, and no two the same."""
    found: dict[int, str] = {}
    taken: dict[str, None] = {}
    for number, lane in enumerate(lanes):
        name = re.sub(r"\s+", "-", lane.name.replace(" · ", "/")) or "lane"
        found[number] = name if name not in taken else f"{name}-{number}"
        taken[found[number]] = None
    return found


def _one_line(text: str) -> str:
    return " ".join(text.split()) or "-"
