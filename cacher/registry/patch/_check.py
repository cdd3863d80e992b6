"""Whether an object is of its type: fields that are known, scalars of their kind, list elements that differ.

Pure.
Source: kubernetes-sigs/structured-merge-diff typed/validate.go; the texts name Go's types, as the recorded answers do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ._compare import shape_of
from ._elements import TypedError, element_of
from ._field_set import Path, field, shown
from ._go import go_syntax, go_type, go_value
from ._types import ListRule, ListType, MapType, Type, shape


def check(type_: Type, value: Any, *, duplicates: bool = False) -> None:
    """Nothing, where the value is of its type. `duplicates`: list elements may be there twice.

    Raises:
        TypedError: with every problem that was found.
    Cost: O(size).
    """
    problems = list(_problems(type_, value, (), duplicates))
    if problems:
        raise TypedError(problems)


def _problems(type_: Type, value: Any, path: Path, duplicates: bool) -> Iterator[str]:
    fitting = shape(type_, value)
    what = shape_of(fitting, path)
    if what == "map" and fitting.map is not None:
        yield from _map_problems(fitting.map, value, path, duplicates)
    elif what == "list" and fitting.list is not None:
        yield from _list_problems(fitting.list, value, path, duplicates)
    elif fitting.scalar is not None and value is not None:
        problem = _scalar_problem(fitting.scalar, value)
        if problem:
            yield _at(path, problem)


def _at(path: Path, problem: str) -> str:
    return f"{shown(path)}: {problem}" if path else problem


def _map_problems(type_: MapType, value: Any, path: Path, duplicates: bool) -> Iterator[str]:
    if value is None:
        return
    if not isinstance(value, dict):
        yield _at(path, f"expected map, got &{{{go_value(value)}}}")
        return
    for name, inner in value.items():
        below = (*path, field(name))
        inner_type = type_.type_of(name)
        if inner_type is None:
            yield _at(below, "field not declared in schema")
            return  # the first one is enough
        yield from _problems(inner_type, inner, below, duplicates)


def _list_problems(type_: ListType, value: Any, path: Path, duplicates: bool) -> Iterator[str]:
    if value is None:
        return
    if not isinstance(value, list):
        yield _at(path, f"expected list, got &{{{go_value(value)}}}")
        return
    seen: dict[str, None] = {}
    for at, item in enumerate(value):
        element = f"i:{at}"
        if type_.rule is not ListRule.ATOMIC:
            try:
                element = element_of(type_, item)
            except TypedError as error:
                yield _at(path, f"element {at}: {error}")
                return
            if element in seen and not duplicates:
                yield _at(path, f"duplicate entries for key {shown((element,))}")
            seen[element] = None
        yield from _problems(type_.element, item, (*path, element), duplicates)


def _scalar_problem(kind: str, value: Any) -> str:
    is_bool, is_text = isinstance(value, bool), isinstance(value, str)
    is_number = isinstance(value, (int, float)) and not is_bool
    if kind == "numeric" and not is_number:
        return f"expected numeric (int or float), got {go_type(value)}"
    if kind == "string" and not is_text:
        return f"expected string, got &value.valueUnstructured{{Value:{go_syntax(value)}}}"
    if kind == "boolean" and not is_bool:
        return f"expected boolean, got &{{{go_value(value)}}}"
    if not (is_bool or is_text or is_number):
        return f"expected any scalar, got &{{{go_value(value)}}}"
    return ""
