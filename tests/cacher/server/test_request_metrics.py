"""What is counted of requests: under which labels, and that no client can make more of them."""

from __future__ import annotations

import pytest
import trio

from cacher.server import MetricsSnapshot
from cacher.server._access import attributes_of
from cacher.server._request import read_head
from cacher.server._request_metrics import EVENT_BUCKETS_BYTES, SERIES_MAX, RequestMetrics, sizes_of
from cacher.storage._metrics import HistogramValue, MetricsRegistry
from tests.cacher.server.serving import CONFIGS, Served, config, serving

SERVED = {("v1", "pods"), ("apps/v1", "deployments"), ("v1", "namespaces")}


def counting(registry: MetricsRegistry, **more: object) -> RequestMetrics:
    return RequestMetrics(
        registry, is_served=lambda version, plural: (version, plural) in SERVED, documents=("healthz", "api", "apis")
    )


def counted(method: str, target: str, *headers: tuple[bytes, bytes], code: int = 200) -> MetricsSnapshot:
    registry = MetricsRegistry()
    head = read_head(method, target.encode(), headers)
    metrics = counting(registry)
    metrics.done(metrics.labels(attributes_of(head), head), head, code=code, duration_s=0.3)
    return registry.snapshot()


PODS = "/api/v1/namespaces/team/pods"


@pytest.mark.parametrize(
    ("method", "target", "labels"),
    [
        ("GET", PODS, "LIST,,v1,pods,,namespace"),
        ("GET", "/api/v1/pods", "LIST,,v1,pods,,cluster"),
        ("GET", f"{PODS}?watch=1", "WATCH,,v1,pods,,namespace"),
        ("GET", f"{PODS}/a", "GET,,v1,pods,,resource"),
        ("PUT", f"{PODS}/a/status", "PUT,,v1,pods,status,resource"),
        ("POST", PODS, "POST,,v1,pods,,resource"),
        ("DELETE", PODS, "DELETECOLLECTION,,v1,pods,,namespace"),
        ("PATCH", "/apis/apps/v1/namespaces/n/deployments/d", "PATCH,apps,v1,deployments,,resource"),
        ("GET", "/healthz", "GET,,,,/healthz,"),
        ("GET", "/healthz/etcd", "GET,,,,/healthz,"),
        ("GET", "/apis/apps/v1", "GET,,,,/apis,"),
        # What anybody may think of is in one place.
        ("GET", "/nothing/of/the/kind", "GET,,,,,"),
        ("GET", "/api/v1/namespaces/team/unknown", "LIST,,,,,"),
        ("GET", "/apis/none.example/v7/things", "LIST,,,,,"),
        ("GET", f"{PODS}/a/whatever", "GET,,v1,pods,,resource"),
        ("BREW", PODS, "other,,v1,pods,,namespace"),
    ],
)
def test_a_request_is_counted_under_what_it_asks_for(method, target, labels):
    (sample,) = counted(method, target).find("apiserver_request_total")
    names = ("verb", "group", "version", "resource", "subresource", "scope")
    assert ",".join(map(sample.label, names)) == labels
    assert (sample.value, sample.label("code"), sample.label("component")) == (1, "200", "apiserver")
    (durations,) = counted(method, target).find("apiserver_request_duration_seconds")
    assert isinstance(durations.value, HistogramValue)
    assert (durations.value.count, durations.value.sum, durations.label("code")) == (1, 0.3, "")


def test_an_apply_and_a_dry_run_are_told_apart_and_a_client_that_went():
    apply = counted("PATCH", f"{PODS}/a?dryRun=All", (b"Content-Type", b"application/apply-patch+yaml"), code=0)
    assert apply.value("apiserver_request_total", verb="APPLY", dry_run="All", code="499") == 1


def test_there_is_a_limit_on_sets_of_labels():
    registry = MetricsRegistry()
    metrics = RequestMetrics(registry, is_served=lambda *_: True, documents=())
    for number in range(SERIES_MAX + 500):
        head = read_head("GET", b"/apis/x%d.example/v1/things" % number, ())
        metrics.done(metrics.labels(attributes_of(head), head), head, code=200, duration_s=0)
    snapshot = registry.snapshot()
    assert len(snapshot.find("apiserver_request_total")) == SERIES_MAX + 1
    assert snapshot.value("apiserver_request_total") == SERIES_MAX + 500
    assert snapshot.value("apiserver_request_total", verb="other") == 500


def test_events_are_counted_by_their_size():
    registry = MetricsRegistry()
    events = counting(registry).watch_events("apps/v1", "deployments")
    sizes = sizes_of([10, 1024, 1025, 10**9])
    assert sizes == ((0, 2), (1, 1), (len(EVENT_BUCKETS_BYTES), 1))
    events.sent(sizes, 5000)
    events.sent(sizes, 5000)
    snapshot = registry.snapshot()
    assert snapshot.value("apiserver_watch_events_total", group="apps", version="v1", resource="deployments") == 8
    (sample,) = snapshot.find("apiserver_watch_events_sizes")
    assert isinstance(sample.value, HistogramValue)
    assert (sample.value.sum, sample.value.counts[:2]) == (10_000, (4, 2))


def of(served: Served, name: str, **labels: str) -> float:
    return served.server.metrics().value(name, **labels)


def test_a_server_counts_its_requests_its_watches_and_what_they_are_sent(run_trio):
    async def main() -> None:
        async with serving() as served:
            await served.made(CONFIGS, config("a"))
            assert (await served.get("/api/v1/namespaces/team/nothing")).status == 404
            async with served.watch(CONFIGS) as one, served.watch(CONFIGS) as other:
                assert of(served, "apiserver_longrunning_requests", verb="WATCH", resource="configmaps") == 2
                await served.made(CONFIGS, config("b"))
                assert len(await one.take(2)) == len(await other.take(2)) == 2
            await trio.testing.wait_all_tasks_blocked()
            assert of(served, "apiserver_longrunning_requests") == 0
            assert of(served, "apiserver_request_total", verb="WATCH", code="200") == 2
            assert of(served, "apiserver_request_total", verb="POST", resource="configmaps", code="201") == 2
            assert of(served, "apiserver_request_total", verb="LIST", resource="", code="404") == 1
            assert of(served, "apiserver_watch_events_total", resource="configmaps") == 4
            (sizes,) = served.server.metrics().find("apiserver_watch_events_sizes")
            assert isinstance(sizes.value, HistogramValue)
            assert (sizes.value.count, sizes.value.counts[0]) == (4, 4)
            assert sizes.value.sum > 4 * 100
            text = (await served.get("/metrics")).body.decode()
            assert 'apiserver_current_inflight_requests{request_kind="readOnly"} 1' in text  # this one
            assert 'apiserver_request_duration_seconds_bucket{component="apiserver"' in text

    run_trio(main)
