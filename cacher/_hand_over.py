"""When a cache's events go out to its watches: at once, or together with what comes within an interval.

    events ─► take ─┬─ the last hand-over was long enough ago ─► all watches, now
                    └─ it was not: they are routed, and held ──► all watches, when the interval is over

The cost of a hand-over is the watches', not the events': waking a thousand tasks, or sending on a thousand sockets, costs the
same for one event as for fifty. So a cache that is written to without a break spends nearly all of its time on hand-overs,
unless they are kept apart. An event that comes alone never waits.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio

from watch import Event, Router

from ._watch_cache import WatchCache

HELD_MAX = 1_000
"""Events that are held at most; with one more all go out, however short the time was."""


class HandOver:
    """From a cache to its watches. Starts nothing; with an interval, somebody has to `run` it.

    Args:
        interval_s: the least time, in seconds, from the end of a hand-over to the next: what an event may come late by, to
            watches alone. Lists and reads see it at once. 0: each batch from upstream goes out as it comes.
    Raises:
        ValueError: the interval is negative.
    """

    def __init__(self, cache: WatchCache, router: Router, *, interval_s: float = 0.0) -> None:
        if interval_s < 0:
            raise ValueError(
                f"a batch interval of {interval_s} s: 0, or how long an event may be held for others, in s"
            )
        self.interval_s = interval_s
        self._cache = cache
        self._router = router
        self._held = 0
        self._due = trio.Event()  # something is held
        self._next_s = 0.0

    def take(self, events: Sequence[Event]) -> None:
        """Hand over what the cache has just taken, now or in time."""
        cache = self._cache
        if not self.interval_s:
            self._router.publish(events, revision=cache.revision, oldest_revision=cache.ring.oldest_kept)
            return
        self._router.route_all(events)
        self._held += len(events)
        if self._held > HELD_MAX or trio.current_time() >= self._next_s:
            self.flush()
        else:
            self._due.set()

    def settle(self) -> None:
        """Hand over what is held, if anything is: before somebody joins, or all watches end."""
        if self._held:
            self.flush()

    def flush(self) -> None:
        """Hand over what is held, and let watches know how far the cache and its ring are."""
        held, self._held = self._held, 0  # first: a sink may open a watch, which settles
        self._router.flush(revision=self._cache.revision, oldest_revision=self._cache.ring.oldest_kept)
        if held:
            self._next_s = trio.current_time() + self.interval_s

    async def run(self) -> None:
        """Hand over in time what is held, until cancelled."""
        while True:
            await self._due.wait()
            await trio.sleep_until(self._next_s)
            self._due = trio.Event()
            self.settle()
