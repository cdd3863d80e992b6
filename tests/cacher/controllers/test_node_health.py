"""Whether nodes are heard, what they are marked with, and who has to leave them."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacher.controllers._node_health import (
    EvictionRates,
    Evictions,
    Heartbeats,
    ZoneHealth,
    ready_status,
    silenced,
    stays_s,
    taints,
)
from cacher.controllers._placement import Taint, Toleration

UNREACHABLE, NOT_READY = "node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready"
NOW = "1970-01-01T00:01:40Z"  # 100 s


def node(ready: str = "True", present: list[dict[str, Any]] | None = None, **spec: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": ready}, {"type": "DiskPressure", "status": "False"}]
    return {"spec": {"taints": present or [], **spec}, "status": {"conditions": conditions}}


def told(obj: dict[str, Any], evictions: Evictions = Evictions.ALLOWED) -> list[tuple[str, str]]:
    return [(one["key"], one["effect"]) for one in taints(obj, NOW, evictions)]


# ---- heartbeats ----------------------------------------------------------------------------------------------------------


def test_a_node_is_heard_when_it_says_something_new_and_by_this_clock():
    heartbeats = Heartbeats()
    heartbeats.hear("n", "lease", "12:00", now_s=10)
    heartbeats.hear("n", "lease", "12:00", now_s=20)  # the same, seen again
    assert heartbeats.silent_s("n", 30) == 20
    heartbeats.hear("n", "status", "03:00", now_s=30)  # its clock is wrong, and it lives
    assert heartbeats.silent_s("n", 30) == 0


def test_a_node_that_was_never_seen_has_not_been_silent_yet():
    heartbeats = Heartbeats()
    assert heartbeats.silent_s("n", 1000) == 0
    heartbeats.hear("n", "lease", "x", 0)
    heartbeats.forget("n")
    assert heartbeats.silent_s("n", 1000) == 0


def test_of_a_silent_node_nothing_is_known_and_what_it_said_last_is_kept():
    conditions = [
        {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": "then"},
        {"type": "Mine", "status": "True"},
    ]
    made = silenced(conditions, NOW)
    assert [one["type"] for one in made] == ["Ready", "Mine", "MemoryPressure", "DiskPressure", "PIDPressure"]
    assert made[0] == {
        "type": "Ready",
        "status": "Unknown",
        "lastTransitionTime": NOW,
        "reason": "NodeStatusUnknown",
        "message": "Kubelet stopped posting node status.",
        "lastHeartbeatTime": "then",
    }
    assert made[1] == conditions[1]
    assert made[2]["reason"] == "NodeStatusNeverUpdated"
    assert silenced(made, "later") == made
    assert ready_status({"status": {"conditions": made}}) == "Unknown"
    assert ready_status({}) == "Unknown"


# ---- taints --------------------------------------------------------------------------------------------------------------


def test_a_node_is_marked_as_what_it_says_of_itself():
    assert told(node()) == []
    assert told(node("Unknown")) == [(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")]
    assert told(node("False")) == [(NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")]
    assert told(node(unschedulable=True)) == [("node.kubernetes.io/unschedulable", "NoSchedule")]
    pressed = {"status": {"conditions": [{"type": "MemoryPressure", "status": "True"}]}}
    assert told(pressed) == [("node.kubernetes.io/memory-pressure", "NoSchedule")]


def test_marks_of_others_stay_and_ours_go_when_they_are_no_longer_true():
    mine = {"key": "gpu", "effect": "NoSchedule"}
    before = [mine, {"key": UNREACHABLE, "effect": "NoExecute", "timeAdded": "then"}]
    assert told(node("True", before)) == [("gpu", "NoSchedule")]
    kept = taints(node("Unknown", before), NOW, Evictions.HELD)
    assert kept[:2] == before
    assert [(one["key"], one["effect"]) for one in kept[2:]] == [(UNREACHABLE, "NoSchedule")]


def test_nobody_is_made_to_leave_before_it_is_allowed_and_all_may_stay_when_it_is_stopped():
    assert told(node("Unknown"), Evictions.HELD) == [(UNREACHABLE, "NoSchedule")]
    there = taints(node("Unknown"), NOW, Evictions.ALLOWED)
    assert told(node("Unknown", there), Evictions.HELD) == [(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")]
    assert told(node("Unknown", there), Evictions.STOPPED) == [(UNREACHABLE, "NoSchedule")]


@given(
    ready=st.sampled_from(["True", "False", "Unknown"]), evictions=st.sampled_from(Evictions), cordoned=st.booleans()
)
def test_marking_twice_changes_nothing(ready, evictions, cordoned):
    once = taints(node(ready, unschedulable=cordoned), NOW, evictions)
    assert taints(node(ready, once, unschedulable=cordoned), "later", evictions) == once


# ---- who leaves ----------------------------------------------------------------------------------------------------------

GONE = Taint(UNREACHABLE, effect="NoExecute", time_added=NOW)


@pytest.mark.parametrize(
    ("tolerations", "node_taints", "left_s"),
    [
        ((), (), inf),
        ((), (Taint("x", effect="NoSchedule"),), inf),
        ((), (Taint("x", effect="NoExecute"),), 0),
        ((), (GONE,), 290),
        ((Toleration(UNREACHABLE, "Exists", effect="NoExecute", toleration_seconds=20),), (GONE,), 10),
        ((Toleration(UNREACHABLE, "Exists", effect="NoExecute", toleration_seconds=5),), (GONE,), 0),
        ((Toleration(UNREACHABLE, "Exists", effect="NoExecute", toleration_seconds=-5),), (GONE,), 0),
        ((Toleration(operator="Exists"),), (GONE, Taint("x", effect="NoExecute")), inf),
        ((Toleration(operator="Exists"), Toleration(UNREACHABLE, "Exists", toleration_seconds=60)), (GONE,), 50),
        ((Toleration(UNREACHABLE, "Exists", toleration_seconds=60),), (GONE, Taint("x", effect="NoExecute")), 0),
        ((Toleration(UNREACHABLE, "Exists", toleration_seconds=60),), (Taint(UNREACHABLE, effect="NoExecute"),), 60),
    ],
)
def test_how_long_a_pod_may_stay(tolerations, node_taints, left_s):
    assert stays_s(tolerations, node_taints, now_s=110.0, default_s=300) == left_s


def zones(**counts: tuple[int, int]) -> ZoneHealth:
    health = ZoneHealth()
    for zone, (ready, silent) in counts.items():
        for at in range(ready + silent):
            health.note(f"{zone}-{at}", zone, is_ready=at < ready)
    return health


def test_how_fast_pods_leave_depends_on_how_many_nodes_are_silent():
    rates = EvictionRates(normal=1.0, reduced=0.1, share=0.55, large=50)
    assert zones(a=(9, 1)).evictions_per_s("a", rates) == 1.0
    assert zones(a=(1, 2)).evictions_per_s("a", rates) == 1.0  # two nodes are no outage
    assert zones(a=(3, 7)).evictions_per_s("a", rates) == 0.0
    assert zones(a=(20, 60)).evictions_per_s("a", rates) == 0.1
    assert zones(a=(0, 9), b=(5, 0)).evictions_per_s("a", rates) == 1.0  # a whole zone is gone, and there is another
    assert zones(a=(0, 9), b=(0, 1)).evictions_per_s("a", rates) == 0.0  # the whole cluster: it is us


def test_nodes_are_counted_where_they_are_now():
    health = zones(a=(1, 1))
    assert not health.are_all_silent
    health.note("a-0", "b", is_ready=False)
    assert health.are_all_silent
    health.forget("a-0")
    health.forget("a-1")
    health.forget("a-1")
    assert health.are_all_silent
    health.note("c", "c", is_ready=True)
    assert not health.are_all_silent
