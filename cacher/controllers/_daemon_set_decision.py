"""What a daemon set needs now: one pod on each node that fits, and its new status. Pure.

Pods are made for a node and bound by the scheduler: an affinity names the node that each is for. A node fits by its name, its
labels, and its taints; one whose taints came later keeps the pod that it has, unless they are of NoExecute.

Source: kubernetes pkg/controller/daemon/{daemon_controller,update}.go, pkg/controller/daemon/util/daemonset_util.go.
Differs: pods that ended are deleted at once, without a backoff of their own: the queue slows down what fails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from reflector import JSONObject, controller_reference
from watch import InvalidSelector, LabelSelector

from ._workload_history import REVISION_LABEL
from ._workload_objects import (
    counts,
    generation_of,
    is_terminating,
    labels_of,
    name_of,
    scaled,
    spec_of,
    with_metadata,
    with_spec,
)
from ._workload_pods import PodView
from ._workload_template import generate_name, pod_from

_PREFIX = "node.kubernetes.io/"
_TOLERATED = (
    ("not-ready", "NoExecute"),
    ("unreachable", "NoExecute"),
    ("disk-pressure", "NoSchedule"),
    ("memory-pressure", "NoSchedule"),
    ("pid-pressure", "NoSchedule"),
    ("unschedulable", "NoSchedule"),
)


class DaemonSetPlan(msgspec.Struct, frozen=True):
    """What is to be written."""

    create: tuple[str, ...] = ()
    """Names of the nodes that get a pod."""
    delete: tuple[PodView, ...] = ()


def daemon_pod(daemon_set: JSONObject, node_name: str, revision_hash: str) -> JSONObject:
    """The pod for that node."""
    template = spec_of(daemon_set).get("template") or {}
    reference = controller_reference(daemon_set, "apps/v1", "DaemonSet")
    pod = pod_from(template, daemon_set, reference, generateName=generate_name(f"{name_of(daemon_set)}-"))
    pod = with_metadata(pod, labels={**labels_of(pod), REVISION_LABEL: revision_hash})
    return with_spec(
        pod, affinity=_only_on(spec_of(pod).get("affinity") or {}, node_name), tolerations=tolerations_of(spec_of(pod))
    )


def _only_on(affinity: JSONObject, node_name: str) -> JSONObject:
    """The affinity with that node as the one that is required, in place of what was. The labels were looked at already."""
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node_name]}]}
    node_affinity = dict(affinity.get("nodeAffinity") or {})
    node_affinity["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": [term]}
    return {**affinity, "nodeAffinity": node_affinity}


def tolerations_of(pod_spec: JSONObject) -> list[JSONObject]:
    """What the pod tolerates, and what every daemon does: it is there to look after nodes that are unwell."""
    found: list[JSONObject] = list(pod_spec.get("tolerations") or ())
    every = [*_TOLERATED, ("network-unavailable", "NoSchedule")] if pod_spec.get("hostNetwork") else list(_TOLERATED)
    for key, effect in every:
        one = {"key": _PREFIX + key, "operator": "Exists", "effect": effect}
        if one not in found:
            found.append(one)
    return found


# --- which nodes ------------------------------------------------------------------------------------------------------


def fit_of(daemon_set: JSONObject, node: JSONObject) -> tuple[bool, bool]:
    """(a new pod may be made there, one that is there may stay). Source: NodeShouldRunDaemonPod."""
    spec = spec_of(spec_of(daemon_set).get("template") or {})
    if spec.get("nodeName") not in (None, "", name_of(node)) or not matches_node(spec, node):
        return False, False
    tolerations = tolerations_of(spec)
    untolerated = [
        taint for taint in spec_of(node).get("taints") or () if not any(_tolerates(one, taint) for one in tolerations)
    ]
    blocks = [taint for taint in untolerated if taint.get("effect") in ("NoSchedule", "NoExecute")]
    return not blocks, not any(taint.get("effect") == "NoExecute" for taint in blocks)


def matches_node(pod_spec: JSONObject, node: JSONObject) -> bool:
    """Whether the node is among those that `nodeSelector` and the required node affinity want."""
    wanted: Mapping[str, str] = pod_spec.get("nodeSelector") or {}
    if not wanted.items() <= labels_of(node).items():
        return False
    affinity = (pod_spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    return any(_matches_term(term, node) for term in required.get("nodeSelectorTerms") or ())


def _matches_term(term: Mapping[str, Any], node: JSONObject) -> bool:
    """All of a term's requirements; a term without any matches nothing."""
    by_labels, by_fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not by_labels and not by_fields:
        return False
    fields = {"metadata.name": name_of(node)}
    return all(_matches(one, labels_of(node)) for one in by_labels) and all(_matches(one, fields) for one in by_fields)


