"""Lists that are sets or maps have nothing twice.

Pure. Source: kubernetes/apiextensions-apiserver pkg/apiserver/schema/listtype/validation.go.
"""

from __future__ import annotations

from .._field_errors import FieldError, child, duplicate, index, invalid, key
from ._go_text import as_float, compact, is_integer
from ._structural import JSON, Schema


def duplicate_errors(schema: Schema | None, value: JSON, path: str = "") -> list[FieldError]:
    """What is twice in a list of type set, and which keys in one of type map; each is named once, at its second place.

    Cost: O(value).
    """
    if schema is None:
        return []
    if isinstance(value, list):
        return _of_list(schema, value, path)
    return _of_map(schema, value, path) if isinstance(value, dict) else []


def _of_map(schema: Schema, value: dict[str, JSON], path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for name in sorted(value):
        if schema.properties is not None and (below := schema.properties.get(name)) is not None:
            found += duplicate_errors(below, value[name], child(path, name))
        elif schema.additional is not None:
            found += duplicate_errors(schema.additional, value[name], key(path, name))
    return found


def _of_list(schema: Schema, value: list[JSON], path: str) -> list[FieldError]:
    found: list[FieldError] = []
    if schema.list_type == "set":
        found += [duplicate(index(path, at), value[at]) for at in _seconds(value)]
    elif schema.list_type == "map":
        found += _of_keys(schema, value, path)
    if schema.items is not None:
        for at, item in enumerate(value):
            found += duplicate_errors(schema.items, item, index(path, at))
    return found


def _of_keys(schema: Schema, value: list[JSON], path: str) -> list[FieldError]:
    for at, item in enumerate(value):
        if item is not None and not isinstance(item, dict):
            return [invalid(index(path, at), item, "must be an object for an array of list-type map")]
    keys = [{name: item[name] for name in schema.list_map_keys if name in item} if item else {} for item in value]
    return [duplicate(index(path, at), keys[at]) for at in _seconds(keys)]


def _seconds(items: list[JSON]) -> list[int]:
    """Where a value stands for the second time."""
    times: dict[str, int] = {}
    found: list[int] = []
    for at, item in enumerate(items):
        text = compact(item) if not _is_float(item) else compact(as_float(item))
        times[text] = times.get(text, 0) + 1
        if times[text] == 2:
            found.append(at)
    return found


def _is_float(value: JSON) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and not is_integer(value)
