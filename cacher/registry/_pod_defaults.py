"""What a pod, or a pod's template, gets where its client left something out. Pure.

A template gets less than a pod: what limits and the host's network imply is filled in when the pod is made.
Source: kubernetes pkg/apis/core/v1/defaults.go (SetDefaults_Pod, SetDefaults_PodSpec, SetDefaults_Container, …). What depends on a
node, or on admission, is not decided here.
Differs: resources of the pod as a whole (`spec.resources`) are taken as they come.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._meta import JSONObject

_POD_SPEC: JSONObject = {
    "dnsPolicy": "ClusterFirst",
    "restartPolicy": "Always",
    "schedulerName": "default-scheduler",
    "securityContext": {},
    "terminationGracePeriodSeconds": 30,
}
_PROBE: JSONObject = {"failureThreshold": 3, "periodSeconds": 10, "successThreshold": 1, "timeoutSeconds": 1}
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
FILE_MODE = 0o644
"""Of files from config maps, secrets and the downward API."""


def filled(obj: JSONObject, defaults: JSONObject) -> JSONObject:
    """`obj` with the members that it lacks, or has as null. Defaults are copied one level deep."""
    lacking = {name: value for name, value in defaults.items() if obj.get(name) is None}
    return {**obj, **{name: dict(value) if isinstance(value, dict) else value for name, value in lacking.items()}}


def changed(obj: JSONObject, member: str, change: Callable[[Any], Any]) -> JSONObject:
    """`obj` with another value of that member, where it has one."""
    return {**obj, member: change(obj[member])} if obj.get(member) is not None else obj


def each(change: Callable[[JSONObject], JSONObject]) -> Callable[[list[JSONObject]], list[JSONObject]]:
    """`change`, of every element of a list."""
    return lambda items: [change(item) for item in items]


def default_pod(obj: JSONObject) -> JSONObject:
    """A pod with its defaults."""
    whole = filled(obj, {"metadata": {}, "spec": {}, "status": {}})
    spec = filled(default_pod_spec(whole["spec"]), {"enableServiceLinks": True})
    for containers in ("initContainers", "containers"):
        spec = changed(spec, containers, each(lambda one: changed(one, "resources", default_resources)))
        if spec.get("hostNetwork"):
            spec = changed(spec, containers, each(_on_host_ports))
    return {**whole, "spec": spec}


def default_pod_template(template: JSONObject) -> JSONObject:
    """A template with its pod's defaults."""
    whole = filled(template, {"metadata": {}, "spec": {}})
    return {**whole, "spec": default_pod_spec(whole["spec"])}


def default_pod_spec(spec: JSONObject) -> JSONObject:
    """A pod's spec, with what every pod has."""
    spec = filled(spec, _POD_SPEC)
    for containers in ("initContainers", "containers"):
        spec = changed(spec, containers, each(default_container))
    spec = changed(spec, "ephemeralContainers", each(default_container))
    spec = changed(spec, "volumes", each(default_volume))
    if spec.get("serviceAccountName") and not spec.get("serviceAccount"):
        spec = {**spec, "serviceAccount": spec["serviceAccountName"]}
    elif spec.get("serviceAccount") and not spec.get("serviceAccountName"):
        spec = {**spec, "serviceAccountName": spec["serviceAccount"]}
    return spec


def default_container(container: JSONObject) -> JSONObject:
    """A container, with its policies, probes and ports."""
    container = filled(
        container,
        {
            "imagePullPolicy": pull_policy(container.get("image") or ""),
            "resources": {},
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
        },
    )
    container = changed(container, "ports", each(lambda port: filled(port, {"protocol": "TCP"})))
    container = changed(container, "env", each(_default_env))
    for probe in _PROBES:
        container = changed(container, probe, default_probe)
    return changed(container, "lifecycle", _default_lifecycle)


def pull_policy(image: str) -> str:
    """Always for what may change under its name: the tag `latest`, or none. A digest never changes."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if digest and not tag:
        return "IfNotPresent"
    return "Always" if tag in ("", "latest") else "IfNotPresent"


def default_resources(resources: JSONObject) -> JSONObject:
    """Requests that were left out are the limits."""
    limits = resources.get("limits")
    if not limits:
        return resources
    return {**resources, "requests": {**limits, **(resources.get("requests") or {})}}


def default_probe(probe: JSONObject) -> JSONObject:
    """A probe, with how often it asks and how often it may fail."""
    probe = filled({name: value for name, value in probe.items() if value != 0 or name not in _PROBE}, _PROBE)
    probe = changed(probe, "httpGet", _default_http_get)
    return changed(probe, "grpc", lambda grpc: filled(grpc, {"service": ""}))


def default_volume(volume: JSONObject) -> JSONObject:
    """A volume: an empty directory where nothing is said, and the modes of files."""
    if all(value is None for name, value in volume.items() if name != "name"):
        return {**volume, "emptyDir": {}}
    for source in ("secret", "configMap", "downwardAPI"):
        volume = changed(volume, source, lambda held: filled(held, {"defaultMode": FILE_MODE}))
    volume = changed(volume, "hostPath", lambda path: filled(path, {"type": ""}))
    return changed(volume, "projected", _default_projected)


def _default_projected(projected: JSONObject) -> JSONObject:
    projected = filled(projected, {"defaultMode": FILE_MODE})
    token = {"expirationSeconds": 3600}
    return changed(
        projected,
        "sources",
        each(lambda source: changed(source, "serviceAccountToken", lambda held: filled(held, token))),
    )


def _default_http_get(action: JSONObject) -> JSONObject:
    action = filled(action, {"path": "/", "scheme": "HTTP"})
    return {**action, "path": action["path"] or "/", "scheme": action["scheme"] or "HTTP"}


def _default_lifecycle(lifecycle: JSONObject) -> JSONObject:
    for moment in ("postStart", "preStop"):
        lifecycle = changed(lifecycle, moment, lambda hook: changed(hook, "httpGet", _default_http_get))
    return lifecycle


def _default_env(variable: JSONObject) -> JSONObject:
    def by_version(source: JSONObject) -> JSONObject:
        return changed(source, "fieldRef", lambda ref: filled(ref, {"apiVersion": "v1"}))

    return changed(variable, "valueFrom", by_version)


def _on_host_ports(container: JSONObject) -> JSONObject:
    """On the host's network a container's port is the host's."""

    def on_host(port: JSONObject) -> JSONObject:
        return filled(port, {"hostPort": port.get("containerPort")}) if port.get("containerPort") else port

    return changed(container, "ports", each(on_host))
