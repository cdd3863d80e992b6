"""SortedKeys: keys kept in order. The one module that imports sortedcontainers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Generic, Protocol, TypeVar

from sortedcontainers import SortedList

K = TypeVar("K")


class _Keys(Protocol[K]):
    """What we use of SortedList, which ships without types."""

    def add(self, value: K) -> None: ...

    def remove(self, value: K) -> None: ...

    def irange(self, minimum: K | None, maximum: K | None, inclusive: tuple[bool, bool]) -> Iterator[K]: ...

    def bisect_left(self, value: K) -> int: ...

    def __len__(self) -> int: ...

    def __contains__(self, value: object) -> bool: ...

    def __iter__(self) -> Iterator[K]: ...


class SortedKeys(Generic[K]):
    """Keys of one type in ascending order. Its user adds each key once: a second `add` would keep it twice.

    >>> keys = SortedKeys(["/pods/b", "/pods/a", "/nodes/n"])
    >>> list(keys.irange("/pods/", "/pods0", (True, False)))
    ['/pods/a', '/pods/b']
    >>> keys.count("/pods/", "/pods0")
    2
    """

    __slots__ = ("_keys",)

    def __init__(self, keys: Iterable[K] = ()) -> None:
        self._keys: _Keys[K] = SortedList(keys)

    def add(self, key: K) -> None:
        """Cost: O(log n)."""
        self._keys.add(key)

    def remove(self, key: K) -> None:
        """Take `key` out.

        Raises:
            ValueError: it is not there.
        Cost: O(log n).
        """
        self._keys.remove(key)

    def irange(
        self, minimum: K | None = None, maximum: K | None = None, inclusive: tuple[bool, bool] = (True, True)
    ) -> Iterator[K]:
        """The keys from `minimum` to `maximum` (None: no bound), in order; `inclusive` speaks of the two bounds.

        Keys must not be added or removed while the iterator is in use.
        Cost: O(log n) to find the start, O(1) a key.
        """
        return self._keys.irange(minimum, maximum, inclusive)

    def between(self, minimum: K, maximum: K, most: int = 0) -> list[K]:
        """The keys in [minimum, maximum), in order; `most` of them at most, 0: all. Cost: O(log n + what is returned)."""
        keys = self._keys
        if (not most or len(keys) <= most) and not keys.bisect_left(minimum) and keys.bisect_left(maximum) == len(keys):
            return list(keys)  # all of them: half the time
        found = keys.irange(minimum, maximum, (True, False))
        return list(islice(found, most)) if most else list(found)

    def count(self, minimum: K | None = None, maximum: K | None = None) -> int:
        """How many keys are in [minimum, maximum), None: no bound. Cost: O(log n), whatever the answer."""
        start = 0 if minimum is None else self._keys.bisect_left(minimum)
        end = len(self._keys) if maximum is None else self._keys.bisect_left(maximum)
        return max(0, end - start)

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: object) -> bool:
        """Cost: O(log n)."""
        return key in self._keys

    def __iter__(self) -> Iterator[K]:
        return iter(self._keys)
