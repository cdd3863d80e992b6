"""Times within objects, for a library that takes them only as variables of their own.

`self.end > timestamp('…')` is compiled as `timestamp(self.end) > timestamp('…')`, and the object has the text: wherever an
expression names a field of format date, date-time or duration, the call is put around the name.
Differs: what cannot be found in the text that way (`self.times['a']`, `f(x).end`) is refused when the rule is compiled.
Pure.
"""

from __future__ import annotations

import msgspec

from ._cel_ast import Node, Tree

TIMES = {"timestamp": "timestamp", "duration": "duration"}
"""Types, and what makes one of a text."""


class UnreachableTime(Exception):
    """A time stands where the expression's text does not name it; whoever wrote the rule must name the field."""


class _Span(msgspec.Struct, frozen=True):
    start: int
    end: int
    function: str


def with_times_read(expression: str, tree: Tree, named: list[tuple[Node, str]]) -> str:
    """The expression with each of these nodes, whose types are those of times, read from its text.

    Raises:
        UnreachableTime: one of them is not named.
    """
    spans = sorted({_span(expression, tree, node, type_) for node, type_ in named}, key=lambda span: span.start)
    made, at = "", 0
    for span in spans:
        if span.start < at:
            raise UnreachableTime(_cannot(expression[span.start : span.end]))
        made += f"{expression[at : span.start]}{span.function}({expression[span.start : span.end]})"
        at = span.end
    return made + expression[at:]


def _span(expression: str, tree: Tree, node: Node, type_: str) -> _Span:
    offset = tree.offsets.get(node.id, 0)
    base = node
    while base.kind != "ident":
        below = base.target if base.kind == "select" else base.args[0] if base.name == "_[_]" and base.args else None
        if below is None:
            raise UnreachableTime(_cannot(expression))
        base = below
    start = tree.offsets.get(base.id, 0)
    end = offset + len(node.name) + (1 if node.kind == "select" else 0)
    text = expression[start:end]
    if node.kind not in ("ident", "select") or not text.startswith(base.name) or not text.endswith(node.name):
        raise UnreachableTime(_cannot(expression))
    return _Span(start, end, TIMES[type_])


def _cannot(text: str) -> str:
    return (
        f"a date-time, date or duration has to be named as a field (self.when) to be read here, and is not in: {text}"
    )
