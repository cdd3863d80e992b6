"""Sets of fields, as managedFields write them (FieldsV1): a tree of path elements, some of which are members.

A path element is kept as its text, which is also its key in FieldsV1:

    f:replicas              a field of an object
    k:{"name":"web"}        the element of a list that has these keys
    v:"example.com/a"       the element of a set with this value
    i:3                     the element of a list at this place

In FieldsV1, `{}` below an element makes it a member; where a member has members below it, it bears a `"."` too. Elements
stand in the order field, key, value, index, and then by what they name; nobody owns "the whole object".

Pure, and immutable: every operation returns another set.
Source: kubernetes-sigs/structured-merge-diff fieldpath (set.go, serialize.go, serialize-pe.go, element.go).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

Path: TypeAlias = tuple[str, ...]
"""From the object down to one field, element by element."""

_SELF = "."
_KINDS = "fkvi"
# Objects of one kind name the same few hundred elements again and again: what was read and placed once is remembered, the
# least used forgotten first.
_ELEMENTS_KEPT = 4096
# Go escapes these in JSON, lest they mean something to a browser; the texts are compared, so they are escaped here too.
_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


class FieldSet(msgspec.Struct, frozen=True):
    """Which fields: the members of this level, and below which elements there are more. No child is ever empty."""

    members: frozenset[str] = frozenset()
    children: Mapping[str, FieldSet] = msgspec.field(default_factory=dict)

    @staticmethod
    def of(paths: Iterable[Path]) -> FieldSet:
        """The set of these paths; the empty path names nothing."""
        members: set[str] = set()
        below: dict[str, list[Path]] = {}
        for path in paths:
            if len(path) == 1:
                members.add(path[0])
            elif path:
                below.setdefault(path[0], []).append(path[1:])
        return FieldSet(frozenset(members), {element: FieldSet.of(rest) for element, rest in below.items()})

    @staticmethod
    def from_json(fields: Any) -> FieldSet:
        """The set that FieldsV1 (as JSON data) describes. Elements of a kind that is not known are left out.

        Raises:
            ValueError: this is no FieldsV1; whoever wrote it must.
        """
        if not isinstance(fields, dict):
            raise ValueError(f"a set of fields is an object, not {fields!r}")
        found = _read(fields)[0]
        return found

    def to_json(self) -> dict[str, Any]:
        """FieldsV1 as JSON data, in canonical order. Cost: O(n log n)."""
        return self._written(False)

    def is_empty(self) -> bool:
        """Whether nothing is in it."""
        return not self.members and not self.children

    def has(self, path: Path) -> bool:
        """Whether the path is a member; nobody has the empty path."""
        at = self
        for element in path[:-1]:
            child = at.children.get(element)
            if child is None:
                return False
            at = child
        return bool(path) and path[-1] in at.members

    def child(self, element: str) -> FieldSet:
        """What lies below `element`, perhaps nothing."""
        return self.children.get(element, NOTHING)

    def paths(self) -> Iterator[Path]:
        """Every member: those of a level first, then what lies below each element, both in canonical order."""
        for element in _ordered(self.members):
            yield (element,)
        for element in _ordered(self.children):
            for rest in self.children[element].paths():
                yield (element, *rest)

    def union(self, other: FieldSet) -> FieldSet:
        """What is in either."""
        if not other.children:
            return FieldSet(self.members | other.members, self.children)
        children = dict(self.children)
        for element, child in other.children.items():
            own = children.get(element)
            children[element] = child if own is None else own.union(child)
        return FieldSet(self.members | other.members, children)

    def intersection(self, other: FieldSet) -> FieldSet:
        """What is in both."""
        shared: dict[str, FieldSet] = {}
        for element, child in other.children.items():
            both = self.child(element).intersection(child)
            if not both.is_empty():
                shared[element] = both
        return FieldSet(self.members & other.members, shared)

    def difference(self, other: FieldSet) -> FieldSet:
        """What is here and not there, each field by itself: taking away a parent leaves its children."""
        children = dict(self.children)
        for element, child in other.children.items():
            _replace(children, element, self.child(element).difference(child))
        return FieldSet(self.members - other.members, children)

    def recursive_difference(self, other: FieldSet) -> FieldSet:
        """What is here and not there, where taking away a parent takes all that lies below it."""
        children = {element: child for element, child in self.children.items() if element not in other.members}
        for element, child in other.children.items():
            if element in children:
                _replace(children, element, children[element].recursive_difference(child))
        return FieldSet(self.members - other.members, children)

    def _written(self, with_self: bool) -> dict[str, Any]:
        out: dict[str, Any] = {_SELF: {}} if with_self else {}
        for element in _ordered(self.members.union(self.children)):
            child = self.children.get(element)
            out[element] = {} if child is None else child._written(element in self.members)
        return out


NOTHING = FieldSet()
"""The empty set."""


def field(name: str) -> str:
    """The element of an object's field."""
    return f"f:{name}"


