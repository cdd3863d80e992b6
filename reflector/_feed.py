"""Feed: from what an informer tells to keys in a controller's queue; and what a controller needs of an informer."""

from __future__ import annotations

from typing import Protocol, final

from watch import Object

from ._event_keys import KeyFunction, Predicate, keys_of
from ._store import Store, Tombstone
from ._workqueue import WorkQueue

LIVE_WITHIN_S = 90.0
"""A copy whose source said nothing for so long is not to be acted on: half again as long as the minute between bookmarks."""
LOW_PRIORITY = -100
"""Of keys from an initial list or a resync: whatever has just changed goes before them. Source: controller-runtime."""


class HandlerRegistration(Protocol):
    """A handler at an informer."""

    async def wait_until_synced(self) -> None:
        """Return once the handler was told of the whole initial list."""
        ...

    async def remove(self) -> None:
        """The handler is told of nothing more."""
        ...


class Informer(Protocol):
    """What a controller needs of a SharedInformer."""

    @property
    def name(self) -> str:
        """For statistics and messages."""
        ...

    @property
    def has_synced(self) -> bool:
        """Whether the first list is there."""
        ...

    @property
    def staleness_s(self) -> float:
        """Seconds since the source was last heard."""
        ...

    @property
    def store(self) -> Store:
        """The objects."""
        ...

    @property
    def last_revision(self) -> int:
        """The store shows the state at this revision."""
        ...

    async def wait_until_revision(self, revision: int) -> None:
        """Return once the store shows it."""
        ...

    def is_live(self, within_s: float = LIVE_WITHIN_S) -> bool:
        """Whether the source was heard within that time."""
        ...

    async def wait_until_synced(self) -> None:
        """Return once the first list is there."""
        ...

    def add_handler(self, handler: Feed) -> HandlerRegistration:
        """Tell `handler` of everything from here on, what there is already first."""
        ...


@final
class Feed:
    """A handler that turns what an informer tells into keys. It never waits, so its queue at the informer stays short."""

    def __init__(self, queue: WorkQueue[str], informer: Informer, key: KeyFunction, when: Predicate | None) -> None:
        self._queue = queue
        self.informer = informer
        self._key = key
        self._when = when

    def on_add(self, obj: Object, is_in_initial_list: bool) -> None:
        self._add(None, obj, LOW_PRIORITY if is_in_initial_list else 0)

    def on_update(self, old: Object, new: Object) -> None:
        """An object that goes from one owner to another is of interest to both."""
        self._add(old, new, LOW_PRIORITY if old is new else 0)

    def on_delete(self, obj: Object | Tombstone) -> None:
        self._add(obj.last_known if isinstance(obj, Tombstone) else obj, None, 0)

    def _add(self, old: Object | None, new: Object | None, priority: int) -> None:
        if self._when is not None and not self._when(old, new):
            return
        for key in keys_of(self._key, old, new):
            self._queue.add(key, priority=priority)
