"""Whether a pod's template can be: what every controller of pods asks of it. Pure.

Source: kubernetes pkg/apis/core/validation/validation.go (ValidatePodTemplateSpec, ValidatePodCreate, ValidatePodStatusUpdate,
validateContainers, validateContainerPorts, ValidateContainerStateTransition).
Differs: looks at containers, ports, policies, names and gates; what only kubelets care about is not checked.
"""

from __future__ import annotations

from ._field_errors import FieldError, child, duplicate, forbidden, index, invalid, not_supported, required
from ._meta import JSONObject, metadata
from ._names import dns1123_label, dns1123_subdomain, port_name, port_number, qualified_name
from ._validation_meta import IMMUTABLE, validate_annotations, validate_labels

_RESTART_POLICIES = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_MESSAGE_POLICIES = ("FallbackToLogsOnError", "File")
PROTOCOLS = ("SCTP", "TCP", "UDP")
_SYSTEM_CONDITIONS = ("PodScheduled", "Ready", "Initialized")


def validate_pod_template(template: JSONObject, path: str) -> list[FieldError]:
    """What is wrong with a template."""
    meta, spec = metadata(template), template.get("spec") or {}
    wrong = validate_labels(meta.get("labels") or {}, child(path, "labels"))
    wrong += validate_annotations(meta.get("annotations") or {}, child(path, "annotations"))
    wrong += validate_pod_spec(spec, child(path, "spec"))
    if spec.get("ephemeralContainers"):
        where = child(path, "spec", "ephemeralContainers")
        wrong.append(forbidden(where, "ephemeral containers not allowed in pod template"))
    return wrong


def validate_new_pod(spec: JSONObject, path: str = "spec") -> list[FieldError]:
    """What is wrong with the spec of a pod that is to be created."""
    wrong = validate_pod_spec(spec, path)
    if spec.get("ephemeralContainers"):
        wrong.append(forbidden(child(path, "ephemeralContainers"), "cannot be set on create"))
    if spec.get("nodeName") and spec.get("schedulingGates"):
        why = "cannot be set until all schedulingGates have been cleared"
        wrong.append(forbidden(child(path, "nodeName"), why))
    return wrong


def validate_pod_spec(spec: JSONObject, path: str) -> list[FieldError]:
    """What is wrong with a pod's spec."""
    wrong = validate_containers(spec.get("containers") or [], child(path, "containers"))
    wrong += _supported(spec, "restartPolicy", _RESTART_POLICIES, path)
    wrong += _supported(spec, "dnsPolicy", _DNS_POLICIES, path)
    seconds = spec.get("terminationGracePeriodSeconds")
    if isinstance(seconds, int) and seconds < 0:
        where = child(path, "terminationGracePeriodSeconds")
        wrong.append(invalid(where, seconds, "must be greater than or equal to 0"))
    if node := spec.get("nodeName"):
        wrong += [invalid(child(path, "nodeName"), node, why) for why in dns1123_subdomain(node)]
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
        wrong += _validate_ports(container.get("ports") or [], child(here, "ports"))
        wrong += _supported(container, "terminationMessagePolicy", _MESSAGE_POLICIES, here)
        wrong += _supported(container, "imagePullPolicy", _PULL_POLICIES, here)
    return wrong


def _validate_ports(ports: list[JSONObject], path: str) -> list[FieldError]:
    wrong: list[FieldError] = []
    names: set[str] = set()
    for at, port in enumerate(ports):
        here, name = index(path, at), port.get("name") or ""
        if problems := port_name(name) if name else []:
            wrong += [invalid(child(here, "name"), name, why) for why in problems]
        elif name in names:
            wrong.append(duplicate(child(here, "name"), name))
        if name:
            names.add(name)
        for member in ("containerPort", "hostPort"):
            number = port.get(member) or 0
            if number:
                wrong += [invalid(child(here, member), number, why) for why in port_number(number)]
            elif member == "containerPort":
                wrong.append(required(child(here, member)))
        wrong += _supported(port, "protocol", PROTOCOLS, here)
    return wrong


def validate_pod_status(status: JSONObject, old: JSONObject, spec: JSONObject) -> list[FieldError]:
    """What is wrong with a status that is to replace `old`, of a pod of this spec."""
    wrong: list[FieldError] = []
    for at, condition in enumerate(status.get("conditions") or []):
        if (kind := condition.get("type", "")) not in _SYSTEM_CONDITIONS:
            # The path is Kubernetes' own.
            where = child(index("metadata.conditions", at), "Type")
            wrong += [invalid(where, kind, why) for why in qualified_name(kind)]
    nominated = status.get("nominatedNodeName") or ""
    if nominated and nominated != old.get("nominatedNodeName"):
        wrong += [invalid("status.nominatedNodeName", nominated, why) for why in dns1123_subdomain(nominated)]
    if (status.get("qosClass") or "") != (old.get("qosClass") or ""):
        wrong.append(invalid("status.qosClass", status.get("qosClass") or "", IMMUTABLE))
    policy = spec.get("restartPolicy", "")
    for member, rule in (
        ("containerStatuses", policy),
        ("initContainerStatuses", policy),
        ("ephemeralContainerStatuses", "Never"),
    ):
        wrong += _validate_transitions(status.get(member) or [], old.get(member) or [], f"status.{member}", rule)
    return wrong


def _validate_transitions(new: list[JSONObject], old: list[JSONObject], path: str, policy: str) -> list[FieldError]:
    """What is over stays over, unless it is to be started again."""
    if policy == "Always":
        return []
    running = {one.get("name") for one in new if not (one.get("state") or {}).get("terminated")}
    wrong: list[FieldError] = []
    for at, before in enumerate(old):
        over = (before.get("state") or {}).get("terminated")
        is_tried_again = over and over.get("exitCode") and policy == "OnFailure"
        if over and not is_tried_again and before.get("name") in running:
            why = "may not be transitioned to non-terminated state"
            wrong.append(forbidden(child(index(path, at), "state"), why))
    return wrong


def _supported(obj: JSONObject, member: str, known: tuple[str, ...], path: str) -> list[FieldError]:
    value = obj.get(member) or ""
    if not value:
        return [required(child(path, member))]
    return [] if value in known else [not_supported(child(path, member), value, sorted(known))]
