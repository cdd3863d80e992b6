"""Times as objects carry them, and as seconds since 1970. Pure."""

from __future__ import annotations

from datetime import UTC, datetime


def seconds(moment: str | None) -> float | None:
    """The seconds of a time such as `2026-11-23T15:04:05Z` or `2026-11-23T15:04:05.123456Z`; None where it is none.

    >>> seconds("1970-01-01T00:01:00Z"), seconds("1970-01-01T00:00:00.500000Z"), seconds(None)
    (60.0, 0.5, None)
    """
    try:
        return datetime.fromisoformat(moment).timestamp() if moment else None
    except ValueError:
        return None


def unix_of(moment: str | None) -> float:
    """As `seconds`, with 0 where there is no time: for what is only compared with later ones."""
    return seconds(moment) or 0.0


def rfc3339(seconds: float) -> str:
    """The time as metadata and conditions carry it: to the second, and never later than it is.

    >>> rfc3339(60.9)
    '1970-01-01T00:01:00Z'
    """
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_moment(seconds: float) -> str:
    """The time as leases carry it.

    >>> micro_moment(60.25)
    '1970-01-01T00:01:00.250000Z'
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
