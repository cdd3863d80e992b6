"""Counting: the same metric under the same labels, a snapshot that stays as it is, and Kubernetes' own names."""

from __future__ import annotations

import pytest

from cacher.storage._metrics import (
    READ_WAIT_BUCKETS_S,
    CacheMetrics,
    EtcdMetrics,
    HistogramValue,
    MetricsRegistry,
)


class Figures:
    """A cache's own statistics, as far as metrics want them."""

    def __init__(self, revision: int) -> None:
        self.revision = revision
        self.ring_capacity = 200
        self.ring_resizes = 5
        self.ring_growths = 3
        self.events = 7
        self.expired = 1
        self.initializations = 2


def test_a_metric_asked_for_again_is_the_same_one_whatever_the_order_of_its_labels():
    registry = MetricsRegistry()
    registry.counter("lists", group="apps", resource="deployments").value += 1
    registry.counter("lists", resource="deployments", group="apps").value += 1
    registry.counter("lists", resource="pods", group="").value += 1
    assert registry.snapshot().value("lists", resource="deployments") == 2
    assert registry.snapshot().value("lists") == 3, "without labels: the sum"
    assert registry.snapshot().value("unheard-of") == 0


def test_a_snapshot_stays_as_it_was():
    registry = MetricsRegistry()
    counter, histogram = registry.counter("c"), registry.histogram("h", (1, 2))
    histogram.observe(1)
    before = registry.snapshot()
    counter.value += 5
    histogram.observe(9)
    after = registry.snapshot()
    assert (before.value("c"), after.value("c")) == (0, 5)
    (was,), (now,) = before.find("h"), after.find("h")
    assert was.value == HistogramValue((1, 2), (1, 0, 0), 1)
    assert now.value == HistogramValue((1, 2), (1, 0, 1), 10)
    assert isinstance(now.value, HistogramValue)
    assert now.value.count == 2


@pytest.mark.parametrize(("value", "bucket"), [(0, 0), (1, 0), (1.001, 1), (2, 1), (2.5, 2)])
def test_a_bucket_holds_what_is_at_most_its_bound(value, bucket):
    histogram = MetricsRegistry().histogram("h", (1, 2))
    histogram.observe(value)
    assert histogram.counts.index(1) == bucket
    assert (histogram.count, histogram.sum) == (1, value)


def test_one_name_is_one_kind_of_metric():
    registry = MetricsRegistry()
    registry.counter("n")
    with pytest.raises(TypeError, match="n is a counter already: give one of them another name"):
        registry.gauge("n")


def test_samples_come_by_name_and_labels():
    registry = MetricsRegistry()
    registry.gauge("b").value = 1.5
    registry.counter("a", resource="pods")
    registry.counter("a", resource="nodes")
    snapshot = registry.snapshot()
    assert [(s.name, s.label("resource")) for s in snapshot.samples] == [("a", "nodes"), ("a", "pods"), ("b", "")]
    assert snapshot.names() == ["a", "b"]
    assert snapshot.value("b") == 1.5


def test_a_source_is_asked_when_somebody_looks_and_not_after_it_was_removed():
    registry = MetricsRegistry()
    counter, asked = registry.counter("asked"), []

    def update() -> None:
        asked.append(1)
        counter.value = len(asked)

    registry.add_source(update)
    assert asked == []
    assert registry.snapshot().value("asked") == 1
    registry.remove_source(update)
    registry.remove_source(update)
    assert registry.snapshot().value("asked") == 1


def test_what_a_cache_counts_by_itself_is_taken_over_whenever_somebody_looks():
    registry = MetricsRegistry()
    figures = Figures(revision=10**15 + 42)
    CacheMetrics(registry, resource="pods").follow(lambda: figures)
    first = registry.snapshot()
    assert first.value("apiserver_watch_cache_resource_version", resource="pods", group="") == 42, "its 15 last digits"
    assert first.value("apiserver_watch_cache_events_received_total") == 7
    assert first.value("apiserver_watch_cache_initializations_total") == 2
    assert first.value("apiserver_terminated_watchers_total") == 1
    assert first.value("watch_cache_capacity") == 200
    assert first.value("watch_cache_capacity_increase_total") == 3
    assert first.value("watch_cache_capacity_decrease_total") == 2
    figures.events = 9
    assert registry.snapshot().value("apiserver_watch_cache_events_received_total") == 9


