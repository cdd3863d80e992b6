"""Two versions of an object, field by field: what was added, modified, removed; and which fields one object has.

Lists and maps are walked as their types say. Where both sides are empty, and where a type is one value, the whole is a leaf:
a field without fields. Null is a value; a field that is not there is none.

Pure.
Source: kubernetes-sigs/structured-merge-diff typed/compare.go, tofieldset.go.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from ._elements import TypedError, by_element
from ._field_set import FieldSet, Path, field, shown
from ._types import MISSING, ListRule, ListType, MapType, Type, is_same, shape


class Comparison(msgspec.Struct, frozen=True):
    """No field is in two of the three."""

    added: FieldSet
    modified: FieldSet
    removed: FieldSet

    def without(self, excluded: FieldSet) -> Comparison:
        """The same without these fields and all that lies below them."""
        return Comparison(
            self.added.recursive_difference(excluded),
            self.modified.recursive_difference(excluded),
            self.removed.recursive_difference(excluded),
        )

    def changed(self) -> FieldSet:
        """What has another value than before."""
        return self.modified.union(self.added)


def compare(type_: Type, old: Any, new: Any) -> Comparison:
    """What became of `old` in `new`.

    Raises:
        TypedError: a value is not of its type.
    Cost: O(size).
    """
    walk = _Comparing()
    walk.node(type_, old, new, ())
    return Comparison(FieldSet.of(walk.added), FieldSet.of(walk.modified), FieldSet.of(walk.removed))


def fields_of(type_: Type, value: Any) -> FieldSet:
    """The fields that an object names: its leaves, the elements of its lists, the keys of its maps.

    Cost: O(size).
    """
    paths: list[Path] = []
    _collect(type_, value, (), paths)
    return FieldSet.of(paths)


Shape = Literal["map", "scalar", "list"]


def shape_of(type_: Type, path: Path = ()) -> Shape:
    """As what a value of the type is walked: the first of these that it can be."""
    if type_.map is not None:
        return "map"
    if type_.scalar is not None:
        return "scalar"
    if type_.list is None:
        raise TypedError([f"{shown(path)}: schema error: invalid atom: inlined"])
    return "list"


class _Comparing:
    """One comparison under way."""

    def __init__(self) -> None:
        self.added: list[Path] = []
        self.modified: list[Path] = []
        self.removed: list[Path] = []

    def node(self, type_: Type, old: Any, new: Any, path: Path) -> None:
        left, right = shape(type_, old), shape(type_, new)
        if new is MISSING:
            is_leaf = self._walk(left, old, new, path)
        elif old is MISSING or shape_of(left, path) == shape_of(right, path):
            is_leaf = self._walk(right, old, new, path)
        else:
            # A value has become one of another shape: it is looked at as both.
            self._walk(left, old, new, path)
            is_leaf = self._walk(right, old, new, path)
        if not is_leaf and old is MISSING:
            self.added.append(path)
        elif not is_leaf and new is MISSING:
            self.removed.append(path)

    def _walk(self, type_: Type, old: Any, new: Any, path: Path) -> bool:
        """Whether it was a leaf."""
        what = shape_of(type_, path)
        if what == "map" and type_.map is not None:
            return self._map(type_.map, old, new, path)
        if what == "list" and type_.list is not None:
            return self._list(type_.list, old, new, path)
        return self._leaf(old, new, path)

    def _leaf(self, old: Any, new: Any, path: Path) -> bool:
        if old is MISSING:
            self.added.append(path)
        elif new is MISSING:
            self.removed.append(path)
        elif not is_same(old, new):
            self.modified.append(path)
        return True

    def _map(self, type_: MapType, old: Any, new: Any, path: Path) -> bool:
        before = old if isinstance(old, dict) else {}
        after = new if isinstance(new, dict) else {}
        if type_.is_atomic or not (before or after):
            return self._leaf(old, new, path)
        for name in [*before, *(name for name in after if name not in before)]:
            inner = type_.type_of(name)
            below = (*path, field(name))
            if inner is None:
                raise TypedError([f"{shown(below)}: schema error: invalid atom: inlined"])
            self.node(inner, before.get(name, MISSING), after.get(name, MISSING), below)
        return False

    def _list(self, type_: ListType, old: Any, new: Any, path: Path) -> bool:
        before = old if isinstance(old, list) else []
        after = new if isinstance(new, list) else []
        if type_.rule is ListRule.ATOMIC or not (before or after):
            return self._leaf(old, new, path)
        left, right = by_element(type_, before), by_element(type_, after)
        for element in [*left, *(element for element in right if element not in left)]:
            self._items(type_.element, left.get(element, []), right.get(element, []), (*path, element))
        return False

    def _items(self, type_: Type, old: list[Any], new: list[Any], path: Path) -> None:
        """All that bear one path element. Duplicates are one value, with the element alone as their field."""
        if len(old) < 2 and len(new) < 2:
            self.node(type_, old[0] if old else MISSING, new[0] if new else MISSING, path)
        elif len(old) >= 2 and len(new) >= 2:
            if not is_same(old, new):
                self.modified.append(path)
        elif len(old) >= 2:
            if new:
                self.node(type_, MISSING, new[0], path)
            self.removed.append(path)
        else:
            if old:
                self.node(type_, old[0], MISSING, path)
            self.added.append(path)


def _collect(type_: Type, value: Any, path: Path, paths: list[Path]) -> None:
    fitting = shape(type_, value)
    what = shape_of(fitting, path)
    if what == "scalar":
        paths.append(path)
    elif what == "map" and fitting.map is not None:
        _collect_map(fitting.map, value, path, paths)
    elif fitting.list is not None:
        _collect_list(fitting.list, value, path, paths)


def _collect_map(type_: MapType, value: Any, path: Path, paths: list[Path]) -> None:
    if type_.is_atomic:
        paths.append(path)
        return
    for name, inner in value.items() if isinstance(value, dict) else ():
        below = (*path, field(name))
        inner_type = type_.type_of(name)
        if inner_type is None:
            raise TypedError([f"{shown(below)}: schema error: invalid atom: inlined"])
        _collect(inner_type, inner, below, paths)
        if inner is None or inner == {} or name not in type_.fields:
            paths.append(below)


def _collect_list(type_: ListType, value: Any, path: Path, paths: list[Path]) -> None:
    if type_.rule is ListRule.ATOMIC:
        paths.append(path)
        return
    for element, items in by_element(type_, value if isinstance(value, list) else []).items():
        if len(items) == 1:
            _collect(type_.element, items[0], (*path, element), paths)
        paths.append((*path, element))
