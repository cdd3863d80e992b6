"""Strategic merge: a merge patch that knows which lists merge, and by which key (`Field.patch_*` in `_types.py`).

    {"containers": [{"name": "web", "image": "i:2"}]}         merged by name; what the patch does not name stays
    {"containers": [{"name": "web", "$patch": "delete"}]}     that one goes; "replace" in one element: only the patch's stay
    {"strategy": {"$patch": "replace", ...}}                  a map replaced, or ("delete") emptied
    {"strategy": {"$retainKeys": ["type"], "type": "x"}}      all other keys of the map go
    {"$setElementOrder/containers": [{"name": "b"}, ...]}     the order of the result
    {"$deleteFromPrimitiveList/finalizers": ["a"]}            taken out of a list of scalars

Pure: works on copies.
Source: kubernetes/apimachinery pkg/util/strategicpatch/patch.go; the answers are those of kubernetes/apiserver
pkg/endpoints/handlers/patch.go.
"""

from __future__ import annotations

from typing import Any

from .._errors import APIError, BadRequest, PlainServerError
from ._go import go_value, json_kind
from ._strategic_lists import (
    DELETE,
    DIRECTIVE,
    REPLACE,
    a_list,
    a_map,
    bad_directive,
    holds_maps,
    in_order,
    merge_lists,
    no_merge_key,
    order_after,
    partition,
)
from ._types import Field, Type, is_same

_RETAIN_KEYS = "$retainKeys"
_DELETE_FROM = "$deleteFromPrimitiveList"
_ORDER = "$setElementOrder"
_PLAIN = Field(Type())  # a field of which nothing is known: maps merge, lists are replaced


def apply_strategic_merge(document: dict[str, Any], patch: Any, type_: Type) -> dict[str, Any]:
    """The document with the patch merged in.

    Directives inside of what the document does not have stay where they are, as Kubernetes leaves them: whoever reads the
    result takes them for unknown fields.

    Raises:
        BadRequest: the patch is no object, or a directive is not as it must be.
        PlainServerError: the patch does not fit the document: no merge key, an unknown directive, lists of mixed types.
        Unprocessable: lists of lists.
    Cost: O(size), and for each list that merges O(n²).
    """
    if not isinstance(patch, dict):
        raise BadRequest(f"json: cannot unmarshal {json_kind(patch)} into Go value of type map[string]interface {{}}")
    return _merge_maps(copied(document), copied(patch), type_)


def copied(value: Any) -> Any:
    """The same JSON value, sharing nothing with this one."""
    if isinstance(value, dict):
        return {name: copied(inner) for name, inner in value.items()}
    return [copied(inner) for inner in value] if isinstance(value, list) else value


def _merge_maps(original: dict[str, Any], patch: dict[str, Any], type_: Type | None) -> dict[str, Any]:
    if DIRECTIVE in patch:
        return _directed(patch)
    _retain(original, patch)
    for name in [name for name in patch if name.startswith(_ORDER)]:
        _merge_ordered(original, patch, name, type_)
    for name, value in patch.items():
        is_deletion = name.startswith(_DELETE_FROM)
        target = _target(name, _DELETE_FROM, "primitive list") if is_deletion else name
        _merge_field(original, target, value, _field(type_, target), is_deletion)
    return original


def _directed(patch: dict[str, Any]) -> dict[str, Any]:
    """What `$patch` in a map makes of the original."""
    directive = patch[DIRECTIVE]
    if directive == REPLACE:
        return {name: value for name, value in patch.items() if name != DIRECTIVE}
    if directive == DELETE:
        return {}
    raise bad_directive(directive, patch)


def _retain(original: dict[str, Any], patch: dict[str, Any]) -> None:
    """Take from the original what `$retainKeys` does not name; it must name all that the patch sets."""
    if _RETAIN_KEYS not in patch:
        return
    keys = patch.pop(_RETAIN_KEYS)
    if not isinstance(keys, list):
        raise _bad_format("retainKeys")
    for name, value in patch.items():
        if value is not None and not name.startswith((_DELETE_FROM, _ORDER)) and name not in keys:
            raise _bad_format("retainKeys")
    for name in [name for name in original if name not in keys]:
        del original[name]


