"""The curves of a run: deliveries and their lag, caches behind the store, rings, watchers, relists, what is kept. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping

from watch import EventType

from ..simulation import ClientHistory, Ended, History, Listed, Opened, Received
from ._model import Line, Plot, differences

BUCKETS = 600
"""Points of a curve at most: more than a screen has columns for it."""
LINES_MAX = 8
"""Curves of one plot: those with the highest peaks."""
MEMORY_NOTE = "objects of the rings and of the logs that readers have yet to take: what a cache keeps beside its one current state"


def plots_of(history: History, origin_s: float, end_us: int) -> list[Plot]:
    """All of them, those that would be empty left out. Cost: about 0.2 µs a delivery."""
    plots = _Plots(history, origin_s, end_us)
    for client in history.clients:
        plots.add(client)
    return [plot for plot in plots.plots() if plot.lines]


class _Plots:
    def __init__(self, history: History, origin_s: float, end_us: int) -> None:
        self.history = history
        self.origin_s = origin_s
        self.end_us = end_us
        self.width_us = max(1, -(-end_us // BUCKETS))
        self.deliveries: dict[int, float] = {}
        self.lag_us: dict[bool, dict[int, int]] = {False: {}, True: {}}
        """Of those who keep up, and of those who were told to be slow: by bucket."""
        self.lists: dict[int, float] = {}
        self.relists: dict[int, float] = {}
        self.watchers: dict[int, int] = {}
        self._published = {revision: self._us(at_s) for revision, at_s in history.published_at_s.items()}
        self._batches: dict[int, tuple[int, int]] = {}

    def _us(self, at_s: float) -> int:
        return round((at_s - self.origin_s) * 1e6)

    def add(self, client: ClientHistory) -> None:
        """What one client did and saw."""
        states, opened_us = 0, -1
        for step in client.steps:
            at_us = self._us(step.at_s)
            bucket = at_us // self.width_us
            if isinstance(step, Received):
                self._received(step, bucket, opened_us, is_slow=client.slow and not client.process)
            elif isinstance(step, Ended):
                if opened_us >= 0:
                    self.watchers[at_us] = self.watchers.get(at_us, 0) - 1
                opened_us = -1
            else:
                is_state = isinstance(step, Listed) or step.initial
                if is_state:
                    _count(self.relists if states else self.lists, bucket)
                    states += 1
                if isinstance(step, Opened):
                    self.watchers[at_us] = self.watchers.get(at_us, 0) + (opened_us < 0)
                    opened_us = at_us
        if opened_us >= 0:
            self.watchers[self.end_us] = self.watchers.get(self.end_us, 0) - 1

    def _received(self, step: Received, bucket: int, opened_us: int, *, is_slow: bool) -> None:
        known = self._batches.get(id(step.batch))
        if known is None:
            events = [event for event in step.batch if event.type is not EventType.BOOKMARK]
            oldest = min((self._published.get(event.revision, -1) for event in events), default=-1)
            known = self._batches[id(step.batch)] = len(events), oldest
        count, oldest_us = known
        if count:
            _count(self.deliveries, bucket, count)
            if oldest_us >= opened_us >= 0:  # what was written before the watch was opened is history, not lag
                lags = self.lag_us[is_slow]
                lags[bucket] = max(lags.get(bucket, 0), self._us(step.at_s) - oldest_us)

    def plots(self) -> list[Plot]:
        """In the order of the page."""
        lags = {
            is_slow: {bucket: late_us / 1e6 for bucket, late_us in found.items()}
            for is_slow, found in self.lag_us.items()
        }
        note = "the latest, from write to receipt, by the run's clock"
        return [
            self._of_buckets("deliveries", "events", {"all clients": self.deliveries}),
            self._of_buckets("lag of deliveries", "s", {"all that keep up": lags[False]}, note=note),
            self._of_buckets("lag of deliveries to clients that are slow on purpose", "s", {"all of them": lags[True]}),
            self._of_samples(
                "lag of caches",
                "s",
                self._cache_lag(),
                note="age of the oldest change that a cache has yet to learn of",
            ),
            self._of_samples("ring fill", "%", self._ring_fill()),
            Plot("watchers", "open watches", self._watchers()),
            self._of_buckets("lists and relists", "lists", {"first": self.lists, "again": self.relists}),
            self._of_samples("memory", "events kept", self._kept(), note=MEMORY_NOTE),
        ]

    def _of_buckets(self, title: str, unit: str, lines: Mapping[str, Mapping[int, float]], *, note: str = "") -> Plot:
        found = [
            Line(
                label,
                differences(bucket * self.width_us for bucket in sorted(points)),
                [points[each] for each in sorted(points)],
            )
            for label, points in lines.items()
            if points
        ]
        width = f"each {self.width_us / 1e6:.3g} s"
        return Plot(title, unit, found, in_buckets=True, note="; ".join(filter(None, (width, note))))

    def _of_samples(self, title: str, unit: str, lines: dict[str, list[tuple[int, float]]], *, note: str = "") -> Plot:
        """The curves with the highest peaks; the number of the others stands in the note."""
        lines = {label: points for label, points in lines.items() if any(value for _, value in points)}
        highest = sorted(lines, key=lambda label: -max(value for _, value in lines[label]))
        shown = dict.fromkeys(highest[:LINES_MAX])
        rest = f"and {len(lines) - len(shown)} that stay lower" if len(lines) > len(shown) else ""
        found = [
            Line(label, differences(at_us for at_us, _ in thinned), [value for _, value in thinned])
            for label in shown
            for thinned in [list(_peaks(lines[label]))]
        ]
        return Plot(title, unit, found, note="; ".join(filter(None, (note, rest))))

    def _watchers(self) -> list[Line]:
        steps, now = [], 0
        for at_us in sorted(self.watchers):
            now += self.watchers[at_us]
            steps.append((at_us, float(now)))
        thinned = list(_peaks(steps))
        return (
            [Line("all clients", differences(at_us for at_us, _ in thinned), [value for _, value in thinned])]
            if thinned
            else []
        )

    # ---- of the caches -----------------------------------------------------------------------------------------------

    def _cache_lag(self) -> dict[str, list[tuple[int, float]]]:
        changes = {
            prefix: [change.revision for change in store.changes] for prefix, store in self.history.stores.items()
        }
        found: dict[str, list[tuple[int, float]]] = {}
        for sample in self.history.samples:
            if not sample.revision:  # nobody has asked for this cache yet, so it mirrors nothing
                continue
            revisions = changes.get(sample.prefix, [])
            next_one = bisect_right(revisions, sample.revision)
            at_us = self._us(sample.at_s)
            written_us = self._published.get(revisions[next_one], at_us) if next_one < len(revisions) else at_us
            found.setdefault(_label(sample.server, sample.prefix), []).append((at_us, max(0, at_us - written_us) / 1e6))
        return found

    def _ring_fill(self) -> dict[str, list[tuple[int, float]]]:
        found: dict[str, list[tuple[int, float]]] = {}
        for sample in self.history.samples:
            if sample.ring_capacity:
                share = round(100 * sample.ring_length / sample.ring_capacity, 1)
                found.setdefault(_label(sample.server, sample.prefix), []).append((self._us(sample.at_s), share))
        return found

    def _kept(self) -> dict[str, list[tuple[int, float]]]:
        sums: dict[str, dict[int, float]] = {}
        for sample in self.history.samples:
            by_time = sums.setdefault(sample.server or "all caches", {})
            at_us = self._us(sample.at_s)
            by_time[at_us] = by_time.get(at_us, 0.0) + sample.ring_length + sample.log_events
        return {label: sorted(points.items()) for label, points in sums.items()}


def _label(server: str, prefix: str) -> str:
    short = prefix.removeprefix("/registry/").rstrip("/")
    return f"{server} {short}".strip()


def _count(counts: dict[int, float], bucket: int, number: int = 1) -> None:
    counts[bucket] = counts.get(bucket, 0) + number


def _peaks(points: Iterable[tuple[int, float]]) -> Iterable[tuple[int, float]]:
    """At most 2 · BUCKETS of them: of each stretch its first point and its highest one."""
    every = list(points)
    if len(every) <= 2 * BUCKETS:
        return every
    length = -(-len(every) // BUCKETS)
    found = []
    for start in range(0, len(every), length):
        stretch = every[start : start + length]
        highest = max(range(len(stretch)), key=lambda index: stretch[index][1])
        found += [stretch[0]] + ([stretch[highest]] if highest else [])
    return found
