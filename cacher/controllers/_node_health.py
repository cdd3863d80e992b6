"""Whether nodes are still there, what they are marked with, and which pods have to leave them. Pure.

    lease renewed, status said ──► heard. Nothing heard for `grace_s` ──► Ready=Unknown ──► taints unreachable
                                   Ready=False                                        ──► taints not-ready
    NoExecute taints + a pod's tolerations ──► it stays, it stays so long, or it leaves now

When a node was heard is by this controller's own clock, from when it saw something new: a node's clock may be wrong.

Source: kubernetes pkg/controller/nodelifecycle/node_lifecycle_controller.go, pkg/controller/tainteviction/taint_eviction.go.
Differs: the seconds of a toleration are counted from the taint's timeAdded, so that they are the same after a restart.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from math import inf
from typing import Any, final

import msgspec

from ._conditions import Condition, find_condition, with_conditions
from ._placement import Taint, Toleration
from ._times import seconds

JSONObject = dict[str, Any]

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
_BY_CONDITION = {
    ("Ready", "False"): NOT_READY,
    ("Ready", "Unknown"): UNREACHABLE,
    ("MemoryPressure", "True"): "node.kubernetes.io/memory-pressure",
    ("DiskPressure", "True"): "node.kubernetes.io/disk-pressure",
    ("PIDPressure", "True"): "node.kubernetes.io/pid-pressure",
    ("NetworkUnavailable", "True"): "node.kubernetes.io/network-unavailable",
}
_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_OURS = (*_BY_CONDITION.values(), _UNSCHEDULABLE)
_SILENT = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
DEFAULT_TOLERATION_S = 300
"""Source: the admission plugin DefaultTolerationSeconds."""


@final
class Heartbeats:
    """When each node was last heard. A node that is first seen counts as heard then: nobody can say for how long it was silent."""

    def __init__(self) -> None:
        self._said: dict[str, dict[str, str]] = {}
        self._heard_s: dict[str, float] = {}

    def hear(self, node: str, by: str, what: str, now_s: float) -> None:
        """The node's lease (or its status, as `by` tells) says `what`: a sign of life, where it said something else before."""
        said = self._said.setdefault(node, {})
        if said.get(by) != what:
            said[by] = what
            self._heard_s[node] = now_s

    def forget(self, node: str) -> None:
        """The node is gone."""
        self._said.pop(node, None)
        self._heard_s.pop(node, None)

    def silent_s(self, node: str, now_s: float) -> float:
        """For how long nothing new was heard; 0 of a node that was never seen."""
        return now_s - self._heard_s.get(node, now_s)


def silenced(conditions: Sequence[JSONObject], now: str) -> list[JSONObject]:
    """The conditions of a node that is not heard any more: nobody knows."""
    wanted = []
    for kind in _SILENT:
        has_spoken = find_condition(conditions, kind) is not None
        reason, message = (
            ("NodeStatusUnknown", "Kubelet stopped posting node status.")
            if has_spoken
            else ("NodeStatusNeverUpdated", "Kubelet never posted node status.")
        )
        found = find_condition(conditions, kind)
        if found is None or found.get("status") != "Unknown":
            wanted.append(Condition(kind, "Unknown", reason, message))
    heard = {kind.type: (find_condition(conditions, kind.type) or {}).get("lastHeartbeatTime") for kind in wanted}
    made = with_conditions(conditions, wanted, now)
    marked = {
        one["type"]: {**one, **({"lastHeartbeatTime": heard[one["type"]]} if heard.get(one["type"]) else {})}
        for one in made
    }
    order = [one["type"] for one in conditions] + [
        one.type for one in wanted if find_condition(conditions, one.type) is None
    ]
    return [marked[kind] for kind in order]


def ready_status(node: JSONObject) -> str:
    """Of the condition Ready: True, False or Unknown; Unknown where there is none."""
    found = find_condition((node.get("status") or {}).get("conditions") or (), "Ready")
    return (found or {}).get("status") or "Unknown"


class Evictions(enum.Enum):
    """Whether pods may be made to leave."""

    ALLOWED = "allowed"
    HELD = "held"
    """No further node's, for now."""
    STOPPED = "stopped"
    """No node's, and those that were told to leave may stay."""


