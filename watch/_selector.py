"""A Selector: which objects a list or a watch is about, and by which of its terms a router can find them.

It joins a namespace, a LabelSelector and a FieldSelector (`_selector_terms`); all of their terms must hold. It is a
value: made once for a list or a watch, hashable, equal to every other that was written differently but has the same
canonical form, so that all watches of one selector share one view.

`matches` is the plain reading. `compile` is the same as one closure for the hot path (a view calls it for every event),
measured at a tenth of the time. `route` takes out the term by which a router indexes and leaves the rest as a closure.
Pure; all three agree, and a test says so.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping

import msgspec

from ._object import Object
from ._selector_parser import Operator
from ._selector_terms import FieldRequirement, FieldSelector, LabelRequirement, LabelSelector

Predicate = Callable[[Object], bool]


class RouteKind(enum.StrEnum):
    """What a router looks at to find the selectors that an object may concern."""

    FIELD = "field"
    LABEL = "label"
    NAMESPACE = "namespace"


class Route(msgspec.Struct, frozen=True):
    """The term that a router indexes, and what remains to be asked of the objects that it finds there."""

    kind: RouteKind
    path: str
    """A field path or a label key; "" for a namespace."""
    values: tuple[str, ...]
    """The object concerns the selector only if its value is one of these."""
    namespace: str
    """Of every kind: the namespace that the object must be in, "" for any. The router decides it; `rest` does not."""
    rest: Predicate | None
    """All other terms; None where there are none."""


class Selector(msgspec.Struct, frozen=True):
    """Which objects of a resource: those in `namespace` that `labels` and `fields` match. Make it with `of`.

    >>> str(Selector.of("team-a", labels="app in (b, a)", fields="spec.nodeName==n1"))
    'namespace=team-a,labels(app in (a,b)),fields(spec.nodeName=n1)'
    """

    namespace: str = ""
    """"" is every namespace, and none."""
    labels: LabelSelector = LabelSelector()
    fields: FieldSelector = FieldSelector()

    @classmethod
    def of(
        cls,
        namespace: str | None = None,
        *,
        name: str | None = None,
        labels: str | LabelSelector | Mapping[str, str] | None = None,
        fields: str | FieldSelector | Mapping[str, str] | None = None,
    ) -> Selector:
        """The selector in canonical form, so that two that mean the same by their terms are equal.

        `name` becomes the field requirement `metadata.name=`; a requirement on `metadata.namespace` the namespace.
        Where two requirements contradict each other the selector is valid and matches nothing.

        Raises:
            InvalidSelector: correct the text where the message points.
        """
        label_selector = _labels_of(labels).canonical()
        requirements = list(_fields_of(fields).canonical().requirements)
        if name:
            requirements.append(FieldRequirement("metadata.name", Operator.EQUALS, name))
        scope = namespace or next(filter(None, map(_narrowed, requirements)), "")
        kept = (requirement for requirement in requirements if not scope or _narrowed(requirement) != scope)
        return cls(scope, label_selector, FieldSelector.of(kept).canonical())

    def matches(self, obj: Object) -> bool:
        """Whether `obj` is selected, read off the terms one by one. The reference for `compile` and `route`."""
        if self.namespace and obj.namespace != self.namespace:
            return False
        return self.labels.matches(obj.labels) and self.fields.matches(obj.field)

    def compile(self) -> Predicate | None:
        """`matches` as one closure, several times as fast; None where the selector matches everything."""
        here = [_in_namespace(self.namespace)] if self.namespace else []
        return _all_of([*here, *_predicates(self.labels.requirements, self.fields.requirements)])

    def route(self) -> Route | None:
        """The term that leaves the fewest objects to look at; None where none can be indexed and `compile` must decide.

        In order of preference: one name, another field's value, a label's value, one of a label's values, the
        namespace. A field that must be empty cannot be indexed, since an absent one counts as empty.
        """
        if (
            field := min(filter(_is_routable_field, self.fields.requirements), key=_field_preference, default=None)
        ) is not None:
            others = tuple(other for other in self.fields.requirements if other is not field)
            rest = _all_of(_predicates(self.labels.requirements, others))
            return Route(RouteKind.FIELD, field.path, (field.value,), self.namespace, rest)
        if (
            label := min(filter(_is_routable_label, self.labels.requirements), key=_label_preference, default=None)
        ) is not None:
            remaining = tuple(other for other in self.labels.requirements if other is not label)
            rest = _all_of(_predicates(remaining, self.fields.requirements))
            return Route(RouteKind.LABEL, label.key, label.values, self.namespace, rest)
        if self.namespace:
            rest = _all_of(_predicates(self.labels.requirements, self.fields.requirements))
            return Route(RouteKind.NAMESPACE, "", (self.namespace,), self.namespace, rest)
        return None

    @property
    def is_everything(self) -> bool:
        """True where every object is selected."""
        return not self.namespace and self.labels.is_everything and self.fields.is_everything

    @property
    def label_only(self) -> bool:
        """True where labels alone decide, so that the answer may be remembered for a set of labels."""
        return not self.namespace and self.fields.is_everything and not self.labels.is_everything

    def __str__(self) -> str:
        parts = [f"namespace={self.namespace}"] if self.namespace else []
        if not self.labels.is_everything:
            parts.append(f"labels({self.labels})")
        if not self.fields.is_everything:
            parts.append(f"fields({self.fields})")
        return ",".join(parts) or "everything"


# ---- canonical form ------------------------------------------------------------------------------------------------


def _labels_of(labels: str | LabelSelector | Mapping[str, str] | None) -> LabelSelector:
    if isinstance(labels, LabelSelector):
        return labels
    return LabelSelector.parse(labels) if isinstance(labels, str) else LabelSelector.from_dict(labels or {})


def _fields_of(fields: str | FieldSelector | Mapping[str, str] | None) -> FieldSelector:
    if isinstance(fields, FieldSelector):
        return fields
    return FieldSelector.parse(fields) if isinstance(fields, str) else FieldSelector.from_dict(fields or {})


def _narrowed(requirement: FieldRequirement) -> str:
    """The one namespace that a requirement allows; "" where it does not say one."""
    is_one = requirement.path == "metadata.namespace" and requirement.operator is Operator.EQUALS
    return requirement.value if is_one else ""


# ---- the hot path --------------------------------------------------------------------------------------------------
# An absent label reads as None, which equals no value and is in no set: that alone gives `!=` and `notin` their sense.


def _predicates(labels: Iterable[LabelRequirement], fields: Iterable[FieldRequirement]) -> list[Predicate]:
    return [*map(_label_predicate, labels), *map(_field_predicate, fields)]


def _all_of(predicates: list[Predicate]) -> Predicate | None:
    """One closure for all; None for none. Up to three, nearly all there are, go without a loop."""
    match predicates:
        case []:
            return None
        case [only]:
            return only
        case [first, second]:
            return lambda obj: first(obj) and second(obj)
        case [first, second, third]:
            return lambda obj: first(obj) and second(obj) and third(obj)
    several = tuple(predicates)

    def every(obj: Object) -> bool:
        for predicate in several:  # noqa: SIM110 (all() over a generator takes twice as long)
            if not predicate(obj):
                return False
        return True

    return every


def _in_namespace(namespace: str) -> Predicate:
    return lambda obj: obj.namespace == namespace


def _label_predicate(requirement: LabelRequirement) -> Predicate:
    key, values = requirement.key, frozenset(requirement.values)
    match requirement.operator:
        case Operator.EQUALS:
            wanted = requirement.values[0]
            return lambda obj: obj.labels.get(key) == wanted
        case Operator.NOT_EQUALS:
            unwanted = requirement.values[0]
            return lambda obj: obj.labels.get(key) != unwanted
        case Operator.IN:
            return lambda obj: obj.labels.get(key) in values
        case Operator.NOT_IN:
            return lambda obj: obj.labels.get(key) not in values
        case Operator.EXISTS:
            return lambda obj: key in obj.labels
        case Operator.NOT_EXISTS:
            return lambda obj: key not in obj.labels
        case Operator.GREATER_THAN | Operator.LESS_THAN:
            return lambda obj: requirement.matches(obj.labels)


def _field_predicate(requirement: FieldRequirement) -> Predicate:
    path, value = requirement.path, requirement.value
    equals = requirement.operator is Operator.EQUALS
    if path == "metadata.name":
        return (lambda obj: obj.name == value) if equals else (lambda obj: obj.name != value)
    if path == "metadata.namespace":
        return (lambda obj: obj.namespace == value) if equals else (lambda obj: obj.namespace != value)
    return (
        (lambda obj: obj.fields.get(path, "") == value) if equals else (lambda obj: obj.fields.get(path, "") != value)
    )


# ---- which term to route by ----------------------------------------------------------------------------------------


def _is_routable_field(requirement: FieldRequirement) -> bool:
    # A namespace that is still a field requirement contradicts another; it is left to the rest, which matches nothing.
    return (
        requirement.operator is Operator.EQUALS and requirement.value != "" and requirement.path != "metadata.namespace"
    )


def _field_preference(requirement: FieldRequirement) -> bool:
    return requirement.path != "metadata.name"


def _is_routable_label(requirement: LabelRequirement) -> bool:
    return requirement.operator in (Operator.EQUALS, Operator.IN)


def _label_preference(requirement: LabelRequirement) -> int:
    return len(requirement.values)
