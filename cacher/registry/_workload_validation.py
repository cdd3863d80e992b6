"""What workloads have in common: counts, shares of pods, a selector that fits its template, pods that run for ever. Pure.

Source: kubernetes pkg/apis/apps/validation/validation.go; pkg/apis/core/validation/validation.go (ValidateNonnegativeField,
ValidateImmutableField).
"""

from __future__ import annotations

import re
from typing import Any

from ._field_errors import FieldError, child, forbidden, invalid, not_supported
from ._label_selectors import read_selector, validate_label_selector
from ._meta import JSONObject, metadata
from ._validation_meta import IMMUTABLE

NON_NEGATIVE = "must be greater than or equal to 0"
NO_MATCH = "`selector` does not match template `labels`"
_PERCENT = re.compile(r"[0-9]+%")
_NO_PERCENT = (
    "a valid percent string must be a numeric string followed by an ending '%' "
    "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
)


def non_negative(obj: JSONObject, path: str, *members: str) -> list[FieldError]:
    """What is wrong with numbers that may not be below 0; an absent one is 0."""
    return [invalid(child(path, member), obj[member], NON_NEGATIVE) for member in members if (obj.get(member) or 0) < 0]


def at_most(status: JSONObject, path: str, members: tuple[str, ...], of: str, why: str) -> list[FieldError]:
    """What is wrong with counts that another count contains."""
    limit = status.get(of) or 0
    found = {member: status.get(member) or 0 for member in members}
    return [invalid(child(path, member), count, why) for member, count in found.items() if count > limit]


def not_decremented(status: JSONObject, old: JSONObject, path: str, member: str = "collisionCount") -> list[FieldError]:
    """What is wrong with a count that only grows."""
    before, after = old.get(member), status.get(member) or 0
    return (
        [invalid(child(path, member), after, "cannot be decremented")] if before is not None and after < before else []
    )


def unchanged(new: JSONObject, old: JSONObject, path: str, *members: str) -> list[FieldError]:
    """What was changed and may not be; absent and empty are the same."""
    return [
        invalid(child(path, member), new.get(member), IMMUTABLE)
        for member in members
        if (new.get(member) or None) != (old.get(member) or None)
    ]


def validate_int_or_percent(value: Any, path: str) -> list[FieldError]:
    """What is wrong with a number, or a percentage, of pods."""
    if isinstance(value, str):
        return [] if _PERCENT.fullmatch(value) else [invalid(path, value, _NO_PERCENT)]
    return [invalid(path, value, NON_NEGATIVE)] if value < 0 else []


def at_most_whole(value: Any, path: str) -> list[FieldError]:
    """What is wrong with a percentage of more than all."""
    is_too_much = isinstance(value, str) and _PERCENT.fullmatch(value) is not None and amount(value) > 100
    return [invalid(path, value, "must not be greater than 100%")] if is_too_much else []


def amount(value: Any) -> int:
    """The number, or the percentage's; 0 of a text that is none."""
    if isinstance(value, str):
        digits = value.removesuffix("%")
        return int(digits) if digits.isascii() and digits.isdigit() else 0
    return int(value)


def validate_selector(selector: JSONObject, path: str, *, empty: str) -> list[FieldError]:
    """What is wrong with a selector that must select something; `empty` is said of one without terms."""
    wrong = validate_label_selector(selector, path)
    return (
        wrong
        if selector.get("matchLabels") or selector.get("matchExpressions")
        else [*wrong, invalid(path, selector, empty)]
    )


def fits(selector: JSONObject | None, labels: JSONObject) -> bool:
    """Whether labels match: a missing selector selects nothing, one that cannot be read is told elsewhere."""
    if selector is None:
        return False
    matcher = read_selector(selector)
    return matcher is None or matcher.matches(labels)


def validate_fit(selector: JSONObject | None, template: JSONObject, path: str) -> list[FieldError]:
    """What is wrong with a template whose pods the selector does not select."""
    labels = metadata(template).get("labels") or {}
    where = child(path, "metadata", "labels")
    return [] if fits(selector, labels) else [invalid(where, labels or None, NO_MATCH)]


def validate_endless_pods(pods: JSONObject, path: str, kind: str) -> list[FieldError]:
    """What is wrong with pods that are to run for ever."""
    wrong: list[FieldError] = []
    if pods.get("restartPolicy") != "Always":
        wrong.append(not_supported(child(path, "restartPolicy"), pods.get("restartPolicy", ""), ("Always",)))
    if pods.get("activeDeadlineSeconds") is not None:
        why = f"activeDeadlineSeconds in {kind} is not Supported"
        wrong.append(forbidden(child(path, "activeDeadlineSeconds"), why))
    return wrong