def _merge_field(original: dict[str, Any], name: str, value: Any, field: Field, is_deletion: bool) -> None:
    if value is None:
        original.pop(name, None)
        return
    current = original.get(name)
    both_maps = isinstance(current, dict) and isinstance(value, dict)
    both_lists = isinstance(current, list) and isinstance(value, list)
    if both_maps:
        original[name] = value if field.patch_replaces else _merge_maps(a_map(current), value, field.type)
    elif both_lists:
        original[name] = _merge_list_field(a_list(current), value, field, is_deletion)
    elif not is_deletion:
        _set(original, name, _without_nulls(value))


def _merge_list_field(original: list[Any], patch: list[Any], field: Field, is_deletion: bool = False) -> list[Any]:
    if not (field.patch_merges or is_deletion):
        return patch
    element = field.type.list.element if field.type.list is not None else None
    return merge_lists(
        original, patch, field.patch_key, lambda one, other: _merge_maps(one, other, element), is_deletion=is_deletion
    )


def _merge_ordered(original: dict[str, Any], patch: dict[str, Any], name: str, type_: Type | None) -> None:
    """Merge the list that a `$setElementOrder` is about, and bring it into that order."""
    order = a_list(patch.pop(name))
    target = _target(name, _ORDER, "setElementOrder list")
    current = a_list(original[target]) if target in original else None
    change = a_list(patch[target]) if target in patch else None
    field = _field(type_, target)
    _check_order(change or [], order, field.patch_key)
    if current is not None and change is not None:
        merged = _merge_list_field(current, change, field)
    elif change is not None:
        merged = [item for item in map(_without_directives, change) if item is not _GONE]
    elif current is not None:
        merged = current
    else:
        return
    named, others = partition(merged, order, field.patch_key)
    by_key = field.patch_key if holds_maps(current or [], change or []) else ""
    original[target] = in_order(named, others, order, order_after(current or [], change or [], by_key), by_key)
    patch.pop(target, None)


def _check_order(change: list[Any], order: list[Any], key: str) -> None:
    """The patch's list must be in the order given, and have nothing that is not in it (but for deletions)."""
    if not change or not order:
        return
    items = [item for item in change if not key or a_map(item).get(DIRECTIVE) != DELETE]
    at = 0
    for wanted in order:
        while at < len(items) and isinstance(items[at], dict) and DIRECTIVE in items[at]:
            at += 1
        if at < len(items) and _have_same_key(items[at], wanted, key):
            at += 1
    if at < len(items):
        raise PlainServerError(
            f"The order in patch list:\n{go_value(change)}\n doesn't match {_ORDER} list:\n{go_value(order)}\n"
        )


def _have_same_key(left: Any, right: Any, key: str) -> bool:
    if not key:
        return is_same(left, right)
    for item in (a_map(left), a_map(right)):
        if key not in item:
            raise no_merge_key(item, key)
    return is_same(left[key], right[key])


def _field(type_: Type | None, name: str) -> Field:
    inside = None if type_ is None else type_.map
    return _PLAIN if inside is None else inside.fields.get(name, _PLAIN)


def _target(name: str, prefix: str, what: str) -> str:
    """The field that a directive is about: `$setElementOrder/env` is about `env`."""
    found, slash, target = name.partition("/")
    if found != prefix or not slash:
        raise _bad_format(what)
    return target


def _bad_format(what: str) -> APIError:
    return BadRequest(f"invalid patch format of {what}")


_GONE = object()


def _set(original: dict[str, Any], name: str, value: Any) -> None:
    kept = _without_directives(value)
    if kept is _GONE:
        original.pop(name, None)
    else:
        original[name] = kept


def _without_directives(value: Any) -> Any:
    """The value without the maps in it that bear a `$patch`; _GONE where it is one itself."""
    if isinstance(value, dict):
        if DIRECTIVE in value:
            return _GONE
        kept = {name: _without_directives(inner) for name, inner in value.items()}
        return {name: inner for name, inner in kept.items() if inner is not _GONE}
    if isinstance(value, list):
        return [inner for inner in map(_without_directives, value) if inner is not _GONE]
    return value


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value
