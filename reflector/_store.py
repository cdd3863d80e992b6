"""Store: the objects of one resource by key and by index, and what each step changed. Pure.

It is what a Reflector writes and what an informer and its listers read. Every step is one synchronous call that is made
whole or not at all: it is planned first, with all that can fail, and then carried out.

What a step changed is told in the terms of what was there and what is there now, not of how it was heard: a list and the
events that it makes up for tell the same story. An object that was deleted and made again under its name while nobody watched
has another uid, and is told as a deletion and an addition.

Source: client-go tools/cache/store.go, thread_safe_store.go and delta_fifo.go (Replace).
Differs: what a list shows unchanged is no change; a new uid is a deletion and an addition, where client-go tells an update.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import final

import msgspec

from watch import EventType, Object

from ._indexer import NAMESPACE_INDEX, Indexer, IndexFunction, Values, by_namespace
from ._lister_watcher import Changes, Replacement

# A look-up in an enum is a call in CPython 3.11, of 80 ns: too much to pay for each event.
_DELETED, _BOOKMARK = EventType.DELETED, EventType.BOOKMARK


class StoreChangeKind(enum.StrEnum):
    """What became of an object."""

    ADDED = "ADDED"
    UPDATED = "UPDATED"
    DELETED = "DELETED"


_ADDED, _UPDATED = StoreChangeKind.ADDED, StoreChangeKind.UPDATED


class StoreChange(msgspec.Struct, frozen=True, gc=False):
    """What one step made of one object."""

    kind: StoreChangeKind
    key: str
    """As of `object_key`."""
    old: Object | None
    """What the store held before; None of an ADDED."""
    new: Object | None
    """What it holds now; None of a DELETED."""
    final: Object | None = None
    """Of a DELETED: the object's last state, at the deletion's revision. None where nobody saw it go: `old` is then the last
    state known, and there may have been others after it."""

    @property
    def is_tombstone(self) -> bool:
        """Whether this is a deletion that was found out later, by a list or by another object under the same name."""
        return self.kind is StoreChangeKind.DELETED and self.final is None


class Tombstone(msgspec.Struct, frozen=True, gc=False):
    """An object that is gone, and that nobody saw go: it was missing from a list, or another one has its name now.

    It has the names of an object, so that what asks for no more takes either; `last_known` is its content as it was once.
    Source: client-go tools/cache/delta_fifo.go, DeletedFinalStateUnknown.
    """

    last_known: Object
    """The last state that was seen. There may have been others after it."""
    revision: int
    """Where it was found out; the deletion was before, or there."""

    @property
    def key(self) -> str:
        """The storage key, as of Object."""
        return self.last_known.key

    @property
    def name(self) -> str:
        """The name."""
        return self.last_known.name

    @property
    def namespace(self) -> str:
        """The namespace, "" where there is none."""
        return self.last_known.namespace

    @property
    def uid(self) -> str:
        """The uid: what has the name now, if anything, has another."""
        return self.last_known.uid


def object_key(obj: Object | Tombstone) -> str:
    """What a store calls an object: "namespace/name", or "name" without a namespace; its storage key if it has no name.

    Source: client-go tools/cache/store.go, MetaNamespaceKeyFunc, DeletionHandlingMetaNamespaceKeyFunc.
    """
    return f"{obj.namespace}/{obj.name}" if obj.namespace and obj.name else obj.name or obj.key


class _Step(msgspec.Struct, frozen=True, gc=False):
    """A change, and what the indexes must know to make it."""

    change: StoreChange
    values: Values | None
    """Of `change.new`."""


@final
class Store:
    """The objects of one resource. A ReflectorStore, and what a Lister reads.

    Objects are shared with every reader and immutable; each result is a tuple of its own that later steps leave alone.
    Memory: the objects, and for each of them an entry in each of its values.

    >>> from watch import ObjectReader
    >>> store = Store({"app": lambda obj: [obj.labels["app"]] if "app" in obj.labels else []})
    >>> raw = b'{"metadata": {"name": "web", "namespace": "team-a", "labels": {"app": "shop"}}}'
    >>> web = ObjectReader().read("/registry/pods/team-a/web", raw, 7)
    >>> [str(change.kind) for change in store.replace(Replacement((web,), 7, ()))]
    ['ADDED']
    >>> [found.name for found in store.by_index("app", "shop")], store.index_values("namespace")
    (['web'], ('team-a',))

    Args:
        indexes: functions by the names of their indexes, beside "namespace", which every store has.
    """

    def __init__(self, indexes: Mapping[str, IndexFunction] | None = None) -> None:
        if indexes and NAMESPACE_INDEX in indexes:
            raise ValueError(f"the index {NAMESPACE_INDEX!r} is every store's own: choose another name")
        self._objects: dict[str, Object] = {}
        self._indexer = Indexer({NAMESPACE_INDEX: by_namespace, **(indexes or {})})
        self._revision = 0

    # ---- what a Reflector writes ---------------------------------------------------------------------------------

    def replace(self, replacement: Replacement) -> tuple[StoreChange, ...]:
        """Hold what was listed, and nothing else. What changed: the deletions first, then the others as they were listed.

        Raises:
            IndexFunctionFailed: nothing was changed; mend the function.
        Cost: O(n); the indexes are worked out for what changed alone.
        """
        listed = {object_key(obj): obj for obj in replacement.objects}
        deletions: list[_Step] = []
        others: list[_Step] = []
        for key, old in self._objects.items():
            new = listed.get(key)
            if new is None or _is_another(old, new):
                deletions.append(_Step(StoreChange(StoreChangeKind.DELETED, key, old, None), None))
        for key, new in listed.items():
            held = self._objects.get(key)
            if held is None or _is_another(held, new):
                others.append(self._put(key, None, new))
            elif not _is_same(held, new):
                others.append(self._put(key, held, new))
        return self._carry_out([*deletions, *others], replacement.revision)

    def apply(self, changes: Changes) -> tuple[StoreChange, ...]:
        """Hold what the events say, and tell what they changed, in their order. What is known already is no change.

        Raises:
            IndexFunctionFailed: nothing was changed; mend the function.
        Cost: O(events).
        """
        steps: list[_Step] = []
        ahead: dict[str, Object | None] = {}  # what the events up to here leave behind
        for event in changes.events:
            obj = event.object
            key = object_key(obj)
            held = ahead[key] if key in ahead else self._objects.get(key)
            if event.type is _DELETED:
                ahead[key] = None
                if held is not None:
                    final = None if _is_another(held, obj) else obj
                    steps.append(_Step(StoreChange(StoreChangeKind.DELETED, key, held, None, final), None))
                continue
            assert event.type is not _BOOKMARK, event.type
            ahead[key] = obj
            if held is not None and _is_another(held, obj):
                steps.append(_Step(StoreChange(StoreChangeKind.DELETED, key, held, None), None))
                held = None
            if held is None or not _is_same(held, obj):
                steps.append(self._put(key, held, obj))
        return self._carry_out(steps, changes.revision)

    def bookmark(self, revision: int) -> None:
        """Nothing else happened up to `revision`."""
        self._revision = revision

    def add_index(self, name: str, function: IndexFunction) -> None:
        """A further index, complete at once.

        Raises:
            ValueError: there is one of that name.
            IndexFunctionFailed: the store is as it was; mend the function.
        Cost: O(n).
        """
        self._indexer.add_index(name, function, self._objects)

    # ---- what anybody reads --------------------------------------------------------------------------------------

    @property
    def revision(self) -> int:
        """The store shows the source's state at this revision; 0 before the first `replace`."""
        return self._revision

    @property
    def indexes(self) -> tuple[str, ...]:
        """The names of the indexes."""
        return self._indexer.names

    def get(self, key: str) -> Object | None:
        """The object under "namespace/name", or under "name" where it has no namespace."""
        return self._objects.get(key)

    def objects(self) -> tuple[Object, ...]:
        """All objects, in no order that means anything. Cost: O(n)."""
        return tuple(self._objects.values())

    def keys(self) -> tuple[str, ...]:
        """Their keys, in the order of `objects`. Cost: O(n)."""
        return tuple(self._objects)

    def items(self) -> tuple[tuple[str, Object], ...]:
        """Keys with their objects, in the order of `objects`. Cost: O(n)."""
        return tuple(self._objects.items())

    def by_index(self, index: str, value: str) -> tuple[Object, ...]:
        """The objects that have `value` in `index`.

        Raises:
            UnknownIndex: add it, or choose another.
        Cost: O(objects found).
        """
        return tuple(self._indexer.objects(index, value).values())

    def index_keys(self, index: str, value: str) -> tuple[str, ...]:
        """The keys of `by_index`."""
        return tuple(self._indexer.objects(index, value))

    def index_values(self, index: str) -> tuple[str, ...]:
        """Each value that objects have in `index`. Cost: O(values)."""
        return self._indexer.index_values(index)

    def alike(self, index: str, key: str) -> tuple[Object, ...]:
        """The objects that share a value in `index` with the one under `key`, itself among them; none if it is not there.

        Cost: O(objects found). Source: client-go tools/cache/store.go, Indexer.Index.
        """
        if key not in self._objects:
            return ()
        found: dict[str, Object] = {}
        for value in self._indexer.values_of(index, key):
            found.update(self._indexer.objects(index, value))
        return tuple(found.values())

    def __len__(self) -> int:
        return len(self._objects)

    def __contains__(self, key: object) -> bool:
        return key in self._objects

    # ---- one step ------------------------------------------------------------------------------------------------

    def _put(self, key: str, old: Object | None, new: Object) -> _Step:
        kind = _ADDED if old is None else _UPDATED
        return _Step(StoreChange(kind, key, old, new), self._indexer.values(key, new))

    def _carry_out(self, steps: list[_Step], revision: int) -> tuple[StoreChange, ...]:
        """From here on nothing can fail."""
        for step in steps:
            change = step.change
            if change.new is None:
                del self._objects[change.key]
                self._indexer.remove(change.key)
            else:
                assert step.values is not None, "whoever plans to put an object works out its values"
                self._objects[change.key] = change.new
                self._indexer.put(change.key, change.new, step.values)
        self._revision = revision
        return tuple([step.change for step in steps])


def _is_another(old: Object, new: Object) -> bool:
    """Whether two objects of one name are two. Without uids nobody can tell, and they count as one."""
    return old.uid != new.uid and bool(old.uid and new.uid)


def _is_same(old: Object, new: Object) -> bool:
    """Whether two versions are one. A revision alone does not say so: a store that was restored counts anew."""
    return old is new or (old.revision == new.revision and old.raw == new.raw)
