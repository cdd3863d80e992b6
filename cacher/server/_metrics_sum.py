"""The metrics of several processes as those of one server. Pure.

    counters, histograms     the sum
    gauges of what each has  the sum: open watches, requests under way
    gauges of the store      the largest: every process looks at the same one
    how far a cache is       the least: what is sure to be seen, whichever process answers
    how large a cache is     the largest

A process that has ended is asked no more. Its counters and histograms are kept by whoever adds up (`lasting`), so that no sum
of a counter ever falls, which a reader of it would take for a restart; its gauges are gone with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ..storage._metrics import HistogramValue, Labels, MetricsSnapshot, Sample

_GAUGES: dict[str, Callable[[Sequence[float]], float]] = {
    "apiserver_resource_objects": max,
    "apiserver_resource_size_estimate_bytes": max,
    "apiserver_watch_cache_resource_version": min,
    "watch_cache_capacity": max,
}
"""Gauges that are not to be added. A cache that has not begun shows revision 0, and is no answer: it is left out."""
_ONLY_FROM_1 = frozenset(("apiserver_watch_cache_resource_version",))


def sum_metrics(snapshots: Iterable[MetricsSnapshot]) -> MetricsSnapshot:
    """One snapshot out of several. Cost: O(samples)."""
    found: dict[tuple[str, Labels], list[float | HistogramValue]] = {}
    for snapshot in snapshots:
        for sample in snapshot.samples:
            found.setdefault((sample.name, sample.labels), []).append(sample.value)
    return MetricsSnapshot(
        tuple(Sample(name, labels, _joined(name, values)) for (name, labels), values in sorted(found.items(), key=_key))
    )


def lasting(snapshot: MetricsSnapshot) -> MetricsSnapshot:
    """What is left of a process that has ended: its counters and histograms."""
    return MetricsSnapshot(tuple(sample for sample in snapshot.samples if _is_lasting(sample)))


def _is_lasting(sample: Sample) -> bool:
    return isinstance(sample.value, HistogramValue) or sample.name.endswith("_total")


def _key(item: tuple[tuple[str, Labels], object]) -> tuple[str, Labels]:
    return item[0]


def _joined(name: str, values: Sequence[float | HistogramValue]) -> float | HistogramValue:
    histograms = [value for value in values if isinstance(value, HistogramValue)]
    if histograms:
        return _added(histograms)
    numbers = [value for value in values if not isinstance(value, HistogramValue)]
    if name in _ONLY_FROM_1:
        numbers = [value for value in numbers if value] or [0]
    joined: float = _GAUGES.get(name, sum)(numbers)
    return joined


def _added(values: Sequence[HistogramValue]) -> HistogramValue:
    """All have the bounds of one program."""
    counts = tuple(map(sum, zip(*(value.counts for value in values), strict=True)))
    return HistogramValue(values[0].bounds, counts, sum(value.sum for value in values))
