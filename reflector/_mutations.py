"""MutationDetector: finds out, in tests, that somebody changed an object that all readers share. Pure.

Objects are frozen, but for their labels and fields, which are dicts: who changes these changes what everybody else reads, and what
the next version is compared with. The detector keeps copies and compares.

Source: client-go tools/cache/mutation_detector.go.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import final

from watch import Object

from ._store import StoreChange

CHECK_PERIOD_S = 1.0
"""How often an informer has its objects compared. Source: as above, newCacheMutationDetector."""
RETAINED_S = 120.0
"""An object that the store has no more is still watched for so long: its readers may still have it. Source: as above."""


class ObjectMutated(AssertionError):
    """Somebody changed an object that is shared. Copy it first: `obj.parse()` is yours, `dict(obj.labels)` too."""

    def __init__(self, key: str, was: object, found: object) -> None:
        self.key = key
        super().__init__(f"{key} was changed by one of its readers, from {was} to {found}: change a copy")


class _Kept:
    __slots__ = ("copy", "obj", "since_s")

    def __init__(self, obj: Object, since_s: float) -> None:
        self.obj = obj
        self.copy = _content(obj)
        self.since_s = since_s


@final
class MutationDetector:
    """Remembers every object that was handed out for RETAINED_S, and those of the store for as long as they are there."""

    def __init__(self) -> None:
        self._current: dict[str, _Kept] = {}
        self._former: deque[_Kept] = deque()

    def note(self, changes: Sequence[StoreChange], now: float) -> None:
        """The store has changed, at `now` in seconds."""
        for change in changes:
            former = self._current.pop(change.key, None)
            if former is not None:
                former.since_s = now
                self._former.append(former)
            if change.new is not None:
                self._current[change.key] = _Kept(change.new, now)

    def check(self, now: float) -> None:
        """Returns where all are as they were.

        Raises:
            ObjectMutated: one is not; look at who reads it.
        Cost: O(objects).
        """
        for kept in (*self._current.values(), *self._former):
            found = _content(kept.obj)
            if found != kept.copy:
                raise ObjectMutated(kept.obj.key, kept.copy, found)
        while self._former and self._former[0].since_s < now - RETAINED_S:
            self._former.popleft()


def _content(obj: Object) -> tuple[dict[str, str], dict[str, str]]:
    """What of an object can be changed."""
    return dict(obj.labels), dict(obj.fields)
