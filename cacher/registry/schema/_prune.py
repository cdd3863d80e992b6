"""What a schema does not know is taken away, and what was taken is named.

Pure: the object stays as it is; what comes back shares with it whatever did not change.
Source: kubernetes/apiextensions-apiserver pkg/apiserver/schema/pruning/algorithm.go.
"""

from __future__ import annotations

from msgspec.structs import replace

from .._field_errors import child, index
from ._structural import EMPTY, JSON, META_FIELDS, Schema


def pruned(schema: Schema | None, value: JSON, *, is_resource: bool = False) -> tuple[JSON, list[str]]:
    """The value without its unknown fields, and the sorted paths of these.

    Args:
        is_resource: the value is a whole object, whose apiVersion, kind and metadata are known.
    Cost: O(value).
    """
    if is_resource:
        schema = (schema or EMPTY).as_resource()
    unknown: list[str] = []
    return _prune(schema, value, "", unknown), sorted(unknown)


def _prune(schema: Schema | None, value: JSON, path: str, unknown: list[str]) -> JSON:
    if isinstance(value, dict):
        return _prune_map(schema, value, path, unknown)
    if isinstance(value, list):
        return _prune_list(schema, value, path, unknown)
    return value


def _prune_map(schema: Schema | None, value: dict[str, JSON], path: str, unknown: list[str]) -> JSON:
    kept: dict[str, JSON] = {}
    changed = False
    for name, one in value.items():
        if schema is not None and schema.is_embedded and name in META_FIELDS:
            kept[name] = one
        elif schema is not None and schema.knows(name):
            kept[name] = _prune(schema.child(name), one, child(path, name), unknown)
            changed = changed or kept[name] is not one
        elif schema is not None and schema.preserves_unknown:
            kept[name] = one
        else:
            changed = True
            if path or name not in META_FIELDS:
                unknown.append(child(path, name))
    return kept if changed else value


def _prune_list(schema: Schema | None, value: list[JSON], path: str, unknown: list[str]) -> JSON:
    items = schema.items if schema is not None else None
    if schema is not None and schema.preserves_unknown:
        if items is None:
            return value
        items = items if items.preserves_unknown else _kept(items)
    kept = [_prune(items, one, index(path, at), unknown) for at, one in enumerate(value)]
    return kept if any(new is not old for new, old in zip(kept, value, strict=True)) else value


def _kept(schema: Schema) -> Schema:
    """The items of a list whose unknown fields are kept keep theirs."""
    return replace(schema, preserves_unknown=True)
