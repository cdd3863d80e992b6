"""One pod on each node that fits; which nodes do; and how new pods come in the place of old ones."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cacher.controllers._daemon_set_decision import (
    by_node,
    daemon_pod,
    daemon_set_status,
    fit_of,
    plan_daemon_set,
    update_limits,
)
from tests.cacher.controllers.objects import EPOCH, at, pod, template

NOW = EPOCH + 100
HASH = "controller-revision-hash"


def daemon_set(*, surge=0, unavailable=1, strategy="RollingUpdate", pod_spec=None, **spec):
    rolling = (
        {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}} if strategy == "RollingUpdate" else {}
    )
    return {
        "metadata": {"name": "agent", "namespace": "a", "uid": "ds", "generation": 2},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": template(**(pod_spec or {})),
            "updateStrategy": {"type": strategy, **rolling},
            **spec,
        },
        "status": {},
    }


def node(name, labels=None, taints=()):
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": {"taints": list(taints)}}


def daemon(name, on, revision="new", **more):
    return pod(name, owner="ds", node=on, labels={"app": "web", HASH: revision}, **more)


NODES = [node(f"n{number}") for number in range(4)]


def test_each_node_gets_one_pod_that_names_it_and_tolerates_what_ails_it():
    plan = plan_daemon_set(daemon_set(), NODES, {"n1": [daemon("p", "n1")]}, "new", NOW)
    assert plan.create == ("n0", "n2", "n3")
    made = daemon_pod(daemon_set(), "n2", "new")
    [term] = made["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    assert term == {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n2"]}]}
    assert {one["key"].split("/")[1]: one["effect"] for one in made["spec"]["tolerations"]} == {
        "not-ready": "NoExecute",
        "unreachable": "NoExecute",
        "disk-pressure": "NoSchedule",
        "memory-pressure": "NoSchedule",
        "pid-pressure": "NoSchedule",
        "unschedulable": "NoSchedule",
    }
    assert made["metadata"]["labels"][HASH] == "new"
    assert made["metadata"]["generateName"] == "agent-"


def test_a_pod_that_waits_for_its_node_is_on_it_already():
    affinity = daemon_pod(daemon_set(), "n1", "new")["spec"]["affinity"]
    waiting = pod("p", node="", phase="Pending", ready=False, spec={"affinity": affinity})
    assert by_node([waiting, pod("q", node="n2"), pod("nobody's", node="")]) == {
        "n1": [waiting],
        "n2": [pod("q", node="n2")],
    }


def required(*terms):
    needed = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
    return {"affinity": {"nodeAffinity": needed}}


def expression(key, operator, *values):
    return {"key": key, "operator": operator, "values": list(values)}


@pytest.mark.parametrize(
    ("pod_spec", "labels", "taints", "fit"),
    [
        ({}, {}, [], (True, True)),
        ({"nodeName": "other"}, {}, [], (False, False)),
        ({"nodeSelector": {"disk": "ssd"}}, {"disk": "ssd"}, [], (True, True)),
        ({"nodeSelector": {"disk": "ssd"}}, {"disk": "hdd"}, [], (False, False)),
        (required({"matchExpressions": [expression("zone", "In", "a", "b")]}), {"zone": "b"}, [], (True, True)),
        (required({"matchExpressions": [expression("zone", "NotIn", "b")]}), {"zone": "b"}, [], (False, False)),
        (required({"matchExpressions": [expression("gpu", "Exists")]}), {}, [], (False, False)),
        (required({"matchExpressions": [expression("cores", "Gt", "8")]}), {"cores": "16"}, [], (True, True)),
        (required({"matchExpressions": [expression("cores", "Lt", "8")]}), {"cores": "16"}, [], (False, False)),
        (required({"matchExpressions": [expression("cores", "Gt", "8")]}), {"cores": "many"}, [], (False, False)),
        (required({"matchFields": [expression("metadata.name", "In", "n")]}), {}, [], (True, True)),
        (required({"matchFields": [expression("metadata.name", "NotIn", "n")]}), {}, [], (False, False)),
        (required({}), {}, [], (False, False)),
        (
            required(
                {"matchExpressions": [expression("a", "Exists")]}, {"matchExpressions": [expression("b", "Exists")]}
            ),
            {"b": ""},
            [],
            (True, True),
        ),
        ({}, {}, [{"key": "k", "effect": "NoSchedule"}], (False, True)),
        ({}, {}, [{"key": "k", "effect": "NoExecute"}], (False, False)),
        ({}, {}, [{"key": "k", "effect": "PreferNoSchedule"}], (True, True)),
        ({}, {}, [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}], (True, True)),
        ({}, {}, [{"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}], (True, True)),
        (
            {"tolerations": [{"key": "k", "operator": "Equal", "value": "v"}]},
            {},
            [{"key": "k", "value": "v", "effect": "NoExecute"}],
            (True, True),
        ),
        (
            {"tolerations": [{"key": "k", "value": "w"}]},
            {},
            [{"key": "k", "value": "v", "effect": "NoSchedule"}],
            (False, True),
        ),
        ({"tolerations": [{"operator": "Exists"}]}, {}, [{"key": "k", "effect": "NoExecute"}], (True, True)),
        (
            {"hostNetwork": True},
            {},
            [{"key": "node.kubernetes.io/network-unavailable", "effect": "NoSchedule"}],
            (True, True),
        ),
    ],
)
def test_a_node_fits_by_its_name_its_labels_and_its_taints(pod_spec, labels, taints, fit):
    assert fit_of(daemon_set(pod_spec=pod_spec), node("n", labels, taints)) == fit


def test_pods_that_ended_are_too_many_or_are_where_they_should_not_be_go():
    pods = {
        "n0": [daemon("first", "n0", created=1), daemon("second", "n0", created=2)],
        "n1": [daemon("failed", "n1", phase="Failed", ready=False)],
        "n2": [daemon("evicted", "n2")],
        "gone": [daemon("for-a-node-that-went", "")],
    }
    nodes = [*NODES[:2], node("n2", taints=[{"key": "k", "effect": "NoExecute"}])]
    plan = plan_daemon_set(daemon_set(), nodes, pods, "new", NOW)
    assert sorted(one.name for one in plan.delete) == ["evicted", "failed", "for-a-node-that-went", "second"]
    assert plan.create == ()


def test_a_node_whose_pods_may_stay_and_that_takes_no_new_ones_gets_none():
    tainted = node("n0", taints=[{"key": "k", "effect": "NoSchedule"}])
    assert plan_daemon_set(daemon_set(), [tainted], {}, "new", NOW).create == ()
    plan = plan_daemon_set(daemon_set(), [tainted], {"n0": [daemon("p", "n0")]}, "new", NOW)
    assert (plan.create, plan.delete) == ((), ())


def test_an_update_replaces_as_many_as_may_be_unavailable_and_the_unavailable_at_once():
    pods = {
        one["metadata"]["name"]: [daemon(f"p-{one['metadata']['name']}", one["metadata"]["name"], "old")]
        for one in NODES
    }
    plan = plan_daemon_set(daemon_set(), NODES, pods, "new", NOW)
    assert [one.name for one in plan.delete] == ["p-n0"]
    pods["n3"] = [daemon("p-n3", "n3", "old", ready=False)]
    plan = plan_daemon_set(daemon_set(), NODES, pods, "new", NOW)
    assert [one.name for one in plan.delete] == ["p-n3"]
    pods["n3"] = [daemon("p-n3", "n3", "new", ready=False)]
    assert plan_daemon_set(daemon_set(), NODES, pods, "new", NOW).delete == ()
    assert plan_daemon_set(daemon_set(strategy="OnDelete"), NODES, pods, "new", NOW).delete == ()


def test_with_a_surge_the_new_pod_comes_first_and_the_old_one_goes_once_it_is_available():
    made = daemon_set(surge=1, unavailable=0)
    pods = {f"n{number}": [daemon(f"old-{number}", f"n{number}", "old")] for number in range(4)}
    assert plan_daemon_set(made, NODES, pods, "new", NOW).create == ("n0",)
    pods["n0"].append(daemon("new-0", "n0", "new", ready=False))
    plan = plan_daemon_set(made, NODES, pods, "new", NOW)
    assert (plan.create, plan.delete) == ((), ())
    pods["n0"][1] = daemon("new-0", "n0", "new")
    assert [one.name for one in plan_daemon_set(made, NODES, pods, "new", NOW).delete] == ["old-0"]


def test_limits_are_shares_of_the_nodes_and_never_both_nothing():
    assert update_limits(daemon_set(unavailable="30%"), 10) == (0, 3)
    assert update_limits(daemon_set(surge="10%", unavailable=0), 11) == (2, 0)
    assert update_limits(daemon_set(unavailable=0), 10) == (0, 1)


def test_a_daemon_set_that_is_being_deleted_makes_nothing():
    doomed = daemon_set()
    doomed["metadata"]["deletionTimestamp"] = at(0)
    assert plan_daemon_set(doomed, NODES, {}, "new", NOW).create == ()


def test_the_status_counts_nodes():
    pods = {
        "n0": [daemon("a", "n0", "new")],
        "n1": [daemon("b", "n1", "old")],
        "n2": [daemon("c", "n2", "new", ready=False)],
        "n4": [daemon("d", "n4", "new")],
    }
    nodes = [*NODES, node("n4", taints=[{"key": "k", "effect": "NoSchedule"}])]
    assert daemon_set_status(daemon_set(), nodes, pods, "new", NOW) == {
        "currentNumberScheduled": 3,
        "numberMisscheduled": 1,
        "desiredNumberScheduled": 4,
        "numberReady": 2,
        "observedGeneration": 2,
        "updatedNumberScheduled": 2,
        "numberAvailable": 2,
        "numberUnavailable": 2,
    }


@given(
    st.lists(st.tuples(st.sampled_from(["", "old", "new"]), st.booleans()), min_size=1, max_size=8),
    st.integers(1, 4),
)
@settings(max_examples=150)
def test_an_update_never_leaves_more_nodes_without_an_available_pod_than_it_may(states, unavailable):
    nodes = [node(f"n{number}") for number in range(len(states))]
    pods = {
        f"n{number}": [daemon(f"p{number}", f"n{number}", revision, ready=ready)]
        for number, (revision, ready) in enumerate(states)
        if revision
    }
    plan = plan_daemon_set(daemon_set(unavailable=unavailable), nodes, pods, "new", NOW)
    served = sum(ready for revision, ready in states if revision)
    lost = sum(one.is_ready for one in plan.delete)
    assert served - lost >= min(served, len(nodes) - unavailable)
    assert not (plan.create and plan.delete)
