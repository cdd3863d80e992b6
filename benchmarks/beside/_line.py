"""A line of the table: what was measured on both sides, what was aimed at, and whether it was reached. Pure."""

from __future__ import annotations

import enum
import statistics
from collections.abc import Callable, Mapping, Sequence

import msgspec


class Unit(enum.StrEnum):
    """What a value is, and so which of two is better."""

    EVENTS = "events/s"
    DELIVERIES = "deliveries/s"
    OPERATIONS = "a second"
    SECONDS = "s"
    BYTES = "bytes"
    CPU = "µs of CPU"
    TIMES = "times"
    SHARE = "share"

    @property
    def is_rate(self) -> bool:
        """More is better."""
        return self in (Unit.EVENTS, Unit.DELIVERIES, Unit.OPERATIONS, Unit.SHARE)


class GoalKind(enum.StrEnum):
    """What a goal is about."""

    RATIO = "times the peer, at least"
    AT_LEAST = "at least"
    AT_MOST = "at most"


class Goal(msgspec.Struct, frozen=True):
    """What was aimed at."""

    kind: GoalKind
    amount: float


class Sample(msgspec.Struct, frozen=True):
    """One side in one run."""

    value: float
    cpu_us: float | None = None
    """CPU of an event where nobody watches, of a delivery where somebody does, of an operation."""
    p50_s: float | None = None
    p99_s: float | None = None
    note: str = ""


class Line(msgspec.Struct, frozen=True):
    """What one line is about."""

    group: str
    name: str
    unit: Unit
    goal: Goal | None = None


Runs = dict[Line, dict[str, list[Sample]]]
"""Of each line, by side ("ours", "peer"), the samples of all runs, in order: the n-th of both were taken one after the other."""

Found = Mapping[Line, Mapping[str, Sample]]
"""What one run of a job found."""


class Job(msgspec.Struct, frozen=True):
    """What is run together, since it shares a process or a peer's run."""

    name: str
    run: Callable[[int], Found]
    """By the number of the run."""
    runs_max: int = 99
    """For work that takes long: how often is enough."""


def ratio(unit: Unit, ours: float, peer: float) -> float:
    """How many times as good ours is."""
    return ours / peer if unit.is_rate else peer / ours


def ratios(line: Line, sides: Mapping[str, Sequence[Sample]]) -> list[float]:
    """Of each run, ours to the peer in the same run: what else the machine did then was about the same for both."""
    pairs = zip(sides.get("ours", ()), sides.get("peer", ()), strict=False)
    return [ratio(line.unit, ours.value, peer.value) for ours, peer in pairs if ours.value and peer.value]


def is_reached(line: Line, sides: Mapping[str, Sequence[Sample]]) -> bool | None:
    """Whether the median is what was aimed at. None: nothing was, or there is no peer to compare with."""
    goal, ours = line.goal, [one.value for one in sides.get("ours", ())]
    if goal is None or not ours:
        return None
    if goal.kind is GoalKind.RATIO:
        found = ratios(line, sides)
        return statistics.median(found) >= goal.amount if found else None
    value = statistics.median(ours)
    return value >= goal.amount if goal.kind is GoalKind.AT_LEAST else value <= goal.amount


def shown(unit: Unit, value: float) -> str:
    """A value with its unit, short enough for a table."""
    match unit:
        case Unit.SECONDS:
            return (
                f"{value * 1e6:.3g} µs" if value < 1e-3 else f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"
            )
        case Unit.BYTES:
            return f"{value:,.0f} B"
        case Unit.CPU:
            return f"{value:.3g} µs"
        case Unit.TIMES:
            return f"{value:.2f} ×"
        case Unit.SHARE:
            return f"{value:.0%}"
    if value >= 1e6:
        return f"{value / 1e6:.3g}M/s"
    return f"{value / 1e3:.3g}k/s" if value >= 1e3 else f"{value:.3g}/s"


def spread(unit: Unit, samples: Sequence[Sample]) -> str:
    """The median, with the least and the most where there were several."""
    if not samples:
        return "–"
    values = [one.value for one in samples]
    middle = shown(unit, statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({shown(unit, min(values))}–{shown(unit, max(values))})"


def goal_text(goal: Goal | None, unit: Unit) -> str:
    """A goal in the table."""
    if goal is None:
        return ""
    if goal.kind is GoalKind.RATIO:
        return f"≥ {goal.amount:g}×"
    return f"{'≥' if goal.kind is GoalKind.AT_LEAST else '≤'} {shown(unit, goal.amount)}"


def ratio_text(found: Sequence[float]) -> str:
    """The median of the ratios, with their spread."""
    if not found:
        return "–"
    middle = f"{statistics.median(found):.2g}" if statistics.median(found) < 10 else f"{statistics.median(found):,.0f}"
    return f"{middle}×" if len(found) == 1 else f"{middle}× ({min(found):.2g}–{max(found):.3g})"


def median_of(samples: Sequence[Sample], what: str) -> float | None:
    """Of a member that not every side has."""
    values = [value for one in samples if (value := getattr(one, what)) is not None]
    return statistics.median(values) if values else None


def latency_text(samples: Sequence[Sample]) -> str:
    """p50/p99 in ms."""
    p50, p99 = median_of(samples, "p50_s"), median_of(samples, "p99_s")
    return "–" if p50 is None or p99 is None else f"{p50 * 1e3:.2g}/{p99 * 1e3:.2g}"


def cpu_text(samples: Sequence[Sample]) -> str:
    """CPU in µs."""
    value = median_of(samples, "cpu_us")
    return "–" if value is None else f"{value:.3g}"
