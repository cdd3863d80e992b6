"""The time of day, from the trio clock: what objects say of when they were created, and leases of when they were renewed.

    Clock.unix() = epoch_s + trio.current_time()

So a virtual clock gives virtual times, and a run from one seed the same ones. The epoch is read off the machine once, when a
cluster is opened on the real clock; a simulation hands in its own.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

import trio


class Clock:
    """Tells the time of day. `epoch_s`: the Unix time at which the trio clock shows 0."""

    def __init__(self, epoch_s: float) -> None:
        self.epoch_s = epoch_s

    @classmethod
    def of_machine(cls) -> Clock:
        """The machine's time of day, as it is now. Call it inside trio.

        What the machine's clock is set to later does not show: times never go back.
        """
        return cls(time.time() - trio.current_time())

    def unix(self) -> float:
        """Seconds since 1970."""
        return self.epoch_s + trio.current_time()

    def rfc3339(self) -> str:
        """The time as metadata carries it: to the second, in UTC, `2026-11-23T15:04:05Z`."""
        return datetime.fromtimestamp(self.unix(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
