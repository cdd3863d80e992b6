"""The current objects of one resource in key order, and a past state by undoing the ring.

History is undone, not copied: every ring event carries the object that was there before, so the state at revision R is
today's with the events after R taken back, in the range asked for only. A list of the present costs what it returns.

    keys now     a  b     d  e        section("b", "e", past={c: its last version, d: None}) looks at b, c, d
    then         a  b  c     e        and finds b, c
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

import msgspec

from watch import Event, EventType, Object, SortedKeys

KEY_END = "\U0010ffff"
"""Sorts after every character that a key can hold, so `prefix + KEY_END` ends the range of a prefix."""
AFTER = "\0"
"""`key + AFTER` is the first key that sorts after `key`."""

Past = Mapping[str, Object | None]
"""What was under a key at some revision, where that is not what is there now; None: nothing."""
IndexKey = tuple[str, str]
"""A field's path and the value wanted."""

_NO_PAST: Past = {}
_NO_KEYS: SortedKeys[str] = SortedKeys()


class Section(msgspec.Struct, frozen=True):
    """What was found in a part of a range."""

    objects: list[Object]
    """In key order."""
    position: str
    """The first key that was not looked at; "": the range was looked through."""
    looked_at: int


class Snapshot:
    """What is there now, by key and in key order. `indexed`: paths of fields by whose value objects are found."""

    def __init__(self, indexed: Sequence[str] = ()) -> None:
        self._objects: dict[str, Object] = {}
        self._keys: SortedKeys[str] = SortedKeys()
        self._indexed = tuple(indexed)
        self._index: dict[IndexKey, SortedKeys[str]] = {}

    def __len__(self) -> int:
        return len(self._objects)

    @property
    def indexed(self) -> tuple[str, ...]:
        """The fields by whose value objects are found."""
        return self._indexed

    def get(self, key: str) -> Object | None:
        """The object under `key` now."""
        return self._objects.get(key)

    def replace(self, objects: Iterable[Object]) -> None:
        """Hold exactly `objects`. Cost: O(n log n)."""
        self._objects = {obj.key: obj for obj in objects}
        self._keys = SortedKeys(self._objects)
        keys: dict[IndexKey, list[str]] = {}
        for path in self._indexed:
            for obj in self._objects.values():
                keys.setdefault((path, obj.field(path)), []).append(obj.key)
        self._index = {value: SortedKeys(found) for value, found in keys.items()}

    def put(self, obj: Object) -> Object | None:
        """Hold `obj` under its key. Returns what was there. Cost: O(log n) for a new key or indexed value, else O(1)."""
        previous = self._objects.get(obj.key)
        self._objects[obj.key] = obj
        if previous is None:
            self._keys.add(obj.key)
        for path in self._indexed:
            self._reindex(path, obj.key, previous, obj)
        return previous

    def remove(self, key: str) -> Object | None:
        """Hold nothing under `key`. Returns what was there."""
        previous = self._objects.pop(key, None)
        if previous is not None:
            self._keys.remove(key)
            for path in self._indexed:
                self._reindex(path, key, previous, None)
        return previous

    def objects(self, prefix: str = "") -> list[Object]:
        """Everything under `prefix`, in key order. Cost: O(log n + what is returned)."""
        held = self._objects
        return [held[key] for key in (self._keys.irange(prefix, prefix + KEY_END) if prefix else self._keys)]

    def section(
        self,
        start: str,
        end: str,
        *,
        matches: Callable[[Object], bool] | None = None,
        limit: int = 0,
        keys_max: int = 0,
        past: Past = _NO_PAST,
        index: IndexKey | None = None,
    ) -> Section:
        """What `matches` lets through of the keys from `start` up to `end`, which is not in it.

        Args:
            limit: objects to find at most; 0: all. A section that is cut by it ends with the last object found.
            keys_max: keys to look at, at most; 0: all.
            past: as it was then, not now.
            index: look only at objects with this value in an indexed field. `matches` still decides.
        Cost: O(log n + keys looked at), and O(k log k) for the k keys of `past`.
        """
        if limit and matches is None:
            keys_max = min(keys_max or limit, limit)
        keys, position = self._keys_of(start, end, keys_max, past, index)
        held = self._objects
        if past:
            then = ((past[key] if key in past else held[key]) for key in keys)
            objects = [obj for obj in then if obj is not None and (matches is None or matches(obj))]
        else:
            objects = [held[key] for key in keys]
            if matches is not None:
                objects = [obj for obj in objects if matches(obj)]
        if limit and len(objects) >= limit:
            del objects[limit:]
            return Section(objects, objects[-1].key + AFTER, len(keys))
        return Section(objects, position, len(keys))

    def count(self, start: str, end: str, *, past: Past = _NO_PAST, index: IndexKey | None = None) -> int:
        """How many objects there are from `start` up to `end`, as `section` would look at them. Cost: O(log n + past)."""
        now = self._source(index)
        count = now.count(start, end)
        for key, obj in past.items():
            if start <= key < end:
                was_there = obj is not None and (index is None or obj.field(index[0]) == index[1])
                count += was_there - self._is_in(key, index)
        return count

    def _keys_of(
        self, start: str, end: str, keys_max: int, past: Past, index: IndexKey | None
    ) -> tuple[list[str], str]:
        """At most `keys_max` keys of now, with those of the past that lie among them; and the first key left over."""
        found = self._source(index).irange(start, end, (True, False))
        keys = list(islice(found, keys_max + 1)) if keys_max else list(found)
        position = keys.pop() if keys_max and len(keys) > keys_max else ""
        if past:
            stop = position or end
            more = [key for key in past if start <= key < stop and not self._is_in(key, index)]
            if more:
                keys = sorted([*keys, *more])
        return keys, position

    def _source(self, index: IndexKey | None) -> SortedKeys[str]:
        return self._keys if index is None else self._index.get(index, _NO_KEYS)

    def _is_in(self, key: str, index: IndexKey | None) -> bool:
        obj = self._objects.get(key)
        return obj is not None and (index is None or obj.field(index[0]) == index[1])

    def _reindex(self, path: str, key: str, previous: Object | None, current: Object | None) -> None:
        was = previous.field(path) if previous is not None else None
        now = current.field(path) if current is not None else None
        if was == now:
            return
        if was is not None:
            keys = self._index[path, was]
            keys.remove(key)
            if not keys:
                del self._index[path, was]
        if now is not None:
            self._index.setdefault((path, now), SortedKeys()).add(key)

    def _check(self) -> None:
        """The whole invariant, in words."""
        assert list(self._keys) == sorted(self._objects), "each key once, in order"
        assert all(obj.key == key for key, obj in self._objects.items()), "each object under its own key"
        for path in self._indexed:
            there = {value: list(keys) for (where, value), keys in self._index.items() if where == path}
            wanted: dict[str, list[str]] = {}
            for key in self._keys:
                wanted.setdefault(self._objects[key].field(path), []).append(key)
            assert there == wanted, f"each object is found by its own {path} and by no other"


def undone(newer: Sequence[Event], start: str, end: str) -> dict[str, Object | None]:
    """What was under the keys from `start` up to `end` before the events `newer` (all since then, oldest first).

    Cost: O(events).
    """
    past: dict[str, Object | None] = {}
    for event in newer:  # the first event of a key says what was there before all of them
        key = event.object.key
        if start <= key < end and key not in past:
            past[key] = event.previous
    return past


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
