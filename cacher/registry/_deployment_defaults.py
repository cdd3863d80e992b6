"""What a deployment gets where its client left something out. Pure.

Source: kubernetes pkg/apis/apps/v1/defaults.go (SetDefaults_Deployment).
"""

from __future__ import annotations

from ._meta import JSONObject
from ._pod_defaults import default_pod_template, filled

_SPEC: JSONObject = {
    "replicas": 1,
    "strategy": {},
    "template": {},
    "revisionHistoryLimit": 10,
    "progressDeadlineSeconds": 600,
}
_ROLLING: JSONObject = {"maxUnavailable": "25%", "maxSurge": "25%"}
ROLLING_UPDATE = "RollingUpdate"


def default_deployment(obj: JSONObject) -> JSONObject:
    """The deployment with its defaults, those of its pods included, and with an empty status where it has none."""
    whole = filled(obj, {"spec": {}, "status": {}})
    spec = filled(whole["spec"], _SPEC)
    strategy = spec["strategy"]
    strategy = {**strategy, "type": strategy.get("type") or ROLLING_UPDATE}
    if strategy["type"] == ROLLING_UPDATE:
        strategy["rollingUpdate"] = filled(strategy.get("rollingUpdate") or {}, _ROLLING)
    return {**whole, "spec": {**spec, "strategy": strategy, "template": default_pod_template(spec["template"])}}
