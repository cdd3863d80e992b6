"""Metrics: what storages and caches count, under Kubernetes' names, readable in this process.

    Counter.value += 1 ─┐
    Gauge.value = n     ├─► MetricsRegistry ─ snapshot() ─► MetricsSnapshot: plain values, to be asked or exported
    Histogram.observe   │
    a source, asked  ───┘

Whoever counts holds its Counter and adds to an int; labels are looked up once, when it is made. Whoever has figures of its
own already (a cache's statistics) registers a source, which is asked when somebody looks and costs nothing otherwise.
There is no global registry: the one that is handed in is the one that counts. Nothing here exports; a server does.

Limit: a registry holds as many samples as there are label values; nothing here takes an object's name for a label.
Source: kubernetes/apiserver pkg/storage/cacher/metrics/metrics.go, pkg/storage/etcd3/metrics/metrics.go, pkg/storage/metrics.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

import msgspec

Labels = tuple[tuple[str, str], ...]
"""Pairs in order of their names."""

READ_WAIT_BUCKETS_S = (0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2, 3)
"""Of the time that a reader waits for a cache: up to the 3 s after which it is refused."""
INITIALIZATION_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180, 600)
REQUEST_BUCKETS_S = (
    *(0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2),
    *(3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60),
)
LEASE_BUCKETS = (10, 50, 100, 500, 1000, 2500, 5000)
REVISION_DIGITS = 10**15
"""A revision is shown by its 15 last digits, so that a float can hold it exactly."""


class Counter:
    """Only ever grows: `counter.value += 1`."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class Gauge:
    """What is so now: `gauge.value = n`."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0


class Histogram:
    """How often a value fell into each bucket. Cost of `observe`: O(log buckets)."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        """Upper bounds, inclusive, rising; above the last one is a bucket more."""
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum: float = 0

    def observe(self, value: float) -> None:
        """Take note of one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)


_Metric = TypeVar("_Metric", Counter, Gauge, Histogram)


class HistogramValue(msgspec.Struct, frozen=True):
    """A histogram at one moment."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    """Values in each bucket alone, not cumulated; one more than there are bounds."""
    sum: float

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)


class Sample(msgspec.Struct, frozen=True):
    """One metric with one set of labels, at one moment."""

    name: str
    labels: Labels
    value: float | HistogramValue

    def label(self, name: str) -> str:
        """The label's value, "" where it has none."""
        return dict(self.labels).get(name, "")


class MetricsSnapshot(msgspec.Struct, frozen=True):
    """All metrics at one moment, by name and then labels; a value that nobody changes any more."""

    samples: tuple[Sample, ...]

    def find(self, name: str, **labels: str) -> tuple[Sample, ...]:
        """The samples of `name` that carry these labels, among others perhaps. Cost: O(samples)."""
        wanted = labels.items()
        return tuple(s for s in self.samples if s.name == name and wanted <= dict(s.labels).items())

    def value(self, name: str, **labels: str) -> float:
        """The sum of the counters or gauges of `name` with these labels; 0 where there are none yet."""
        return sum(s.value for s in self.find(name, **labels) if not isinstance(s.value, HistogramValue))

    def names(self) -> list[str]:
        """Every name once, in order."""
        return sorted({sample.name for sample in self.samples})


