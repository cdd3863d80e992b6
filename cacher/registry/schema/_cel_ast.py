"""A checked CEL expression as a tree that can be looked at.

The CEL library hands its tree over only as a serialized protocol buffer; this reads the few fields that are looked at here.
Pure. Source: google/cel-spec proto/cel/expr (checked.proto, syntax.proto).
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec


class Node(msgspec.Struct, frozen=True):
    """One expression. `kind` says which of the fields mean something."""

    id: int
    kind: str
    """const, ident, select, call, list, map or comprehension."""
    name: str = ""
    """Of an ident; the field of a select; the function of a call."""
    target: Node | None = None
    """What is selected from, what a member function is called on, what a comprehension runs over."""
    args: tuple[Node, ...] = ()
    """Of a call; elements of a list; keys and values of a map in turn; of a comprehension: initial value, condition, step,
    result."""
    variables: tuple[str, ...] = ()
    """Of a comprehension: what runs, what the second of two runs, what it accumulates in."""
    is_test: bool = False
    """A select that only asks whether the field is there: `has()`."""
    const: str = ""
    """What type a constant has."""


class Tree(msgspec.Struct, frozen=True):
    """A whole expression: its root, the types that the checker found, and where in the text each node is."""

    root: Node
    types: dict[int, str]
    """The nodes whose type is a simple one, by its name."""
    offsets: dict[int, int]
    """Of each node, in letters."""
    names: frozenset[str]
    """The variables that are used."""

    def walk(self) -> Iterator[Node]:
        """All nodes."""
        return _walk(self.root)


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for one in (node.target, *node.args):
        if one is not None:
            yield from _walk(one)


def read_tree(serialized: bytes) -> Tree:
    """The tree of what the library serialized: a CheckedExpr in an Any."""
    checked = _fields(_last(_fields(serialized), 2))
    references = [_pair(entry) for entry in checked.get(2, ())]
    types = [_pair(entry) for entry in checked.get(3, ())]
    positions = [_pair(entry) for entry in _fields(_last(checked, 5)).get(4, ())]
    return Tree(
        root=_node(_bytes(_last(checked, 4))),
        types={number: name for number, value in types if (name := _type(_bytes(value))) is not None},
        offsets={number: value if isinstance(value, int) else 0 for number, value in positions},
        names=frozenset(_text(_fields(_bytes(value)), 1) for _, value in references if value),
    )


# --- protocol buffers -------------------------------------------------------------------------------------------------

_Value = int | bytes
_Fields = dict[int, list[_Value]]


def _fields(data: _Value) -> _Fields:
    """The fields of a message, by number."""
    found: _Fields = {}
    data = _bytes(data)
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        value: _Value
        if tag & 7 == 0:
            value, at = _varint(data, at)
        elif tag & 7 == 2:
            size, at = _varint(data, at)
            value, at = data[at : at + size], at + size
        else:  # a fixed number of bytes: a double, whose value is not looked at
            size = 8 if tag & 7 == 1 else 4
            value, at = data[at : at + size], at + size
        found.setdefault(tag >> 3, []).append(value)
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _bytes(value: _Value) -> bytes:
    return value if isinstance(value, bytes) else b""


def _last(fields: _Fields, number: int) -> _Value:
    return fields[number][-1] if number in fields else b""


def _text(fields: _Fields, number: int) -> str:
    return _bytes(_last(fields, number)).decode("utf-8", "replace")


def _number(fields: _Fields, number: int) -> int:
    value = _last(fields, number)
    return value if isinstance(value, int) else 0


def _pair(entry: _Value) -> tuple[int, _Value]:
    fields = _fields(entry)
    return _number(fields, 1), _last(fields, 2)


# --- expressions ------------------------------------------------------------------------------------------------------

_CONSTANTS = {
    1: "null",
    2: "bool",
    3: "int",
    4: "uint",
    5: "double",
    6: "string",
    7: "bytes",
    8: "duration",
    9: "timestamp",
}
_PRIMITIVES = {1: "bool", 2: "int", 3: "uint", 4: "double", 5: "string", 6: "bytes"}
_WELL_KNOWN = {2: "timestamp", 3: "duration"}


def _type(data: bytes) -> str | None:
    fields = _fields(data)
    if 3 in fields:
        return _PRIMITIVES.get(_number(fields, 3))
    if 5 in fields:
        return _WELL_KNOWN.get(_number(fields, 5))
    return "list" if 6 in fields else "map" if 7 in fields else "null" if 2 in fields else None


def _node(data: bytes) -> Node:
    fields = _fields(data)
    number = _number(fields, 2)
    for field, read in _READERS.items():
        if field in fields:
            return read(number, _fields(fields[field][-1]))
    return Node(number, "const")


def _nodes(fields: _Fields, number: int) -> tuple[Node, ...]:
    return tuple(_node(_bytes(value)) for value in fields.get(number, ()))


def _optional(fields: _Fields, number: int) -> Node | None:
    return _node(_bytes(_last(fields, number))) if number in fields else None


def _const(number: int, fields: _Fields) -> Node:
    return Node(number, "const", const=next((name for field, name in _CONSTANTS.items() if field in fields), ""))


def _ident(number: int, fields: _Fields) -> Node:
    return Node(number, "ident", name=_text(fields, 1))


def _select(number: int, fields: _Fields) -> Node:
    return Node(number, "select", _text(fields, 2), _optional(fields, 1), is_test=bool(_number(fields, 3)))


def _call(number: int, fields: _Fields) -> Node:
    return Node(number, "call", _text(fields, 2), _optional(fields, 1), _nodes(fields, 3))


def _list(number: int, fields: _Fields) -> Node:
    return Node(number, "list", args=_nodes(fields, 1))


def _map(number: int, fields: _Fields) -> Node:
    entries = [_fields(entry) for entry in fields.get(2, ())]
    return Node(number, "map", args=tuple(one for entry in entries for one in (*_nodes(entry, 3), *_nodes(entry, 4))))


def _comprehension(number: int, fields: _Fields) -> Node:
    args = tuple(one for part in (4, 5, 6, 7) for one in _nodes(fields, part))
    variables = (_text(fields, 1), _text(fields, 8), _text(fields, 3))
    return Node(number, "comprehension", "", _optional(fields, 2), args, variables)


_READERS = {3: _const, 4: _ident, 5: _select, 6: _call, 7: _list, 8: _map, 9: _comprehension}
