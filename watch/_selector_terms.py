"""Label and field selectors: the terms, what each asks of an object, and how they are written.

`_selector` joins them with a namespace to what a list or a watch selects; the grammars are in `_selector_parser`.
All are values: frozen, hashable, sorted. `str()` of each is canonical text that parses to the same. Pure.

Source: kubernetes/apimachinery pkg/labels/selector.go, pkg/fields/selector.go; the API's LabelSelector object.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import msgspec

from ._errors import InvalidSelector
from ._object import METADATA_FIELDS
from ._selector_parser import Operator as Operator
from ._selector_parser import escape_field_value, integer, parse_fields, parse_labels, requirement_problem


class LabelRequirement(msgspec.Struct, frozen=True):
    """One term of a label selector. The constructor takes all on trust; `of` checks and sorts."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()
    """Sorted and unique. One for `=`, `!=`, `>`, `<`; none for existence."""

    @classmethod
    def of(cls, key: str, operator: Operator, values: Iterable[str] = ()) -> LabelRequirement:
        """A valid requirement.

        Raises:
            InvalidSelector: no label key, no label value, or not as many values as the operator needs; correct it.
        """
        requirement = cls(key, operator, tuple(sorted(set(values))))
        if problem := requirement_problem(key, operator, requirement.values):
            raise InvalidSelector(str(requirement), problem)
        return requirement

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels meets the requirement. An absent key meets `!=` and `notin`."""
        match self.operator:
            case Operator.EXISTS:
                return self.key in labels
            case Operator.NOT_EXISTS:
                return self.key not in labels
            case Operator.EQUALS | Operator.IN:
                return self.key in labels and labels[self.key] in self.values
            case Operator.NOT_EQUALS | Operator.NOT_IN:
                return self.key not in labels or labels[self.key] not in self.values
            case Operator.GREATER_THAN | Operator.LESS_THAN:
                return self.key in labels and self._compares(labels[self.key])

    def _compares(self, value: str) -> bool:
        here, bound = integer(value), integer(self.values[0])
        if here is None or bound is None:
            return False
        return here > bound if self.operator is Operator.GREATER_THAN else here < bound

    def __str__(self) -> str:
        match self.operator:
            case Operator.EXISTS:
                return self.key
            case Operator.NOT_EXISTS:
                return f"!{self.key}"
            case Operator.IN | Operator.NOT_IN:
                return f"{self.key} {self.operator} ({','.join(self.values)})"
            case _:
                return f"{self.key}{self.operator}{','.join(self.values)}"


class LabelSelector(msgspec.Struct, frozen=True):
    """Requirements on labels, all of which must hold; none at all matches everything.

    >>> web = LabelSelector.parse("tier != db, app in (web,api)")
    >>> str(web), web.matches({"app": "api"})
    ('app in (api,web),tier!=db', True)
    """

    requirements: tuple[LabelRequirement, ...] = ()
    """Sorted by key."""

    @classmethod
    def of(cls, requirements: Iterable[LabelRequirement]) -> LabelSelector:
        """The selector with these requirements, in canonical order."""
        return cls(tuple(sorted(requirements, key=_label_order)))

    @classmethod
    def parse(cls, text: str) -> LabelSelector:
        """The selector that `text` writes; white space between words is ignored.

        Raises:
            InvalidSelector: correct the text where the message points.
        """
        return cls.of(LabelRequirement(*term) for term in parse_labels(text))

    @classmethod
    def from_dict(cls, labels: Mapping[str, str]) -> LabelSelector:
        """The selector of objects that carry all these labels with these values.

        Raises:
            InvalidSelector: a key or a value that no label can have.
        """
        return cls.of(LabelRequirement.of(key, Operator.EQUALS, (value,)) for key, value in labels.items())

    @classmethod
    def from_api(cls, value: Mapping[str, Any]) -> LabelSelector:
        """The selector that a Kubernetes LabelSelector object means; an empty one matches everything.

        Args:
            value: with `matchLabels` and `matchExpressions`, each of which may be absent or null.
        Raises:
            InvalidSelector: the object is not of that form; its writer must correct it.
        """
        labels = value.get("matchLabels") or {}
        expressions = value.get("matchExpressions") or []
        if not isinstance(labels, Mapping) or not all(isinstance(label, str) for label in labels.values()):
            raise InvalidSelector(str(labels), "matchLabels must be an object of strings")
        if not isinstance(expressions, list):
            raise InvalidSelector(str(expressions), "matchExpressions must be a list")
        return cls.of([*cls.from_dict(labels).requirements, *map(_from_expression, expressions)])

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether all requirements hold for an object with these labels."""
        return all(requirement.matches(labels) for requirement in self.requirements)

    @property
    def is_everything(self) -> bool:
        """True where nothing is required."""
        return not self.requirements

    def canonical(self) -> LabelSelector:
        """The one form of all ways to write the same: no term twice, `in (a)` as `=a`, `notin (a)` as `!=a`."""
        return LabelSelector.of(dict.fromkeys(map(_simplest, self.requirements)))

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))


