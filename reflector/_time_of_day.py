"""The time of day, for people who read it: nothing here is decided by it. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol


class TimeOfDay(Protocol):
    """Tells the time of day, such as a cluster's `clock`."""

    def unix(self) -> float:
        """Seconds since 1970."""
        ...


def micro_time(unix_s: float) -> str:
    """As the API has times of leases: in UTC, to the microsecond.

    >>> micro_time(1.5)
    '1970-01-01T00:00:01.500000Z'
    """
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
