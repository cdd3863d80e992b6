"""The report of a run: how long it takes to make, how large it is, and how soon a browser shows it.

A crowd of clients who watch the same pods, each told of every change: as many events as the row says. It is opened from disk
in a headless Chromium, cold, and is measured from the navigation until the page says that its diagram is drawn.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from cacher.reports import Document, Report, timeline_of, write_page
from tests.browser import CURE as CURE
from tests.browser import IS_FOUND, open_browser
from tests.cacher.reports.runs import crowd

SIZES = (100_000, 1_000_000)
CLIENTS = 1_000


class ReportCase(NamedTuple):
    """One row."""

    name: str
    events: int


class Opened(NamedTuple):
    """What one report took. `open_ms`: None where there is no browser."""

    make_s: float
    page_bytes: int
    open_ms: float | None


def report_cases(*, quick: bool) -> list[ReportCase]:
    """The rows; `quick`: a tenth of the events."""
    sizes = [size // 10 if quick else size for size in SIZES]
    return [ReportCase(f"report of {size:,} events", size) for size in sizes]


def measure_report(case: ReportCase) -> Opened:
    """Make the report once, and open it once in a browser of its own."""
    history = crowd(clients=CLIENTS, changes=case.events // CLIENTS)
    began_s = time.perf_counter()
    timeline, _ = timeline_of(history)
    page = write_page(Document("crowd", [Report("crowd", "trace", "held", True, "", timeline=timeline)]))
    make_s = time.perf_counter() - began_s
    if not IS_FOUND:
        return Opened(make_s, len(page), None)
    with tempfile.TemporaryDirectory() as directory, open_browser() as browser:
        path = Path(directory) / "report.html"
        path.write_text(page, encoding="utf-8")
        return Opened(make_s, len(page), browser.open(path))
