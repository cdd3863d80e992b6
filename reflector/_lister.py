"""Lister: reads of a store, as a controller makes them: one object by its name, or those that a selector wants. Pure.

Source: client-go tools/cache/listers.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import final

from watch import FieldSelector, LabelSelector, Object, Operator, Selector

from ._indexer import NAMESPACE_INDEX
from ._reads import RECONCILIATION
from ._store import Store


class ObjectNotFound(LookupError):
    """The store has no object of that name. It may be behind: before you act on an absence, read from the source."""

    def __init__(self, name: str, namespace: str, revision: int) -> None:
        self.name = name
        self.namespace = namespace
        self.revision = revision
        """How far the store was."""
        shown = f"{namespace}/{name}" if namespace else name
        super().__init__(f"{shown} is not in the store at revision {revision}: requeue, or read it from the source")


@final
class Lister:
    """Reads a store and cannot write it. Results are tuples of immutable objects, in no order that means anything.

    What a reconcile reads here is noted, so that its writes can tell (see RecordingClient).
    A list within a namespace looks at that namespace's objects alone, one by name at that name; any other at all objects.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def revision(self) -> int:
        """What is read is the source's state at this revision; 0 before the first list is there."""
        return self._store.revision

    def find(self, name: str, namespace: str = "") -> Object | None:
        """The object of that name, None where the store has none."""
        key = f"{namespace}/{name}" if namespace else name
        found = self._store.get(key)
        reconciliation = RECONCILIATION.get()
        if reconciliation is not None:
            reconciliation.read_object(self._store, self._store.revision, key, found)
        return found

    def get(self, name: str, namespace: str = "") -> Object:
        """The object of that name.

        Raises:
            ObjectNotFound: the store has none, and may be behind.
        """
        found = self.find(name, namespace)
        if found is None:
            raise ObjectNotFound(name, namespace, self._store.revision)
        return found

    def list(
        self,
        namespace: str | None = None,
        *,
        labels: str | LabelSelector | Mapping[str, str] | None = None,
        fields: str | FieldSelector | Mapping[str, str] | None = None,
    ) -> tuple[Object, ...]:
        """The objects in `namespace` ("" and None: anywhere) that `labels` and `fields` want.

        Raises:
            InvalidSelector: correct the text where the message points.
        Cost: O(objects of the namespace).
        """
        if labels is None and fields is None:
            return self._noted(lambda: _asked(namespace), self._all(namespace))
        return self.select(Selector.of(namespace, labels=labels, fields=fields))

    def select(self, selector: Selector) -> tuple[Object, ...]:
        """The objects that `selector` wants. Cost: as of `list`."""
        predicate = Selector("", selector.labels, selector.fields).compile()  # the candidates are in the namespace
        candidates = self._candidates(selector)
        found = candidates if predicate is None else tuple([obj for obj in candidates if predicate(obj)])
        return self._noted(lambda: str(selector), found)

    def by_index(self, index: str, value: str) -> tuple[Object, ...]:
        """The objects that have `value` in `index`.

        Raises:
            UnknownIndex: the store has no such index.
        Cost: O(objects found).
        """
        return self._noted(lambda: f"{index}={value}", self._store.by_index(index, value))

    def __len__(self) -> int:
        return len(self._store)

    def _candidates(self, selector: Selector) -> tuple[Object, ...]:
        """All in the selector's namespace that may be wanted."""
        namespace, name = selector.namespace, _name(selector)
        if name:
            namespaces = (namespace,) if namespace else self._store.index_values(NAMESPACE_INDEX)
            found = [self._store.get(f"{one}/{name}" if one else name) for one in namespaces]
            return tuple([obj for obj in found if obj is not None])
        return self._all(namespace)

    def _all(self, namespace: str | None) -> tuple[Object, ...]:
        return self._store.by_index(NAMESPACE_INDEX, namespace) if namespace else self._store.objects()

    def _noted(self, asked: Callable[[], str], found: tuple[Object, ...]) -> tuple[Object, ...]:
        reconciliation = RECONCILIATION.get()
        if reconciliation is not None:
            reconciliation.read_list(self._store, self._store.revision, asked, found)
        return found


def _asked(namespace: str | None) -> str:
    return f"all in {namespace}" if namespace else "all"


def _name(selector: Selector) -> str:
    """The one name that is wanted, "" where none is."""
    for requirement in selector.fields.requirements:
        if requirement.path == "metadata.name" and requirement.operator is Operator.EQUALS:
            return requirement.value
    return ""
