"""The Router: from one event to the views it concerns, without asking every selector.

Each view hangs in the index under its most selective term: `metadata.name=`, another field, a label (`=`, `in`), a namespace.
An event looks up its own values, new and old, and finds the views that either version can match; what the index did not
decide of their selectors is decided there. Selectors with no such term are tried one by one, those of labels alone once for
each distinct set of labels.

    publish(events): route each → views' pending;  flush: every touched view seals one batch and wakes its readers once

Differs: Kubernetes routes by scope and one indexed field, and runs every other watcher's filter on every event.
Source: kubernetes/apiserver pkg/storage/cacher/cacher.go, indexedWatchers.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Sequence

from ._event import Event, EventType, bookmark
from ._filter import entered, left
from ._object import Object
from ._selector import Route, RouteKind, Selector
from ._view import Batch, View
from ._watch import NEVER_DROPPED, Watch
from ._watch_set import WatchSet

MEMO_LABEL_SETS_MAX = 4096
"""Distinct label sets for which the matching label-only selectors are remembered; beyond it the memory starts anew."""
LAG_ENTRIES_SPARE = 64
"""Entries of watches that have gone, kept in the heap of those who lag before it is made anew."""

Trimmable = View | Watch | WatchSet
"""Who keeps events for a reader that lags, and must let go of those that left the ring."""

_Bucket = dict[View, None]
_Table = dict[str | tuple[str, str], _Bucket]
_Predicate = Callable[[Object], bool]

# A look-up in an enum is a call in CPython 3.11, of 80 ns: too much to pay for each event.
_DELETED = EventType.DELETED


class _Dimension:
    """The views of one field path, one label key, or of namespaces: by value, and by namespace and value."""

    __slots__ = ("anywhere", "within")

    def __init__(self) -> None:
        self.anywhere: _Table = {}  # by value
        self.within: _Table = {}  # by namespace and value

    def places(self, route: Route) -> list[tuple[_Table, str | tuple[str, str]]]:
        """Where a view of `route` hangs: tables with their keys."""
        if route.namespace and route.kind is not RouteKind.NAMESPACE:
            return [(self.within, (route.namespace, value)) for value in route.values]
        return [(self.anywhere, value) for value in route.values]

    @property
    def is_unused(self) -> bool:
        return not self.anywhere and not self.within


class Router:
    """Views by selector and by what their selectors look for. One to a cache; its caller publishes whole revisions.

    Everything here is synchronous: `publish` routes and hands over in one step, and `watch` joins in another, so no event
    can fall between a watch's history and its live part.
    """

    def __init__(self, *, revision: int = 0) -> None:
        self.revision = revision
        """Everything up to here has been handed to the views."""
        self.oldest_revision = 0
        """Events older than this have left the history ring; who had not taken theirs expires."""
        self.expired = 0
        self.bookmarks = 0
        self._views: dict[Selector, View] = {}
        self._fields: dict[str, _Dimension] = {}
        self._labels: dict[str, _Dimension] = {}
        self._namespaces = _Dimension()
        self._everything: list[View] = []
        self._label_only: dict[View, _Predicate] = {}
        self._others: dict[View, _Predicate] = {}
        self._memo: dict[tuple[tuple[str, str], ...], tuple[View, ...]] = {}
        self._dirty: list[View] = []
        self._now: Event | None = None  # the event being routed, with its two other faces made at most once
        self._entered: Event | None = None
        self._left: Event | None = None
        self._lagging: dict[Trimmable, int] = {}  # the number of its entry in the heap; all its others are void
        self._lag_heap: list[tuple[int, int, Trimmable]] = []
        self._sequence = itertools.count()

    # ---- watching ----

    def watch(
        self,
        selector: Selector,
        *,
        after: int,
        history: Batch = (),
        initial: Batch | None = None,
        initial_revision: int = 0,
        initial_bookmark: bool = False,
    ) -> Watch:
        """A watch for events after `after`, beginning with `history` (ring events, already filtered) or the `initial` state.

        Args:
            after: only events above it are delivered live; it may lie in the future.
            initial: ADDED events in key order that show the state at `initial_revision`.
            initial_bookmark: end the initial state with the annotated bookmark.
        Cost: O(1), and what the caller spent to make the history.
        """
        view = self._view(selector)
        has_state = bool(initial) or (initial is not None and initial_bookmark)
        watch = Watch(view, after=after, live_after=max(after, self.revision), has_state=has_state)
        view.readers[watch] = None
        if initial is not None:
            if initial:
                watch.open_with(initial, guard=NEVER_DROPPED, revision=initial_revision)
            if initial_bookmark:
                end = bookmark(initial_revision, initial_events_end=True)
                watch.open_with((end,), guard=NEVER_DROPPED, revision=initial_revision)
        elif history:
            watch.open_with(history, guard=history[0].revision, revision=history[-1].revision)
        return watch

    def offer_bookmarks(self, watches: Iterable[Watch]) -> None:
        """Give each a bookmark at the present revision, at once where it waits, else when it has taken what is before it."""
        event = bookmark(self.revision)
        for watch in watches:
            if watch.offer_bookmark(event):
                self.bookmarks += 1

    def end_all(self) -> None:
        """End every watch: what was published can still be taken, then they get EndOfChannel."""
        for view in list(self._views.values()):
            hosted = [watch for members in view.groups.values() for watch in members]
            for watch in [*view.readers, *hosted, *view.sinks]:
                watch.end()

    # ---- publishing ----

    def publish(self, events: Sequence[Event], *, revision: int, oldest_revision: int) -> None:
        """Route whole revisions and hand them over. `revision`: everything up to it is in; `oldest_revision`: of the ring, after.

        Cost: O(views concerned) an event, and O(waiting readers) wakes for the lot.
        """
        self.route_all(events)
        self.flush(revision=revision, oldest_revision=oldest_revision)

    def route_all(self, events: Sequence[Event]) -> None:
        """Route whole revisions, to be handed over by the next `flush`. No watch may be opened, and no bookmark given, before."""
        if self._views:
            for event in events:
                self.route(event)

    def route(self, event: Event) -> None:
        """Note the event in every view that its new or its old version concerns."""
        current = None if event.type is _DELETED else event.object
        previous = event.previous
        for view in self._everything:
            if not view.pending:
                self._dirty.append(view)
            view.pending.append(event)
        for path, dimension in self._fields.items():
            self._look(
                dimension,
                None if current is None else current.field(path),
                None if previous is None else previous.field(path),
                event, current, previous,
            )  # fmt: skip
        if self._labels:
            self._look_at_labels(event, current, previous)
        if namespaces := self._namespaces.anywhere:
            now_in = namespaces.get(current.namespace) if current is not None else None
            was_in = namespaces.get(previous.namespace) if previous is not None else None
            if now_in is not None or was_in is not None:
                self._offer(now_in, was_in, event, current, previous)
        if self._label_only:
            self._offer_memoised(event, current, previous)
        for view, matches in self._others.items():
            was = previous is not None and matches(previous)
            now = current is not None and matches(current)
            if was or now:
                self._note(view, was, now, event)

    def flush(self, *, revision: int, oldest_revision: int) -> None:
        """Hand over what was routed. Before it, whatever left the ring is taken from those who lag."""
        if oldest_revision > self.oldest_revision:
            self.oldest_revision = oldest_revision
            self._trim_lagging()
        self.revision = revision
        if self._dirty:
            dirty, self._dirty = self._dirty, []
            for view in dirty:
                view.seal()

    # ---- for views and watches ----

    def note_lag(self, who: Trimmable, oldest_kept: int) -> None:
        """`who` keeps events from `oldest_kept` on for somebody who lags: it will be trimmed when the ring passes them."""
        if oldest_kept != NEVER_DROPPED and who not in self._lagging:
            number = self._lagging[who] = next(self._sequence)
            heapq.heappush(self._lag_heap, (oldest_kept, number, who))

    def forget(self, who: Trimmable) -> None:
        """`who` keeps nothing any more. Cost: O(1) amortised."""
        self._lagging.pop(who, None)
        if len(self._lag_heap) > 2 * len(self._lagging) + LAG_ENTRIES_SPARE:
            self._lag_heap = [entry for entry in self._lag_heap if self._lagging.get(entry[2]) == entry[1]]
            heapq.heapify(self._lag_heap)

    def drop_view(self, view: View) -> None:
        """The last watch of the view has gone."""
        if self._views.get(view.selector) is view:
            del self._views[view.selector]
            self._unhang(view)
        self.forget(view)

    # ---- figures ----

    def views(self) -> list[View]:
        """All views, oldest first."""
        return list(self._views.values())

    def watches(self) -> int:
        """How many watches there are. Cost: O(views)."""
        return sum(
            len(view.readers) + len(view.sinks) + sum(map(len, view.groups.values())) for view in self._views.values()
        )

    # ---- inside: the index ----

    def _view(self, selector: Selector) -> View:
        view = self._views.get(selector)
        if view is None:
            view = self._views[selector] = View(selector, self)
            self._hang(view)
        return view

    def _dimension(self, route: Route) -> _Dimension:
        if route.kind is RouteKind.NAMESPACE:
            return self._namespaces
        table = self._fields if route.kind is RouteKind.FIELD else self._labels
        return table.setdefault(route.path, _Dimension())

    def _hang(self, view: View) -> None:
        route = view.selector.route()
        if route is not None:
            view.rest = route.rest
            for table, key in self._dimension(route).places(route):
                table.setdefault(key, {})[view] = None
            return
        matches = view.selector.compile()
        if matches is None:
            self._everything.append(view)
        elif view.selector.label_only:
            self._label_only[view] = matches
            self._memo.clear()
        else:
            self._others[view] = matches

    def _unhang(self, view: View) -> None:
        route = view.selector.route()
        if route is None:
            if view in self._everything:
                self._everything = [other for other in self._everything if other is not view]
            self._others.pop(view, None)
            if self._label_only.pop(view, None) is not None:
                self._memo.clear()
            return
        dimension = self._dimension(route)
        for table, key in dimension.places(route):
            bucket = table.get(key)
            if bucket is not None:
                bucket.pop(view, None)
                if not bucket:
                    del table[key]
        if dimension.is_unused and route.kind is not RouteKind.NAMESPACE:
            (self._fields if route.kind is RouteKind.FIELD else self._labels).pop(route.path, None)

    # ---- inside: routing ----

    def _look_at_labels(self, event: Event, current: Object | None, previous: Object | None) -> None:
        new = current.labels if current is not None else {}
        old = previous.labels if previous is not None else {}
        dimensions = self._labels
        for key, value in new.items():
            dimension = dimensions.get(key)
            if dimension is not None:
                self._look(dimension, value, old.get(key), event, current, previous)
        if old is not new:
            for key, value in old.items():
                if key not in new and (dimension := dimensions.get(key)) is not None:
                    self._look(dimension, None, value, event, current, previous)

    def _look(
        self,
        dimension: _Dimension,
        new: str | None,
        old: str | None,
        event: Event,
        current: Object | None,
        previous: Object | None,
    ) -> None:
        anywhere = dimension.anywhere
        if anywhere:
            now = anywhere.get(new) if new is not None else None
            was = now if new == old else (anywhere.get(old) if old is not None else None)
            if now is not None or was is not None:
                self._offer(now, was, event, current, previous)
        within = dimension.within
        if within:
            now = within.get((current.namespace, new)) if current is not None and new is not None else None
            was = within.get((previous.namespace, old)) if previous is not None and old is not None else None
            if now is not None or was is not None:
                self._offer(now, was, event, current, previous)

    def _offer(
        self, now: _Bucket | None, was: _Bucket | None, event: Event, current: Object | None, previous: Object | None
    ) -> None:
        """Note the event in the views of the bucket that it is in now and of the one that it was in before."""
        if now is not None and now is was:
            for view in now:
                rest = view.rest
                if rest is None:
                    if not view.pending:
                        self._dirty.append(view)
                    view.pending.append(event)
                else:
                    self._note(
                        view, previous is not None and rest(previous), current is not None and rest(current), event
                    )
            return
        for view in was or ():
            rest = view.rest
            before = previous is not None and (rest is None or rest(previous))
            after = current is not None and now is not None and view in now and (rest is None or rest(current))
            self._note(view, before, after, event)
        for view in now or ():
            if was is None or view not in was:
                rest = view.rest
                self._note(view, False, current is not None and (rest is None or rest(current)), event)

    def _offer_memoised(self, event: Event, current: Object | None, previous: Object | None) -> None:
        now = self._matching(current) if current is not None else ()
        was = now if previous is not None and current is not None and previous.labels == current.labels else (
            self._matching(previous) if previous is not None else ()
        )  # fmt: skip
        if now is was:
            for view in now:
                self._note(view, True, True, event)
            return
        for view in was:
            self._note(view, True, view in now, event)
        for view in now:
            if view not in was:
                self._note(view, False, True, event)

    def _matching(self, obj: Object) -> tuple[View, ...]:
        labels = tuple(obj.labels.items())
        found = self._memo.get(labels)
        if found is None:
            if len(self._memo) >= MEMO_LABEL_SETS_MAX:
                self._memo.clear()
            found = tuple(view for view, matches in self._label_only.items() if matches(obj))
            self._memo[labels] = found
        return found

    def _note(self, view: View, was: bool, now: bool, event: Event) -> None:
        """The transition table, on the whole selector. The two faces that differ from the event are made once for all views."""
        if now:
            if not was and event.previous is not None:
                event = self._faces(event)[0]
        elif not was:
            return
        elif event.type is not _DELETED:
            event = self._faces(event)[1]
        if not view.pending:
            self._dirty.append(view)
        view.pending.append(event)

    def _faces(self, event: Event) -> tuple[Event, Event]:
        if self._now is not event or self._entered is None or self._left is None:
            self._now, self._entered, self._left = event, entered(event), left(event)
        return self._entered, self._left

    def _trim_lagging(self) -> None:
        while self._lag_heap and self._lag_heap[0][0] < self.oldest_revision:
            _, number, who = heapq.heappop(self._lag_heap)
            if self._lagging.get(who) != number:
                continue
            del self._lagging[who]
            oldest_kept = who.trim(self.oldest_revision)
            if oldest_kept is not None:
                self.note_lag(who, oldest_kept)
