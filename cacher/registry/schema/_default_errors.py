"""Whether the defaults of a schema are what the schema itself allows, so that no default makes an object invalid.

Pure. Source: kubernetes/apiextensions-apiserver pkg/apiserver/schema/defaulting/validation.go.
"""

from __future__ import annotations

from .._field_errors import FieldError, child, invalid, key
from ._cel import rule_errors, rule_tree
from ._metadata import BadMetadata, embedded_errors, with_known_metadata
from ._prune import pruned
from ._structural import Schema
from ._validate import value_errors


def default_errors(schema: Schema, path: str) -> list[FieldError]:
    """What is wrong with the defaults of the schema at this path, and of those within it.

    Cost: O(schema × defaults), and what their rules cost.
    """
    found = _of_default(schema, child(path, "default")) if schema.default is not None else []
    if schema.items is not None:
        found += default_errors(schema.items, child(path, "items"))
    for name, one in (schema.properties or {}).items():
        found += default_errors(one, key(child(path, "properties"), name))
    return found


def _of_default(schema: Schema, path: str) -> list[FieldError]:
    default = schema.default
    found: list[FieldError] = []
    if pruned(schema, default, is_resource=schema.is_embedded)[1]:
        found.append(invalid(path, default, "must not have unknown fields"))
    try:
        with_known_metadata(schema, default, path)
    except BadMetadata as problem:
        return [*found, invalid(path, default, str(problem))]
    wrong = embedded_errors(schema, default, path) or value_errors(schema, default, path=path)
    if not wrong and (rules := rule_tree(schema)) is not None:
        wrong = rule_errors(rules, default, default, path=path) or rule_errors(rules, default, path=path)
    return found + wrong
