"""What of a pod's spec an update may change: images, a deadline that comes earlier, more tolerations, fewer gates. Pure.

Source: kubernetes pkg/apis/core/validation/validation.go (ValidatePodUpdate, ValidateContainerUpdates,
validateOnlyAddedTolerations, validateOnlyDeletedSchedulingGates).
Differs: what else was changed is told by the paths of the members that differ, where Kubernetes adds a diff of its Go structs.
"""

from __future__ import annotations

from typing import Any

from ._field_errors import FieldError, child, forbidden, index, invalid, required
from ._meta import JSONObject, with_member

_UPDATABLE = (
    "`spec.containers[*].image`",
    "`spec.initContainers[*].image`",
    "`spec.activeDeadlineSeconds`",
    "`spec.tolerations` (only additions to existing tolerations)",
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
)
_SECONDS_MAX = 2**31 - 1


def validate_pod_update(new: JSONObject, old: JSONObject, path: str = "spec") -> list[FieldError]:
    """What is wrong with a spec that is to replace `old`."""
    wrong: list[FieldError] = []
    for containers in ("containers", "initContainers"):
        fresh, before, where = new.get(containers) or [], old.get(containers) or [], child(path, containers)
        if len(fresh) != len(before):
            return [*wrong, forbidden(where, "pod updates may not add or remove containers")]
        wrong += [error for at, one in enumerate(fresh) for error in _validate_image(one, index(where, at))]
    deadline = _validate_deadline(new.get("activeDeadlineSeconds"), old.get("activeDeadlineSeconds"), path)
    wrong += deadline
    if deadline and new.get("activeDeadlineSeconds") is not None:
        return wrong
    wrong += _only_more_tolerations(new.get("tolerations") or [], old.get("tolerations") or [], path)
    wrong += _only_fewer_gates(new.get("schedulingGates") or [], old.get("schedulingGates") or [], path)
    return wrong + _validate_rest(new, old, path)


def _validate_image(container: JSONObject, path: str) -> list[FieldError]:
    image = container.get("image") or ""
    if not image:
        return [required(child(path, "image"))]
    why = "must not have leading or trailing whitespace"
    return [] if image == image.strip() else [invalid(child(path, "image"), image, why)]


def _validate_deadline(new: int | None, old: int | None, path: str) -> list[FieldError]:
    where = child(path, "activeDeadlineSeconds")
    if new is None:
        why = "must not update from a positive integer to nil value"
        return [invalid(where, None, why)] if old is not None else []
    if not 0 <= new <= _SECONDS_MAX:
        return [invalid(where, new, f"must be between 0 and {_SECONDS_MAX}, inclusive")]
    if old is not None and old < new:
        return [invalid(where, new, "must be less than or equal to previous value")]
    return []


def _only_more_tolerations(new: list[JSONObject], old: list[JSONObject], path: str) -> list[FieldError]:
    def lasting(toleration: JSONObject) -> JSONObject:
        return with_member(toleration, "tolerationSeconds", None)

    there = [lasting(toleration) for toleration in new]
    if all(lasting(toleration) in there for toleration in old):
        return []
    why = "existing toleration can not be modified except its tolerationSeconds"
    return [forbidden(child(path, "tolerations"), why)]


def _only_fewer_gates(new: list[JSONObject], old: list[JSONObject], path: str) -> list[FieldError]:
    known = {gate.get("name") for gate in old}
    return [
        forbidden(
            child(index(child(path, "schedulingGates"), at), "name"),
            f"only deletion is allowed, but found new scheduling gate '{gate.get('name')}'",
        )
        for at, gate in enumerate(new)
        if gate.get("name") not in known
    ]


def _validate_rest(new: JSONObject, old: JSONObject, path: str) -> list[FieldError]:
    """What is wrong with all that may not change, told at once."""
    wrong: list[FieldError] = []
    masked = dict(new)
    for containers in ("containers", "initContainers"):
        if containers in new:
            masked[containers] = [
                {**one, "image": before.get("image")}
                for one, before in zip(new[containers], old.get(containers) or [], strict=True)
            ]
    for member in ("activeDeadlineSeconds", "schedulingGates", "tolerations"):
        masked = with_member(masked, member, old.get(member))
    seconds = "terminationGracePeriodSeconds"
    if (old.get(seconds) or 0) < 0 and masked.get(seconds) == 1:
        masked[seconds] = old[seconds]
    if old.get("schedulingGates") and masked.get("nodeSelector") != old.get("nodeSelector"):
        wrong += _only_more_terms(masked.get("nodeSelector") or {}, old.get("nodeSelector") or {}, path)
        masked = with_member(masked, "nodeSelector", old.get("nodeSelector"))
    if masked != old:
        changes = "\n".join(_differences(masked, old, path))
        why = f"pod updates may not change fields other than {','.join(_UPDATABLE)}\n{changes}"
        wrong.append(forbidden(path, why))
    return wrong


def _only_more_terms(new: JSONObject, old: JSONObject, path: str) -> list[FieldError]:
    if all(new.get(name) == value for name, value in old.items()):
        return []
    why = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
    return [invalid(child(path, "nodeSelector"), new, why)]


def _differences(new: Any, old: Any, path: str) -> list[str]:
    """The paths at which two values differ, as deep as both have the same shape."""
    if isinstance(new, dict) and isinstance(old, dict):
        names = sorted({*new, *old})
        return [line for name in names for line in _differences(new.get(name), old.get(name), child(path, name))]
    if isinstance(new, list) and isinstance(old, list) and len(new) == len(old):
        pairs = zip(new, old, strict=True)
        return [line for at, pair in enumerate(pairs) for line in _differences(*pair, index(path, at))]
    return [] if new == old else [path]
