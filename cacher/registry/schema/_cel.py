"""x-kubernetes-validations: the rules of a schema, compiled once, and what they find in an object.

A rule that names `oldSelf` is one about changes: it is asked only where there is an old value, that is, on an update, and in a
list only where the items have keys; with optionalOldSelf it is asked always. A rule that is broken in a part that the update
leaves as it was is overlooked, unless it names oldSelf.

Pure. Work is bounded for each rule (`_cel_program.py`) and for a whole object: `OBJECT_WORK_MAX`, past which the answer is an
error that says so.
Source: kubernetes/apiextensions-apiserver pkg/apiserver/schema/cel/validation.go.
"""

from __future__ import annotations

from typing import Any

import msgspec

from .._field_errors import (
    OMITTED,
    FieldError,
    FieldErrorType,
    child,
    duplicate,
    forbidden,
    index,
    invalid,
    key,
    required,
)
from ._cel_program import BadExpression, EvaluationFailed, Program, Sizes, compile_expression, optional
from ._cel_types import CelType, cel_type
from ._cel_values import cel_value
from ._correlation import UNRELATED, Old, item_keys, items_by_keys
from ._field_path import BadPath, field_path
from ._go_text import at_root
from ._structural import JSON, Rule, Schema, any_node

OBJECT_WORK_MAX = 200_000_000
"""Of all rules over one object, in the unit of `WORK_MAX`."""
MESSAGE_BYTES_MAX = 5 * 1024
"""Of what a messageExpression comes to."""

_OUT_OF_BUDGET = "validation failed due to running out of cost budget, no further validation rules will be run"


class CompiledRule(msgspec.Struct, frozen=True):
    """One rule, or why it is none."""

    rule: Rule
    program: Program | None = None
    problem: str | None = None
    message: Program | None = None
    message_problem: str | None = None
    field: str = ""
    """Where below `self` the error is reported."""


def compile_rules(schema: Schema, *, is_resource: bool = False) -> tuple[CompiledRule, ...]:
    """The rules of this one node, with what is wrong with each.

    Cost: O(rules + schema); about 0.2 ms a rule.
    """
    type_ = cel_type(schema, is_resource=is_resource or schema.is_embedded)
    return tuple(_compiled(rule, schema, type_) for rule in schema.rules)


def _compiled(rule: Rule, schema: Schema, type_: CelType | None) -> CompiledRule:
    if not rule.rule.strip():
        return CompiledRule(rule)
    if type_ is None:
        return CompiledRule(rule, problem="failed to convert to declType for CEL validation rules")
    is_optional = rule.optional_old_self is True
    try:
        program = compile_expression(rule.rule, type_, optional_old_self=is_optional)
    except BadExpression as problem:
        return CompiledRule(rule, problem=f"compilation failed: {problem}")
    if program.type.name not in ("bool", "dyn"):
        return CompiledRule(rule, problem="cel expression must evaluate to a bool")
    message, message_problem = _message(rule, type_, is_optional=is_optional)
    return CompiledRule(rule, program, None, message, message_problem, _normalized(rule, schema))


def _message(rule: Rule, type_: CelType, *, is_optional: bool) -> tuple[Program | None, str | None]:
    if not rule.message_expression.strip():
        return None, None
    try:
        program = compile_expression(rule.message_expression, type_, optional_old_self=is_optional)
    except BadExpression as problem:
        return None, f"messageExpression compilation failed: {problem}"
    if program.type.name not in ("string", "dyn"):
        return None, "messageExpression must evaluate to a string"
    return program, None


def _normalized(rule: Rule, schema: Schema) -> str:
    try:
        return field_path(rule.field_path, schema).text if rule.field_path else ""
    except BadPath:
        return ""


class RuleTree(msgspec.Struct, frozen=True):
    """The rules of a schema and of those within it; None in place of one that has none."""

    schema: Schema
    rules: tuple[CompiledRule, ...]
    is_resource: bool
    properties: dict[str, RuleTree]
    additional: RuleTree | None
    items: RuleTree | None


