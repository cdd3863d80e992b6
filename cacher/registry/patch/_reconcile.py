"""A set of fields fitted to the schema of today: what has become one value is owned as one value.

A type that was one value and now has fields needs nothing: its owner keeps the whole until somebody changes a part.

Pure.
Source: kubernetes-sigs/structured-merge-diff typed/reconcile_schema.go.
"""

from __future__ import annotations

from ._compare import shape_of
from ._field_set import NOTHING, FieldSet, Path
from ._types import ListRule, ListType, MapType, Type


def reconciled(type_: Type, fields: FieldSet) -> FieldSet:
    """The fields, with those that lie inside of one value replaced by it. Cost: O(size)."""
    whole: list[Path] = []
    _visit(type_, fields, (), False, whole)
    if not whole:
        return fields
    values = FieldSet.of(whole)
    return fields.recursive_difference(values).union(values)


def _visit(type_: Type, fields: FieldSet, path: Path, is_leaf: bool, whole: list[Path]) -> None:
    what = shape_of(type_)
    if what == "map" and type_.map is not None:
        if _is_free(type_.map):
            return
        if type_.map.is_atomic and not is_leaf:
            if not fields.is_empty():
                whole.append(path)
            return
        _descend(type_.map, fields, path, whole)
    elif what == "list" and type_.list is not None:
        if type_.list.rule is ListRule.ATOMIC and not is_leaf:
            whole.append(path)
            return
        _descend(type_.list, fields, path, whole)


def _is_free(type_: MapType) -> bool:
    """Whether it is a map of anything: nothing is known of its values."""
    return not type_.fields and type_.element is not None and type_.element.scalar == "untyped"


def _descend(type_: MapType | ListType, fields: FieldSet, path: Path, whole: list[Path]) -> None:
    for element in dict.fromkeys((*fields.children, *sorted(fields.members))):
        inner = type_.element
        if isinstance(type_, MapType):
            inner = type_.type_of(element[2:]) if element.startswith("f:") else type_.element
        if inner is not None:
            child = fields.children.get(element, NOTHING)
            is_leaf = element in fields.members and child.is_empty()
            _visit(inner, child, (*path, element), is_leaf, whole)
