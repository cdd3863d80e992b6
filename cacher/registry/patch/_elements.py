"""Which element of a list is which: the path element of an item of a set or of a keyed list.

Pure.
Source: kubernetes-sigs/structured-merge-diff typed/helpers.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ._field_set import keyed, valued
from ._types import ListRule, ListType


class TypedError(Exception):
    """A value is not of its type: whoever sent it must mend it. `problems` has a line each, path first."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        shown = self.problems[0] if len(self.problems) == 1 else "\n  ".join(("errors:", *self.problems))
        super().__init__(shown)


def element_of(type_: ListType, item: Any) -> str:
    """The path element of an item.

    Raises:
        TypedError: nothing tells this item from others.
    """
    return _key_of(type_, item) if type_.rule is ListRule.KEYED else _value_of(item)


def by_element(type_: ListType, items: Iterable[Any]) -> dict[str, list[Any]]:
    """The items under their path elements, in order; more than one under an element are duplicates."""
    found: dict[str, list[Any]] = {}
    for at, item in enumerate(items):
        try:
            found.setdefault(element_of(type_, item), []).append(item)
        except TypedError as error:
            raise TypedError([f"element {at}: {error}"]) from error
    return found


def _value_of(item: Any) -> str:
    if isinstance(item, dict):
        raise TypedError(["associative list without keys has an element that's a map type"])
    if isinstance(item, list):
        raise TypedError(["not supported: associative list with lists as elements"])
    if item is None:
        raise TypedError(["associative list without keys has an element that's an explicit null"])
    return valued(item)


def _key_of(type_: ListType, item: Any) -> str:
    if item is None:
        raise TypedError(["associative list with keys may not have a null element"])
    if not isinstance(item, dict):
        raise TypedError(["associative list with keys may not have non-map elements"])
    keys = {}
    for name in type_.keys:
        if name in item:
            keys[name] = item[name]
        elif (default := _default(type_, name)) is not None:
            keys[name] = default
    if not keys:
        names = " ".join(f'"{name}"' for name in type_.keys)
        raise TypedError(
            [
                f"associative list with keys has an element that omits all key fields [{names}] "
                "(and doesn't have default values for any key fields)"
            ]
        )
    return keyed(keys)


def _default(type_: ListType, name: str) -> Any:
    field = type_.element.map.fields.get(name) if type_.element.map is not None else None
    return None if field is None else field.default
