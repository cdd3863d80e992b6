"""A deployment's past: which of its ReplicaSets is the new one, their revisions, what is forgotten, and going back. Pure.

Each template that a deployment had is a ReplicaSet, and its number stands in an annotation. Going back to a template makes its
set the new one and gives it the next number; the numbers it had are kept beside. So revisions grow, and none is used twice.

Source: kubernetes pkg/controller/deployment/{sync,rollback}.go, util/deployment_util.go.
"""

from __future__ import annotations

from collections.abc import Sequence

from reflector import JSONObject, controller_reference

from ._deployment_sizes import by_age, new_set_size, read_number, size_annotations
from ._workload_objects import (
    annotations_of,
    generation_of,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
    replicas_of,
    spec_of,
    status_of,
    uid_of,
    with_metadata,
    with_spec,
)
from ._workload_template import HASH_LABEL, is_same_template, template_hash

REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
ROLLBACK_TO = "deprecated.deployment.rollback.to"
HISTORY_MAX = 2000
"""Characters of the history that a set keeps of its own numbers."""
NO_LIMIT = 2**31 - 1
"""A `revisionHistoryLimit` that keeps everything."""

_OWN = {
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    ROLLBACK_TO,
}
"""Annotations that are about one object, and so are not copied from a deployment into its sets, or back."""


def find_new(deployment: JSONObject, sets: Sequence[JSONObject]) -> JSONObject | None:
    """The oldest set with the deployment's template. There may be several, where two controllers were at work."""
    template = spec_of(deployment).get("template") or {}
    return next((one for one in by_age(sets) if is_same_template(spec_of(one).get("template") or {}, template)), None)


def all_but(sets: Sequence[JSONObject], one: JSONObject | None) -> list[JSONObject]:
    """The others, the oldest first."""
    return [other for other in by_age(sets) if one is None or uid_of(other) != uid_of(one)]


def revision_of(obj: JSONObject) -> int:
    """The number in its annotation; 0 where there is none."""
    return read_number(obj, REVISION) or 0


def next_revision(old: Sequence[JSONObject]) -> int:
    """One more than any of the old sets has."""
    return max((revision_of(one) for one in old), default=0) + 1


def previous_revision(sets: Sequence[JSONObject]) -> int:
    """The second highest; 0 where there is none. Source: LastRevision."""
    return sorted({0, *(revision_of(one) for one in sets)})[-2] if any(revision_of(one) for one in sets) else 0


def new_set(deployment: JSONObject, old: Sequence[JSONObject]) -> JSONObject:
    """The set that is to be made for the deployment's template, sized for its first step.

    Its name is the deployment's with the template's hash, and its pods and it are told from those of other sets by that hash.
    """
    spec, template = spec_of(deployment), spec_of(deployment).get("template") or {}
    hashed = template_hash(template, status_of(deployment).get("collisionCount"))
    labels = {**labels_of(template), HASH_LABEL: hashed}
    selector = spec.get("selector") or {}
    selector = {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), HASH_LABEL: hashed}}
    made: JSONObject = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{name_of(deployment)}-{hashed}",
            "namespace": namespace_of(deployment),
            "labels": labels,
            "annotations": _copied(deployment) | {REVISION: str(next_revision(old))} | size_annotations(deployment),
            "ownerReferences": [controller_reference(deployment, "apps/v1", "Deployment")],
        },
        "spec": {"replicas": 0, "selector": selector, "template": with_metadata(template, labels=labels)},
    }
    if spec.get("minReadySeconds"):
        made = with_spec(made, minReadySeconds=spec["minReadySeconds"])
    return with_spec(made, replicas=new_set_size(deployment, [*old, made], made))


def renewed(deployment: JSONObject, new: JSONObject, old: Sequence[JSONObject]) -> JSONObject:
    """The new set with the deployment's annotations, the highest revision and the deployment's `minReadySeconds`.

    Equal to `new` where nothing is to change.
    """
    annotations = annotations_of(new) | _copied(deployment)
    number, before = next_revision(old), revision_of(new)
    if before < number:
        annotations[REVISION] = str(number)
        if before:
            annotations[REVISION_HISTORY] = _history(annotations.get(REVISION_HISTORY, ""), before)
    changed = with_metadata(new, annotations=annotations)
    seconds = spec_of(deployment).get("minReadySeconds") or 0
    if seconds != (spec_of(new).get("minReadySeconds") or 0):
        changed = with_spec(changed, minReadySeconds=seconds)
    return changed


