"""The model: what every watch and list should have shown, worked out from the store's history alone.

It is naive on purpose and shares no code with what it is compared to: it keeps all versions of all objects, reads their JSON,
evaluates selectors by hand, and looks the answer up. Not one line of the system's filter, router, ring or selector code is
used; a selector is read as data (its requirements), and so is an event.

    versions      v0 = a@3 (start)   v1 = b@5   v2 = a@7      each with the revisions from which and until which it was there
    changes       5: - → v1          7: v0 → v2               9: v1 → -
    a selector    the numbers of the versions that match; an expected event for each change into, within or out of them

Limit: everything is kept in memory, about 0.5 KB a version besides the object.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import msgspec

from watch import Event, EventType, Object, Selector

from .._history import StoreHistory

NONE = -1
"""The number of no version: what was there before a creation, and is after a deletion."""

FOR_EVER = 1 << 62
"""The revision until which a version is there that was never replaced."""

STATES_KEPT = 64
"""States of one selector remembered: clients that list or start at the same time ask for the same few."""


class BrokenRecord(ValueError):
    """The history contradicts itself, so nothing can be judged by it: mend whatever recorded it."""


class Change(msgspec.Struct, frozen=True, gc=False):
    """One write, as numbers of versions."""

    revision: int
    key: str
    before: int
    after: int


class Expected(msgspec.Struct, frozen=True, gc=False):
    """One event that a selector's watchers should get: the bytes of `version`, and what they knew before, `previous`."""

    type: EventType
    revision: int
    version: int
    previous: int


class Head(msgspec.Struct, frozen=True):
    """What an Object's head should say, read from the JSON."""

    name: str
    namespace: str
    uid: str
    labels: dict[str, str]


