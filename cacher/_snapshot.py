"""The current objects of one resource in key order, and a past state by undoing the ring.

History is undone, not copied: every ring event carries the object that was there before, so the state at revision R is
today's with the events after R taken back, in the range asked for only. A list of the present costs what it returns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from watch import Event, EventType, Object, SortedKeys

KEY_END = "\U0010ffff"
"""Sorts after every character that a key can hold, so `prefix + KEY_END` ends the range of a prefix."""


class Snapshot:
    """What is there now, by key and in key order."""

    def __init__(self) -> None:
        self._objects: dict[str, Object] = {}
        self._keys: SortedKeys[str] = SortedKeys()

    def __len__(self) -> int:
        return len(self._objects)

    def get(self, key: str) -> Object | None:
        """The object under `key` now."""
        return self._objects.get(key)

    def replace(self, objects: Iterable[Object]) -> None:
        """Hold exactly `objects`. Cost: O(n log n)."""
        self._objects = {obj.key: obj for obj in objects}
        self._keys = SortedKeys(self._objects)

    def put(self, obj: Object) -> Object | None:
        """Hold `obj` under its key. Returns what was there. Cost: O(log n) for a new key, else O(1)."""
        previous = self._objects.get(obj.key)
        self._objects[obj.key] = obj
        if previous is None:
            self._keys.add(obj.key)
        return previous

    def remove(self, key: str) -> Object | None:
        """Hold nothing under `key`. Returns what was there."""
        previous = self._objects.pop(key, None)
        if previous is not None:
            self._keys.remove(key)
        return previous

    def objects(self, prefix: str = "") -> list[Object]:
        """Everything under `prefix`, in key order. Cost: O(log n + what is returned)."""
        held = self._objects
        return [held[key] for key in self._range(prefix)]

    def objects_at(self, newer: Sequence[Event], prefix: str = "") -> list[Object]:
        """What was under `prefix` before the events `newer` (all since then, oldest first), in key order.

        Cost: O(events undone + what is returned).
        """
        before: dict[str, Object | None] = {}
        for event in newer:  # the first event of a key says what was there before all of them
            if event.key not in before and event.key.startswith(prefix):
                before[event.key] = event.previous
        if not before:
            return self.objects(prefix)
        came_back = [key for key, obj in before.items() if obj is not None and key not in self._objects]
        keys = sorted([*self._range(prefix), *came_back])
        past = (before.get(key) if key in before else self._objects[key] for key in keys)
        return [obj for obj in past if obj is not None]

    def _range(self, prefix: str) -> Iterator[str]:
        return self._keys.irange(prefix, prefix + KEY_END) if prefix else iter(self._keys)

    def _check(self) -> None:
        """The whole invariant, in words."""
        assert list(self._keys) == sorted(self._objects), "each key once, in order"
        assert all(obj.key == key for key, obj in self._objects.items()), "each object under its own key"


def underlying_event(change: Event, previous: Object | None) -> Event | None:
    """`change` as this cache's history tells it: its type judged by what was there, not by what upstream called it.

    None where a deletion finds nothing: the cache never knew the object, so nobody can be told that it went.
    Source: kubernetes/apiserver watch_cache.go, processEvent.
    """
    if change.type is EventType.DELETED:
        if previous is None:
            return None
        return Event(EventType.DELETED, previous.at_revision(change.revision), change.revision, previous)
    if previous is None:
        return Event(EventType.ADDED, change.object, change.revision)
    return Event(EventType.MODIFIED, change.object, change.revision, previous)
