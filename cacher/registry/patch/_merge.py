"""A configuration merged into an object, and fields taken out of one: the two halves of an apply.

Pure: the result shares with its sources what did not change.
Source: kubernetes-sigs/structured-merge-diff typed/merge.go, remove.go.
"""

from __future__ import annotations

from typing import Any

from ._compare import shape_of
from ._elements import TypedError, by_element, element_of
from ._field_set import FieldSet, field, shown
from ._types import MISSING, ListRule, ListType, MapType, Type, shape


def merge(type_: Type, live: Any, applied: Any) -> Any:
    """`live` with all that `applied` says. Nothing goes; leaves are those of `applied`; lists keep the order of `live` where
    `applied` does not say otherwise, and follow `applied` where it does.

    Raises:
        TypedError: a value is not of its type.
    Cost: O(size).
    """
    fitting = shape(type_, live if applied is MISSING else applied)
    what = shape_of(fitting)
    if what == "map" and fitting.map is not None:
        return _merge_maps(fitting.map, live, applied)
    if what == "list" and fitting.list is not None:
        return _merge_lists(fitting.list, live, applied)
    return _leaf(live, applied)


def _leaf(live: Any, applied: Any) -> Any:
    return live if applied is MISSING else applied


def _merge_maps(type_: MapType, live: Any, applied: Any) -> Any:
    left = live if isinstance(live, dict) else {}
    right = applied if isinstance(applied, dict) else {}
    if type_.is_atomic or not (left or right):
        return _leaf(live, applied)
    out: dict[str, Any] = {}
    for name in [*left, *(name for name in right if name not in left)]:
        inner = type_.type_of(name)
        if inner is None:
            raise TypedError([f"{shown((field(name),))}: schema error: invalid atom: inlined"])
        merged = merge(inner, left.get(name, MISSING), right.get(name, MISSING))
        if merged is not MISSING:
            out[name] = merged
    return out or MISSING


def _merge_lists(type_: ListType, live: Any, applied: Any) -> Any:
    left = live if isinstance(live, list) else []
    right = applied if isinstance(applied, list) else []
    if type_.rule is ListRule.ATOMIC or not (left or right):
        return _leaf(live, applied)
    after = by_element(type_, right)
    for element, items in after.items():
        if len(items) > 1:
            raise TypedError([f"duplicate entries for key {shown((element,))}"])
    before = by_element(type_, left)
    # Of duplicates in the live list, none is merged: nobody knows which one was meant.
    known = {element: items[0] if len(items) == 1 else None for element, items in before.items()}
    out = []
    for element, item in _in_order(type_, left, list(after)):
        merged = item
        if element in after:
            merged = merge(type_.element, known.get(element, MISSING), after[element][0])
        if merged is not MISSING:
            out.append(merged)
    return out or MISSING


def _in_order(type_: ListType, live: list[Any], applied: list[str]) -> list[tuple[str, Any]]:
    """(element, live item) in the order of the merged list; the item is MISSING for elements that `applied` has.

    Both lists are walked at once. What only the live list has keeps its place before the next element that both have; what
    both have comes in the order of `applied`.
    """
    lefts = [element_of(type_, item) for item in live]
    in_live, in_applied = frozenset(lefts), frozenset(applied)
    shared = iter([element for element in applied if element in in_live])
    next_shared = next(shared, None)
    out: list[tuple[str, Any]] = []
    taken: dict[str, None] = {}
    at_left = at_right = 0
    while at_left < len(lefts) or at_right < len(applied):
        if at_left < len(lefts) and at_right < len(applied):
            element = lefts[at_left]
            if element == applied[at_right]:
                taken[element] = None
                out.append((element, MISSING))
                at_left, at_right = at_left + 1, at_right + 1
                next_shared = next(shared, None)
                continue
            if element in in_applied and next_shared is not None and next_shared != element:
                at_left += 1  # both have it, but its turn comes later
                continue
        if at_left < len(lefts):
            element = lefts[at_left]
            if element not in in_applied:
                out.append((element, live[at_left]))
                at_left += 1
                continue
            if element in taken:
                at_left += 1
        if at_right < len(applied):
            element = applied[at_right]
            taken[element] = None
            out.append((element, MISSING))
            at_right += 1
            if next_shared == element:
                next_shared = next(shared, None)
    return out


def remove(type_: Type, value: Any, fields: FieldSet) -> Any:
    """The value without these fields; None where nothing is left of it. Maps and lists that lose their last field by name stay,
    empty.

    Cost: O(size).
    """
    fitting = shape(type_, value)
    what = shape_of(fitting)
    if what == "map" and fitting.map is not None:
        return _remove_from_map(fitting.map, value, fields)
    if what == "list" and fitting.list is not None:
        return _remove_from_list(fitting.list, value, fields)
    return value


def _remove_from_map(type_: MapType, value: Any, fields: FieldSet) -> Any:
    if not isinstance(value, dict) or not value or type_.is_atomic:
        return None
    out: dict[str, Any] = {}
    had_matches = False
    for name, inner in value.items():
        element = field(name)
        if element in fields.members:
            continue
        below = fields.child(element)
        had_matches = had_matches or not below.is_empty()
        out[name] = inner if below.is_empty() else _emptied(type_.type_of(name), inner, below)
    return out if out or had_matches else None


def _remove_from_list(type_: ListType, value: Any, fields: FieldSet) -> Any:
    if not isinstance(value, list) or not value or type_.rule is ListRule.ATOMIC:
        return None
    out: list[Any] = []
    had_matches = False
    for item in value:
        element = element_of(type_, item)
        if element in fields.members:
            continue
        below = fields.child(element)
        had_matches = had_matches or not below.is_empty()
        out.append(item if below.is_empty() else _emptied(type_.element, item, below))
    return out if out or had_matches else None


def _emptied(type_: Type | None, value: Any, fields: FieldSet) -> Any:
    if type_ is None:
        return value
    left = remove(type_, value, fields)
    if left is None and isinstance(value, dict):
        return {}
    return [] if left is None and isinstance(value, list) else left


def with_named_fields(type_: Type | None, fields: FieldSet) -> FieldSet:
    """The set with every field that is known by name and has members below it: whoever owns `a.b.c` needs `a` to be there."""
    inside = None if type_ is None else type_.map
    named = [
        element
        for element in fields.children
        if inside is not None and element.startswith("f:") and element[2:] in inside.fields
    ]
    children = {element: with_named_fields(_below(type_, element), child) for element, child in fields.children.items()}
    return FieldSet(fields.members.union(named), children)


def _below(type_: Type | None, element: str) -> Type | None:
    if type_ is None:
        return None
    if element.startswith("f:"):
        return None if type_.map is None else type_.map.type_of(element[2:])
    return type_.list.element if type_.list is not None and element.startswith("k:") else None
