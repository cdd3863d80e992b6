"""What holds in every cluster about the order in which things go, asked of a history: a recorded one, or one of ours. Pure.

    foreground   an object that goes in the foreground goes after what it owns and blocks
    finalizers   an object that anybody holds is marked, and goes when the last one lets go
    namespace    a namespace goes after all that is in it, and nothing is made in it once it is marked
    orphans      an object that orphans what it owns goes after nothing names it as owner any more

Source: kubernetes pkg/controller/garbagecollector, pkg/controller/namespace, apiserver pkg/registry/generic/registry/store.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

JSONObject = dict[str, Any]

_OUTSIDE = frozenset({"events", "leases"})
"""Resources that come and go by their own times, also in a namespace that goes."""


class ObjectChange(msgspec.Struct, frozen=True):
    """One change of one key."""

    revision: int
    key: str
    before: JSONObject | None
    """None: it was not there."""
    after: JSONObject | None
    """None: it is gone."""


class Kept(msgspec.Struct, frozen=True):
    """How often each claim was put to the test, and where it did not hold."""

    tested: dict[str, int]
    broken: tuple[str, ...]


def object_changes(start: Mapping[str, bytes], events: Iterable[tuple[int, str, bytes]]) -> Iterator[ObjectChange]:
    """Each event with what was there before.

    Args:
        start: what was stored at first, by key.
        events: (revision, key, what is stored from now on, or nothing), in order.
    """
    state = {key: found for key, value in start.items() if (found := _read(value)) is not None}
    for revision, key, value in events:
        after = _read(value)
        before = state.get(key)
        if before is not None or after is not None:
            yield ObjectChange(revision, key, before, after)
        if after is None:
            state.pop(key, None)
        else:
            state[key] = after


def _read(value: bytes) -> JSONObject | None:
    """Kubernetes keeps some things that are no objects with metadata under its keys: they own nothing and are in nothing."""
    try:
        found: Any = msgspec.json.decode(value) if value else None
    except msgspec.DecodeError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("metadata"), dict) else None


def deletion_order(start: Mapping[str, bytes], events: Iterable[tuple[int, str, bytes]]) -> Kept:
    """What the history says to each of the claims. Cost: O(events), O(objects of the namespace) for one that goes."""
    judge = _Judge(start)
    for change in object_changes(start, events):
        judge.look(change)
    return Kept(judge.tested, tuple(judge.broken))


class _Judge:
    def __init__(self, start: Mapping[str, bytes]) -> None:
        self.tested = {"foreground": 0, "finalizers": 0, "namespace": 0, "orphans": 0}
        self.broken: list[str] = []
        self._there: dict[str, JSONObject] = {}
        self._dependents: dict[str, dict[str, JSONObject]] = {}
        """By the owner's uid: references to it, by the dependent's key."""
        for key, value in start.items():
            found = _read(value)
            if found is not None:
                self._put(key, found)

    def look(self, change: ObjectChange) -> None:
        """One change, judged by the state before it."""
        before, after = change.before, change.after
        if before is None and after is not None:
            self._judge_creation(change, after)
        if before is not None and (after is None or _uid(after) != _uid(before)):
            self._judge_deletion(change, before)
        if before is not None:
            self._take_out(change.key, before)
        if after is not None:
            self._put(change.key, after)

    def _judge_deletion(self, change: ObjectChange, before: JSONObject) -> None:
        metadata = before["metadata"]
        finalizers = metadata.get("finalizers") or []
        if finalizers:
            is_marked = "deletionTimestamp" in metadata
            self._claim("finalizers", is_marked and len(finalizers) == 1, change, f"was held by {finalizers}")
        dependents = self._dependents.get(_uid(before), {})
        if "foregroundDeletion" in finalizers:
            blocking = [key for key, one in dependents.items() if one.get("blockOwnerDeletion")]
            self._claim("foreground", not blocking, change, f"went before {blocking}")
        if "orphan" in finalizers:
            self._claim("orphans", not dependents, change, f"is still the owner of {list(dependents)}")
        if before.get("kind") == "Namespace":
            left = self._in_namespace(str(metadata.get("name")))
            self._claim("namespace", not left, change, f"went before {left}")

    def _judge_creation(self, change: ObjectChange, after: JSONObject) -> None:
        namespace = after["metadata"].get("namespace")
        found = self._there.get(f"/registry/namespaces/{namespace}") if namespace else None
        if found is not None and _resource(change.key) not in _OUTSIDE:
            is_going = "deletionTimestamp" in found["metadata"]
            self._claim("namespace", not is_going, change, "was made in a namespace that goes", counts=is_going)

    def _claim(self, claim: str, holds: bool, change: ObjectChange, problem: str, *, counts: bool = True) -> None:
        self.tested[claim] += counts
        if not holds:
            self.broken.append(f"{claim}: at revision {change.revision} {change.key} {problem}")

    def _in_namespace(self, name: str) -> list[str]:
        return [
            key
            for key, one in self._there.items()
            if one["metadata"].get("namespace") == name and _resource(key) not in _OUTSIDE
        ]

    def _put(self, key: str, obj: JSONObject) -> None:
        self._there[key] = obj
        for reference in obj["metadata"].get("ownerReferences") or ():
            self._dependents.setdefault(str(reference.get("uid")), {})[key] = reference

    def _take_out(self, key: str, obj: JSONObject) -> None:
        self._there.pop(key, None)
        for reference in obj["metadata"].get("ownerReferences") or ():
            self._dependents.get(str(reference.get("uid")), {}).pop(key, None)


def _uid(obj: JSONObject) -> str:
    return str(obj["metadata"].get("uid", ""))


def _resource(key: str) -> str:
    return key.split("/")[2] if key.count("/") >= 2 else ""
