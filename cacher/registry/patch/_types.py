"""What a merge has to know of an object's type: which lists merge and by which keys, what is one indivisible value.

A type says what it is as a scalar, as a list and as a map; most are one of the three, and one whose shape is not known is all.
A list is indivisible ("atomic"), a set of scalars, or keyed: its elements are told apart by some of their fields. A map is
divided into its fields unless it is atomic.

Where types come from: the table of the built-in kinds (`_kinds.py`), the schema of a custom resource (`_structural.py`), and
`DEDUCED`, which is what Kubernetes deduces where there is no schema: maps merge, lists do not.

Pure.
Source: kubernetes-sigs/structured-merge-diff schema/elements.go; the names of list and map types are OpenAPI's
(x-kubernetes-list-type, x-kubernetes-map-type).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Final

import msgspec


class Missing(enum.Enum):
    """What stands where there is no value at all, not even null."""

    MISSING = enum.auto()


MISSING: Final = Missing.MISSING


class ListRule(enum.Enum):
    """How lists of a type merge."""

    ATOMIC = "atomic"
    SET = "set"
    KEYED = "map"


class Type(msgspec.Struct, eq=False):
    """What a value may be. `scalar` is "string", "numeric", "boolean" or "untyped" (any of them)."""

    scalar: str | None = None
    list: ListType | None = None
    map: MapType | None = None

    @property
    def is_anything(self) -> bool:
        """Whether every value fits: there is nothing to look for inside of one."""
        return self is UNDIVIDED or self is DEDUCED


class ListType(msgspec.Struct, eq=False):
    """Elements of one type; `keys` tell them apart where the rule is KEYED."""

    element: Type
    rule: ListRule = ListRule.ATOMIC
    keys: tuple[str, ...] = ()


class Field(msgspec.Struct, eq=False):
    """A field of a map that is known by name.

    Attributes:
        default: what the field is taken for where it is a key of its list and absent.
        zero: what a typed server writes where nothing was set; MISSING: it writes nothing.
        is_pointer: a typed server tells "set to zero" from "not set".
        patch_key, patch_merges, patch_replaces, patch_retains: how a strategic merge treats it (`_strategic.py`).
    """

    type: Type
    default: Any = None
    zero: Any = MISSING
    is_pointer: bool = False
    patch_key: str = ""
    patch_merges: bool = False
    patch_replaces: bool = False
    patch_retains: bool = False


class MapType(msgspec.Struct, eq=False):
    """Fields known by name, and the type of all others; None: there may be no others."""

    fields: Mapping[str, Field] = msgspec.field(default_factory=dict)
    element: Type | None = None
    is_atomic: bool = False

    def type_of(self, name: str) -> Type | None:
        """The type of a field; None: there may be no such field."""
        field = self.fields.get(name)
        return self.element if field is None else field.type


def _undivided() -> Type:
    every = Type(scalar="untyped")
    every.list = ListType(every)
    every.map = MapType(element=every, is_atomic=True)
    return every


def _deduced() -> Type:
    every = Type(scalar="untyped", list=ListType(UNDIVIDED))
    every.map = MapType(element=every)
    return every


UNDIVIDED: Final = _undivided()
"""Anything, as one value."""
DEDUCED: Final = _deduced()
"""Anything; maps merge field by field, lists are one value."""


def atomic_map(type_: Type) -> Type:
    """The same type, as one value where it is a map."""
    if type_.map is None:
        return type_
    return Type(type_.scalar, type_.list, MapType(type_.map.fields, type_.map.element, True))


def is_scalar(value: Any) -> bool:
    """Whether the value is a text, a number or a boolean."""
    return isinstance(value, (str, int, float))


def shape(type_: Type, value: Any) -> Type:
    """The part of the type that fits the value; the whole type where none does, or where there is no value."""
    if (type_.scalar is None) + (type_.list is None) + (type_.map is None) == 2:
        return type_  # most types are of one shape
    if is_scalar(value):
        return Type(scalar=type_.scalar) if type_.scalar is not None else type_
    if isinstance(value, list):
        return Type(list=type_.list) if type_.list is not None else type_
    if isinstance(value, dict):
        return Type(map=type_.map) if type_.map is not None else type_
    return type_


def is_same(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal: 1 and 1.0 are, 1 and true are not.

    Cost: O(size), in C while no boolean is involved.
    """
    if left is right:
        return True
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(is_same(value, right[name]) for name, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(is_same, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def differing(old: Any, new: Any) -> tuple[Any, Any]:
    """Both values without the fields in which they are the same, at any depth of maps; lists are left whole. A map that would
    have nothing left on one side is left whole too: it was not empty, and must not look so.

    Most writes change little of an object, and whatever compares the two then has little to do.
    Cost: O(size), in C.
    """
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return old, new
    left, right = dict(old), dict(new)
    for name, before in old.items():
        if name not in new:
            continue
        after = new[name]
        # 1 == True in Python, and not in JSON: what is equal has to look equal too.
        if before is after or (before == after and msgspec.json.encode(before) == msgspec.json.encode(after)):
            del left[name], right[name]
        elif isinstance(before, dict) and isinstance(after, dict):
            inner_left, inner_right = differing(before, after)
            if inner_left and inner_right:
                left[name], right[name] = inner_left, inner_right
    return left, right


def canonical(type_: Type | None, value: Any, *, nulls: bool = False) -> Any:
    """The value as a server with typed objects would write it: what is always there is, what is empty is not.

    Fields that are null, or zero where zero is the same as unset, go; fields that are written even when unset come. `nulls`
    also writes those that are unset lists, maps and pointers (as null): the comparison of two objects must not take a field
    for new that was there before and empty. Nothing inside a value of unknown shape is touched.
    Cost: O(size).
    """
    if type_ is None or type_.is_anything:
        return value
    if isinstance(value, list) and type_.list is not None:
        element = type_.list.element
        return [canonical(element, inner, nulls=nulls) for inner in value]
    if not isinstance(value, dict) or type_.map is None:
        return value
    if not type_.map.fields:
        element_type = type_.map.element
        if element_type is None or (element_type.list is None and element_type.map is None):
            return value
        return {name: canonical(element_type, inner, nulls=nulls) for name, inner in value.items()}
    return _canonical_fields(type_.map, value, nulls)


def _canonical_fields(type_: MapType, value: dict[str, Any], nulls: bool) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, inner in value.items():
        field = type_.fields.get(name)
        if field is None:
            out[name] = inner
        elif not _is_unset(field, inner):
            out[name] = canonical(field.type, inner, nulls=nulls)
    for name, field in type_.fields.items():
        if name not in out and field.zero is not MISSING and (nulls or field.zero is not None):
            out[name] = canonical(field.type, field.zero, nulls=nulls)
    return out


def _is_unset(field: Field, value: Any) -> bool:
    """Whether a typed server cannot tell this value from none."""
    if value is None:
        return True
    if isinstance(value, dict):
        inside = field.type.map
        is_plain_map = inside is not None and not inside.fields and inside.element not in (None, DEDUCED, UNDIVIDED)
        return not value and is_plain_map and field.zero is MISSING
    if isinstance(value, list):
        return not value and field.zero is MISSING
    return field.zero is MISSING and not field.is_pointer and field.type.scalar != "untyped" and not value