def _matches(requirement: Mapping[str, Any], values: Mapping[str, str]) -> bool:
    operator, key = requirement.get("operator"), str(requirement.get("key", ""))
    if operator in ("Gt", "Lt"):
        return _compares(values.get(key, ""), str(operator), requirement.get("values") or [])
    try:
        return LabelSelector.from_api({"matchExpressions": [dict(requirement)]}).matches(values)
    except InvalidSelector:
        # Fields' names are no label keys, and `In` is all that is allowed of them beside `NotIn`.
        is_in = values.get(key) in (requirement.get("values") or ())
        return is_in if operator == "In" else operator == "NotIn" and not is_in


def _compares(value: str, operator: str, bounds: Sequence[str]) -> bool:
    try:
        present, bound = int(value), int(bounds[0])
    except (ValueError, IndexError):
        return False
    return present > bound if operator == "Gt" else present < bound


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    """Source: kubernetes/component-helpers scheduling/corev1, Toleration.ToleratesTaint."""
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    if toleration.get("operator") == "Exists":
        return True
    return bool(toleration.get("key")) and (toleration.get("value") or "") == (taint.get("value") or "")


# --- which pods -------------------------------------------------------------------------------------------------------


def by_node(pods: Sequence[PodView]) -> dict[str, list[PodView]]:
    """The pods by the node that each is bound to, or, while it is not, was made for; those of no node are nobody's daemons."""
    found: dict[str, list[PodView]] = {}
    for pod in pods:
        if node := pod.node or pod.node_wanted:
            found.setdefault(node, []).append(pod)
    return found


def plan_daemon_set(
    daemon_set: JSONObject,
    nodes: Sequence[JSONObject],
    pods: Mapping[str, Sequence[PodView]],
    revision_hash: str,
    now: float,
) -> DaemonSetPlan:
    """The next step: first pods are brought to where they should be, then old ones are replaced.

    Args:
        pods: those that it controls, by the node that each is on or for.
    """
    if is_terminating(daemon_set):
        return DaemonSetPlan()
    plan = _manage(daemon_set, nodes, pods, revision_hash, now)
    if plan.create or plan.delete:
        return plan
    if (spec_of(daemon_set).get("updateStrategy") or {}).get("type") == "OnDelete":
        return plan
    return _roll(daemon_set, nodes, pods, revision_hash, now)


def _manage(
    daemon_set: JSONObject,
    nodes: Sequence[JSONObject],
    pods: Mapping[str, Sequence[PodView]],
    revision_hash: str,
    now: float,
) -> DaemonSetPlan:
    create: list[str] = []
    delete: list[PodView] = []
    surge, _ = update_limits(daemon_set, len(nodes))
    for node in nodes:
        here = list(pods.get(name_of(node), ()))
        may_start, may_stay = fit_of(daemon_set, node)
        if not may_stay:
            delete += [pod for pod in here if not pod.is_terminating]
            continue
        staying = [pod for pod in here if not pod.is_terminating]
        delete += [pod for pod in staying if pod.is_finished]
        running = [pod for pod in staying if not pod.is_finished]
        if may_start and not here:
            create.append(name_of(node))
        delete += _duplicates(running, revision_hash, surge, int(spec_of(daemon_set).get("minReadySeconds") or 0), now)
    known = {name_of(node) for node in nodes}
    gone = [pod for node, here in sorted(pods.items()) if node not in known for pod in here if not pod.node]
    return DaemonSetPlan(tuple(create), tuple(delete + [pod for pod in gone if not pod.is_terminating]))