def test_lists_are_counted_by_index_and_by_where_they_were_served():
    """A list by an indexed field reads what the index holds; from the cache nothing is decoded."""
    registry = MetricsRegistry()
    CacheMetrics(registry, resource="pods").lists.listed(fetched=1, evaluated=0, returned=1, index="f:spec.nodeName")
    EtcdMetrics(registry, resource="pods").lists.listed(fetched=500, evaluated=500, returned=3)
    seen = registry.snapshot()
    cached = {"storage": "watchcache", "index": "f:spec.nodeName", "group": "", "resource": "pods"}
    assert seen.value("apiserver_storage_list_total", **cached) == 1
    assert seen.value("apiserver_storage_list_fetched_objects_total", **cached) == 1
    assert seen.value("apiserver_storage_list_evaluated_objects_total", **cached) == 0
    assert seen.value("apiserver_storage_list_returned_objects_total", storage="watchcache") == 1
    assert seen.value("apiserver_storage_list_evaluated_objects_total", storage="etcd", index="") == 500
    assert seen.value("apiserver_storage_list_returned_objects_total", storage="etcd") == 3


def test_what_happens_now_and_then_is_counted_by_its_outcome():
    registry = MetricsRegistry()
    metrics = CacheMetrics(registry, group="apps", resource="deployments")
    metrics.consistent_read(success=True, fallback="false")
    metrics.consistent_read(success=False, fallback="true")
    metrics.consistency_check("failure")
    seen = registry.snapshot()
    consistent = "apiserver_watch_cache_consistent_read_total"
    assert seen.value(consistent, success="true", fallback="false", group="apps") == 1
    assert seen.value(consistent, success="false", fallback="true") == 1
    assert metrics.consistency_checks("failure") == 1
    assert metrics.consistency_checks("success") == 0


def test_requests_to_etcd_are_counted_and_timed_by_operation():
    registry = MetricsRegistry()
    metrics = EtcdMetrics(registry, resource="pods")
    metrics.request("get", 0.004)
    metrics.request("get", 0.3, failed=True)
    seen = registry.snapshot()
    assert seen.value("etcd_requests_total", operation="get", resource="pods") == 2
    assert seen.value("etcd_request_errors_total", operation="get") == 1
    (durations,) = seen.find("etcd_request_duration_seconds", operation="get")
    assert isinstance(durations.value, HistogramValue)
    assert (durations.value.counts[0], durations.value.count) == (1, 2)


def test_the_names_are_kubernetes_own():
    registry = MetricsRegistry()
    CacheMetrics(registry, resource="pods")
    EtcdMetrics(registry, resource="pods")
    assert registry.snapshot().names() == [
        "apiserver_init_events_total",
        "apiserver_resource_objects",
        "apiserver_resource_size_estimate_bytes",
        "apiserver_storage_decode_errors_total",
        "apiserver_storage_events_received_total",
        "apiserver_storage_list_returned_objects_total",
        "apiserver_terminated_watchers_total",
        "apiserver_watch_cache_events_dispatched_total",
        "apiserver_watch_cache_events_received_total",
        "apiserver_watch_cache_initialization_duration_seconds",
        "apiserver_watch_cache_initialization_errors_total",
        "apiserver_watch_cache_initializations_total",
        "apiserver_watch_cache_read_wait_seconds",
        "apiserver_watch_cache_resource_version",
        "etcd_bookmark_total",
        "etcd_lease_object_counts",
        "watch_cache_capacity",
        "watch_cache_capacity_decrease_total",
        "watch_cache_capacity_increase_total",
    ]


def test_the_buckets_of_read_wait_end_where_readers_are_refused():
    assert READ_WAIT_BUCKETS_S[-1] == 3
