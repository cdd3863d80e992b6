"""A timeline in the Chrome trace format, which https://ui.perfetto.dev and chrome://tracing open. Pure.

Lanes are threads, requests and bands slices, deliveries arrows from the write to the receipt, plots counters.
Source: the "Trace Event Format" document of the Chromium project: `ph` X, i, s, f, C and M; times in µs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import msgspec

from ._levels import choose
from ._model import ASKED, EVENTS, LIFE, LISTED, SAMPLED, WRITTEN, Report, Timeline

MARKS_MAX = 300_000
"""Of clients: beyond so many whole clients are left out, those that a guarantee was broken for last. 50 MB."""
_FAULTS_TID = 0
_WORDS = {
    "a": "added",
    "m": "modified",
    "d": "deleted",
    "b": "bookmark",
    "e": "initial state complete",
    "l": "listed",
    "o": "watch opened",
    "i": "watch opened with its state",
    "c": "watch closed",
    "n": "watch ended",
    "x": "watch expired",
    "r": "another life",
    "g": "left out",
    "w": "written",
    "q": "request",
    "s": "life",
    "p": "looked at",
}


def to_perfetto(reports: Sequence[Report]) -> bytes:
    """The JSON, each report a process of its own. One without a timeline has no events. Cost: a few µs an event."""
    found = [event for number, report in enumerate(reports) for event in _Run(report, number + 1).events()]
    other = {f"{one} of {report.title}": getattr(report, one) for report in reports for one in ("verdict", "replay")}
    return msgspec.json.encode({"displayTimeUnit": "ms", "otherData": other, "traceEvents": found})


class _Run:
    """One report, as the process `pid`."""

    def __init__(self, report: Report, pid: int) -> None:
        self.report = report
        self.pid = pid
        self.arrows = 0

    def events(self) -> Iterator[dict[str, Any]]:
        """All of it."""
        report, timeline = self.report, self.report.timeline
        yield self._meta("process_name", _FAULTS_TID, {"name": report.title})
        yield self._meta("thread_name", _FAULTS_TID, {"name": "faults and violations"})
        for breach in report.breaches:
            facts = {"message": breach.message}
            yield self._instant(breach.guarantee, "violation", breach.at_us, _FAULTS_TID, facts) | {"s": "g"}
        if timeline is None:
            return
        shown = _shown(report, timeline)
        for number in shown:
            yield self._meta("thread_name", number + 1, {"name": timeline.lanes[number].name})
            yield self._meta("thread_sort_index", number + 1, {"sort_index": number + 1})
        for band in timeline.bands:
            yield self._slice(band.text, band.kind, band.from_us, band.to_us - band.from_us, _FAULTS_TID)
        for request in timeline.requests:
            facts = {"outcome": request.outcome, "server": request.server}
            lasting_us = request.done_us - request.at_us
            yield self._slice(request.text, "request", request.at_us, lasting_us, request.lane + 1, facts)
        yield from self._marks(timeline, shown)
        for plot in timeline.plots:
            for line in plot.lines:
                for at_us, value in zip(accumulate(line.at_us), line.values, strict=True):
                    yield self._event("C", 0, at_us, f"{plot.title}: {line.label}") | {"args": {plot.unit: value}}

    def _marks(self, timeline: Timeline, shown: Sequence[int]) -> Iterator[dict[str, Any]]:
        versions = timeline.versions
        revisions, written_us = list(accumulate(versions.revision)), list(accumulate(versions.at_us))
        store = next((number for number, lane in enumerate(timeline.lanes) if lane.kind == "store"), 0)
        for number in shown:
            lane = timeline.lanes[number]
            for at_us, kind, ref in lane.marks():
                if kind == ASKED:
                    continue  # a slice of its own
                name, facts = _WORDS[kind], _facts(timeline, kind, ref, revisions)
                if kind in EVENTS and 0 < written_us[ref] <= at_us:
                    self.arrows += 1
                    yield self._arrow("s", written_us[ref], store + 1)
                    yield self._slice(f"{name} {facts['key']}", "event", at_us, 1, number + 1, facts)
                    yield self._arrow("f", at_us, number + 1) | {"bp": "e"}
                elif kind == WRITTEN:
                    yield self._slice(f"{name} {facts['key']}", "write", at_us, 1, number + 1, facts)
                else:
                    yield self._instant(name, lane.kind, at_us, number + 1, facts)

    # ---- single events -----------------------------------------------------------------------------------------------

    def _event(self, phase: str, tid: int, at_us: int, name: str) -> dict[str, Any]:
        return {"ph": phase, "pid": self.pid, "tid": tid, "ts": at_us, "name": name}

    def _meta(self, what: str, tid: int, args: dict[str, Any]) -> dict[str, Any]:
        return {"ph": "M", "pid": self.pid, "tid": tid, "name": what, "args": args}

    def _slice(
        self, name: str, category: str, at_us: int, lasting_us: int, tid: int, args: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        return self._event("X", tid, at_us, name) | {"cat": category, "dur": lasting_us, "args": args or {}}

    def _instant(self, name: str, category: str, at_us: int, tid: int, args: dict[str, Any]) -> dict[str, Any]:
        return self._event("i", tid, at_us, name) | {"cat": category, "s": "t", "args": args}

    def _arrow(self, end: str, at_us: int, tid: int) -> dict[str, Any]:
        return self._event(end, tid, at_us, "delivery") | {"cat": "delivery", "id": f"{self.pid}.{self.arrows}"}


def _shown(report: Report, timeline: Timeline) -> list[int]:
    """The lanes that are shown, by number: all but the clients that are too many."""
    sizes = [(str(number), len(lane.at_us)) for number, lane in enumerate(timeline.lanes) if lane.kind == "client"]
    broken = dict.fromkeys(str(breach.lane) for breach in report.breaches)
    kept = choose([(name, size, name in broken) for name, size in sizes], MARKS_MAX).kept
    names = dict.fromkeys(kept)
    return [number for number, lane in enumerate(timeline.lanes) if lane.kind != "client" or str(number) in names]


def _facts(timeline: Timeline, kind: str, ref: int, revisions: Sequence[int]) -> dict[str, Any]:
    if kind in EVENTS or kind == WRITTEN:
        return {"key": timeline.versions.keys[timeline.versions.key[ref]], "revision": revisions[ref]}
    if kind == LISTED:
        listing = timeline.listings[ref]
        return {"revision": listing.revision, "objects": len(listing.versions)}
    return {"what": timeline.texts[ref]} if kind in (LIFE, SAMPLED) else {"revision": ref}
