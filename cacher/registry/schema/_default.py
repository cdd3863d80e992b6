"""Defaults put in, and nulls that nobody may have written taken away.

Pure: the object stays as it is; what comes back shares with it, and with the schema, whatever did not change.
Source: kubernetes/apiextensions-apiserver pkg/apiserver/schema/defaulting (algorithm.go, prunenulls.go).
"""

from __future__ import annotations

from ._structural import JSON, Schema


def defaulted(schema: Schema | None, value: JSON) -> JSON:
    """The value with the schema's defaults wherever nothing stands, or a null that may not.

    A null that may not be there and has no default is taken away from a map, and stays in a list, where validation finds it.
    The same is done on the way out of the store, so that a default that was added later shows in older objects.
    Cost: O(value + defaults).
    """
    return _default(schema, value, is_default=False)


def _default(schema: Schema | None, value: JSON, *, is_default: bool) -> JSON:
    """What `defaulted` says; in what is itself a default, nulls stay."""
    if schema is None:
        return value
    if isinstance(value, dict):
        return _default_map(schema, value, is_default)
    if isinstance(value, list):
        new = [_default_one(schema.items, one, is_default) for one in value]
        return new if any(one is not old for one, old in zip(new, value, strict=True)) else value
    return value


def _default_map(schema: Schema, value: dict[str, JSON], is_default: bool) -> JSON:
    new: dict[str, JSON] = {}
    changed = False
    for name, old in value.items():
        below = schema.child(name)
        if old is None and not is_default and below is not None and not below.nullable and below.default is None:
            changed = True
            continue
        new[name] = _default_one(below, old, is_default)
        changed = changed or new[name] is not old
    for name, below in (schema.properties or {}).items():
        if below.default is not None and name not in value:
            new[name] = _default(below, below.default, is_default=True)
            changed = True
    return new if changed else value


def _default_one(schema: Schema | None, value: JSON, is_default: bool) -> JSON:
    if value is None and schema is not None and not schema.nullable:
        value, is_default = schema.default, True
    return _default(schema, value, is_default=is_default)
