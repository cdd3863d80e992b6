"""Builds the table of versions from what the store was told, and finds the version that an event or a list showed. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from watch import Event, EventType, Object

from ..simulation import History
from ._model import ADDED, DELETED, MODIFIED, Versions, differences

START, UNKNOWN = "0", "?"


class VersionTable:
    """Versions by number. Those of the store come first, in its order; what somebody was shown beyond them is added behind.

    Cost: about 1 µs a version, and a dict entry.
    """

    def __init__(self, history: History, microseconds: dict[int, int]) -> None:
        self.of: dict[tuple[str, int], int] = {}
        self.at_us: list[int] = []
        self.revisions: list[int] = []
        self.changes: list[str] = []
        self.keys: dict[str, int] = {}
        self.key: list[int] = []
        """Which key each version is of."""
        self._uids: dict[str, int] = {"": 0}
        self._uid: list[int] = []
        self._request: list[int] = []
        self._fill(history, microseconds)
        self.known = len(self.at_us)
        """Versions of the store's own: what is numbered from here on it never had."""

    def _fill(self, history: History, microseconds: dict[int, int]) -> None:
        for store in history.stores.values():
            for obj in store.start.values():
                self._add(obj.key, obj.revision, 0, START, obj.uid)
        requests = {(written.key, written.revision): written for written in history.acts.written}
        present = {key: obj.uid for store in history.stores.values() for key, obj in store.start.items()}
        every = [change for store in history.stores.values() for change in store.changes]
        every.sort(key=lambda change: change.revision)
        for change in every:
            written = requests.get((change.key, change.revision))
            uid = change.object.uid if change.object is not None else ""
            kind = DELETED if change.object is None else MODIFIED if change.key in present else ADDED
            at_us = microseconds.get(change.revision, self.at_us[-1] if self.at_us else 0)
            self._add(
                change.key,
                change.revision,
                at_us,
                kind,
                uid or present.get(change.key, ""),
                written.request if written else -1,
            )
            if change.object is None:
                present.pop(change.key, None)
            else:
                present[change.key] = uid

    def _add(self, key: str, revision: int, at_us: int, change: str, uid: str, request: int = -1) -> int:
        number = len(self.at_us)
        self.of[key, revision] = number
        self.at_us.append(at_us)
        self.revisions.append(revision)
        self.changes.append(change)
        self.key.append(self.keys.setdefault(key, len(self.keys)))
        self._uid.append(self._uids.setdefault(uid, len(self._uids)))
        self._request.append(request)
        return number

    def of_object(self, obj: Object) -> int:
        """The number of the version that `obj` is."""
        found = self.of.get((obj.key, obj.revision))
        return self._add(obj.key, obj.revision, self._last_us(), UNKNOWN, obj.uid) if found is None else found

    def of_event(self, event: Event) -> tuple[str, int]:
        """An event's letter, and the version that it brought. Of a DELETED that only left a selector: the one that left."""
        letter = _LETTERS[event.type]
        return letter, self.of_object(event.object)

    def of_key(self, key: str, revision: int, uid: str = "") -> int:
        """The number of a version that is told by its key alone."""
        found = self.of.get((key, revision))
        return self._add(key, revision, self._last_us(), UNKNOWN, uid) if found is None else found

    def _last_us(self) -> int:
        return self.at_us[-1] if self.at_us else 0

    def versions(self) -> Versions:
        """The columns."""
        return Versions(
            keys=list(self.keys),
            uids=list(self._uids),
            key=self.key,
            revision=differences(self.revisions),
            at_us=differences(self.at_us),
            change="".join(self.changes),
            uid=self._uid,
            request=self._request,
        )


def microseconds_of(
    published_at_s: dict[int, float], written: Iterable[tuple[int, float]], origin_s: float
) -> dict[int, int]:
    """When each revision was written: as published, else as the store's own record of it says."""
    found = {revision: round((at_s - origin_s) * 1e6) for revision, at_s in written}
    found.update({revision: round((at_s - origin_s) * 1e6) for revision, at_s in published_at_s.items()})
    return found


_LETTERS = {EventType.ADDED: ADDED, EventType.MODIFIED: MODIFIED, EventType.DELETED: DELETED}
