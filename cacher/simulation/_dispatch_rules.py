"""The figures of Kubernetes' dispatch: how much a watcher may lag, and how long all of them together may hold up the rest. Pure.

Source: kubernetes/apiserver pkg/storage/cacher, time_budget.go and watch_cache.go (suggestedWatchChannelSize).
"""

from __future__ import annotations

from math import ceil

REFILL_PER_S = 0.05
"""Seconds of waiting that come to the budget in a second."""
BUDGET_MAX_S = 0.1
"""What it holds at most: an event waits for all slow watchers together no longer than that."""
CHANNEL_MIN = 10
CHANNEL_MAX = 100
"""Of a resource that has no index, as most have none. Source: chanSizeWithoutIndex; 1.25 and later."""


class TimeBudget:
    """Seconds that a dispatcher may wait for watchers that do not take: one budget, whoever needs it.

    Empty at first; it fills as time passes, up to BUDGET_MAX_S.
    """

    def __init__(self, now_s: float) -> None:
        self._left_s = 0.0
        self._last_s = now_s

    def take(self, now_s: float) -> float:
        """All that there is. Give back what is not used. A clock that goes back adds nothing."""
        elapsed_s = max(0.0, now_s - self._last_s)
        self._last_s = now_s
        taken_s = min(BUDGET_MAX_S, self._left_s + elapsed_s * REFILL_PER_S)
        self._left_s = 0.0
        return taken_s

    def give_back(self, unused_s: float) -> None:
        """What was taken and not used. Less than nothing is nothing."""
        if unused_s > 0:
            self._left_s = min(BUDGET_MAX_S, self._left_s + unused_s)


def channel_size(ring_capacity: int, fresh_s: float) -> int:
    """How many events a watcher's channels hold each: about a second of what the ring is made for.

    Args:
        ring_capacity: events in the ring, which is made to hold `fresh_s` seconds of them.
    """
    return min(CHANNEL_MAX, max(CHANNEL_MIN, ceil(ring_capacity / fresh_s)))
