"""The types of the built-in kinds as the wire has them, read from a table when first asked for.

`wire.txt` has a line a version and a line a type; its head says how to read it and where its facts come from. The table of
`registry.patch` has what merges must know of the same types; this one has what bodies in protobuf and OpenAPI must.

Pure (it reads a file of the package).
"""

from __future__ import annotations

import functools
import importlib.resources
import re
from collections.abc import Iterator, Mapping

import msgspec

SCALARS = "silbdy"
SPECIAL = frozenset(
    ("Time", "MicroTime", "Quantity", "IntOrString", "Raw", "Fields", "JSON", "OrArray", "OrBool", "OrStrings", "Extra")
)
"""Types that JSON writes in another way than protobuf does."""

_FIELD = re.compile(r"(?P<name>[^=]*)=(?P<number>\d+):(?P<type>[^+!]+)(?P<pointer>\+)?(?P<required>!)?")


class WireField(msgspec.Struct, frozen=True):
    """A field of a type. `name` "" stands for the fields of its type, which JSON has one level up."""

    name: str
    number: int
    type: str
    """A scalar's letter, the name of a type, or either in [] or {}."""
    is_pointer: bool = False
    is_required: bool = False

    @property
    def is_list(self) -> bool:
        """Whether there are many of its `element`."""
        return self.type.startswith("[")

    @property
    def is_map(self) -> bool:
        """Whether there are many of its `element`, by text."""
        return self.type.startswith("{")

    @property
    def element(self) -> str:
        """The type, or that of what it holds."""
        return self.type[1:-1] if self.is_list or self.is_map else self.type


class WireType(msgspec.Struct, frozen=True):
    """A type: `package` is where OpenAPI has it."""

    name: str
    package: str
    fields: tuple[WireField, ...]


class WireTypes(msgspec.Struct, frozen=True):
    """All of them, and which are kinds of which version."""

    kinds: Mapping[str, tuple[str, ...]]
    types: Mapping[str, WireType]

    def kind(self, api_version: str, kind: str) -> WireType | None:
        """The type of a kind; None: the version has no such kind."""
        return self.types[kind] if kind in self.kinds.get(api_version, ()) else None

    def fields_in_json(self, name: str) -> Iterator[WireField]:
        """The fields of a type as JSON has them: those of nameless ones beside the others."""
        for field in self.types[name].fields:
            if field.name:
                yield field
            else:
                yield from self.fields_in_json(field.type)


@functools.cache
def wire_types() -> WireTypes:
    """The table.

    >>> wire_types().kind("v1", "ConfigMap").fields[1].name
    'data'
    """
    text = importlib.resources.files(__package__).joinpath("wire.txt").read_text(encoding="utf-8")
    kinds: dict[str, tuple[str, ...]] = {}
    types: dict[str, WireType] = {}
    package = ""
    for line in text.splitlines():
        head, *rest = line.split() or [""]
        if not head or head.startswith("#"):
            continue
        if head == "=":
            kinds[rest[0]] = tuple(rest[1:])
        elif head == "@":
            package = rest[0]
        else:
            types[head] = WireType(head, package, parse_fields(" ".join(rest)))
    return WireTypes(kinds, types)


def parse_fields(text: str) -> tuple[WireField, ...]:
    """Fields as a line of the table has them.

    Raises:
        ValueError: one that cannot be read.
    """
    return tuple(map(_field, text.split()))


def _field(text: str) -> WireField:
    match = _FIELD.fullmatch(text)
    if match is None:
        raise ValueError(f"the table of wire types has a field that cannot be read: {text}")
    return WireField(
        match["name"],
        int(match["number"]),
        match["type"],
        is_pointer=match["pointer"] is not None,
        is_required=match["required"] is not None,
    )
