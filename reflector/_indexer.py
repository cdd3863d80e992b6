"""Indexer: which objects have which value, by functions that say what an object's values are. Pure.

    index "namespace"   "team-a" ──► {"team-a/web": Object, "team-a/db": Object}
                        "team-b" ──► {"team-b/web": Object}

An object's values are worked out before anything is changed and are kept with its key: taking it out asks no function
again, so one that fails, or that answers differently the second time, leaves no trace of the object behind.

Source: client-go tools/cache/thread_safe_store.go and index.go.
Differs: a function that fails leaves everything as it was and is named in the error, where client-go panics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import final

from watch import Object

IndexFunction = Callable[[Object], Iterable[str]]
"""The values under which an object is found: none, one or several. Equal objects must have equal values."""

NAMESPACE_INDEX = "namespace"
"""The index that every store has; an object without a namespace is in ""."""

Values = tuple[tuple[str, ...], ...]
"""An object's values by each function, in the functions' order."""


class IndexFunctionFailed(RuntimeError):
    """The function of `index` failed on the object under `key`, and nothing was changed: mend the function."""

    def __init__(self, index: str, key: str, problem: str) -> None:
        self.index = index
        self.key = key
        super().__init__(
            f"the function of index {index!r} failed on {key}: {problem}; it must return the object's values, "
            "as an iterable of str, for every object"
        )


class UnknownIndex(LookupError):
    """There is no index of that name: add it, or choose another."""

    def __init__(self, index: str, known: Iterable[str]) -> None:
        self.index = index
        super().__init__(f"there is no index {index!r}: there are {', '.join(known)}; others are added by add_index")


def by_namespace(obj: Object) -> tuple[str, ...]:
    """The namespace, "" where there is none."""
    return (obj.namespace,)


def by_label(key: str) -> IndexFunction:
    """A function for the value of a label; who has no such label is not in the index."""

    def values(obj: Object) -> tuple[str, ...]:
        value = obj.labels.get(key)
        return () if value is None else (value,)

    return values


def by_field(path: str) -> IndexFunction:
    """A function for a selectable field; who has none is in the index under ""."""
    return lambda obj: (obj.field(path),)


@final
class Indexer:
    """Objects by index and value. It does not know what else there is: its user puts in and takes out.

    Values that no object has any more are not kept. Results are in the order in which the objects came to their value.
    """

    def __init__(self, functions: Mapping[str, IndexFunction]) -> None:
        self._functions = dict(functions)
        self._found: dict[str, dict[str, dict[str, Object]]] = {name: {} for name in functions}
        self._values: dict[str, Values] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The indexes."""
        return tuple(self._functions)

    def values(self, key: str, obj: Object) -> Values:
        """What `put` wants to know of `obj`. Changes nothing.

        Raises:
            IndexFunctionFailed: mend that function.
        """
        return tuple([_values(name, function, key, obj) for name, function in self._functions.items()])

    def put(self, key: str, obj: Object, values: Values) -> None:
        """`obj` is what `key` stands for from now on. Cost: O(its values), those it had before included."""
        former = self._values.get(key)
        if former is None:
            self._values[key] = values
        elif former != values:
            self._take_out(key, former)
            self._values[key] = values
        for found, of_index in zip(self._found.values(), values, strict=True):
            for value in of_index:
                objects = found.get(value)
                if objects is None:
                    found[value] = {key: obj}
                else:
                    objects[key] = obj

    def remove(self, key: str) -> None:
        """`key`, which was put in, stands for nothing from now on. Cost: O(its values)."""
        self._take_out(key, self._values.pop(key))

    def add_index(self, name: str, function: IndexFunction, objects: Mapping[str, Object]) -> None:
        """A further index, of all `objects`, which are those that were put in. Whole, or not at all.

        Raises:
            ValueError: there is one of that name.
            IndexFunctionFailed: mend the function.
        Cost: O(objects).
        """
        if name in self._functions:
            raise ValueError(f"there is an index {name!r} already: choose another name")
        new = {key: _values(name, function, key, obj) for key, obj in objects.items()}
        found: dict[str, dict[str, Object]] = {}
        for key, values in new.items():
            for value in values:
                found.setdefault(value, {})[key] = objects[key]
        self._functions[name] = function
        self._found[name] = found
        self._values = {key: (*self._values[key], values) for key, values in new.items()}

    def objects(self, index: str, value: str) -> Mapping[str, Object]:
        """The objects with `value`, by key: a view of what is there now, to be copied before anything changes.

        Raises:
            UnknownIndex: add it, or choose another.
        """
        return self._index(index).get(value) or _NOTHING

    def index_values(self, index: str) -> tuple[str, ...]:
        """The values that objects have in `index`. Cost: O(values)."""
        return tuple(self._index(index))

    def values_of(self, index: str, key: str) -> tuple[str, ...]:
        """The values by which `key`, which was put in, is found in `index`."""
        self._index(index)
        return self._values[key][self.names.index(index)]

    def _index(self, name: str) -> dict[str, dict[str, Object]]:
        found = self._found.get(name)
        if found is None:
            raise UnknownIndex(name, self._functions)
        return found

    def _take_out(self, key: str, values: Values) -> None:
        for found, of_index in zip(self._found.values(), values, strict=True):
            for value in of_index:
                objects = found[value]
                del objects[key]
                if not objects:
                    del found[value]


_NOTHING: Mapping[str, Object] = {}


def _values(name: str, function: IndexFunction, key: str, obj: Object) -> tuple[str, ...]:
    try:
        found = function(obj)
        if type(found) is tuple and len(found) == 1 and type(found[0]) is str:
            return found  # most indexes, for most objects
        # A text is an iterable of texts, too: its letters would be the values, and nobody would notice.
        values = () if isinstance(found, str) else tuple(dict.fromkeys(found))
    except Exception as error:
        raise IndexFunctionFailed(name, key, f"{type(error).__name__}: {error}") from error
    if isinstance(found, str) or not all(isinstance(value, str) for value in values):
        raise IndexFunctionFailed(name, key, f"it returned {found!r}")
    return values
