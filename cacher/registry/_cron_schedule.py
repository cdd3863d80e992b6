"""Whether a text is a schedule of a cron job, in the words of the library that Kubernetes reads them with. Pure.

    minute hour day-of-month month day-of-week        @hourly, @daily, …        @every 1h30m

Source: github.com/robfig/cron v3, parser.go (ParseStandard); Go's time.ParseDuration and strconv.Atoi.
"""

from __future__ import annotations

import functools
import re
import zoneinfo

import msgspec

from ._errors import quoted


class _Bounds(msgspec.Struct, frozen=True):
    least: int
    most: int
    names: tuple[str, ...] = ()
    """What stands for `least`, and the numbers after it."""


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (_Bounds(0, 59), _Bounds(0, 23), _Bounds(1, 31), _Bounds(1, 12, _MONTHS), _Bounds(0, 6, _DAYS))
_DESCRIPTORS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_EVERY = "@every "
_DURATION = re.compile(r"[-+]?(0|((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)")


@functools.cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def is_time_zone(name: str) -> bool:
    """Whether there is such a time zone. True of any, on a machine that knows none."""
    return name in _zones() or not _zones()


class _Unreadable(Exception):
    """The text is no schedule: why."""


def schedule_problem(schedule: str) -> str:
    """What is wrong with a schedule; "" where nothing is.

    >>> schedule_problem("*/5 9-17 * * mon-fri"), schedule_problem("60 * * * *")
    ('', 'end of range (60) above maximum (59): 60')
    """
    try:
        _read(schedule)
    except _Unreadable as unreadable:
        return str(unreadable)
    return ""


def _read(text: str) -> None:
    if text.startswith(("TZ=", "CRON_TZ=")):
        zone, _, rest = text.partition("=")[2].partition(" ")
        if not is_time_zone(zone):
            raise _Unreadable(f"provided bad location {zone}: unknown time zone {zone}")
        text = rest.strip()
    if text.startswith("@"):
        _read_descriptor(text)
        return
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise _Unreadable(f"expected exactly {len(_FIELDS)} fields, found {len(fields)}: [{' '.join(fields)}]")
    for field, bounds in zip(fields, _FIELDS, strict=True):
        for part in field.split(","):
            if part:
                _read_range(part, bounds)


def _read_descriptor(text: str) -> None:
    if text in _DESCRIPTORS:
        return
    if not text.startswith(_EVERY):
        raise _Unreadable(f"unrecognized descriptor: {text}")
    duration = text[len(_EVERY) :]
    if not _DURATION.fullmatch(duration):
        raise _Unreadable(f"failed to parse duration {text}: time: invalid duration {quoted(duration)}")


def _read_range(text: str, bounds: _Bounds) -> None:
    span, *steps = text.split("/")
    first, *others = span.split("-")
    if first in ("*", "?"):
        low, high = bounds.least, bounds.most
    else:
        low = high = _number_or_name(first, bounds)
        if len(others) == 1:
            high = _number_or_name(others[0], bounds)
        elif others:
            raise _Unreadable(f"too many hyphens: {text}")
    step = 1
    if len(steps) == 1:
        step = _number(steps[0])
        # "5/10" is from five to the end.
        high = high if others else bounds.most
    elif steps:
        raise _Unreadable(f"too many slashes: {text}")
    if low < bounds.least:
        raise _Unreadable(f"beginning of range ({low}) below minimum ({bounds.least}): {text}")
    if high > bounds.most:
        raise _Unreadable(f"end of range ({high}) above maximum ({bounds.most}): {text}")
    if low > high:
        raise _Unreadable(f"beginning of range ({low}) beyond end of range ({high}): {text}")
    if step == 0:
        raise _Unreadable(f"step of range should be a positive number: {text}")


def _number_or_name(text: str, bounds: _Bounds) -> int:
    name = text.lower()
    return bounds.least + bounds.names.index(name) if name in bounds.names else _number(text)


def _number(text: str) -> int:
    if not re.fullmatch(r"[-+]?\d+", text, re.ASCII):
        problem = f"strconv.Atoi: parsing {quoted(text)}: invalid syntax"
        raise _Unreadable(f"failed to parse int from {text}: {problem}")
    number = int(text)
    if number < 0:
        raise _Unreadable(f"negative number ({number}) not allowed: {text}")
    return number