def rule_tree(schema: Schema, *, is_resource: bool = False) -> RuleTree | None:
    """All rules of the schema that have a value to look at, compiled; None if there are none."""
    if not any_node(schema, lambda one: bool(one.rules)):
        return None
    type_ = cel_type(schema, is_resource=is_resource)
    if type_ is None:
        return None
    named = schema.properties if schema.properties is not None and type_.name == "object" else {}
    properties = {name: tree for name, one in named.items() if (tree := rule_tree(one)) is not None}
    additional = rule_tree(schema.additional) if schema.additional is not None and type_.name == "map" else None
    items = rule_tree(schema.items) if schema.items is not None and type_.name == "list" else None
    if not (schema.rules or properties or additional or items):
        return None
    rules = compile_rules(schema, is_resource=is_resource)
    return RuleTree(schema, rules, is_resource, properties, additional, items)


def rule_errors(tree: RuleTree | None, new: JSON, old: JSON = None, *, path: str = "") -> list[FieldError]:
    """The rules that the object breaks.

    Args:
        old: what it was before an update; None where it was not.
    """
    if tree is None:
        return []
    run = _Run()
    correlated = Old(tree.schema, new, old, root=True) if old is not None else UNRELATED
    run.visit(tree, new, old, _Where(path, correlated, UNRELATED))
    return run.errors


class _Where(msgspec.Struct, frozen=True):
    path: str
    old: Old
    parent: Old

    def is_unchanged(self) -> bool:
        """Whether what is wrong here was so before."""
        return self.old.is_unchanged() if self.old is not UNRELATED else self.parent.is_unchanged()

    def below(self, path: str, old: Old) -> _Where:
        return _Where(path, old, self.old if self.old is not UNRELATED else self.parent)


