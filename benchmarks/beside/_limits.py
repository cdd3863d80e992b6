"""What holds back a line that has not reached its goal: by a part of its name, the first that fits. From profiles alone."""

from __future__ import annotations

from ._line import Line

UNKNOWN = "not profiled yet"

LIMITS: tuple[tuple[str, str], ...] = (
    (
        "one event a burst: a task each",
        "trio's wake: about 2 µs for each task and event, whatever the cache does",
    ),
    (
        "a cached object",
        "the JSON itself, which is kept as stored, is 1,000 of the bytes: with it alone the goal is all but used up",
    ),
    ("an event of history", "the JSON of each version is kept as stored: 1,000 of the bytes"),
)


def limit_of(line: Line) -> str:
    """The reason, in words."""
    return next((reason for part, reason in LIMITS if part in line.name or part == line.group), UNKNOWN)
