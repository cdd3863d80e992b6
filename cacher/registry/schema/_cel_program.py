"""One CEL expression: compiled against the types of its variables, and run within a bound on its work.

The one door to cel-expr-python, Google's own C++ implementation: the same parser, the same checker and the same messages as the
Go one that Kubernetes uses. What it does not know is added: objects' fields (`_cel_types.py`) and Kubernetes' functions.

Limits. The library itself stops an evaluation after 10,000 iterations, all comprehensions of the expression counted together.
What one iteration may cost is bounded here, before it runs, from how large the values are: `WORK_MAX`. Both are errors of the
rule ("actual cost limit exceeded"), as exceeding Kubernetes' limit of 1,000,000 cost units is; the numbers cannot be compared.
Differs: nothing is refused at compilation for what it might cost with the largest object that the schema allows.

Pure. Source: kubernetes/apiextensions-apiserver pkg/apiserver/schema/cel/compilation.go.
"""

from __future__ import annotations

import functools
import re
from typing import Any

import msgspec
from cel_expr_python import cel

from ._cel_ast import Node, Tree, read_tree
from ._cel_library import extension
from ._cel_times import UnreachableTime, with_times_read
from ._cel_types import DYN, CelType, Checked, check

ITERATIONS_MAX = 10_000
"""The library's own bound, which cannot be set; here for the arithmetic."""
WORK_MAX = 100_000_000
"""Iterations × (calls, and letters and items that these look at) that an evaluation may come to: about a second on a small
machine, less for most."""

_EXTENSIONS = ("strings", "optional", "sets", "lists", "two-var-comprehensions")
_REFUSED = {"lists.range": "range"}
"""Makes a list of any length out of nothing, which no bound on the values can hold."""


class BadExpression(Exception):
    """The expression does not compile; the message is the compiler's, and whoever wrote the rule must mend it."""


class EvaluationFailed(Exception):
    """The expression has no value for these variables; the message is as cel-go says it."""

    def __init__(self, problem: str, *, is_cost: bool = False) -> None:
        self.is_cost = is_cost
        super().__init__(problem)


class Sizes(msgspec.Struct, frozen=True):
    """How large the variables of an evaluation are."""

    longest: int = 1
    """Letters of the longest text."""
    largest: int = 1
    """Items of the largest collection."""

    def with_(self, other: Sizes) -> Sizes:
        """Of both."""
        return Sizes(max(self.longest, other.longest), max(self.largest, other.largest))


class Program:
    """A compiled expression. Its type is what it comes to."""

    def __init__(self, run: Any, tree: Tree, checked: Checked) -> None:
        self._run = run
        self.type = checked.type
        self.uses_old_self = "oldSelf" in tree.names
        self._shape = _shape(tree, checked)

    def work(self, sizes: Sizes) -> int:
        """At most how much an evaluation can come to.

        Raises:
            EvaluationFailed: it is more than an evaluation may.
        """
        work = self._shape.work(sizes)
        if work > WORK_MAX:
            raise EvaluationFailed("operation cancelled: actual cost limit exceeded", is_cost=True)
        return work

    def evaluate(self, variables: dict[str, Any], sizes: Sizes) -> Any:
        """What the expression comes to.

        Raises:
            EvaluationFailed: it comes to nothing with these.
        """
        try:
            result = self._run.eval(data=variables)
            if result.type() == cel.Type.ERROR:
                raise EvaluationFailed(_as_cel_go_says(str(result.plain_value())))
            return result.plain_value()
        except (RuntimeError, TypeError) as problem:
            if "Iteration budget exceeded" in str(problem):
                text = "operation cancelled: actual cost limit exceeded"
                raise EvaluationFailed(text, is_cost=True) from None
            raise EvaluationFailed(_as_cel_go_says(str(problem))) from None


def compile_expression(expression: str, self_type: CelType, *, optional_old_self: bool = False) -> Program:
    """The expression over `self` and `oldSelf`, both of this type, or the second one an optional of it.

    Raises:
        BadExpression: it does not compile.
    """
    declared = _declared(self_type)
    old = cel.Type.DYN if optional_old_self else declared
    compiled = _compile(expression, _environment({"self": declared, "oldSelf": old}))
    tree = read_tree(compiled.serialize())
    for node in tree.walk():
        if node.kind == "call" and node.name in _REFUSED:
            raise BadExpression(f"undeclared reference to '{_REFUSED[node.name]}': it is not supported here")
    checked = check(expression, tree, {"self": self_type, "oldSelf": DYN if optional_old_self else self_type})
    if checked.problems:
        raise BadExpression("\n".join(checked.problems))
    run = _runnable(expression, tree, checked, declared, compiled, optional_old_self=optional_old_self)
    return Program(run, tree, checked)


def _runnable(
    expression: str, tree: Tree, checked: Checked, declared: cel.Type, compiled: Any, *, optional_old_self: bool
) -> Any:
    """The expression as it is run: with times read from their texts, and an optional where there is one."""
    if checked.times:
        try:
            expression = with_times_read(expression, tree, list(checked.times))
        except UnreachableTime as problem:
            raise BadExpression(str(problem)) from None
    if optional_old_self:
        return _with_optional(expression, declared)
    return _compile(expression, _environment({"self": declared, "oldSelf": declared})) if checked.times else compiled


def optional(value: Any, *, is_there: bool) -> dict[str, Any]:
    """What stands for an optional oldSelf among the variables."""
    return {"oldSelf": {"value": value} if is_there else {}}