class MetricsRegistry:
    """The metrics of one process, or of one test. Made empty; asked for a metric, it makes it or finds it.

    >>> registry = MetricsRegistry()
    >>> registry.counter("apiserver_init_events_total", resource="pods").value += 3
    >>> registry.snapshot().value("apiserver_init_events_total", resource="pods")
    3
    """

    def __init__(self) -> None:
        self._metrics: dict[tuple[str, Labels], Counter | Gauge | Histogram] = {}
        self._sources: dict[Callable[[], None], None] = {}

    def counter(self, name: str, **labels: str) -> Counter:
        """The counter of this name and these labels: the same one each time. Keep it where it is used often."""
        return self._made(Counter, name, labels, Counter)

    def gauge(self, name: str, **labels: str) -> Gauge:
        """The gauge of this name and these labels."""
        return self._made(Gauge, name, labels, Gauge)

    def histogram(self, name: str, bounds: Sequence[float], **labels: str) -> Histogram:
        """The histogram of this name and these labels; `bounds` count when it is made."""
        return self._made(Histogram, name, labels, lambda: Histogram(bounds))

    def add_source(self, update: Callable[[], None]) -> None:
        """Have `update` called before each snapshot, to set gauges and counters from figures kept elsewhere."""
        self._sources[update] = None

    def remove_source(self, update: Callable[[], None]) -> None:
        """Ask `update` no more; its metrics stay as they are. Nothing where it was not asked."""
        self._sources.pop(update, None)

    def snapshot(self) -> MetricsSnapshot:
        """Everything as it is now. Cost: O(samples) and what the sources do."""
        for update in tuple(self._sources):
            update()
        return MetricsSnapshot(tuple(self._samples()))

    def _samples(self) -> Iterator[Sample]:
        for (name, labels), metric in sorted(self._metrics.items(), key=lambda item: item[0]):
            if isinstance(metric, Histogram):
                yield Sample(name, labels, HistogramValue(metric.bounds, tuple(metric.counts), metric.sum))
            else:
                yield Sample(name, labels, metric.value)

    def _made(self, kind: type[_Metric], name: str, labels: Mapping[str, str], make: Callable[[], _Metric]) -> _Metric:
        key = (name, tuple(sorted(labels.items())))
        metric = self._metrics.get(key)
        if metric is None:
            metric = self._metrics[key] = make()
        if not isinstance(metric, kind):
            raise TypeError(f"{name} is a {type(metric).__name__.lower()} already: give one of them another name")
        return metric


class CacheFigures(Protocol):
    """What a cache says of itself, as far as metrics show it (cacher.CacherStatistics)."""

    @property
    def revision(self) -> int: ...
    @property
    def ring_capacity(self) -> int: ...
    @property
    def ring_resizes(self) -> int: ...
    @property
    def ring_growths(self) -> int: ...
    @property
    def events(self) -> int: ...
    @property
    def expired(self) -> int: ...
    @property
    def initializations(self) -> int: ...


class ListMetrics:
    """What lists of one resource cost, by where they were served from: `storage` is "watchcache" or "etcd"."""

    def __init__(self, registry: MetricsRegistry, *, group: str, resource: str, storage: str) -> None:
        self._registry = registry
        self._labels = {"group": group, "resource": resource, "storage": storage}
        self._by_index: dict[str, tuple[Counter, Counter, Counter]] = {}
        self._returned = registry.counter("apiserver_storage_list_returned_objects_total", **self._labels)

    def listed(self, *, fetched: int, evaluated: int, returned: int, index: str = "") -> None:
        """One list: objects read, objects decoded for it, objects answered; `index` as Kubernetes writes it: "f:spec.nodeName"."""
        lists, read, judged = self._by_index.get(index) or self._counters(index)
        lists.value += 1
        read.value += fetched
        judged.value += evaluated
        self._returned.value += returned

    def _counters(self, index: str) -> tuple[Counter, Counter, Counter]:
        stem, labels = "apiserver_storage_list", {**self._labels, "index": index}
        names = ("total", "fetched_objects_total", "evaluated_objects_total")
        lists, read, judged = (self._registry.counter(f"{stem}_{name}", **labels) for name in names)
        self._by_index[index] = (lists, read, judged)
        return self._by_index[index]


