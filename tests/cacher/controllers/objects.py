"""Objects as the API has them, with as little in them as decisions need."""

from __future__ import annotations

from typing import Any

from cacher.controllers._times import rfc3339
from cacher.controllers._workload_pods import PodView, view_of

JSONObject = dict[str, Any]
EPOCH = 1_800_000_000.0


def at(seconds: float) -> str:
    return rfc3339(EPOCH + seconds)


def template(image: str = "v1", app: str = "web", **spec: Any) -> JSONObject:
    return {"metadata": {"labels": {"app": app}}, "spec": {"containers": [{"name": "main", "image": image}], **spec}}


def deployment(
    replicas: int = 3, image: str = "v1", *, surge: int | str = 1, unavailable: int | str = 0, **spec: Any
) -> JSONObject:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "a", "uid": "d-1", "generation": 1, "creationTimestamp": at(0)},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template(image),
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable},
            },
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
            **spec,
        },
        "status": {},
    }


def pod(
    name: str,
    *,
    owner: str = "",
    phase: str = "Running",
    ready: bool | float = True,
    node: str = "n1",
    created: float = 0,
    deleted: bool = False,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    finalizers: list[str] | None = None,
    restarts: int = 0,
    finished: float | None = None,
    spec: JSONObject | None = None,
) -> PodView:
    """A pod as controllers look at it. `ready`: since when, in seconds after the epoch of tests."""
    conditions = []
    if ready is not False:
        since = created if ready is True else ready
        conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": at(since)}]
    container: JSONObject = {"restartCount": restarts}
    if finished is not None:
        container["state"] = {"terminated": {"finishedAt": at(finished)}}
    metadata: JSONObject = {
        "name": name,
        "namespace": "a",
        "uid": f"uid-{name}",
        "creationTimestamp": at(created),
        "labels": labels or {"app": "web"},
        "annotations": annotations or {},
        "finalizers": finalizers or [],
    }
    if deleted:
        metadata["deletionTimestamp"] = at(created)
    if owner:
        metadata["ownerReferences"] = [{"uid": owner, "kind": "X", "name": "x", "controller": True}]
    return view_of(
        {
            "metadata": metadata,
            "spec": {"nodeName": node, **(spec or {})},
            "status": {"phase": phase, "conditions": conditions, "containerStatuses": [container]},
        }
    )