def _copied(deployment: JSONObject) -> dict[str, str]:
    return {name: value for name, value in annotations_of(deployment).items() if name not in _OWN}


def _history(history: str, revision: int) -> str:
    """The history with another number; the oldest go where it becomes too long."""
    numbers = [*history.split(","), str(revision)] if history else [str(revision)]
    while len(",".join(numbers)) > HISTORY_MAX and len(numbers) > 1:
        numbers.pop(0)
    return ",".join(numbers)


def forgotten(deployment: JSONObject, old: Sequence[JSONObject]) -> list[JSONObject]:
    """The old sets that are more than the deployment keeps; none that still has pods, or was yet to be seen by its controller.

    Source: cleanupDeployment.
    """
    limit = spec_of(deployment).get("revisionHistoryLimit")
    if limit is None or limit == NO_LIMIT:
        return []
    candidates = [one for one in old if not is_terminating(one)]
    surplus = sorted(by_age(candidates), key=revision_of)[: max(0, len(candidates) - limit)]
    return [one for one in surplus if _is_empty(one)]


def _is_empty(one: JSONObject) -> bool:
    status = status_of(one)
    is_observed = generation_of(one) <= int(status.get("observedGeneration") or 0)
    return is_observed and not replicas_of(one) and not status.get("replicas")


def rollback_wanted(deployment: JSONObject) -> int | None:
    """The revision that the API's `rollback` asked for (0: the one before); None where it asked for none."""
    text = annotations_of(deployment).get(ROLLBACK_TO)
    return int(text) if text is not None and text.isascii() and text.isdigit() else None


def rolled_back(deployment: JSONObject, sets: Sequence[JSONObject], revision: int) -> JSONObject:
    """The deployment with the template and annotations of that revision (0: the one before), and nothing more asked for.

    Where there is no such revision, or it is the present one already, the template stays.
    Source: kubernetes pkg/controller/deployment/rollback.go.
    """
    annotations = {name: value for name, value in annotations_of(deployment).items() if name != ROLLBACK_TO}
    answered = with_metadata(deployment, annotations=annotations)
    number = revision or previous_revision(sets)
    found = next((one for one in sets if number and revision_of(one) == number), None)
    if found is None:
        return answered
    template = spec_of(found).get("template") or {}
    if is_same_template(template, spec_of(deployment).get("template") or {}):
        return answered
    return with_spec(with_metadata(answered, annotations=_restored(annotations, found)), template=_unhashed(template))


def undo_patch(deployment: JSONObject, sets: Sequence[JSONObject], revision: int = 0) -> list[JSONObject] | None:
    """What `kubectl rollout undo` sends: a JSON patch of the template and the annotations; None where the template is the same.

    Args:
        sets: those that the deployment controls.
        revision: 0: the one before the present one.
    Raises:
        LookupError: there is no such revision; the message has the choice.
    Source: kubernetes/kubectl pkg/polymorphichelpers/rollback.go.
    """
    number = revision or previous_revision(sets)
    found = next((one for one in sets if number and revision_of(one) == number), None)
    if found is None:
        known = ", ".join(str(one) for one in sorted(revision_of(one) for one in sets)) or "none"
        wanted = f"revision {number}" if number else "earlier revision"
        raise LookupError(f"deployment {name_of(deployment)} has no {wanted}: its ReplicaSets have {known}")
    template = spec_of(found).get("template") or {}
    if is_same_template(template, spec_of(deployment).get("template") or {}):
        return None
    annotations = _restored(annotations_of(deployment), found)
    return [
        {"op": "replace", "path": "/spec/template", "value": _unhashed(template)},
        {"op": "replace", "path": "/metadata/annotations", "value": annotations},
    ]


def _restored(annotations: dict[str, str], found: JSONObject) -> dict[str, str]:
    """The deployment's own annotations, and for the rest those of the set."""
    own = {name: value for name, value in annotations.items() if name in _OWN}
    return own | {name: value for name, value in annotations_of(found).items() if name not in _OWN}


def _unhashed(template: JSONObject) -> JSONObject:
    return with_metadata(template, labels={k: v for k, v in labels_of(template).items() if k != HASH_LABEL})