def keyed(keys: Mapping[str, Any]) -> str:
    """The element of a list that has these keys; their order does not matter."""
    return f"k:{_json({name: keys[name] for name in sorted(keys)})}"


def valued(value: Any) -> str:
    """The element of a set with this value."""
    return f"v:{_json(value)}"


def fields(*names: str) -> Path:
    """The path of nested fields: `fields("spec", "replicas")`."""
    return tuple(field(name) for name in names)


def shown(path: Path) -> str:
    """The path as messages show it: `.spec.containers[name="web"].image`."""
    return "".join(_shown(element) for element in path)


def _shown(element: str) -> str:
    kind, text = element[0], element[2:]
    if kind == "f":
        return f".{text}"
    if kind == "k":
        return f"[{','.join(f'{name}={_plain(value)}' for name, value in json.loads(text).items())}]"
    return f"[={_plain(json.loads(text))}]" if kind == "v" else f"[{text}]"


def _plain(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _json(value: Any) -> str:
    return _plain(_whole(value)).translate(_ESCAPES)


def _whole(value: Any) -> Any:
    """The value with 1.0 written as 1, as Go does: two texts of one number must be equal."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return {name: _whole(inner) for name, inner in value.items()} if isinstance(value, dict) else value


def _replace(children: dict[str, FieldSet], element: str, child: FieldSet) -> None:
    """Put the child there, or nothing where it is empty."""
    if child.is_empty():
        children.pop(element, None)
    else:
        children[element] = child


def _read(data: dict[str, Any]) -> tuple[FieldSet, bool]:
    """The set below an element, and whether the element is itself a member."""
    members: set[str] = set()
    children: dict[str, FieldSet] = {}
    for text, below in data.items():
        element = None if text == _SELF else _element(text)
        if element is None:
            continue
        child, is_member = _read(below if isinstance(below, dict) else {})
        if is_member:
            members.add(element)
        if not child.is_empty():
            children[element] = child
    found = FieldSet(frozenset(members), children)
    return found, _SELF in data or found.is_empty()


@functools.lru_cache(maxsize=_ELEMENTS_KEPT)
def _element(text: str) -> str | None:
    """A path element as it is kept; None: of a kind that is not known."""
    if len(text) < 2 or text[1] != ":":
        raise ValueError(f"{text!r} is no path element: it begins with one of f: k: v: i:")
    kind, rest = text[0], text[2:]
    if kind == "f":
        return text
    if kind not in _KINDS:
        return None
    if kind == "i":
        return f"i:{int(rest)}"
    value = json.loads(rest)
    if kind == "k" and not isinstance(value, dict):
        raise ValueError(f"{text!r} is no path element: keys are an object")
    return keyed(value) if kind == "k" else valued(value)


def _ordered(elements: Iterable[str]) -> list[str]:
    return sorted(elements, key=_place)


@functools.lru_cache(maxsize=_ELEMENTS_KEPT)
def _place(element: str) -> tuple[int, Any]:
    kind, text = element[0], element[2:]
    if kind == "f":
        return 0, text
    if kind == "k":
        return 1, [(name, *_rank(value)) for name, value in json.loads(text).items()]
    return (2, _rank(json.loads(text))) if kind == "v" else (3, int(text))


def _rank(value: Any) -> tuple[int, Any]:
    """Where a key's value stands among others: numbers, texts, booleans, anything else."""
    if isinstance(value, bool):
        return 2, value
    if isinstance(value, (int, float)):
        return 0, value
    return (1, value) if isinstance(value, str) else (3, _plain(value))