def taints(node: JSONObject, now: str, evictions: Evictions) -> list[JSONObject]:
    """The taints that a node is to have: what its conditions say, and those of others as they are.

    Args:
        evictions: whether it may have NoExecute, which makes pods leave.
    """
    spec, status = node.get("spec") or {}, node.get("status") or {}
    present: list[JSONObject] = spec.get("taints") or []
    wanted: dict[tuple[str, str], None] = {}
    for condition in status.get("conditions") or ():
        key = _BY_CONDITION.get((condition.get("type", ""), condition.get("status", "")))
        if key is not None:
            wanted[key, "NoSchedule"] = None
            if key in (NOT_READY, UNREACHABLE) and evictions is not Evictions.STOPPED:
                wanted[key, "NoExecute"] = None
    if spec.get("unschedulable"):
        wanted[_UNSCHEDULABLE, "NoSchedule"] = None
    has = {(one.get("key", ""), one.get("effect", "")): one for one in present}
    kept = [one for at, one in has.items() if at[0] not in _OURS or at in wanted or at[1] == "PreferNoSchedule"]
    added = [at for at in wanted if at not in has and (at[1] != "NoExecute" or evictions is Evictions.ALLOWED)]
    return kept + [{"key": key, "effect": effect, "timeAdded": now} for key, effect in added]


def stays_s(
    pod_tolerations: Iterable[Toleration], node_taints: Iterable[Taint], now_s: float, default_s: float
) -> float:
    """For how many seconds a pod may stay on a node with these taints; 0: it leaves now; infinite: it stays.

    Args:
        default_s: of pods that say nothing of nodes that are not ready or unreachable; infinite: they stay.
    """
    tolerations = tuple(pod_tolerations)
    longest = inf
    for taint in node_taints:
        if taint.effect != "NoExecute":
            continue
        covering = [one for one in tolerations if one.covers(taint)]
        if not covering and taint.key in (NOT_READY, UNREACHABLE):
            allowed_s = default_s
        elif not covering:
            return 0.0
        else:
            # Of several that cover one taint, the shortest counts; one without a limit limits nothing.
            limits = [one.toleration_seconds for one in covering if one.toleration_seconds is not None]
            allowed_s = float(max(0, min(limits))) if limits else inf
        began_s = seconds(taint.time_added)
        longest = min(longest, allowed_s - (now_s - began_s if began_s is not None else 0.0))
    return max(0.0, longest)


class EvictionRates(msgspec.Struct, frozen=True, kw_only=True):
    """How many nodes a second may be given NoExecute in a zone. Source: kube-controller-manager's flags."""

    normal: float = 0.1
    """--node-eviction-rate."""
    reduced: float = 0.01
    """--secondary-node-eviction-rate: where a share of a large zone is not ready. In a small one it is none then."""
    share: float = 0.55
    """--unhealthy-zone-threshold."""
    large: int = 50
    """--large-cluster-size-threshold."""


@final
class ZoneHealth:
    """How many nodes of each zone are ready, and how fast the pods of the others may leave.

    >>> zones = ZoneHealth()
    >>> zones.note("a", "z", is_ready=True); zones.note("b", "z", is_ready=False)
    >>> zones.evictions_per_s("z", EvictionRates()), zones.are_all_silent
    (0.1, False)
    """

    def __init__(self) -> None:
        self._nodes: dict[str, tuple[str, bool]] = {}
        self._counts: dict[str, list[int]] = {}  # of a zone: nodes that are not ready, nodes that are
        self._ready = 0

    def note(self, node: str, zone: str, *, is_ready: bool) -> None:
        """The node is in this zone, and ready or not."""
        self.forget(node)
        self._nodes[node] = zone, is_ready
        self._counts.setdefault(zone, [0, 0])[is_ready] += 1
        self._ready += is_ready

    def forget(self, node: str) -> None:
        """The node is gone."""
        found = self._nodes.pop(node, None)
        if found is None:
            return
        zone, was_ready = found
        self._counts[zone][was_ready] -= 1
        self._ready -= was_ready
        if not any(self._counts[zone]):
            del self._counts[zone]

    @property
    def are_all_silent(self) -> bool:
        """Whether no node at all is ready: more likely this controller's network than every node's."""
        return not self._ready

    def evictions_per_s(self, zone: str, rates: EvictionRates) -> float:
        """How many nodes a second of this zone may be given NoExecute now."""
        silent, ready = self._counts.get(zone, (0, 0))
        if self.are_all_silent:
            return 0.0
        # A zone that is silent as a whole is out of reach, and what ran there is needed elsewhere.
        if not ready or silent <= 2 or silent / (ready + silent) < rates.share:
            return rates.normal
        return rates.reduced if ready + silent > rates.large else 0.0
