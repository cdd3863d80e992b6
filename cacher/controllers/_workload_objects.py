"""What all controllers of workloads read in objects: owners, labels, conditions, times, shares of a number. Pure.

Objects are JSON data and are never changed in place: whoever wants another one gets a new one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from reflector import JSONObject
from watch import InvalidSelector, LabelSelector

MANAGER = "kube-controller-manager"
"""The field manager of all that controllers write."""


# --- metadata ---------------------------------------------------------------------------------------------------------


def meta(obj: Mapping[str, Any]) -> JSONObject:
    """The object's metadata; empty where it has none."""
    return obj.get("metadata") or {}


def name_of(obj: Mapping[str, Any]) -> str:
    """The object's name."""
    return str(meta(obj).get("name", ""))


def namespace_of(obj: Mapping[str, Any]) -> str:
    """The object's namespace."""
    return str(meta(obj).get("namespace", ""))


def uid_of(obj: Mapping[str, Any]) -> str:
    """The object's uid."""
    return str(meta(obj).get("uid", ""))


def generation_of(obj: Mapping[str, Any]) -> int:
    """How often the object's spec was changed."""
    return int(meta(obj).get("generation") or 0)


def labels_of(obj: Mapping[str, Any]) -> dict[str, str]:
    """The object's labels."""
    return meta(obj).get("labels") or {}


def annotations_of(obj: Mapping[str, Any]) -> dict[str, str]:
    """The object's annotations."""
    return meta(obj).get("annotations") or {}


def is_terminating(obj: Mapping[str, Any]) -> bool:
    """Whether somebody deleted it."""
    return bool(meta(obj).get("deletionTimestamp"))


def spec_of(obj: Mapping[str, Any]) -> JSONObject:
    """The object's spec; empty where it has none."""
    return obj.get("spec") or {}


def status_of(obj: Mapping[str, Any]) -> JSONObject:
    """The object's status; empty where it has none."""
    return obj.get("status") or {}


def replicas_of(obj: Mapping[str, Any]) -> int:
    """How many pods its spec wants; 1 where it does not say."""
    found = spec_of(obj).get("replicas")
    return 1 if found is None else int(found)


def with_metadata(obj: JSONObject, **changes: Any) -> JSONObject:
    """The object with other metadata; what is changed to None, or to nothing, is left out."""
    changed = {**meta(obj), **changes}
    return {**obj, "metadata": {name: value for name, value in changed.items() if value not in (None, {}, [])}}


def with_spec(obj: JSONObject, **changes: Any) -> JSONObject:
    """The object with another spec."""
    return {**obj, "spec": {**spec_of(obj), **changes}}


def with_status(obj: JSONObject, status: JSONObject) -> JSONObject:
    """The object with this status."""
    return {**obj, "status": status}


# --- owners -----------------------------------------------------------------------------------------------------------


def controller_of(obj: Mapping[str, Any]) -> JSONObject | None:
    """The one owner reference that says `controller: true`."""
    for reference in meta(obj).get("ownerReferences") or ():
        if reference.get("controller"):
            found: JSONObject = reference
            return found
    return None


def is_controlled_by(obj: Mapping[str, Any], owner: Mapping[str, Any]) -> bool:
    """Whether `owner`, and no namesake of it, is the object's controller."""
    reference = controller_of(obj)
    return reference is not None and reference.get("uid") == uid_of(owner)


def selector_of(obj: Mapping[str, Any]) -> LabelSelector | None:
    """What the object's `spec.selector` wants; None where it is missing, wants everything, or cannot be read: then nothing
    is to be done for the object."""
    selector = spec_of(obj).get("selector")
    if not selector or not (selector.get("matchLabels") or selector.get("matchExpressions")):
        return None
    try:
        return LabelSelector.from_api(selector)
    except InvalidSelector:
        return None


# --- numbers ----------------------------------------------------------------------------------------------------------


def scaled(share: int | str | None, total: int, *, up: bool) -> int:
    """A number, or so many percent of `total`, rounded up or down; None is 0.

    Raises:
        ValueError: a text that is no percentage.
    """
    if share is None:
        return 0
    if isinstance(share, int):
        return share
    digits = share.removesuffix("%")
    if digits == share or not digits.isdigit():
        raise ValueError(f"{share!r} is neither a number nor a percentage such as 25%")
    # In whole numbers: 0.07 * 100 is more than 7 as a float, and would be rounded up to 8.
    product = int(digits) * total
    return -(-product // 100) if up else product // 100


def rounded(value: float) -> int:
    """The nearest integer, halves away from 0. Source: k8s.io/utils/integer, RoundToInt32."""
    return math.ceil(value - 0.5) if value < 0 else math.floor(value + 0.5)


def counts(**numbers: int | None) -> JSONObject:
    """Numbers of a status as Kubernetes writes them: what is 0 or None is left out."""
    return {name: number for name, number in numbers.items() if number}