class FieldRequirement(msgspec.Struct, frozen=True):
    """One term of a field selector. A field that the object does not have reads as empty."""

    path: str
    operator: Operator
    """EQUALS or NOT_EQUALS."""
    value: str

    def matches(self, get: Callable[[str], str]) -> bool:
        """Whether the object whose fields `get` reads (an Object's `field`) meets the requirement."""
        return (get(self.path) == self.value) is (self.operator is Operator.EQUALS)

    def __str__(self) -> str:
        return f"{self.path}{self.operator}{escape_field_value(self.value)}"


class FieldSelector(msgspec.Struct, frozen=True):
    r"""Requirements on selectable fields, all of which must hold; none at all matches everything.

    >>> str(FieldSelector.parse(r"status.phase!=Failed,spec.nodeName==n\,1"))
    'spec.nodeName=n\\,1,status.phase!=Failed'
    """

    requirements: tuple[FieldRequirement, ...] = ()
    """Sorted by path."""

    @classmethod
    def of(cls, requirements: Iterable[FieldRequirement]) -> FieldSelector:
        """The selector with these requirements, in canonical order."""
        return cls(tuple(sorted(requirements, key=_field_order)))

    @classmethod
    def parse(cls, text: str) -> FieldSelector:
        """The selector that `text` writes; white space is part of paths and values.

        Raises:
            InvalidSelector: correct the text where the message points.
        """
        return cls.of(FieldRequirement(*term) for term in parse_fields(text))

    @classmethod
    def from_dict(cls, fields: Mapping[str, str]) -> FieldSelector:
        """The selector of objects whose fields have all these values."""
        return cls.of(FieldRequirement(path, Operator.EQUALS, value) for path, value in fields.items())

    def matches(self, get: Callable[[str], str]) -> bool:
        """Whether all requirements hold for the object whose fields `get` reads (an Object's `field`)."""
        return all(requirement.matches(get) for requirement in self.requirements)

    def check_supported(self, paths: Collection[str]) -> None:
        """Make sure that a resource with the selectable fields `paths` can answer (`metadata.name` and such always).

        Raises:
            InvalidSelector: it cannot; select by one of the fields that the message names.
        """
        known = [*METADATA_FIELDS, *(path for path in paths if path not in METADATA_FIELDS)]
        for requirement in self.requirements:
            if requirement.path not in known:
                names = ", ".join(sorted(known))
                raise InvalidSelector(
                    str(self), f"field label not supported: {requirement.path}: this resource has {names}"
                )

    @property
    def is_everything(self) -> bool:
        """True where nothing is required."""
        return not self.requirements

    def canonical(self) -> FieldSelector:
        """The one form of all ways to write the same: no term twice."""
        return FieldSelector.of(dict.fromkeys(self.requirements))

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))


# ---- the API's object, and canonical form --------------------------------------------------------------------------

_API_OPERATORS = {
    "In": Operator.IN,
    "NotIn": Operator.NOT_IN,
    "Exists": Operator.EXISTS,
    "DoesNotExist": Operator.NOT_EXISTS,
}
_SINGLE = {Operator.IN: Operator.EQUALS, Operator.NOT_IN: Operator.NOT_EQUALS}


def _from_expression(expression: Any) -> LabelRequirement:
    if not isinstance(expression, Mapping) or not isinstance(expression.get("key"), str):
        raise InvalidSelector(str(expression), "each of matchExpressions must be an object with a key and an operator")
    operator = _API_OPERATORS.get(str(expression.get("operator")))
    if operator is None:
        known = ", ".join(_API_OPERATORS)
        raise InvalidSelector(
            str(expression), f"{expression.get('operator')!r} is no operator, expected one of {known}"
        )
    values = expression.get("values") or []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise InvalidSelector(str(expression), "values must be a list of strings")
    return LabelRequirement.of(expression["key"], operator, values)


def _simplest(requirement: LabelRequirement) -> LabelRequirement:
    if len(requirement.values) != 1 or requirement.operator not in _SINGLE:
        return requirement
    return LabelRequirement(requirement.key, _SINGLE[requirement.operator], requirement.values)


def _label_order(requirement: LabelRequirement) -> tuple[str, str, tuple[str, ...]]:
    return requirement.key, requirement.operator, requirement.values


def _field_order(requirement: FieldRequirement) -> tuple[str, str, str]:
    return requirement.path, requirement.operator, requirement.value