def _with_optional(expression: str, declared: cel.Type) -> Any:
    """The expression with `oldSelf` an optional: the library takes no optional from outside, so one is made within."""
    bound = f"cel.bind(oldSelf, oldSelf[?'value'], ({expression}\n))"
    holder = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
    return _compile(bound, _environment({"self": declared, "oldSelf": holder}, "bindings"))


def _compile(expression: str, environment: Any) -> Any:
    try:
        return environment.compile(expression)
    except (RuntimeError, ValueError) as problem:
        text = str(problem).removeprefix("INVALID_ARGUMENT: ").removesuffix(" [INVALID_ARGUMENT]")
        raise BadExpression(text) from None


def _environment(variables: dict[str, cel.Type], *more: str) -> Any:
    names = "".join(f'  - name: "{name}"\n' for name in (*_EXTENSIONS, *more))
    config = cel.NewEnvConfigFromYaml(f"extensions:\n{names}")
    return cel.NewEnv(config=config, variables=variables, extensions=[_kubernetes()])


@functools.cache
def _kubernetes() -> cel.CelExtension:
    return extension()


_SCALARS = {
    "bool": cel.Type.BOOL,
    "int": cel.Type.INT,
    "double": cel.Type.DOUBLE,
    "string": cel.Type.STRING,
    "bytes": cel.Type.BYTES,
    "timestamp": cel.Type.TIMESTAMP,
    "duration": cel.Type.DURATION,
}


def _declared(type_: CelType) -> cel.Type:
    """The type, as far as the library knows it: an object is a map to it."""
    if type_.name == "list":
        return cel.Type.List(_declared(type_.element or DYN))
    if type_.name == "map":
        return cel.Type.Map(cel.Type.STRING, _declared(type_.element or DYN))
    if type_.name == "object":
        return cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
    if type_.is_within_object:
        return cel.Type.DYN
    return _SCALARS.get(type_.name, cel.Type.DYN)


# --- how much work ----------------------------------------------------------------------------------------------------


class _Shape(msgspec.Struct, frozen=True):
    """What of an expression says how its work grows."""

    depth: int
    """Comprehensions within comprehensions."""
    calls: int
    texts: int
    """Calls that read a text, a pattern for fifty."""
    scans: int
    """Items that are looked at, in lengths of the longest list."""
    squares: int
    """Functions that compare each item with each."""
    replaces: int
    """Each may make a text as long as the square of what it was."""
    joins: int
    """Each may make a text of all texts of a list."""

    def work(self, sizes: Sizes) -> int:
        steps = min(ITERATIONS_MAX, sizes.largest**self.depth) if self.depth else 1
        letters = sizes.longest * (sizes.largest if self.joins else 1)
        letters **= 1 + min(self.replaces, 4)
        items = sizes.largest * (self.scans + self.squares * sizes.largest)
        return int(steps * (self.calls + self.texts * letters + items))


_TEXTS = frozenset(
    (
        "_+_", "contains", "endsWith", "format", "join", "lowerAscii", "quote", "replace", "reverse", "size", "split",
        "startsWith", "substring", "trim", "upperAscii", "url", "isURL", "quantity", "isQuantity",
    )
)  # fmt: skip
_PATTERNS = frozenset(("find", "findAll", "matches"))
_LISTS = frozenset(
    (
        "isSorted", "sum", "min", "max", "indexOf", "lastIndexOf", "sort", "@sortByAssociatedKeys", "flatten", "slice",
        "reverse", "join", "format",
    )
)  # fmt: skip
_SQUARES = frozenset(("distinct", "sets.contains", "sets.equivalent", "sets.intersects"))
_PATTERN_WEIGHT, _LIST_WEIGHT, _SCAN_WEIGHT = 50, 16, 4
"""What a letter costs a pattern, and an item a function in Python and a comparison, in calls."""


def _shape(tree: Tree, checked: Checked) -> _Shape:
    called = [node.name for node in tree.walk() if node.kind == "call"]
    lists = sum(name in _LISTS for name in called)
    return _Shape(
        depth=_depth(tree.root),
        calls=max(len(called), 1),
        texts=sum(name in _TEXTS for name in called) + _PATTERN_WEIGHT * sum(name in _PATTERNS for name in called),
        scans=_LIST_WEIGHT * lists + _SCAN_WEIGHT * checked.scans,
        squares=sum(name in _SQUARES for name in called),
        replaces=called.count("replace"),
        joins=called.count("join"),
    )


def _depth(node: Node) -> int:
    below = max((_depth(one) for one in (node.target, *node.args) if one is not None), default=0)
    return below + (node.kind == "comprehension")


# --- errors -----------------------------------------------------------------------------------------------------------

_CEL_GO_WORDS = {"divide by zero": "division by zero"}


def _as_cel_go_says(problem: str) -> str:
    """The library's message in the words of the one that Kubernetes uses."""
    code, _, text = problem.partition(": ")
    text = text if code.isupper() else problem
    text = text.removesuffix(f" [{code}]")
    if text.startswith("Key not found in map"):
        return "no such key: " + text.partition(" : ")[2].strip('"')
    if text.startswith("No matching overloads"):
        return "no such overload"
    if text.startswith("Index error: index="):
        return "index out of bounds: " + text.removeprefix("Index error: index=").split()[0]
    if (found := re.fullmatch(r"cannot convert (\w+) to (\w+)", text)) is not None:
        return f"type conversion error from '{found[1]}' to '{found[2]}'"
    return _CEL_GO_WORDS.get(text, text)