class StoreTruth:
    """All versions of one store's objects, and their changes.

    Raises:
        BrokenRecord: changes out of order, one key twice in a revision, or a deletion of what was not there.
    """

    def __init__(self, store: StoreHistory) -> None:
        self.prefix = store.prefix
        self.start_revision = store.start_revision
        self.objects: list[Object] = []
        self.began: list[int] = []
        """The revision that wrote each version, or the store's first one for what was there at the start."""
        self.ended: list[int] = []
        """The revision that replaced or deleted each version."""
        self.changes: list[Change] = []
        self.made_by: list[int] = []
        """The number of the change that wrote each version, NONE for the start."""
        self.unmade_by: list[int] = []
        self.numbers: dict[tuple[str, int], int] = {}
        """Key and revision of a version → its number."""
        self._shown: list[Object | None] = []
        """The instance last found to show each version rightly; its next sight costs a comparison of identities."""
        self._gone: list[Object | None] = []
        """The same of the instance that showed it as deleted, at the revision of its end."""
        self._heads: dict[int, Head] = {}
        self._absent = store.absent
        self._read_from = store.read_from
        self._fields: dict[str, list[str]] = {}
        self._columns: dict[tuple[str, str], dict[str | None, list[int]]] = {}
        self._read(store)

    def _read(self, store: StoreHistory) -> None:
        current: dict[str, int] = {}
        for key, obj in store.start.items():
            current[key] = self._add(key, obj, store.start_revision, NONE)
        revision, keys = store.start_revision, set[str]()
        for index, change in enumerate(store.changes):
            if change.revision < revision or change.revision == store.start_revision:
                raise BrokenRecord(
                    f"{self.prefix}: a change at {change.revision} is recorded after {revision}: record in revision order"
                )
            if change.revision > revision:
                revision, keys = change.revision, set()
            if change.key in keys:
                raise BrokenRecord(
                    f"{self.prefix}: {change.key} is recorded twice at {revision}: a revision changes a key once"
                )
            keys.add(change.key)
            before = current.pop(change.key, NONE)
            if change.object is None and before == NONE:
                raise BrokenRecord(
                    f"{self.prefix}: {change.key} is deleted at {revision}, but was not there: record every write"
                )
            after = NONE
            if before != NONE:
                self.ended[before] = revision
                self.unmade_by[before] = index
            if change.object is not None:
                after = current[change.key] = self._add(change.key, change.object, revision, index)
            self.changes.append(Change(revision, change.key, before, after))
        self.last_revision = revision

    def _add(self, key: str, obj: Object, revision: int, index: int) -> int:
        if obj.key != key or obj.revision > revision or (index != NONE and obj.revision != revision):
            raise BrokenRecord(
                f"{self.prefix}: {obj.key} of revision {obj.revision} is recorded as {key} at {revision}"
            )
        number = len(self.objects)
        self.objects.append(obj)
        self._shown.append(None)
        self._gone.append(None)
        self.began.append(revision)
        self.ended.append(FOR_EVER)
        self.made_by.append(index)
        self.unmade_by.append(NONE)
        self.numbers[key, obj.revision] = number
        return number

    def head(self, number: int) -> Head:
        """What the head of a version should say. Decoded once a version."""
        head = self._heads.get(number)
        if head is None:
            meta = self.objects[number].parse().get("metadata") or {}
            head = self._heads[number] = Head(
                meta.get("name") or "", meta.get("namespace") or "", meta.get("uid") or "", meta.get("labels") or {}
            )
        return head

    def fields(self, path: str) -> list[str]:
        """The value at `path` of every version, by number. Decodes all of them once a path; kept decoded, they fill the memory."""
        values = self._fields.get(path)
        if values is None:
            values = self._fields[path] = [self._value(obj.parse(), path) for obj in self.objects]
        return values

    def _value(self, json: dict[str, Any], path: str) -> str:
        places = self._read_from.get(path, (path,))
        return next(filter(None, (field_of(json, place) for place in places)), self._absent.get(path, ""))

    def fault(self, number: int, seen: Object, revision: int) -> str:
        """What is wrong with `seen` as a showing of version `number` at `revision`; "" where nothing is."""
        own = revision == self.objects[number].revision
        right = self._shown if own else self._gone
        if seen is right[number] and (own or revision == self.ended[number]):
            return ""
        fault = self._fault_of_bytes(number, seen, revision) or self._fault_of_head(number, seen)
        if not fault and (own or revision == self.ended[number]):
            right[number] = seen
        return fault

    def _fault_of_bytes(self, number: int, seen: Object, revision: int) -> str:
        true = self.objects[number]
        if seen.key != true.key:
            return f"shows {seen.key} for {true.key}"
        if seen.revision != revision:
            return f"carries revision {seen.revision} for {revision}"
        if seen.raw != true.raw:
            return f"differs from the stored bytes of revision {true.revision}: {_difference(seen.raw, true.raw)}"
        return ""

    def _fault_of_head(self, number: int, seen: Object) -> str:
        head = self.head(number)
        claims: list[tuple[str, object, object]] = [
            ("name", seen.name, head.name),
            ("namespace", seen.namespace, head.namespace),
            ("uid", seen.uid, head.uid),
            ("labels", seen.labels, head.labels),
        ]
        claims.extend((path, value, self.fields(path)[number]) for path, value in seen.fields.items())
        for member, told, stored in claims:
            if told != stored:
                return f"has {member} {told!r} in its head and {stored!r} in its JSON"
        return ""

    def fault_in_list(self, numbers: list[int], seen: Iterable[Object]) -> str:
        """What is wrong with `seen` as a list of these versions in this order; "" where nothing is.

        Cost: a comparison of identities an object that was found right before.
        """
        objects = list(seen)
        if objects == [self._shown[number] for number in numbers]:
            return ""
        wanted = {self.objects[number].key: number for number in numbers}
        for obj in objects:
            number = wanted.pop(obj.key, NONE)
            if number == NONE:
                return f"{obj.key} of revision {obj.revision} is there, and should not be, or is there twice"
            if fault := self.fault(number, obj, self.objects[number].revision):
                return f"{obj.key} {fault}"
        if wanted:
            return f"{len(wanted)} objects are missing, first {min(wanted)}"
        keys = [obj.key for obj in objects]
        return "" if keys == sorted(keys) else "the objects are not in key order"

    def matching(self, selector: Selector) -> list[int]:
        """The numbers of the versions that `selector` lets through, rising."""
        terms: list[set[int]] = []
        if selector.namespace:
            terms.append(self._having("field", "metadata.namespace", "=", (selector.namespace,)))
        for label in selector.labels.requirements:
            terms.append(self._having("label", label.key, str(label.operator.value), label.values))
        for field in selector.fields.requirements:
            terms.append(self._having("field", field.path, str(field.operator.value), (field.value,)))
        if not terms:
            return list(range(len(self.objects)))
        return sorted(set.intersection(*terms))

    def _having(self, kind: str, name: str, operator: str, wanted: tuple[str, ...]) -> set[int]:
        """The versions whose label or field meets one requirement. Each distinct value is asked once, not each version."""
        column = self._column(kind, name)
        if operator == "=":
            return set(column.get(wanted[0], ()))
        return {number for value, numbers in column.items() if holds(operator, wanted, value) for number in numbers}

    def _column(self, kind: str, name: str) -> dict[str | None, list[int]]:
        """The versions by their value of one label or field. A label that is not there is None, such a field is empty."""
        column = self._columns.get((kind, name))
        if column is None:
            column = self._columns[kind, name] = {}
            for number in range(len(self.objects)):
                value = self.head(number).labels.get(name) if kind == "label" else self.fields(name)[number]
                column.setdefault(value, []).append(number)
        return column