def _duplicates(
    running: Sequence[PodView], revision_hash: str, surge: int, min_ready_s: int, now: float
) -> list[PodView]:
    """All but the oldest; with a surge, all but the oldest of the old and the oldest of the new, while the new is not available."""
    ordered = sorted(running, key=lambda pod: (not pod.node, pod.created_s, pod.name))
    if not surge:
        return ordered[1:]
    new = [pod for pod in ordered if _is_new(pod, revision_hash)]
    old = [pod for pod in ordered if not _is_new(pod, revision_hash)]
    is_replaced = bool(new) and new[0].is_available(min_ready_s, now)
    return new[1:] + (old if is_replaced else old[1:])


def _is_new(pod: PodView, revision_hash: str) -> bool:
    return pod.labels.get(REVISION_LABEL) == revision_hash


def update_limits(daemon_set: JSONObject, node_count: int) -> tuple[int, int]:
    """(surge, unavailable): how many nodes may have two pods, and how many none that is available, in an update."""
    rolling = (spec_of(daemon_set).get("updateStrategy") or {}).get("rollingUpdate") or {}
    surge = scaled(rolling.get("maxSurge"), node_count, up=True)
    unavailable = scaled(rolling.get("maxUnavailable", 1 if not surge else 0), node_count, up=True)
    return (surge, unavailable) if surge or unavailable else (0, 1)


def _roll(
    daemon_set: JSONObject,
    nodes: Sequence[JSONObject],
    pods: Mapping[str, Sequence[PodView]],
    revision_hash: str,
    now: float,
) -> DaemonSetPlan:
    """Old pods that are not available go at once; others as far as the limits allow. Source: rollingUpdate."""
    fitting = [name_of(node) for node in nodes if fit_of(daemon_set, node)[0]]
    surge, limit = update_limits(daemon_set, len(fitting))
    min_ready_s = int(spec_of(daemon_set).get("minReadySeconds") or 0)
    at_once: list[tuple[str, PodView]] = []
    candidates: list[tuple[str, PodView]] = []
    busy = 0
    for node in fitting:
        active = [pod for pod in pods.get(node, ()) if pod.is_active]
        new = next((pod for pod in active if _is_new(pod, revision_hash)), None)
        old = next((pod for pod in active if not _is_new(pod, revision_hash)), None)
        if old is None or new is not None:
            # Without a surge whatever is not available counts; with one, the nodes that have two pods do.
            is_waited_for = old is not None if surge else new is None or not new.is_available(min_ready_s, now)
            busy += is_waited_for
        elif not old.is_available(min_ready_s, now):
            at_once.append((node, old))
            busy += not surge
        else:
            candidates.append((node, old))
    chosen = at_once + candidates[: max(0, (surge or limit) - busy)]
    if surge:
        return DaemonSetPlan(create=tuple(node for node, _ in chosen))
    return DaemonSetPlan(delete=tuple(pod for _, pod in chosen))


# --- status -----------------------------------------------------------------------------------------------------------


def daemon_set_status(
    daemon_set: JSONObject,
    nodes: Sequence[JSONObject],
    pods: Mapping[str, Sequence[PodView]],
    revision_hash: str,
    now: float,
) -> JSONObject:
    """What it says of itself. Source: updateDaemonSetStatus."""
    min_ready_s = int(spec_of(daemon_set).get("minReadySeconds") or 0)
    wanted = current = misplaced = ready = available = updated = 0
    for node in nodes:
        here = sorted(pods.get(name_of(node), ()), key=lambda pod: (not pod.is_ready, pod.created_s))
        may_start, _ = fit_of(daemon_set, node)
        if not may_start:
            misplaced += bool(here)
            continue
        wanted += 1
        if here:
            current += 1
            ready += here[0].is_ready
            available += here[0].is_available(min_ready_s, now)
            updated += any(_is_new(pod, revision_hash) for pod in here)
    return {
        "currentNumberScheduled": current,
        "numberMisscheduled": misplaced,
        "desiredNumberScheduled": wanted,
        "numberReady": ready,
        "observedGeneration": generation_of(daemon_set),
        **counts(updatedNumberScheduled=updated, numberAvailable=available, numberUnavailable=wanted - available),
    }
