"""When the times of a schedule are: the next after a moment. Pure. Whether a text is a schedule, the registry has seen to.

    minute hour day-of-month month day-of-week        @hourly, @daily, …        @every 1h30m

A day counts if both of its fields match, or, where neither is open (`*`, `?`), if one of them does. In a zone that changes its
clocks a time that does not exist is passed over, and one that comes twice is the first of both.

Source: github.com/robfig/cron v3, spec.go, parser.go, constantdelay.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_DAYS = {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DAYS_AHEAD = 366 * 5
"""A schedule that has no time in five years has none."""


class Schedule(msgspec.Struct, frozen=True):
    """A schedule that was read."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    """0 is Sunday."""
    is_any_day: bool
    """The days of the month, or those of the week, are left open: then both have to match."""
    every_s: float = 0.0
    """Of `@every`, and then nothing else counts."""


def read_schedule(text: str) -> Schedule:
    """The schedule that `text` names.

    Raises:
        ValueError: it is none: an API server stores no such cron job.
    """
    if text.startswith("@every "):
        parts = _DURATION.findall(text.removeprefix("@every "))
        seconds = sum(float(number) * _UNITS_S[unit] for number, unit in parts)
        return Schedule((), (), frozenset(), frozenset(), frozenset(), True, max(1.0, float(int(seconds))))
    fields = _DESCRIPTORS.get(text, text).split()
    if len(fields) != 5:
        raise ValueError(f"{text!r} is no schedule: five fields are needed, such as '*/5 * * * *'")
    minute, hour, day, month, weekday = fields
    return Schedule(
        tuple(sorted(_values(minute, 0, 59, {}))),
        tuple(sorted(_values(hour, 0, 23, {}))),
        _values(day, 1, 31, {}),
        _values(month, 1, 12, _MONTHS),
        _values(weekday, 0, 6, _DAYS),
        is_any_day=_is_open(day) or _is_open(weekday),
    )


def _is_open(field: str) -> bool:
    """With a step too: `*/2` is open, and that is how the library has it."""
    return any(part.startswith(("*", "?")) and part.partition("/")[2] in ("", "1") for part in field.split(","))


def _values(field: str, least: int, most: int, names: dict[str, int]) -> frozenset[int]:
    found: list[int] = []
    for part in field.split(","):
        span, _, step = part.partition("/")
        if span in ("*", "?"):
            first, last = least, most
        else:
            low, _, high = span.partition("-")
            first = _number(low, names)
            last = _number(high, names) if high else (most if step else first)
        found += range(first, last + 1, int(step) if step else 1)
    return frozenset(found)


def _number(text: str, names: dict[str, int]) -> int:
    return names[text.lower()] if text.lower() in names else int(text)


def next_time(schedule: Schedule, after: float, zone: str = "UTC") -> float | None:
    """The first time after the Unix time `after`; None where there is none in five years. Cost: O(days until then)."""
    if schedule.every_s:
        return float(int(after)) + schedule.every_s
    return next((moment for moment in _times(schedule, after, ZoneInfo(zone)) if moment > after), None)


def times_between(schedule: Schedule, after: float, until: float, zone: str = "UTC") -> Iterator[float]:
    """All times after `after` and not after `until`, oldest first."""
    moment = next_time(schedule, after, zone)
    while moment is not None and moment <= until:
        yield moment
        moment = next_time(schedule, moment, zone)


def _times(schedule: Schedule, after: float, zone: ZoneInfo) -> Iterator[float]:
    today = datetime.fromtimestamp(after, zone).date()
    for ahead in range(_DAYS_AHEAD):
        day = today + timedelta(days=ahead)
        if _is_day(schedule, day):
            yield from _times_of(schedule, day, zone)


def _times_of(schedule: Schedule, day: date, zone: ZoneInfo) -> Iterator[float]:
    for hour in schedule.hours:
        for minute in schedule.minutes:
            local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
            moment = local.timestamp()
            back = datetime.fromtimestamp(moment, UTC).astimezone(zone)
            if (back.hour, back.minute) == (hour, minute):
                yield moment


def _is_day(schedule: Schedule, day: date) -> bool:
    if day.month not in schedule.months:
        return False
    of_month, of_week = day.day in schedule.days, day.isoweekday() % 7 in schedule.weekdays
    return (of_month and of_week) if schedule.is_any_day else (of_month or of_week)