class SelectorTruth:
    """What one selector's watchers and listers should have been shown of one store. Made once for all who share it."""

    def __init__(self, store: StoreTruth, selector: Selector) -> None:
        self.store = store
        self.selector = selector
        self.numbers = store.matching(selector)
        self.matching = frozenset(self.numbers)
        self.expected: list[Expected] = []
        """In the store's order."""
        self.pairs: list[tuple[int, str]] = []
        """Revision and key of each expected event."""
        self._expect()
        self.revisions = [revision for revision, _ in self.pairs]
        self.verified: list[Event | None] = [None] * len(self.expected)
        """The instance last found to be right at each position, so that the next sight of it costs a comparison of identities."""
        self._states: dict[int, list[int]] = {}

    def _expect(self) -> None:
        """The transition table: matched before, matches now → type. Only changes that touch a matching version concern it."""
        store, matching = self.store, self.matching
        concerned = {store.made_by[number] for number in self.numbers} | {
            store.unmade_by[number] for number in self.numbers
        }
        for index in sorted(concerned - {NONE}):
            change = store.changes[index]
            before, after = change.before, change.after
            if after in matching:
                if before in matching:
                    expected = Expected(EventType.MODIFIED, change.revision, after, before)
                else:
                    expected = Expected(EventType.ADDED, change.revision, after, NONE)
            else:
                expected = Expected(EventType.DELETED, change.revision, before, before)
            self.expected.append(expected)
            self.pairs.append((change.revision, change.key))

    @cached_property
    def positions(self) -> dict[tuple[int, str], int]:
        """Where each pair of revision and key is expected."""
        return {pair: position for position, pair in enumerate(self.pairs)}

    @cached_property
    def _by_key(self) -> list[int]:
        objects = self.store.objects
        return sorted(self.numbers, key=lambda number: (objects[number].key, number))

    def after(self, revision: int) -> int:
        """The position of the first expected event above `revision`."""
        return bisect_right(self.revisions, revision)

    def state(self, revision: int) -> list[int]:
        """The versions that were there at `revision`, in key order.

        Cost: O(versions that match), unless remembered.
        """
        position = self.after(revision)
        state = self._states.get(position)
        if state is None:
            began, ended = self.store.began, self.store.ended
            state = [number for number in self._by_key if began[number] <= revision < ended[number]]
            if len(self._states) >= STATES_KEPT:
                self._states.clear()
            self._states[position] = state
        return state

    def fault(self, position: int, event: Event) -> str:
        """What is wrong with `event` in the place of the expected event at `position`; "" where nothing is."""
        expected, store = self.expected[position], self.store
        if event.type != expected.type:
            return f"is {event.type}, and should be {expected.type}"
        if fault := store.fault(expected.version, event.object, expected.revision):
            return fault
        if expected.previous == NONE:
            return "" if event.previous is None else "has a previous object that its watcher did not know"
        if event.previous is None:
            return "has no previous object"
        fault = store.fault(expected.previous, event.previous, store.objects[expected.previous].revision)
        return f"has a previous object that {fault}" if fault else ""


# ---- one requirement, by hand --------------------------------------------------------------------------------------

_INTEGER = re.compile(r"[+-]?[0-9]{1,100}")


def holds(operator: str, wanted: tuple[str, ...], value: str | None) -> bool:
    """Whether a label (None: not there) or field with `value` meets one requirement. Absent labels meet `!=` and `notin`."""
    match operator:
        case "=" | "in":
            return value is not None and value in wanted
        case "!=" | "notin":
            return value is None or value not in wanted
        case "exists":
            return value is not None
        case "!":
            return value is None
        case ">" | "<":
            here, bound = _integer(value), _integer(wanted[0])
            if here is None or bound is None:
                return False
            return here > bound if operator == ">" else here < bound
    raise BrokenRecord(f"a selector with the unknown operator {operator!r}")


def _integer(text: str | None) -> int | None:
    """A 64-bit integer as Go's ParseInt reads it: digits with a sign before, nothing else."""
    if text is None or not _INTEGER.fullmatch(text):
        return None
    value = int(text)
    return value if -(2**63) <= value < 2**63 else None


def field_of(json: dict[str, Any], path: str) -> str:
    """The scalar at a dotted path as text; "" where there is none."""
    node: Any = json
    for segment in path.split("."):
        node = node.get(segment) if isinstance(node, dict) else None
    match node:
        case None | dict() | list():
            return ""
        case bool():
            return "true" if node else "false"
    return str(node)


def _difference(seen: bytes, true: bytes) -> str:
    """Where two texts part, with a few bytes of each."""
    at = next(
        (index for index, (one, other) in enumerate(zip(seen, true, strict=False)) if one != other),
        min(len(seen), len(true)),
    )
    return f"{len(seen)} and {len(true)} bytes, from byte {at}: {seen[at : at + 24]!r} for {true[at : at + 24]!r}"
