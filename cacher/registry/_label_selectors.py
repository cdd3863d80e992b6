"""Label selectors inside objects, such as a deployment's: whether they can be, what they match, how they are written. Pure.

Source: kubernetes/apimachinery pkg/apis/meta/v1/validation/validation.go (ValidateLabelSelector), helpers.go
(LabelSelectorAsSelector).
"""

from __future__ import annotations

from typing import Any

from watch import InvalidSelector, LabelSelector

from ._field_errors import FieldError, child, forbidden, index, invalid, required
from ._meta import JSONObject
from ._names import label_value, qualified_name
from ._validation_meta import validate_labels


def validate_label_selector(selector: JSONObject, path: str) -> list[FieldError]:
    """What is wrong with a selector's terms."""
    wrong = validate_labels(selector.get("matchLabels") or {}, child(path, "matchLabels"))
    for at, requirement in enumerate(selector.get("matchExpressions") or []):
        wrong += _validate_requirement(requirement, index(child(path, "matchExpressions"), at))
    return wrong


def _validate_requirement(requirement: JSONObject, path: str) -> list[FieldError]:
    operator, values = requirement.get("operator", ""), requirement.get("values") or []
    wrong: list[FieldError] = []
    if operator in ("In", "NotIn"):
        if not values:
            wrong.append(required(child(path, "values"), "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            wrong.append(forbidden(child(path, "values"), why))
    else:
        wrong.append(invalid(child(path, "operator"), operator, "not a valid selector operator"))
    name = requirement.get("key", "")
    wrong += [invalid(child(path, "key"), name, why) for why in qualified_name(name)]
    for at, value in enumerate(values):
        wrong += [invalid(index(child(path, "values"), at), value, why) for why in label_value(value)]
    return wrong


def is_empty_selector(selector: JSONObject) -> bool:
    """Whether it has no terms: an object's empty selector selects everything, a missing one nothing."""
    return not selector.get("matchLabels") and not selector.get("matchExpressions")


def read_selector(selector: Any) -> LabelSelector | None:
    """The selector as something that matches; None where it cannot be read."""
    try:
        return LabelSelector.from_api(selector)
    except InvalidSelector:
        return None
