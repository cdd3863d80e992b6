"""SortedObjects: objects in the order of their keys, kept so that a range of them is a slice.

    maxes     c            f         z
    keys      a  b  c      d  f      q  z        chunks of 256 to 1,024; fewer after removals
    objects   A  B  C      D  F      Q  Z        between("b", "e") = [B, C] + [D]

A list of a resource is read far more often than its keys change; with the objects beside their keys it costs a copy of
pointers, and no look-up of each key. Pure.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise

from watch import Object

CHUNK = 512
"""Objects of a chunk when it is made. Twice as many are split, half as many joined with their neighbours."""

RENEWED_MAX = 1_024
"""Objects that may wait to be put beside their keys: up to 2 ms of work for whoever finds so many."""
OVERLAID = 16
"""Objects of a short list that are looked up among those that wait, in the time in which one of these is put in."""


class SortedObjects:
    """One object a key. `objects`: what it holds first, ascending by key, each key once.

    Most writes renew what is there. What they wrote waits in a dict until somebody reads, or until it is much: a key written
    ten times in between is looked up once, and writing with no reader costs what a dict does.

    Cost of `put` and `remove`: O(log n + CHUNK + n / CHUNK), about 0.5 µs; a key of now put again moves nothing.
    """

    __slots__ = ("_keys", "_maxes", "_objects", "_renewed")

    def __init__(self, objects: Sequence[Object] = ()) -> None:
        self._renewed: dict[str, Object] = {}
        self._objects = [list(objects[at : at + CHUNK]) for at in range(0, len(objects), CHUNK)]
        self._keys = [[obj.key for obj in chunk] for chunk in self._objects]
        self._maxes = [keys[-1] for keys in self._keys]

    def put(self, obj: Object) -> None:
        """Hold `obj` under its key, instead of what is there."""
        key, maxes = obj.key, self._maxes
        if self._renewed:
            self._renewed.pop(key, None)  # or it would come back
        where = bisect_left(maxes, key)
        if where == len(maxes):
            self._append(obj)
            return
        keys = self._keys[where]
        at = bisect_left(keys, key)
        if keys[at] == key:
            keys[at] = key  # the object's own: else two texts of each key were kept
            self._objects[where][at] = obj
            return
        keys.insert(at, key)
        self._objects[where].insert(at, obj)
        if len(keys) >= 2 * CHUNK:
            self._split(where)

    def renew(self, obj: Object) -> None:
        """Hold `obj` under its key, where another is. Cost: O(1), about 0.1 µs; 0.5 µs for the next reader."""
        renewed = self._renewed
        renewed[obj.key] = obj
        if len(renewed) >= RENEWED_MAX:
            self._settle()

    def remove(self, key: str) -> None:
        """Hold nothing under `key`, where something is.

        Raises:
            KeyError: nothing is.
        """
        where = bisect_left(self._maxes, key)
        keys = self._keys[where] if where < len(self._maxes) else []
        at = bisect_left(keys, key)
        if at == len(keys) or keys[at] != key:
            raise KeyError(key)
        del keys[at], self._objects[where][at]
        self._renewed.pop(key, None)
        if not keys:
            del self._keys[where], self._objects[where], self._maxes[where]
            return
        self._maxes[where] = keys[-1]
        if len(keys) < CHUNK // 2 and len(self._keys) > 1:
            self._join(max(0, where - 1))

    def between(self, start: str, end: str, most: int = 0) -> list[Object]:
        """The objects from `start` up to `end`, which is not in it; `most` of them at most, 0: all.

        Cost: O(log n + what is returned), a few ns an object; up to 60 where some were renewed since the last long list.
        """
        found = self._placed(start, end, most)
        renewed = self._renewed
        if not renewed or not found:
            return found
        if len(found) <= min(
            CHUNK, OVERLAID * len(renewed)
        ):  # a short list does not pay for what was written elsewhere
            return [renewed.get(obj.key, obj) for obj in found]
        self._settle()
        return self._placed(start, end, most)

    def count(self, start: str, end: str) -> int:
        """How many there are from `start` up to `end`. Cost: O(log n + n / CHUNK)."""
        maxes = self._maxes
        first = bisect_left(maxes, start)
        if first == len(maxes) or start >= end:
            return 0
        last = bisect_left(maxes, end, first)
        whole = sum(map(len, self._keys[first:last]))
        behind = bisect_left(self._keys[last], end) if last < len(maxes) else 0
        return whole + behind - bisect_left(self._keys[first], start)

    def __iter__(self) -> Iterator[Object]:
        if self._renewed:
            self._settle()
        for chunk in self._objects:
            yield from chunk

    def _settle(self) -> None:
        """Put what was renewed beside its keys."""
        renewed, self._renewed = self._renewed, {}
        for obj in renewed.values():
            self.put(obj)

    def _placed(self, start: str, end: str, most: int) -> list[Object]:
        """As `between`, with what was there before it was renewed."""
        maxes, chunks = self._maxes, self._objects
        first = bisect_left(maxes, start)
        if first == len(maxes):
            return []
        last = bisect_left(maxes, end, first)
        low = bisect_left(self._keys[first], start)
        if first == last:
            high = bisect_left(self._keys[first], end, low)
            return chunks[first][low : min(high, low + most) if most else high]
        found = chunks[first][low : low + most] if most else chunks[first][low:]
        for where in range(first + 1, min(last + 1, len(chunks))):
            if most and len(found) >= most:
                break
            stop = bisect_left(self._keys[where], end) if where == last else None
            found += chunks[where][:stop]
        if most:
            del found[most:]
        return found

    def _append(self, obj: Object) -> None:
        """Hold what comes after everything."""
        if not self._maxes:
            self._keys, self._objects, self._maxes = [[obj.key]], [[obj]], [obj.key]
            return
        self._keys[-1].append(obj.key)
        self._objects[-1].append(obj)
        self._maxes[-1] = obj.key
        if len(self._keys[-1]) >= 2 * CHUNK:
            self._split(len(self._keys) - 1)

    def _split(self, where: int) -> None:
        keys, objects = self._keys[where], self._objects[where]
        half = len(keys) // 2
        self._keys[where : where + 1] = [keys[:half], keys[half:]]
        self._objects[where : where + 1] = [objects[:half], objects[half:]]
        self._maxes.insert(where, keys[half - 1])

    def _join(self, where: int) -> None:
        """Make one chunk of this and the next one, or two even ones."""
        self._keys[where] += self._keys.pop(where + 1)
        self._objects[where] += self._objects.pop(where + 1)
        del self._maxes[where]
        if len(self._keys[where]) >= 2 * CHUNK:
            self._split(where)

    def _check(self) -> None:
        """The whole invariant, in words."""
        assert all(any(obj.key in keys for keys in self._keys) for obj in self._renewed.values()), (
            "only what is there is renewed"
        )
        assert [[obj.key for obj in chunk] for chunk in self._objects] == self._keys, "each object beside its own key"
        assert self._maxes == [keys[-1] for keys in self._keys], (
            "each chunk is found by its last key, and none is empty"
        )
        every = [key for keys in self._keys for key in keys]
        assert all(key < following for key, following in pairwise(every)), "each key once, in order"
        assert all(len(keys) < 2 * CHUNK for keys in self._keys), "no chunk is too long"
        joined = [len(keys) for keys in self._keys]
        assert all(one + other >= CHUNK // 2 for one, other in pairwise(joined)), "few are short"
