"""The types of the built-in kinds, read from a table when first asked for.

`kinds.txt` has a line a kind's version and a line a type; its head says how to read it and where its facts come from.

Pure (it reads a file of the package).
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import re
from typing import Any

from ._types import DEDUCED, MISSING, UNDIVIDED, Field, ListRule, ListType, MapType, Type, atomic_map

_SCALARS = {"s": "string", "n": "numeric", "b": "boolean", "a": "untyped"}
_FIELD = re.compile(
    r"(?P<name>[^:]+):(?P<type>[^=+!~^%]+)(=(?P<default>[^+!~^%]+))?(?P<pointer>\+)?(!(?P<zero>[^~^%]+))?"
    r"(?P<merge>~(?P<key>\w*))?(?P<retain>\^)?(?P<replace>%)?"
)


def kind_type(api_version: str, kind: str) -> Type | None:
    """The type of a built-in kind; None: it is none of those in the table.

    >>> kind_type("v1", "ConfigMap").map.fields["data"].type.map.element.scalar
    'string'
    """
    table = _table()
    return table.named(kind) if kind in table.kinds.get(api_version, ()) else None


def object_meta() -> Type:
    """The type of `metadata`, which is the same for all kinds."""
    return _table().named("ObjectMeta")


class _Table:
    """The lines of the table, and those types that were asked for, linked to each other."""

    def __init__(self, text: str) -> None:
        self.kinds: dict[str, tuple[str, ...]] = {}
        self._lines: dict[str, tuple[bool, str]] = {}
        self._types: dict[str, Type] = {}
        for line in text.splitlines():
            if not line or line.startswith("#"):
                continue
            head, _, rest = line.partition(" ")
            if head == "=":
                version, *kinds = rest.split()
                self.kinds[version] = tuple(kinds)
            else:
                self._lines[head.removesuffix("@")] = (head.endswith("@"), rest)

    def named(self, name: str) -> Type:
        """The type of this name. It is entered before its fields are read: types may contain themselves."""
        found = self._types.get(name)
        if found is None:
            is_atomic, fields = self._lines[name]
            found = self._types[name] = Type(map=MapType())
            known = dict(map(self._field, fields.split()))
            # An object of which no field is known may have any.
            found.map = MapType(known, None if known else DEDUCED, is_atomic)
        return found

    def _field(self, text: str) -> tuple[str, Field]:
        match = _FIELD.fullmatch(text)
        if match is None:
            raise ValueError(f"the table of kinds has a field that cannot be read: {text}")
        zero = MISSING if match["zero"] is None else json.loads(match["zero"])
        # A key that is always written is written as its zero.
        default = _scalar_or_none(zero) if match["default"] is None else json.loads(match["default"])
        return match["name"], Field(
            type=self._expression(match["type"]),
            default=default,
            zero=zero,
            is_pointer=match["pointer"] is not None,
            patch_key=match["key"] or "",
            patch_merges=match["merge"] is not None,
            patch_replaces=match["replace"] is not None,
            patch_retains=match["retain"] is not None,
        )

    def _expression(self, text: str) -> Type:
        if text in _SCALARS:
            return Type(scalar=_SCALARS[text])
        if text in "*?":
            return DEDUCED if text == "*" else UNDIVIDED
        if text.endswith("@"):
            return atomic_map(self._expression(text[:-1]))
        if text[0] == "{":
            return Type(map=MapType(element=self._expression(text[1:-1])))
        if text[0] != "[":
            return self.named(text)
        inside, _, keys = text[1:].rpartition("]")
        element = self._expression(inside)
        if not keys:
            return Type(list=ListType(element))
        names = tuple(name for name in keys[1:-1].split(",") if name)
        return Type(list=ListType(element, ListRule.KEYED if names else ListRule.SET, names))


def _scalar_or_none(value: Any) -> Any:
    return value if isinstance(value, (str, int)) else None


@functools.cache
def _table() -> _Table:
    return _Table(importlib.resources.files(__package__).joinpath("kinds.txt").read_text(encoding="utf-8"))
