"""Paths to a field of a schema: `.spec.color` and `.spec.map['a key']`, as fieldPath and selectableFields have them.

Pure. Source: kubernetes/apiextensions-apiserver pkg/apiserver/schema/cel/validation.go, ValidFieldPath.
"""

from __future__ import annotations

import re

import msgspec

from .._field_errors import child, key
from ._structural import Schema


class BadPath(Exception):
    """The path leads nowhere in this schema; the message says where it goes wrong, and whoever wrote it must mend it."""


class FieldPath(msgspec.Struct, frozen=True):
    """Where a path leads."""

    text: str
    """As an error names the field: `spec.color`, `spec.map[a key]`."""
    schema: Schema | None
    """Of what is there; None below a map of any values."""
    root: str
    """The name of the first field."""


_TOKEN = re.compile(r"'(?:\\.|[^'\\])*'|[.\[\]]|[^.\[\]]+")
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "'": "'", "\\": "\\"}


def field_path(text: str, schema: Schema, *, may_index: bool = True) -> FieldPath:
    """Where the path leads in the schema.

    Args:
        may_index: whether `['name']` may stand for `.name`.
    Raises:
        BadPath: nowhere.
    """
    tokens = _TOKEN.findall(text)
    at, path, root = 0, "", ""
    here: Schema | None = schema
    while at < len(tokens):
        if tokens[at] == "[":
            if not may_index:
                raise BadPath("array notation is not allowed")
            name = _bracketed(tokens[at + 1 : at + 3])
            at += 3
        elif tokens[at] == ".":
            if at + 1 == len(tokens):
                raise BadPath("unexpected end of JSON path")
            name = tokens[at + 1]
            at += 2
        else:
            raise BadPath(f"expected [ or . but got: {tokens[at]}")
        path, here = _step(path, here, name)
        root = root or name
    return FieldPath(path, here, root)


def _bracketed(tokens: list[str]) -> str:
    if not tokens:
        raise BadPath("unexpected end of JSON path")
    quoted = tokens[0]
    if len(quoted) < 2 or quoted[0] != "'" or quoted[-1] != "'":
        raise BadPath(f"expected single quoted string but got {quoted}")
    if len(tokens) < 2:
        raise BadPath("unexpected end of JSON path")
    if tokens[1] != "]":
        raise BadPath(f"expected ] but got {tokens[1]}")
    return re.sub(r"\\(.)", _unescaped, quoted[1:-1])


def _unescaped(found: re.Match[str]) -> str:
    if found[1] not in _ESCAPES:
        raise BadPath(f"invalid string literal: invalid escape char {found[0]}")
    return _ESCAPES[found[1]]


def _step(path: str, schema: Schema | None, name: str) -> tuple[str, Schema | None]:
    if schema is not None and schema.properties is not None:
        if name not in schema.properties:
            raise BadPath("does not refer to a valid field")
        return child(path, name), schema.properties[name]
    if schema is not None and schema.additional_allowed is not None:
        return key(path, name), schema.additional
    raise BadPath("does not refer to a valid field")