class _Run:
    """One object's rules: the errors so far, and what is left of the work that may be done."""

    def __init__(self) -> None:
        self.errors: list[FieldError] = []
        self._work = OBJECT_WORK_MAX

    def visit(self, tree: RuleTree, new: JSON, old: JSON, at: _Where) -> None:
        if new is None or self._work < 0:
            return
        if tree.rules:
            self._ask(tree, new, old, at)
        if isinstance(new, list):
            self._visit_items(tree, new, old, at)
        elif isinstance(new, dict):
            self._visit_values(tree, new, old, at)

    def _visit_items(self, tree: RuleTree, new: list[JSON], old: JSON, at: _Where) -> None:
        if tree.items is None:
            return
        keyed = items_by_keys(tree.schema, old) if tree.schema.list_type == "map" else {}
        for number, item in enumerate(new):
            keys = item_keys(tree.schema, item) if keyed else None
            before = keyed.get(keys) if keys is not None else None
            self.visit(tree.items, item, before, at.below(index(at.path, number), at.old.item(number)))

    def _visit_values(self, tree: RuleTree, new: dict[str, JSON], old: JSON, at: _Where) -> None:
        before = old if isinstance(old, dict) else {}
        for name in sorted(new) if tree.additional is not None else ():
            if tree.additional is not None and name not in (tree.schema.properties or {}):
                where = at.below(key(at.path, name), at.old.value(name))
                self.visit(tree.additional, new[name], before.get(name), where)
        for name, below in tree.properties.items():
            if name in new:
                where = at.below(child(at.path, name), at.old.value(name))
                self.visit(below, new[name], before.get(name), where)

    def _ask(self, tree: RuleTree, new: JSON, old: JSON, at: _Where) -> None:
        value, longest, largest = cel_value(tree.schema, new, is_resource=tree.is_resource)
        sizes = Sizes(longest, largest)
        before = None
        if old is not None and any(one.program is not None and one.program.uses_old_self for one in tree.rules):
            before, longest, largest = cel_value(tree.schema, old, is_resource=tree.is_resource)
            sizes = sizes.with_(Sizes(longest, largest))
        for rule in tree.rules:
            if self._work < 0:
                return
            if rule.problem is not None:
                self.errors.append(_broken(tree, at, f"rule compile error: {rule.problem}"))
            elif rule.program is not None:
                self._ask_one(tree, rule, new, _variables(rule, value, before, has_old=old is not None), sizes, at)

    def _ask_one(
        self,
        tree: RuleTree,
        rule: CompiledRule,
        new: JSON,
        variables: dict[str, Any] | None,
        sizes: Sizes,
        at: _Where,
    ) -> None:
        if variables is None or rule.program is None:
            return
        try:
            holds = self._evaluate(rule.program, variables, sizes)
        except EvaluationFailed as problem:
            self.errors.append(_broken(tree, at, self._why(problem, rule.rule)))
            return
        except _OutOfBudgetError:
            self.errors.append(_broken(tree, at, _OUT_OF_BUDGET))
            return
        if holds is True or (not rule.program.uses_old_self and at.is_unchanged()):
            return
        detail = self._detail(rule, variables, sizes)
        shown = OMITTED if tree.schema.type in ("object", "array") else new
        where = child(at.path, rule.field) if rule.field else at.path
        self.errors.append(_error(rule.rule.reason, at_root(where), shown, detail))

    def _evaluate(self, program: Program, variables: dict[str, Any], sizes: Sizes) -> Any:
        self._work -= program.work(sizes)
        if self._work < 0:
            raise _OutOfBudgetError
        return program.evaluate(variables, sizes)

    def _why(self, problem: EvaluationFailed, rule: Rule) -> str:
        shown = rule.message.strip() or rule.rule.strip()
        if problem.is_cost:
            self._work = -1
            why = "no further validation rules will be run due to call cost exceeds limit for rule"
            return f"'{problem}': {why}: {shown}"
        if str(problem).startswith("no such overload"):
            why = "call arguments did not match a supported operator, function or macro signature for rule"
            return f"'{problem}': {why}: {shown}"
        return f"{problem} evaluating rule: {shown}"

    def _detail(self, rule: CompiledRule, variables: dict[str, Any], sizes: Sizes) -> str:
        """What the rule says of itself. A messageExpression that comes to nothing is as if it were not there."""
        said = self._said(rule, variables, sizes)
        if said is not None:
            return said
        return rule.rule.message.strip() or f"failed rule: {rule.rule.rule.strip()}"

    def _said(self, rule: CompiledRule, variables: dict[str, Any], sizes: Sizes) -> str | None:
        if rule.message is None:
            return None
        try:
            made = self._evaluate(rule.message, variables, sizes)
        except (EvaluationFailed, _OutOfBudgetError):
            return None
        text = made.strip() if isinstance(made, str) else ""
        is_fit = text and "\n" not in text and len(text.encode("utf-8", "replace")) <= MESSAGE_BYTES_MAX
        return text if is_fit else None


class _OutOfBudgetError(Exception):
    """The rules of an object came to more work than they may."""


def _variables(rule: CompiledRule, value: Any, before: Any, *, has_old: bool) -> dict[str, Any] | None:
    """What the rule is asked with; None: it is not asked."""
    if rule.rule.optional_old_self is True:
        return {"self": value, **optional(before, is_there=has_old)}
    if rule.program is not None and rule.program.uses_old_self:
        return {"self": value, "oldSelf": before} if has_old else None
    return {"self": value}


def _broken(tree: RuleTree, at: _Where, why: str) -> FieldError:
    return invalid(at_root(at.path), tree.schema.type, why)


def _error(reason: str | None, field: str, value: Any, detail: str) -> FieldError:
    match reason:
        case FieldErrorType.FORBIDDEN.reason:
            return forbidden(field, detail)
        case FieldErrorType.REQUIRED.reason:
            return required(field, detail)
        case FieldErrorType.DUPLICATE.reason:
            return duplicate(field, value)
    return invalid(field, value, detail)
