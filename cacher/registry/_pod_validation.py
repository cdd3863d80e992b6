"""Whether a pod's template can be: what every controller of pods asks of it. Pure.

Source: kubernetes pkg/apis/core/validation/validation.go (ValidatePodTemplateSpec, validateContainers).
Differs: looks at containers, policies and names; what only kubelets care about is not checked.
"""

from __future__ import annotations

from ._field_errors import FieldError, child, duplicate, index, invalid, not_supported, required
from ._meta import JSONObject, metadata
from ._names import dns1123_label
from ._validation_meta import validate_annotations, validate_labels

_RESTART_POLICIES = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_MESSAGE_POLICIES = ("FallbackToLogsOnError", "File")


def validate_pod_template(template: JSONObject, path: str) -> list[FieldError]:
    """What is wrong with a template."""
    meta = metadata(template)
    return (
        validate_labels(meta.get("labels") or {}, child(path, "labels"))
        + validate_annotations(meta.get("annotations") or {}, child(path, "annotations"))
        + validate_pod_spec(template.get("spec") or {}, child(path, "spec"))
    )


def validate_pod_spec(spec: JSONObject, path: str) -> list[FieldError]:
    """What is wrong with a pod's spec."""
    wrong = validate_containers(spec.get("containers") or [], child(path, "containers"))
    wrong += _supported(spec, "restartPolicy", _RESTART_POLICIES, path)
    wrong += _supported(spec, "dnsPolicy", _DNS_POLICIES, path)
    seconds = spec.get("terminationGracePeriodSeconds")
    if isinstance(seconds, int) and seconds < 0:
        where = child(path, "terminationGracePeriodSeconds")
        wrong.append(invalid(where, seconds, "must be greater than or equal to 0"))
    return wrong


def validate_containers(containers: list[JSONObject], path: str) -> list[FieldError]:
    """What is wrong with the containers: there is none, one lacks something, or two have one name."""
    if not containers:
        return [required(path)]
    wrong: list[FieldError] = []
    names: set[str] = set()
    for at, container in enumerate(containers):
        here = index(path, at)
        name = container.get("name") or ""
        if not name:
            wrong.append(required(child(here, "name")))
        else:
            wrong += [invalid(child(here, "name"), name, why) for why in dns1123_label(name)]
        if name and name in names:
            wrong.append(duplicate(child(here, "name"), name))
        names.add(name)
        image = container.get("image") or ""
        if not image:
            wrong.append(required(child(here, "image")))
        elif image != image.strip():
            wrong.append(invalid(child(here, "image"), image, "must not have leading or trailing whitespace"))
        wrong += _supported(container, "terminationMessagePolicy", _MESSAGE_POLICIES, here)
        wrong += _supported(container, "imagePullPolicy", _PULL_POLICIES, here)
    return wrong


def _supported(obj: JSONObject, member: str, known: tuple[str, ...], path: str) -> list[FieldError]:
    value = obj.get(member) or ""
    if not value:
        return [required(child(path, member))]
    return [] if value in known else [not_supported(child(path, member), value, sorted(known))]
