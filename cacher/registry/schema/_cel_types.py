"""What CEL knows of a schema: the types of `self` and its fields, the names of fields as CEL can say them, and what an expression
does with them that cannot be.

The library checks everything but objects: it knows those as maps, so that here is checked that the fields that an expression
names are there, and that what is compared can be.
Pure. Source: kubernetes/apiserver pkg/cel (common/schemas.go, escaping.go).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

import msgspec

from ._cel_ast import Node, Tree
from ._structural import Schema

_RESERVED = frozenset(
    (
        "as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop",
        "namespace", "null", "package", "return", "true", "var", "void", "while",
    )
)  # fmt: skip
_ESCAPES = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}


@functools.lru_cache(maxsize=4096)  # asked for each field of each object, of the few names that schemas have
def escaped(name: str) -> str | None:
    """The name of a field as an expression says it; None: no expression can.

    >>> escaped("size"), escaped("x-y"), escaped("namespace"), escaped("a b")
    ('size', 'x__dash__y', '__namespace__', None)
    """
    if name in _RESERVED:
        return f"__{name}__"
    if re.fullmatch(r"[a-zA-Z_./-][a-zA-Z0-9_./-]*", name) is None:
        return None
    return re.sub(r"__|[.\-/]", lambda found: _ESCAPES[found[0]], name)


class CelType(msgspec.Struct, frozen=True):
    """What a value is: a scalar's name, list, map or object; dyn is anything."""

    name: str
    element: CelType | None = None
    fields: Mapping[str, CelType] | None = None
    """Of an object, by escaped names."""
    is_within_object: bool = False
    """A time that stands in an object or a list: `_cel_times.py`."""

    def __str__(self) -> str:
        if self.name == "list":
            return f"list({self.element or DYN})"
        return f"map(string, {self.element or DYN})" if self.name == "map" else self.name


DYN = CelType("dyn")
_STRING = CelType("string")
_SCALARS = {"boolean": CelType("bool"), "number": CelType("double"), "integer": CelType("int")}
_TEXTS = {"byte": "bytes", "duration": "duration", "date": "timestamp", "date-time": "timestamp"}
_METADATA = CelType("object", fields={"name": _STRING, "generateName": _STRING})


def cel_type(schema: Schema, *, is_resource: bool = False, is_within: bool = False) -> CelType | None:
    """The type of the schema's values; None where it has none, and no expression sees them.

    Args:
        is_resource: the schema is an object's, and its kind, apiVersion and names are there too.
        is_within: the value stands in an object or a list.
    Cost: O(schema).
    """
    if schema.is_int_or_string:
        return DYN
    if schema.type == "array":
        element = _within(schema.items) if schema.items is not None else None
        return CelType("list", element) if element is not None else None
    if schema.type == "object":
        if schema.additional is not None:
            element = _within(schema.additional)
            return CelType("map", element) if element is not None else None
        return CelType("object", fields=_fields(schema, is_resource=is_resource))
    if schema.type == "string":
        name = _TEXTS.get(schema.format, "string")
        return CelType(name, is_within_object=is_within and name in ("timestamp", "duration"))
    return _SCALARS.get(schema.type)


def _within(schema: Schema) -> CelType | None:
    return cel_type(schema, is_resource=schema.is_embedded, is_within=True)


def _fields(schema: Schema, *, is_resource: bool) -> dict[str, CelType]:
    found: dict[str, CelType] = {}
    for name, below in (schema.properties or {}).items():
        type_ = _within(below)
        said = escaped(name)
        if type_ is not None and said is not None:
            found[said] = type_
    return {**found, "kind": _STRING, "apiVersion": _STRING, "metadata": _METADATA} if is_resource else found


class Checked(msgspec.Struct, frozen=True):
    """What an expression comes to, and what is wrong with it, in the form of the library's own messages."""

    type: CelType
    problems: tuple[str, ...]
    times: tuple[tuple[Node, str], ...]
    """The nodes within objects that are times, and which kind of time."""
    scans: int
    """Comparisons and sums that may be of whole lists or maps."""


def check(expression: str, tree: Tree, variables: Mapping[str, CelType]) -> Checked:
    """What an expression that the library has checked does with these variables.

    Cost: O(expression).
    """
    checker = _Checker(expression, tree)
    type_ = checker.infer(tree.root, dict(variables))
    return Checked(type_, tuple(checker.problems), tuple(checker.times), checker.scans)


_COMPARED = {"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"}
_ADDED = {"_+_", "_-_", "_*_", "_/_", "_%_"}
_WHOLE = {"_==_", "_!=_", "_+_", "@in"}
_LOGICAL = {"_&&_", "_||_"}
_NUMBERS = {"int", "uint", "double"}
_SCALAR_NAMES = {"bool", "int", "uint", "double", "string", "bytes", "timestamp", "duration"}
_KNOWN = _SCALAR_NAMES | {"list", "map", "object"}


