"""Lists in a strategic merge: elements matched by their merge key, taken out, and brought into order.

The order of the result: what the patch names, in the order of the patch (or of `$setElementOrder`); what only the object has
stands between, where the object's own order allows it, else after.

Pure, but for the lists and maps handed in as `original`, which belong to the merge and are changed in place.
Source: kubernetes/apimachinery pkg/util/strategicpatch/patch.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .._errors import APIError, PlainServerError, StatusDetails, Unprocessable
from ._go import go_value
from ._types import is_same

DIRECTIVE = "$patch"
REPLACE, DELETE, MERGE = "replace", "delete", "merge"
REJECTED = "the server rejected our request due to an error in our request"

MergeMaps = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]


def merge_lists(
    original: list[Any], patch: list[Any], key: str, merge_maps: MergeMaps, *, is_deletion: bool
) -> list[Any]:
    """The two lists as one: maps by `key`, scalars as a set. `is_deletion`: scalars of the patch are taken out instead.

    Raises:
        APIError: elements of several types, lists of lists, maps without the key, unknown directives.
    """
    if not original and not patch:
        return original
    if not holds_maps(original, patch):
        if is_deletion:
            return [value for value in original if not _contains(patch, value)]
        merged = _deduplicated([*original, *patch])
        key = ""
    else:
        if not key:
            raise PlainServerError("cannot merge lists without merge key for struct")
        original, patch = _without_directives(original, patch, key)
        merged = _merge_by_key(original, patch, key, merge_maps)
    named, others = partition(merged, patch, key)
    return in_order(named, others, patch, original, key)


def holds_maps(*lists: list[Any]) -> bool:
    """Whether the elements of the lists are maps; all must be of one type."""
    kinds = [_kind(value) for values in lists for value in values]
    if not kinds:
        raise PlainServerError("no elements in any of the given slices")
    if kinds[0] == "list":
        raise rejected()
    if any(kind != kinds[0] for kind in kinds):
        raise PlainServerError(f"list element types are not identical: {go_value(list(lists))}")
    return kinds[0] == "map"


def rejected() -> APIError:
    """The answer to a patch that can be read and cannot be carried out: 422 without details."""
    return Unprocessable(REJECTED, StatusDetails())


def no_merge_key(item: dict[str, Any], key: str) -> APIError:
    """The answer to an element that nothing can be matched with."""
    return PlainServerError(f"map: {go_value(item)} does not contain declared merge key: {key}")


def bad_directive(directive: Any, item: dict[str, Any]) -> APIError:
    """The answer to a `$patch` that is none of those that are known."""
    return PlainServerError(f"unknown patch type: {go_value(directive)} in map: {go_value(item)}")


def partition(items: list[Any], by: list[Any], key: str) -> tuple[list[Any], list[Any]]:
    """The items that are in `by`, and the others. Maps are matched by `key`; no key: they are scalars."""
    inside: list[Any] = []
    outside: list[Any] = []
    for item in items:
        if not key:
            found = _contains(by, item)
        else:
            if key not in a_map(item):
                raise no_merge_key(item, key)
            found = _find(by, key, item[key]) >= 0
        (inside if found else outside).append(item)
    return inside, outside


def in_order(
    named: list[Any], others: list[Any], named_order: list[Any], other_order: list[Any], key: str
) -> list[Any]:
    """Both lists as one, each in the order given for it, woven together by `other_order` as far as it knows both."""
    left = _sorted_by(others, other_order, key)
    right = _sorted_by(named, named_order, key)
    out: list[Any] = []
    at_left = at_right = 0
    while at_left < len(left) and at_right < len(right):
        before, after = _index(other_order, left[at_left], key), _index(other_order, right[at_right], key)
        if 0 <= before < after:
            out.append(left[at_left])
            at_left += 1
        else:
            out.append(right[at_right])
            at_right += 1
    return [*out, *left[at_left:], *right[at_right:]]


def order_after(items: list[Any], patch: list[Any], key: str) -> list[Any]:
    """The object's list as the order of its elements, after the patch was merged.

    Kubernetes merges into the very list that it then orders by: what is deleted leaves its slot to the next, and new elements
    take the slots that became free. It shows where a patch deletes one element and adds another.
    """
    if not key or not patch:
        return items
    slots, used = list(items), len(items)
    for item in patch:
        if item.get(DIRECTIVE) == DELETE and key in item:
            while (at := _find(slots[:used], key, item[key])) >= 0:
                slots[at : used - 1] = slots[at + 1 : used]
                used -= 1
    if any(item.get(DIRECTIVE) == REPLACE for item in patch):
        return slots
    for item in patch:
        if DIRECTIVE not in item and used < len(slots) and _find(slots[:used], key, item.get(key)) < 0:
            slots[used] = item
            used += 1
    return slots


def a_map(item: Any) -> dict[str, Any]:
    """The item, which must be a map."""
    if not isinstance(item, dict):
        raise PlainServerError(f"expected a map[string]interface {{}}, but received a {_go_kind(item)}")
    return item


def a_list(value: Any) -> list[Any]:
    """The value, which must be a list."""
    if not isinstance(value, list):
        raise PlainServerError(f"expected a []interface {{}}, but received a {_go_kind(value)}")
    return value


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "map"
    return "list" if isinstance(value, list) else type(value).__name__


def _go_kind(value: Any) -> str:
    kinds = {"map": "map[string]interface {}", "list": "[]interface {}", "str": "string", "int": "int64"}
    return kinds.get(_kind(value), {"float": "float64", "NoneType": "%!s(<nil>)"}.get(_kind(value), _kind(value)))


def _without_directives(original: list[Any], patch: list[Any], key: str) -> tuple[list[Any], list[Any]]:
    """The object's list after the deletions that the patch asks for, and the patch's other elements."""
    plain: list[Any] = []
    is_replaced = False
    for item in patch:
        directive = item.get(DIRECTIVE)
        if DIRECTIVE not in item:
            plain.append(item)
        elif directive == DELETE:
            if key not in item:
                raise no_merge_key(item, key)
            original = _without(original, key, item[key])
        elif directive == REPLACE:
            is_replaced = True
        elif directive == MERGE:
            raise PlainServerError("merging lists cannot yet be specified in the patch")
        else:
            raise bad_directive(directive, item)
    return (plain, []) if is_replaced else (original, plain)


def _without(items: list[Any], key: str, value: Any) -> list[Any]:
    return [item for item in items if not (key in item and is_same(item[key], value))]


def _merge_by_key(original: list[Any], patch: list[Any], key: str, merge_maps: MergeMaps) -> list[Any]:
    merged = list(original)
    for item in patch:
        if key not in item:
            raise no_merge_key(item, key)
        at = _find(merged, key, item[key])
        if at < 0:
            merged.append(item)
        else:
            merged[at] = merge_maps(merged[at], item)
    return merged


def _find(items: list[Any], key: str, value: Any) -> int:
    """Where the first element with this key is, -1: nowhere."""
    for at, item in enumerate(items):
        if not isinstance(item, dict):
            raise PlainServerError(f"value for key {at} is not a map")
        if key in item and is_same(item[key], value):
            return at
    return -1


def _contains(items: Iterable[Any], value: Any) -> bool:
    return any(is_same(item, value) for item in items)


def _deduplicated(items: list[Any]) -> list[Any]:
    """Each once. The last element takes the place of a duplicate that goes: the order is settled later, but for what is in
    none of the lists that settle it."""
    out = list(items)
    at = 0
    while at < len(out) - 1:
        other = at + 1
        while other < len(out):
            if is_same(out[at], out[other]):
                last = out.pop()
                if other < len(out):
                    out[other] = last
            else:
                other += 1
        at += 1
    return out


def _index(items: list[Any], wanted: Any, key: str) -> int:
    value = _identity(wanted, key)
    return next((at for at, item in enumerate(items) if is_same(_identity(item, key), value)), -1)


def _identity(item: Any, key: str) -> Any:
    if not key:
        return item
    return item.get(key) if isinstance(item, dict) else None


def _sorted_by(items: list[Any], order: list[Any], key: str) -> list[Any]:
    """The items as `order` has them; what is not in it moves before its neighbour."""
    if key:
        for item in (*items, *order):
            if key not in a_map(item):
                raise no_merge_key(item, key)
        deletions = [item for item in items if item.get(DIRECTIVE) == DELETE]
        items = [item for item in items if item.get(DIRECTIVE) != DELETE]
    else:
        deletions = []
    placed = [(_index(order, item, key), item) for item in items]
    if all(place >= 0 for place, _ in placed):
        return [item for _, item in sorted(placed, key=lambda one: one[0])] + deletions
    # Kubernetes sorts with a comparison that calls an unknown element less than anything, each by each: an insertion sort.
    for end in range(1, len(placed)):
        at = end
        while at > 0 and (min(placed[at][0], placed[at - 1][0]) < 0 or placed[at][0] < placed[at - 1][0]):
            placed[at - 1], placed[at] = placed[at], placed[at - 1]
            at -= 1
    return [item for _, item in placed] + deletions
