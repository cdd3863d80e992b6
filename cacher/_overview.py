"""What the page for people shows of a cluster: resources, caches, watchers, and what happened lately. Looks, and changes nothing.

Nothing is kept for it: events are read off the rings that the caches have anyway, so a page that nobody looks at costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge

from watch import Event, View

from ._assembly import Cluster, Resource
from ._cacher import Cacher, CacherStatistics
from ._cacher_storage import CacherStorage
from .server import EVENTS_MAX, EventState, Overview, ResourceState, WatcherState


def overview(cluster: Cluster) -> Overview:
    """What there is now. Cost: O(resources, views); and of what the rings hold, a pointer each is copied."""
    resources = [cluster.resource(*known) for known in cluster.registry.served()]
    caches = [(one.info.qualified_name, cacher) for one in resources if (cacher := _cacher(one)) is not None]
    newest = list(merge(*(_newest(name, cacher) for name, cacher in caches), key=_revision))[-EVENTS_MAX:]
    return Overview(
        revision=max([cluster.etcd.revision, *(cacher.revision for _, cacher in caches)]),
        resources=tuple(_state(one, one.statistics()) for one in resources),
        watchers=tuple(state for name, cacher in caches for state in _watchers(name, cacher)),
        events=tuple(_event(name, event) for name, event in newest),
    )


def _cacher(resource: Resource) -> Cacher | None:
    """None: it has no cache, or none that serves."""
    storage = resource.storage
    cacher = storage.cacher if isinstance(storage, CacherStorage) else None
    return cacher if cacher is not None and cacher.is_ready else None


def _state(resource: Resource, figures: CacherStatistics) -> ResourceState:
    return ResourceState(
        resource=resource.info.qualified_name,
        is_cached=resource.is_cached,
        is_ready=figures.is_ready,
        objects=figures.objects,
        revision=figures.revision,
        ring_length=figures.ring_length,
        ring_capacity=figures.ring_capacity,
        ring_oldest_revision=figures.ring_oldest_revision,
        watches=figures.watches,
        views=figures.views,
        waiting=figures.log_events,
        events=figures.events,
        relists=figures.relists,
        expired=figures.expired,
    )


def _watchers(name: str, cacher: Cacher) -> Iterator[WatcherState]:
    for view in cacher.router.views():
        yield WatcherState(name, str(view.selector), _readers(view), view.log_events())


def _readers(view: View) -> int:
    return len(view.readers) + len(view.sinks) + sum(map(len, view.groups.values()))


def _newest(name: str, cacher: Cacher) -> list[tuple[str, Event]]:
    ring = cacher.cache.ring
    return [(name, event) for event in ring.since(ring.oldest_watchable)[-EVENTS_MAX:]]


def _revision(named: tuple[str, Event]) -> int:
    return named[1].revision


def _event(name: str, event: Event) -> EventState:
    return EventState(event.revision, event.type.value, name, event.object.namespace, event.object.name)