class CacheMetrics:
    """What the watch cache of one resource counts.

    Differs: there is one log a selector and no channel a watcher, so `events_dispatched` counts what was handed to the
    router, and `terminated_watchers` are those that fell behind the ring.
    """

    def __init__(self, registry: MetricsRegistry, *, group: str = "", resource: str) -> None:
        self._registry = registry
        self._labels = {"group": group, "resource": resource}
        cache, labels = "apiserver_watch_cache", self._labels
        self.lists = ListMetrics(registry, group=group, resource=resource, storage="watchcache")
        self.init_events = registry.counter("apiserver_init_events_total", **labels)
        """Initial events given to watches."""
        self.terminated_watchers = registry.counter("apiserver_terminated_watchers_total", **labels)
        self.events_received = registry.counter(f"{cache}_events_received_total", **labels)
        self.events_dispatched = registry.counter(f"{cache}_events_dispatched_total", **labels)
        self.initializations = registry.counter(f"{cache}_initializations_total", **labels)
        self.initialization_errors = registry.counter(f"{cache}_initialization_errors_total", **labels)
        self.initialization_s = registry.histogram(
            f"{cache}_initialization_duration_seconds", INITIALIZATION_BUCKETS_S, **labels
        )
        self.read_wait_s = registry.histogram(f"{cache}_read_wait_seconds", READ_WAIT_BUCKETS_S, **labels)
        """How long readers waited for a revision; those that asked for none are not in it."""
        self.resource_version = registry.gauge(f"{cache}_resource_version", **labels)
        # These three have no `apiserver_` before them in Kubernetes either.
        self.capacity = registry.gauge("watch_cache_capacity", **labels)
        self.capacity_increases = registry.counter("watch_cache_capacity_increase_total", **labels)
        self.capacity_decreases = registry.counter("watch_cache_capacity_decrease_total", **labels)

    def consistent_read(self, *, success: bool, fallback: str) -> None:
        """One consistent list. `fallback`: "true" (the store answered), "false" (the cache), "skipped" (neither)."""
        labels = {**self._labels, "success": str(success).lower(), "fallback": fallback}
        self._registry.counter("apiserver_watch_cache_consistent_read_total", **labels).value += 1

    def consistency_check(self, status: str) -> None:
        """One comparison of the cache with the store: "success", "failure" or "error"."""
        self._registry.counter("apiserver_storage_consistency_checks_total", **self._labels, status=status).value += 1

    def consistency_checks(self, status: str) -> int:
        """How many comparisons ended so."""
        return self._registry.counter("apiserver_storage_consistency_checks_total", **self._labels, status=status).value

    def follow(self, statistics: Callable[[], CacheFigures]) -> None:
        """Take over what a cache counts by itself, each time that somebody looks. Its counters run from the cache's start."""
        self._registry.add_source(lambda: self.read_from(statistics()))

    def read_from(self, figures: CacheFigures) -> None:
        """Take over what a cache counts by itself, once."""
        self.resource_version.value = figures.revision % REVISION_DIGITS
        self.capacity.value = figures.ring_capacity
        self.capacity_increases.value = figures.ring_growths
        self.capacity_decreases.value = figures.ring_resizes - figures.ring_growths
        self.events_received.value = figures.events
        self.events_dispatched.value = figures.events
        self.terminated_watchers.value = figures.expired
        self.initializations.value = figures.initializations


class EtcdMetrics:
    """What the storage of one resource over etcd counts."""

    def __init__(self, registry: MetricsRegistry, *, group: str = "", resource: str) -> None:
        self._registry = registry
        self._labels = {"group": group, "resource": resource}
        self._requests: dict[str, tuple[Counter, Counter, Histogram]] = {}
        self.lists = ListMetrics(registry, group=group, resource=resource, storage="etcd")
        self.events_received = registry.counter("apiserver_storage_events_received_total", **self._labels)
        self.bookmarks = registry.counter("etcd_bookmark_total", **self._labels)
        """Progress notifications."""
        self.decode_errors = registry.counter("apiserver_storage_decode_errors_total", **self._labels)
        self.objects = registry.gauge("apiserver_resource_objects", **self._labels)
        self.size_estimate_bytes = registry.gauge("apiserver_resource_size_estimate_bytes", **self._labels)
        self.lease_objects = registry.histogram("etcd_lease_object_counts", LEASE_BUCKETS)
        """How many objects hung on a lease when the next was taken."""

    def request(self, operation: str, duration_s: float, *, failed: bool = False) -> None:
        """One call to etcd: "get", "list", "create", "update", "delete"; seconds of the trio clock."""
        requests, errors, durations = self._requests.get(operation) or self._of(operation)
        requests.value += 1
        errors.value += failed
        durations.observe(duration_s)

    def _of(self, operation: str) -> tuple[Counter, Counter, Histogram]:
        labels = {**self._labels, "operation": operation}
        self._requests[operation] = (
            self._registry.counter("etcd_requests_total", **labels),
            self._registry.counter("etcd_request_errors_total", **labels),
            self._registry.histogram("etcd_request_duration_seconds", REQUEST_BUCKETS_S, **labels),
        )
        return self._requests[operation]
