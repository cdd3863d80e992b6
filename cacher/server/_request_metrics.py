"""What a server counts of its requests and watches, under Kubernetes' names and labels. Pure.

    apiserver_request_total                verb, group, version, resource, subresource, scope, component, dry_run, code
    apiserver_request_duration_seconds     the same without the code; of a watch, how long it was open
    apiserver_longrunning_requests         verb, group, version, resource, subresource, scope, component: open now
    apiserver_current_inflight_requests    request_kind: mutating, readOnly; watches are not among them
    apiserver_watch_events_total           group, version, resource: events sent, once for each watch
    apiserver_watch_events_sizes           the same: bytes of each, as they are sent; its sum is all that watches were sent

No label is a client's to choose. A resource is one that is served, a document one that there is; all else that somebody asks for
is counted in one place, with neither, and a method that is none as "other". With more than SERIES_MAX sets of labels, which
takes as many custom resources, what is new is counted there too.

Source: kubernetes/apiserver pkg/endpoints/metrics/metrics.go.
Differs: a request whose client went before it was answered has the code 499, where Kubernetes tells that of
the answer that nobody got.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable

from ..storage._metrics import REQUEST_BUCKETS_S, Counter, Gauge, Histogram, MetricsRegistry
from ._auth import Attributes
from ._request import Head
from ._routes import group_version_of, split

SERIES_MAX = 4_096
EVENT_BUCKETS_BYTES = tuple(1024.0 * 2**power for power in range(8))
CLIENT_GONE = 499
_VERBS = {
    **{
        verb: verb.upper()
        for verb in ("get", "list", "watch", "patch", "delete", "deletecollection", "head", "options")
    },
    "create": "POST",
    "update": "PUT",
    "post": "POST",
    "put": "PUT",
}
_WRITES = frozenset(("POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"))
_Labels = dict[str, str]

Sizes = tuple[tuple[int, int], ...]
"""How many events fall into which bucket."""


class WatchEvents:
    """Events sent to the watches of one resource."""

    __slots__ = ("_events", "_sizes")

    def __init__(self, events: Counter, sizes: Histogram) -> None:
        self._events = events
        self._sizes = sizes

    def sent(self, sizes: Sizes, size: int) -> None:
        """A batch went to one watch: `size` bytes in all. Cost: O(buckets that it fell into)."""
        counts = self._sizes.counts
        for bucket, events in sizes:
            counts[bucket] += events
            self._events.value += events
        self._sizes.sum += size


def sizes_of(lengths: Iterable[int]) -> Sizes:
    """Events of these lengths in bytes, by bucket."""
    found: dict[int, int] = {}
    for length in lengths:
        bucket = bisect_left(EVENT_BUCKETS_BYTES, length)
        found[bucket] = found.get(bucket, 0) + 1
    return tuple(sorted(found.items()))


class RequestMetrics:
    """The requests of one server.

    Args:
        is_served: whether there is a resource, by group version and plural.
        documents: the first segments of what is no resource.
    """

    def __init__(
        self, registry: MetricsRegistry, *, is_served: Callable[[str, str], bool], documents: Iterable[str]
    ) -> None:
        self._registry = registry
        self._is_served = is_served
        self._documents = frozenset(documents)
        self._known: dict[tuple[str, ...], tuple[Counter, Histogram]] = {}

    def labels(self, wanted: Attributes, head: Head) -> _Labels:
        """What a request is counted under."""
        verb = _VERBS.get(wanted.verb, "other")
        if verb == "PATCH" and head.header("content-type").startswith("application/apply-patch"):
            verb = "APPLY"
        segments = split(wanted.path)
        found = group_version_of(segments)
        group_version = found[0] if found is not None else ""
        if wanted.resource and self._is_served(group_version, wanted.resource):
            scope = (
                "resource" if wanted.name or wanted.verb == "create" else "namespace" if wanted.namespace else "cluster"
            )
            part = wanted.subresource if wanted.subresource in _PARTS else ""
            return _named(verb, wanted.group, group_version.rpartition("/")[2], wanted.resource, part, scope)
        document = f"/{segments[0]}" if segments and segments[0] in self._documents and not wanted.resource else ""
        return _named(verb, subresource=document)

    def done(self, labels: _Labels, head: Head, *, code: int, duration_s: float) -> None:
        """A request has ended. `code` 0: nobody was there to be answered."""
        dry_run = "All" if labels["resource"] and head.parameter("dryRun") == "All" else ""
        key = (*labels.values(), dry_run, str(code or CLIENT_GONE))
        requests, durations = self._known.get(key) or self._series(key, labels, dry_run, str(code or CLIENT_GONE))
        requests.value += 1
        durations.observe(duration_s)

    def under_way(self, labels: _Labels) -> Gauge:
        """What is to be 1 more for as long as such a request lasts."""
        if labels["verb"] == "WATCH":
            return self._registry.gauge("apiserver_longrunning_requests", **labels)
        kind = "mutating" if labels["verb"] in _WRITES else "readOnly"
        return self._registry.gauge("apiserver_current_inflight_requests", request_kind=kind)

    def watch_events(self, group_version: str, resource: str) -> WatchEvents:
        """Where events of a resource's watches are counted."""
        group, _, version = group_version.rpartition("/")
        labels = {"group": group, "version": version, "resource": resource}
        return WatchEvents(
            self._registry.counter("apiserver_watch_events_total", **labels),
            self._registry.histogram("apiserver_watch_events_sizes", EVENT_BUCKETS_BYTES, **labels),
        )

    def _series(self, key: tuple[str, ...], labels: _Labels, dry_run: str, code: str) -> tuple[Counter, Histogram]:
        if len(self._known) >= SERIES_MAX:
            key = ("", "")
            labels, dry_run, code = _named("other"), "", ""
        made = (
            self._registry.counter("apiserver_request_total", **labels, dry_run=dry_run, code=code),
            self._registry.histogram(
                "apiserver_request_duration_seconds", REQUEST_BUCKETS_S, **labels, dry_run=dry_run
            ),
        )
        self._known[key] = made
        return made


_PARTS = frozenset(("status", "scale", "binding", "eviction", "finalize", "rollback", "log", "exec", "token"))
"""Parts that a resource may have. Others that somebody asks for are not told apart."""


def _named(
    verb: str, group: str = "", version: str = "", resource: str = "", subresource: str = "", scope: str = ""
) -> _Labels:
    return {
        "verb": verb,
        "group": group,
        "version": version,
        "resource": resource,
        "subresource": subresource,
        "scope": scope,
        "component": "apiserver",
    }
