"""What a report says, as one value: the same for the page, the exports, a comparison, and what is saved in the file. Pure.

    Document ─► Report (one a run) ─► Timeline ─► Lane: marks as columns, which refer to versions, lists and requests by number

Times are whole microseconds from `origin_s` on the run's clock. Long columns hold differences to the entry before, so that a
million entries are small when they are compressed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Literal

import msgspec

VERSION = 1
"""Of what is saved: a page of another one is refused by `read_page`."""

LaneKind = Literal["workload", "store", "cache", "process", "watch", "client"]

# ---- what a mark is: one letter each --------------------------------------------------------------------------------------
ADDED, MODIFIED, DELETED = "a", "m", "d"
"""An event, as its watcher was told it. Refers to a version."""
BOOKMARK, INITIAL_END = "b", "e"
"""Refers to the revision that it told. INITIAL_END: the streamed state is complete."""
LISTED = "l"
"""A list came back. Refers to a listing."""
OPENED, OPENED_INITIAL = "o", "i"
"""A watch was opened, with INITIAL its state streamed first. Refers to the revision that it was opened from."""
CLOSED, OVER, EXPIRED = "c", "n", "x"
"""A watch ended: by its client, by its cache, since what it needed is gone. Refers to the oldest revision that was left, or 0."""
BORN = "r"
"""Another life of its process begins here, with nothing. Refers to the number of that life."""
GAP = "g"
"""Marks are left out up to the next one, which lists the whole state. Refers to how many."""
WRITTEN = "w"
"""The store took a write. Refers to a version."""
ASKED = "q"
"""A request was sent. Refers to a request."""
LIFE = "s"
"""A process began or ended; a line of a workload. Refers to a text."""
SAMPLED = "p"
"""A cache was looked at. Refers to a text."""
EVENTS = (ADDED, MODIFIED, DELETED)


class Versions(msgspec.Struct):
    """Every version of every object that the store had or anybody was shown. Columns of one length, in the order of time."""

    keys: list[str] = []
    """The distinct keys."""
    uids: list[str] = []
    """The distinct uids; the first is "", of which there is none."""
    key: list[int] = []
    """Which of the keys."""
    revision: list[int] = []
    """Each as the difference to the one before."""
    at_us: list[int] = []
    """When it was written, as differences; of what was there at the start, 0 altogether."""
    change: str = ""
    """A letter each: `0` there at the start, ADDED, MODIFIED, DELETED; `?`: shown to somebody, and unknown to the store."""
    uid: list[int] = []
    request: list[int] = []
    """The number of the request that it was written for; -1: nobody's that is known."""


class Listing(msgspec.Struct):
    """One state that was shown as a whole: the versions in it."""

    revision: int
    versions: list[int]


class Lane(msgspec.Struct):
    """One part of the world, and what happened at it, in order. The columns `at_us`, `kind` and `ref` are of one length."""

    name: str
    kind: LaneKind
    under: int = -1
    """The lane that it belongs to: of a watch, its process; -1: none."""
    note: str = ""
    """What it watches, or who it talks to."""
    sees_all: bool = False
    """Whether what it does not have is missing: it watches without a selector."""
    prefix: str = ""
    at_us: list[int] = []
    """As differences."""
    kind_of: str = ""
    """A letter each."""
    ref: list[int] = []
    """As differences."""
    left_out: int = 0
    """Marks that a limit has taken from this lane."""

    def marks(self) -> Iterator[tuple[int, str, int]]:
        """Time in µs, letter and reference of each mark. Cost: O(marks)."""
        return zip(accumulate(self.at_us), self.kind_of, accumulate(self.ref), strict=True)


class Request(msgspec.Struct):
    """A call of the API: from when to when, by which lane, through which server, and the reads that it was decided on."""

    at_us: int
    done_us: int
    lane: int
    text: str
    server: str
    outcome: str
    versions: list[int] = []
    """What was written for it."""
    beliefs: list[tuple[int, str, int]] = []
    """A version, who showed it, and when, in µs."""


class Band(msgspec.Struct):
    """Something that lasted: a fault, a process that was down, a phase. `lanes`: empty is all of them."""

    from_us: int
    to_us: int
    kind: Literal["fault", "down", "phase"]
    text: str
    lanes: list[int] = []


class Breach(msgspec.Struct):
    """One breach of a guarantee. `lane`: -1 where it is at no part in particular."""

    at_us: int
    lane: int
    revision: int
    guarantee: str
    message: str


class Line(msgspec.Struct):
    """One curve of a plot; times as differences, in µs."""

    label: str
    at_us: list[int]
    values: list[float]


class Plot(msgspec.Struct):
    """Curves that share a scale. `in_buckets`: a value tells of its bucket alone, until the next one begins."""

    title: str
    unit: str
    lines: list[Line]
    in_buckets: bool = False
    note: str = ""


class Timeline(msgspec.Struct):
    """Everything that has a time and a place. `end_us`: where the run ended."""

    end_us: int
    lanes: list[Lane]
    versions: Versions = msgspec.field(default_factory=Versions)
    listings: list[Listing] = []
    requests: list[Request] = []
    texts: list[str] = []
    bands: list[Band] = []
    plots: list[Plot] = []
    origin_s: float = 0.0
    marks_seen: int = 0
    """Of the run. Where the lanes have fewer, a limit has left out the others."""
    lanes_left_out: list[str] = []
    """Clients that have no lane for the same reason: the first few by name."""
    lanes_left_out_count: int = 0


class Guarantee(msgspec.Struct):
    """A guarantee and how often it was looked at and broken."""

    name: str
    sentence: str
    checks: int
    broken: int


class Table(msgspec.Struct):
    """Figures that are read as a table. The first column is words; `bars` names columns that are drawn as bars too."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    note: str = ""
    bars: list[int] = []


class Told(msgspec.Struct):
    """One line of the chronicle."""

    at_us: int
    who: str
    what: str


class Report(msgspec.Struct):
    """One run. What it came to stands first."""

    title: str
    kind: str
    """run, hunt, replay, shrink, explain, trace or benchmark."""
    verdict: str
    is_ok: bool
    replay: str
    """The command that does the same again; "" where there is none."""
    facts: list[tuple[str, str]] = []
    story: list[str] = []
    script: list[str] = []
    """What was done and what struck, a line each."""
    script_title: str = "The script"
    guarantees: list[Guarantee] = []
    breaches: list[Breach] = []
    """In the order of time: the first is the first violation."""
    chronicle: list[Told] = []
    chronicle_left_out: int = 0
    tables: list[Table] = []
    notes: list[str] = []
    timeline: Timeline | None = None


class Difference(msgspec.Struct):
    """One way in which two runs differ."""

    what: str
    a: str
    b: str


class Comparison(msgspec.Struct):
    """Two runs beside each other: `differences` is empty where they are the same."""

    a: str
    b: str
    differences: list[Difference]
    same: list[str] = []
    """What was compared and is equal."""


class Document(msgspec.Struct):
    """What one file holds: one report or several, and perhaps how two of them compare."""

    title: str
    reports: list[Report]
    comparison: Comparison | None = None
    made_by: str = ""
    version: int = VERSION


def differences(values: Iterable[int]) -> list[int]:
    """Each value as the difference to the one before; the first as it is. `accumulate` undoes it."""
    found, before = [], 0
    for value in values:
        found.append(value - before)
        before = value
    return found
