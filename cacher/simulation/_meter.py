"""The meter: how long an event takes from the writer to a client, and how many are delivered, in wall-clock time.

The one file of a run that reads the real clock. It only looks: nothing in the path asks it anything, so a run under the
virtual clock goes the same way whatever the meter says.
"""

from __future__ import annotations

import math
import resource
import sys
from time import perf_counter_ns, sleep

import msgspec

from watch import Event, EventType

BUCKETS_A_DOUBLING = 32
"""A bucket is at most 1/32 as wide as its values, and is reported by its middle: within 1.6 % of the truth."""

_STEP_BITS = BUCKETS_A_DOUBLING.bit_length() - 1
_LAG_NS_MAX = (1 << 62) - 1  # 146 years; longer lags are counted as this

NOT_MEASURED = 1 << 62
"""As `since`: count the deliveries of this watch, and not their lags."""


class LagHistogram:
    """Counts of durations in buckets of constant relative width: any quantile within 1.6 %, the maximum exactly.

    Whole nanoseconds below 64 have a bucket each; above, each doubling has 32 buckets. Limit: 1,888 counters, whatever is added.
    """

    def __init__(self) -> None:
        self._counts = [0] * ((62 - _STEP_BITS + 1) * BUCKETS_A_DOUBLING)
        self.count = 0
        self.max_ns = 0

    def add(self, lag_ns: int) -> None:
        """Count one duration; a negative one counts as 0."""
        if not 0 <= lag_ns <= _LAG_NS_MAX:
            lag_ns = min(max(lag_ns, 0), _LAG_NS_MAX)
        shift = lag_ns.bit_length() - _STEP_BITS - 1
        if shift < 0:
            shift = 0
        self._counts[(shift << _STEP_BITS) + (lag_ns >> shift)] += 1
        self.count += 1
        if lag_ns > self.max_ns:
            self.max_ns = lag_ns

    def quantile_ns(self, share: float) -> float:
        """A duration that `share` (0 to 1) of those counted do not exceed, within 1.6 %; 0 where nothing was counted.

        Cost: O(buckets).
        """
        wanted = max(1, math.ceil(share * self.count))
        seen = 0
        for index, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                return min(_middle_ns(index), self.max_ns)
        return self.max_ns  # an int: as a float it would be rounded, above 2^53 ns possibly upwards


def _middle_ns(index: int) -> float:
    """The middle of the values that fall into bucket `index`: the inverse of the arithmetic in `add`."""
    if index < 2 * BUCKETS_A_DOUBLING:
        return float(index)
    shift = (index >> _STEP_BITS) - 1
    low = (index - (shift << _STEP_BITS)) << shift
    return low + ((1 << shift) - 1) / 2


class LagSummary(msgspec.Struct, frozen=True):
    """Publish→receive lag in seconds of wall time, over `count` deliveries."""

    count: int
    p50_s: float
    p99_s: float
    max_s: float


class Meter:
    """Stamps each revision when it is written, and looks at the clock when a client takes a batch.

    A delivery's lag counts where the client's watch was open before the event was written: what a late or resuming client
    catches up on is history, not lag. Bookmarks are not deliveries.
    """

    def __init__(self) -> None:
        self.lags = LagHistogram()
        self.deliveries = 0
        self.bookmarks = 0
        self._stamps: dict[int, int] = {}
        self._play_started_ns = 0
        self._play_ns = 0
        self._drawn_ns = 0

    def play_starts(self) -> None:
        """The writes begin: the wall time of the play counts from here."""
        self._play_started_ns = perf_counter_ns()

    def play_ends(self) -> None:
        """All that was written has been taken, or the run was stopped. Only the first call after `play_starts` counts."""
        if self._play_started_ns and not self._play_ns:
            self._play_ns = perf_counter_ns() - self._play_started_ns

    def published(self, revision: int) -> None:
        """`revision` is about to be written. Stamped before the write, since the event may arrive before it is acknowledged."""
        self._stamps[revision] = perf_counter_ns()

    def watch_opens(self) -> int:
        """The `since` of a watch that opens now."""
        return perf_counter_ns()

    def stamps(self, batch: tuple[Event, ...]) -> tuple[int, ...]:
        """When each delivery of `batch` was published; 0 for what was there before the run. Bookmarks have none.

        The same for everybody who takes the batch, so ask once for all of them.
        """
        of_revision = self._stamps
        return tuple([of_revision.get(event.revision, 0) for event in batch if event.type is not EventType.BOOKMARK])

    def taken(self, stamps: tuple[int, ...], since: int, *, bookmarks: int = 0) -> None:
        """A client took a batch with these `stamps` from a watch opened at `since` (or NOT_MEASURED). Cost: 0.4 µs an event."""
        now = perf_counter_ns()
        self.deliveries += len(stamps)
        self.bookmarks += bookmarks
        add = self.lags.add
        for stamp in stamps:
            if stamp > since:
                add(now - stamp)

    def lag(self) -> LagSummary:
        """The lags measured so far."""
        lags = self.lags
        return LagSummary(lags.count, lags.quantile_ns(0.5) / 1e9, lags.quantile_ns(0.99) / 1e9, lags.max_ns / 1e9)

    @property
    def play_wall_s(self) -> float:
        """Wall seconds from the first write until all was taken; until now where the play goes on; 0 before it."""
        if not self._play_started_ns:
            return 0.0
        return (self._play_ns or perf_counter_ns() - self._play_started_ns) / 1e9

    @property
    def deliveries_per_s(self) -> float:
        """Deliveries by wall seconds of the play."""
        wall_s = self.play_wall_s
        return self.deliveries / wall_s if wall_s else 0.0

    def is_time_to_draw(self, interval_s: float) -> bool:
        """True at most once in `interval_s` wall seconds: for a display that must not slow the run down."""
        now = perf_counter_ns()
        if now - self._drawn_ns < interval_s * 1e9:
            return False
        self._drawn_ns = now
        return True


def wall_s() -> float:
    """Wall seconds since some moment, for displays: nothing in a run asks for them."""
    return perf_counter_ns() / 1e9


def pause(seconds: float) -> None:
    """Let a person look, for wall `seconds` in which nothing runs. A run's own clock is virtual, and does not notice."""
    sleep(seconds)


def memory_peak_bytes() -> int:
    """The most memory that this process has ever held, in bytes. Source: getrusage(2): KiB on Linux, bytes on macOS."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
