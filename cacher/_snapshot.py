"""The current objects of one resource in key order, and a past state by undoing the ring.

History is undone, not copied: every ring event carries the object that was there before, so the state at revision R is
today's with the events after R taken back, in the range asked for only. A list of the present costs what it returns.

    keys now     a  b     d  e        section("b", "e", past={c: its last version, d: None}) looks at b, c, d
    then         a  b  c     e        and finds b, c
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from functools import lru_cache
from operator import attrgetter

import msgspec

from watch import Event, EventType, Object, SortedKeys

from ._selection import IndexKey, Sift
from ._sorted_objects import SortedObjects

KEY_END = "\U0010ffff"
"""Sorts after every character that a key can hold, so `prefix + KEY_END` ends the range of a prefix."""
AFTER = "\0"
"""`key + AFTER` is the first key that sorts after `key`."""

_KEY_OF = attrgetter("key")

# A member of an enum is looked up by a call, of 80 ns in CPython 3.11: too much for what is done with each event.
_ADDED, _MODIFIED, _DELETED = EventType.ADDED, EventType.MODIFIED, EventType.DELETED

_NO_KEYS: SortedKeys[str] = SortedKeys()


class Past:
    """What was under the keys from `start` up to `end` at some revision, where that may not be what is there now.

    Made empty, for the present; grows with each event that came after the revision.
    """

    __slots__ = ("_end", "_keys", "_start", "_was")

    def __init__(self, start: str, end: str) -> None:
        self._start, self._end = start, end
        self._was: dict[str, Object | None] = {}
        self._keys: list[str] = []  # in order, as soon as somebody looks

    def __len__(self) -> int:
        return len(self._was)

    def undo(self, newer: Iterable[Event]) -> None:
        """Take back `newer`, oldest first: all events since the revision, or since those taken back before. Cost: O(events)."""
        was, start, end = self._was, self._start, self._end
        for event in newer:  # the first event of a key says what was there before all of them
            key = event.object.key
            if start <= key < end and key not in was:
                was[key] = event.previous

    def restored(self, objects: list[Object], start: str, end: str) -> list[Object]:
        """`objects`, which are those of now from `start` up to `end`, or some of them; with what was there then instead.

        Cost: O(k log objects) for the k keys of the past in the range, and a copy of `objects`, a few ns each.
        """
        changed = self.keys(start, end)
        if not changed:
            return objects
        found: list[Object] = []
        done = 0
        for key in changed:
            at = bisect_left(objects, key, done, key=_KEY_OF)
            found += objects[done:at]
            done = at + (at < len(objects) and objects[at].key == key)
            obj = self._was[key]
            if obj is not None:
                found.append(obj)
        found += objects[done:]
        return found

    def keys(self, start: str, end: str) -> list[str]:
        """The keys from `start` up to `end` of which the past is known here, in order."""
        keys = self._keys
        if len(keys) != len(self._was):
            keys = self._keys = sorted(self._was)
        return keys[bisect_left(keys, start) : bisect_left(keys, end)]

    def get(self, key: str) -> Object | None:
        """What was under one of `keys`; None: nothing."""
        return self._was[key]


class Section(msgspec.Struct, frozen=True):
    """What was found in a part of a range."""

    objects: list[Object]
    """In key order."""
    position: str
    """The first key that was not looked at; "": the range was looked through."""
    looked_at: int


class Snapshot:
    """What is there now, by key and in key order. `indexed`: paths of fields by whose value objects are found."""

    def __init__(self, indexed: Iterable[str] = ()) -> None:
        self._objects: dict[str, Object] = {}
        self._sorted = SortedObjects()
        self._indexed = tuple(indexed)
        self._by_metadata = any(path.startswith("metadata.") for path in self._indexed)
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
        """Hold exactly `objects`. Cost: O(n log n), O(n) where they come in key order."""
        held = {obj.key: obj for obj in objects}
        self._objects = held
        self._sorted = SortedObjects([held[key] for key in sorted(held)])
        keys: dict[IndexKey, list[str]] = {}
        for path in self._indexed:
            for obj in self._sorted:
                keys.setdefault((path, obj.field(path)), []).append(obj.key)
        self._index = {value: SortedKeys(found) for value, found in keys.items()}

    def put(self, obj: Object) -> Object | None:
        """Hold `obj` under its key. Returns what was there. Cost: O(1), about 0.3 µs; O(log n) where nothing was."""
        key = obj.key
        previous = self._objects.get(key)
        self._objects[key] = obj
        if previous is None:
            self._sorted.put(obj)
        else:
            self._sorted.renew(obj)
        if self._indexed and (previous is None or previous.fields is not obj.fields or self._by_metadata):
            for path in self._indexed:
                self._reindex(path, key, previous, obj)
        return previous

    def remove(self, key: str) -> Object | None:
        """Hold nothing under `key`. Returns what was there."""
        previous = self._objects.pop(key, None)
        if previous is not None:
            self._sorted.remove(key)
            for path in self._indexed:
                self._reindex(path, key, previous, None)
        return previous

    def objects(self, prefix: str = "") -> list[Object]:
        """Everything under `prefix`, in key order. Cost: O(log n + what is returned)."""
        return self._sorted.between(prefix, range_end(prefix))

    def section(
        self,
        start: str,
        end: str,
        *,
        sift: Sift | None = None,
        rest: Sift | None = None,
        limit: int = 0,
        keys_max: int = 0,
        past: Past | None = None,
        index: IndexKey | None = None,
    ) -> Section:
        """What `sift` lets through of the keys from `start` up to `end`, which is not in it.

        Args:
            sift: decides of objects; None: all are wanted.
            limit: objects to find at most; 0: all. A section that is cut by it ends with the last object found.
            keys_max: keys to look at, at most; 0: all.
            past: as it was then, not now.
            index: look only at objects with this value in an indexed field, and in the past at all that changed since;
            rest: what then remains to be decided of those found by it.
        Cost: O(log n + keys looked at), and O(k log n) for the k keys of `past`.
        """
        if limit and sift is None:
            keys_max = min(keys_max or limit, limit)
        objects = self._now(start, end, keys_max + 1 if keys_max else 0, index)
        position = objects.pop().key if keys_max and len(objects) > keys_max else ""
        if past:
            objects = past.restored(objects, start, position or end)
        elif index is not None:
            sift = rest
        looked_at = len(objects)
        if sift is not None:
            objects = sift(objects)
        if limit and len(objects) >= limit:
            del objects[limit:]
            return Section(objects, objects[-1].key + AFTER, looked_at)
        return Section(objects, position, looked_at)

    def count(self, start: str, end: str, *, past: Past | None = None, index: IndexKey | None = None) -> int:
        """How many objects there are from `start` up to `end`, as `section` would look at them. Cost: O(log n + past)."""
        count = (self._sorted if index is None else self._index.get(index, _NO_KEYS)).count(start, end)
        if past is None:
            return count
        for key in past.keys(start, end):
            count += _is_of(past.get(key), index) - _is_of(self._objects.get(key), index)
        return count

    def _now(self, start: str, end: str, most: int, index: IndexKey | None) -> list[Object]:
        """At most `most` objects of now, 0: all."""
        if index is None:
            return self._sorted.between(start, end, most)
        held = self._objects
        return [held[key] for key in self._index.get(index, _NO_KEYS).between(start, end, most)]

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
        every = list(self._sorted)
        assert [obj.key for obj in every] == sorted(self._objects), "each key once, in order"
        assert all(obj.key == key for key, obj in self._objects.items()), "each object under its own key"
        for path in self._indexed:
            there = {value: list(keys) for (where, value), keys in self._index.items() if where == path}
            wanted: dict[str, list[str]] = {}
            for key in sorted(self._objects):
                wanted.setdefault(self._objects[key].field(path), []).append(key)
            assert there == wanted, f"each object is found by its own {path} and by no other"
        assert all(self._objects[obj.key] is obj for obj in every), "what is found in order is what is found by key"
        self._sorted._check()


@lru_cache(maxsize=1_024)
def range_end(prefix: str) -> str:
    """The first key after all that start with `prefix`: its last character made the next one, which compares fast.

    >>> range_end("/pods/team-a/")
    '/pods/team-a0'
    """
    if not prefix or prefix[-1] == KEY_END:
        return prefix + KEY_END
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def _is_of(obj: Object | None, index: IndexKey | None) -> bool:
    """Whether there is an object, and one that is found by `index`."""
    return obj is not None and (index is None or obj.field(index[0]) == index[1])


def underlying_event(change: Event, previous: Object | None) -> Event | None:
    """`change` as this cache's history tells it: its type judged by what was there, not by what upstream called it.

    None where a deletion finds nothing: the cache never knew the object, so nobody can be told that it went.
    Source: kubernetes/apiserver watch_cache.go, processEvent.
    """
    if change.type is _DELETED:
        if previous is None:
            return None
        return Event(EventType.DELETED, previous.at_revision(change.revision), change.revision, previous)
    if previous is None:
        return Event(_ADDED, change.object, change.revision)
    return Event(_MODIFIED, change.object, change.revision, previous)
