"""What a client believed at a time, and what the store had then. Pure; the page's `belief.js` does the same.

belief_at(timeline, lane, at_us) ─► one row for each object that the client had, or should have had
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Literal

import msgspec

from ._model import (
    BORN,
    DELETED,
    EVENTS,
    INITIAL_END,
    LISTED,
    OPENED_INITIAL,
    Listing,
    Timeline,
    Versions,
)

Standing = Literal["same", "behind", "gone", "another object", "not known", "unknown to the store"]
NOTHING = -1


class Believed:
    """What a client has while its marks are taken one by one: versions by the number of their key.

    Args:
        keys: of each version, the number of its key.
        revisions: of each version.
    """

    def __init__(self, keys: Sequence[int], revisions: Sequence[int], listings: Sequence[Listing]) -> None:
        self.state: dict[int, int] = {}
        self.revision = 0
        """Up to here it has been told."""
        self._keys, self._revisions, self._listings = keys, revisions, listings
        self._pending: dict[int, int] | None = None

    def take(self, kind: str, ref: int) -> None:
        """One more mark. A state that is being streamed counts when it is complete."""
        if kind in EVENTS:
            self._event(kind, ref)
        elif kind == LISTED:
            listing = self._listings[ref]
            self.state = {self._keys[version]: version for version in listing.versions}
            self.revision, self._pending = listing.revision, None
        elif kind == OPENED_INITIAL:
            self._pending = {}
        elif kind == INITIAL_END and self._pending is not None:
            self.state, self._pending, self.revision = self._pending, None, ref
        elif kind == BORN:
            self.state, self._pending, self.revision = {}, None, 0

    def _event(self, kind: str, ref: int) -> None:
        state = self.state if self._pending is None else self._pending
        if kind == DELETED:
            state.pop(self._keys[ref], None)
        else:
            state[self._keys[ref]] = ref
        if self._pending is None:
            self.revision = max(self.revision, self._revisions[ref])


class Row(msgspec.Struct, frozen=True):
    """One object, as the client has it and as the store has it: numbers of versions, NOTHING for none."""

    key: str
    believed: int
    stored: int
    standing: Standing
    since_us: int
    """Since when it is not as the store has it; 0 where it is."""


def belief_at(timeline: Timeline, lane: int, at_us: int) -> list[Row]:
    """What `lane` believed at `at_us`, in the order of keys. Objects that it lacks are told of watches without a selector.

    Cost: O(marks of the lane and versions).
    """
    versions, of = timeline.versions, timeline.lanes[lane]
    believed = Believed(versions.key, list(accumulate(versions.revision)), timeline.listings)
    for mark_us, kind, ref in of.marks():
        if mark_us > at_us:
            break
        believed.take(kind, ref)
    history = _history_of_keys(versions, at_us)
    wanted = dict.fromkeys(believed.state)
    if of.sees_all and of.prefix:
        prefixed = {number for number, key in enumerate(versions.keys) if key.startswith(of.prefix)}
        wanted.update(
            dict.fromkeys(sorted(key for key in history if key in prefixed and _is_there(versions, history[key][-1])))
        )
    rows = [_row(versions, key, believed.state.get(key, NOTHING), history.get(key, [])) for key in wanted]
    return sorted(rows, key=lambda row: row.key)


def _history_of_keys(versions: Versions, until_us: int) -> dict[int, list[int]]:
    """The versions that the store had by then, by the number of their key."""
    found: dict[int, list[int]] = {}
    for number, (key, at_us, change) in enumerate(
        zip(versions.key, accumulate(versions.at_us), versions.change, strict=True)
    ):
        if at_us <= until_us and change != "?":
            found.setdefault(key, []).append(number)
    return found


def _is_there(versions: Versions, number: int) -> bool:
    return versions.change[number] != DELETED


def _row(versions: Versions, key: int, believed: int, history: Sequence[int]) -> Row:
    at_us = list(accumulate(versions.at_us))
    stored = history[-1] if history and _is_there(versions, history[-1]) else NOTHING
    name = versions.keys[key]
    if believed == stored:
        return Row(name, believed, stored, "same", 0)
    if believed == NOTHING:
        return Row(name, believed, stored, "not known", at_us[stored])
    if believed not in history:
        return Row(name, believed, stored, "unknown to the store", 0)
    since_us = at_us[history[history.index(believed) + 1]]
    if stored == NOTHING:
        return Row(name, believed, stored, "gone", since_us)
    is_other = versions.uid[believed] != versions.uid[stored]
    return Row(name, believed, stored, "another object" if is_other else "behind", since_us)
