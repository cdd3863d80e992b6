"""What a ReplicaSet makes, deletes and says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cacher.controllers._replica_set_decision import (
    Failure,
    available_in_s,
    plan_replica_set,
    replica_set_status,
)
from tests.cacher.controllers.objects import EPOCH, at, pod, template

NOW = EPOCH + 100


def replica_set(replicas=3, **spec):
    return {
        "metadata": {"name": "web-1", "namespace": "a", "uid": "rs", "generation": 4},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template(), **spec},
        "status": {"replicas": 0},
    }


PODS = st.lists(
    st.builds(
        pod,
        st.integers(0, 10**6).map(lambda number: f"p{number}"),
        phase=st.sampled_from(["Pending", "Running", "Succeeded", "Failed"]),
        ready=st.booleans(),
        deleted=st.booleans(),
    ),
    max_size=12,
    unique_by=lambda one: one.name,
)


@given(st.integers(0, 10), PODS, st.integers(1, 4))
def test_after_a_step_it_is_not_further_from_its_number_and_never_beyond_it(replicas, pods, burst):
    plan = plan_replica_set(replica_set(replicas), pods, pods, NOW, burst=burst)
    active = [one for one in pods if one.is_active]
    after = len(active) + plan.create - len(plan.delete)
    assert abs(replicas - after) == max(0, abs(replicas - len(active)) - burst)
    assert not (plan.create and plan.delete)
    assert all(one in active for one in plan.delete), "what has ended, or goes already, is not deleted again"
    status = replica_set_status(replica_set(replicas), pods, NOW)
    assert status["replicas"] == len(active)
    assert status.get("availableReplicas", 0) <= status.get("readyReplicas", 0) <= status["replicas"]


def test_a_set_that_is_being_deleted_makes_nothing():
    doomed = replica_set()
    doomed["metadata"]["deletionTimestamp"] = at(0)
    plan = plan_replica_set(doomed, [], [], NOW)
    assert not plan.create
    assert not plan.delete


def test_pods_are_available_after_min_ready_seconds_and_it_says_when_the_next_one_is():
    one = replica_set(3, minReadySeconds=30)
    pods = [pod("a", ready=60.0), pod("b", ready=80.0), pod("c", ready=False)]
    assert replica_set_status(one, pods, NOW) == {
        "replicas": 3,
        "fullyLabeledReplicas": 3,
        "readyReplicas": 2,
        "availableReplicas": 1,
        "terminatingReplicas": 0,
        "observedGeneration": 4,
    }
    assert available_in_s(one, pods, NOW) == 10
    assert available_in_s(one, pods, NOW + 10) is None
    assert replica_set_status(one, pods, NOW + 10)["availableReplicas"] == 2


def test_a_failure_is_told_once_and_gone_with_the_next_success():
    one = replica_set()
    status = replica_set_status(one, [], NOW, Failure("FailedCreate", "exceeded quota"))
    [told] = status["conditions"]
    assert (told["type"], told["status"], told["reason"]) == ("ReplicaFailure", "True", "FailedCreate")
    one["status"] = status
    again = replica_set_status(one, [], NOW + 50, Failure("FailedCreate", "another text"))
    assert again["conditions"] == [told]
    assert "conditions" not in replica_set_status(one, [], NOW)


def test_pods_that_go_are_counted_apart_and_labels_beyond_the_templates_do_not_matter():
    pods = [pod("a", deleted=True), pod("b", labels={"app": "web", "more": "1"}), pod("c", labels={"other": "1"})]
    status = replica_set_status(replica_set(), pods, NOW)
    assert (status["replicas"], status["fullyLabeledReplicas"], status["terminatingReplicas"]) == (2, 1, 1)