class _Checker:
    def __init__(self, expression: str, tree: Tree) -> None:
        self._lines = expression.split("\n")
        self._tree = tree
        self.problems: list[str] = []
        self.times: list[tuple[Node, str]] = []
        self.scans = 0

    def infer(self, node: Node, variables: dict[str, CelType]) -> CelType:
        found = self._of(node, variables)
        if found.is_within_object and not node.is_test:
            self.times.append((node, found.name))
            return CelType(found.name)
        if found is DYN and (known := self._tree.types.get(node.id)) is not None:
            return CelType(known)
        return found

    def _of(self, node: Node, variables: dict[str, CelType]) -> CelType:
        match node.kind:
            case "const":
                return CelType(node.const)
            case "ident":
                return variables.get(node.name, DYN)
            case "select":
                return self._select(node, variables)
            case "call":
                return self._call(node, variables)
            case "comprehension":
                return self._comprehension(node, variables)
        elements = [self.infer(one, variables) for one in node.args]
        if node.kind == "list":
            return CelType("list", elements[0] if elements and elements.count(elements[0]) == len(elements) else DYN)
        return DYN

    def _select(self, node: Node, variables: dict[str, CelType]) -> CelType:
        of = self.infer(node.target, variables) if node.target is not None else DYN
        found = self._field(of, node.name, node)
        return CelType("bool") if node.is_test else found

    def _field(self, of: CelType, name: str, node: Node) -> CelType:
        if of.fields is not None:
            if name not in of.fields:
                self._say(node, f"undefined field '{name}'")
            return of.fields.get(name, DYN)
        if of.name in _SCALAR_NAMES or of.name == "list":
            self._say(node, f"type '{of}' does not support field selection")
        return (of.element or DYN) if of.name == "map" else DYN

    def _call(self, node: Node, variables: dict[str, CelType]) -> CelType:
        target = self.infer(node.target, variables) if node.target is not None else None
        args = [self.infer(one, variables) for one in node.args]
        if node.name in _WHOLE and not {one.name for one in args} <= _SCALAR_NAMES:
            self.scans += 1
        if node.name in _LOGICAL:
            for one, type_ in zip(node.args, args, strict=True):
                if type_.name in _KNOWN - {"bool"}:
                    self._say(one, f"expected type 'bool' but found '{type_}'")
        elif not _fit(node.name, args):
            shown = ", ".join(map(str, args))
            self._say(node, f"found no matching overload for '{node.name}' applied to '({shown})'")
        if node.name == "_[_]" and args[0].name in ("list", "map"):
            return args[0].element or DYN
        if node.name == "_?_:_" and args[1] == args[2]:
            return args[1]
        if node.name == "_+_" and args[0] == args[1]:
            return args[0]
        if node.name == "value" and target is not None and target.name == "optional":
            return target.element or DYN
        return DYN

    def _comprehension(self, node: Node, variables: dict[str, CelType]) -> CelType:
        over = self.infer(node.target, variables) if node.target is not None else DYN
        first, second, accumulated = node.variables
        element = over.element or DYN
        inner = dict(variables)
        if second:
            inner[first] = _STRING if over.name == "map" else CelType("int") if over.name == "list" else DYN
            inner[second] = element
        else:
            inner[first] = _STRING if over.name == "map" else element if over.name == "list" else DYN
        start, *rest = node.args
        begin = self.infer(start, variables)
        inner[accumulated] = begin if begin.name == "bool" else DYN
        types = [self.infer(one, inner) for one in rest]
        return types[-1] if types else DYN

    def _say(self, node: Node, problem: str) -> None:
        offset = self._tree.offsets.get(node.id, 0)
        line = 0
        while line < len(self._lines) - 1 and offset > len(self._lines[line]):
            offset -= len(self._lines[line]) + 1
            line += 1
        text = self._lines[line]
        self.problems.append(f"ERROR: <input>:{line + 1}:{offset + 1}: {problem}\n | {text}\n | {'.' * offset}^")


def _fit(operator: str, args: list[CelType]) -> bool:
    """Whether the operator can take these, as far as is known."""
    known = {one.name for one in args}
    if operator == "!_":
        return not known & (_KNOWN - {"bool"})
    if operator not in _COMPARED | _ADDED or not known <= _KNOWN:
        return True
    if operator in ("_==_", "_!=_"):
        return len(known) == 1
    if operator in _COMPARED:
        return (len(known) == 1 or known <= _NUMBERS) and not known & {"list", "map", "object"}
    if known <= {"timestamp", "duration"}:
        return operator in ("_+_", "_-_")
    if len(known) == 1 and operator == "_+_":
        return not known & {"bool", "map", "object"}
    return len(known) == 1 and known <= _NUMBERS
