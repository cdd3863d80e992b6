"""Which node a pod goes to: by example, and against a plain count of what is where."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cacher.controllers._node_table import NodeTable
from cacher.controllers._placement import (
    NodeFacts,
    Placement,
    PodWants,
    Requirement,
    Taint,
    Term,
    Toleration,
    read_node,
    read_pod,
)


def node(name: str, *taints: Taint, zone: str = "", unschedulable: bool = False, **there: int) -> NodeFacts:
    labels = {"kubernetes.io/hostname": name, **({"topology.kubernetes.io/zone": zone} if zone else {})}
    return NodeFacts(name, labels, taints, unschedulable, {"pods": 10, "cpu": 1000, "memory": 1000, **there})


def pod(uid: str, placement: Placement = Placement(), group: str = "", **requests: int) -> PodWants:  # noqa: B008
    return PodWants(uid, (("pods", 1), *requests.items()), placement, group, "", "", False, False, False)


def table_of(*nodes: NodeFacts) -> NodeTable:
    table = NodeTable()
    for one in nodes:
        table.put_node(one)
    return table


def place(table: NodeTable, one: PodWants) -> str:
    chosen = table.choose(one)
    if chosen.node:
        table.put_pod(one, chosen.node)
    table.check()
    return chosen.node


def test_pods_of_one_owner_are_spread_over_nodes_and_zones():
    table = table_of(*(node(f"n{at}", zone=f"z{at % 3}") for at in range(6)))
    first = [place(table, pod(f"p{at}", group="web")) for at in range(3)]
    assert {int(name[1:]) % 3 for name in first} == {0, 1, 2}
    assert len({*first, *(place(table, pod(f"q{at}", group="web")) for at in range(3))}) == 6


def test_pods_without_an_owner_go_where_least_is_in_use():
    table = table_of(node("a"), node("b"))
    names = [place(table, pod(f"p{at}", cpu=100)) for at in range(4)]
    assert sorted(names) == ["a", "a", "b", "b"]


def test_a_pod_that_fits_nowhere_is_told_why_node_by_node():
    table = table_of(
        node("a", cpu=10),
        node("b", unschedulable=True),
        node("c", Taint("gpu", effect="NoSchedule")),
        node("d", pods=0),
    )
    assert table.choose(pod("p", cpu=100)).why == (
        "0/4 nodes are available: 1 Insufficient cpu, 1 Too many pods, "
        "1 node(s) had untolerated taint(s), 1 node(s) were unschedulable."
    )
    assert NodeTable().choose(pod("p")).why == "no nodes available to schedule pods"


def test_a_pod_goes_only_where_its_selector_its_affinity_and_its_tolerations_let_it():
    nodes = (node("a", zone="x"), node("b", zone="y"), node("c", Taint("gpu", effect="NoExecute"), zone="z"))
    zone = "topology.kubernetes.io/zone"
    cases = {
        Placement(selector=((zone, "y"),)): {"b"},
        Placement(terms=(Term((Requirement(zone, "In", ("x", "z")),)),)): {"a"},
        Placement(terms=(Term((Requirement(zone, "NotIn", ("x",)),)),)): {"b"},
        Placement(terms=(Term(match_fields=(Requirement("metadata.name", "In", ("c",)),)),)): set(),
        Placement(
            terms=(Term(match_fields=(Requirement("metadata.name", "In", ("c",)),)),),
            tolerations=(Toleration(operator="Exists"),),
        ): {"c"},
        Placement(terms=()): set(),
        Placement(terms=(Term(),)): set(),
    }
    for placement, expected in cases.items():
        table = table_of(*nodes)
        found = {place(table, pod(f"p{at}", placement)) for at in range(6)}
        assert found - {""} == expected, placement


@pytest.mark.parametrize(
    ("toleration", "taint", "covered"),
    [
        (Toleration("k", "Equal", "v", "NoSchedule"), Taint("k", "v", "NoSchedule"), True),
        (Toleration("k", "", "v"), Taint("k", "v", "NoExecute"), True),
        (Toleration("k", "Equal", "w"), Taint("k", "v", "NoExecute"), False),
        (Toleration("k", "Exists"), Taint("k", "v", "NoExecute"), True),
        (Toleration("k", "Exists", effect="NoSchedule"), Taint("k", "v", "NoExecute"), False),
        (Toleration("", "Exists"), Taint("any", "v", "NoExecute"), True),
        (Toleration("", "Equal"), Taint("", "", "NoExecute"), False),
    ],
)
def test_what_a_toleration_covers(toleration, taint, covered):
    assert toleration.covers(taint) is covered


def test_numbers_are_compared_and_what_is_none_compares_with_nothing():
    requirement = Requirement("cores", "Gt", ("4",))
    assert [requirement.holds({"cores": text}) for text in ("8", "4", "many")] == [True, False, False]
    assert not requirement.holds({})
    assert Requirement("cores", "Lt", ("4",)).holds({"cores": "3"})
    assert not Requirement("cores", "Near", ("4",)).holds({"cores": "4"})


def test_what_a_node_is_given_back_can_be_used_again():
    table = table_of(node("a", cpu=100))
    assert place(table, pod("p", cpu=100)) == "a"
    assert place(table, pod("q", cpu=1)) == ""
    assert table.remove_pod("p")
    assert not table.remove_pod("p")
    assert place(table, pod("q", cpu=1)) == "a"


def test_pods_of_a_node_that_went_are_counted_when_it_comes_back():
    table = table_of(node("a", cpu=100))
    place(table, pod("p", cpu=60))
    table.remove_node("a")
    assert table.nodes == 0
    assert not table.choose(pod("q", cpu=60)).node
    table.put_node(node("a", cpu=100))
    assert not table.choose(pod("q", cpu=60)).node
    assert table.choose(pod("q", cpu=40)).node == "a"


def test_only_what_counts_of_a_node_is_news():
    table = NodeTable()
    assert table.put_node(node("a"))
    assert not table.put_node(node("a"))
    assert table.put_node(node("a", cpu=2000))


# ---- reading -------------------------------------------------------------------------------------------------------------


def pod_json(**spec: Any) -> bytes:
    return json.dumps({"metadata": {"uid": "u"}, "spec": spec, "status": {"phase": "Pending"}}).encode()


def asks(**requests: str) -> dict[str, Any]:
    return {"resources": {"requests": requests}}


def test_requests_are_summed_and_what_runs_before_counts_where_it_is_more():
    read = read_pod(
        pod_json(
            containers=[asks(cpu="100m", memory="1Ki"), asks(cpu="0.2")],
            initContainers=[asks(cpu="250m"), {**asks(cpu="50m"), "restartPolicy": "Always"}, asks(cpu="400m")],
            overhead={"memory": "24"},
        )
    )
    # containers and the sidecar make 350m; the last init container runs beside the sidecar: 450m
    assert dict(read.requests) == {"pods": 1, "cpu": 450, "memory": 1048}


def test_a_pod_is_read_with_its_owner_its_gates_and_where_it_may_be():
    raw = {
        "metadata": {
            "uid": "u",
            "deletionTimestamp": "2026-11-23T00:00:00Z",
            "ownerReferences": [{"uid": "x"}, {"uid": "set", "controller": True}],
        },
        "spec": {
            "nodeName": "n",
            "schedulerName": "mine",
            "schedulingGates": [{"name": "g"}],
            "nodeSelector": {"b": "2", "a": "1"},
            "tolerations": [{"operator": "Exists"}],
            "affinity": {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [
                            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n7"]}]}
                        ]
                    }
                }
            },
        },
        "status": {"phase": "Failed"},
    }
    read = read_pod(json.dumps(raw).encode())
    assert (read.uid, read.group, read.node, read.scheduler) == ("u", "set", "n", "mine")
    assert (read.is_gated, read.is_going, read.is_over) == (True, True, True)
    assert read.placement.selector == (("a", "1"), ("b", "2"))
    assert read.placement.names == ("n7",)
    assert read.placement.tolerations == (Toleration(operator="Exists"),)


def test_a_node_is_read_without_what_only_says_that_it_lives():
    raw: dict[str, Any] = {
        "metadata": {"name": "n", "labels": {"a": "1"}, "resourceVersion": "7"},
        "spec": {"taints": [{"key": "k", "effect": "NoSchedule"}], "unschedulable": True},
        "status": {"allocatable": {"cpu": "2", "memory": "1Gi", "odd": "what"}, "conditions": [{"type": "Ready"}]},
    }
    read = read_node(json.dumps(raw).encode())
    later = read_node(json.dumps({**raw, "status": {**raw["status"], "conditions": []}}).encode())
    assert read == later
    assert read.allocatable == {"cpu": 2000, "memory": 1 << 30, "odd": 0}
    assert read.is_unschedulable
    assert read.taints == (Taint("k", effect="NoSchedule"),)


# ---- against a plain count ------------------------------------------------------------------------------------------------

PLACEMENTS = (
    Placement(),
    Placement(selector=(("kubernetes.io/hostname", "n1"),)),
    Placement(tolerations=(Toleration("t", "Exists"),)),
    Placement(terms=(Term(match_fields=(Requirement("metadata.name", "In", ("n0", "n2")),)),)),
)
STEPS = st.one_of(
    st.tuples(
        st.just("pod"),
        st.tuples(st.integers(0, 15), st.sampled_from(PLACEMENTS), st.sampled_from(["", "g", "h"]), st.integers(0, 6)),
    ),
    st.tuples(st.just("gone"), st.integers(0, 15)),
    st.tuples(
        st.just("node"),
        st.tuples(st.integers(0, 3), st.integers(0, 12), st.booleans(), st.sampled_from(["", "x", "y"])),
    ),
    st.tuples(st.just("no node"), st.integers(0, 3)),
)


@pytest.mark.slow
@settings(max_examples=200)
@given(steps=st.lists(STEPS, max_size=40), compared=st.integers(1, 4))
def test_nothing_is_ever_put_where_it_does_not_fit_and_a_place_that_is_there_is_found(steps, compared):
    table = NodeTable(compared)
    there: dict[str, NodeFacts] = {}
    where: dict[str, tuple[str, PodWants]] = {}

    def fits(facts: NodeFacts, one: PodWants) -> bool:
        used = {"pods": 0, "cpu": 0}
        for name, other in where.values():
            if name == facts.name:
                for resource, value in other.requests:
                    used[resource] += value
        room = all(used[resource] + value <= facts.allocatable[resource] for resource, value in one.requests)
        return room and not one.placement.refuses(facts)

    for what, detail in steps:
        if what == "pod" and f"p{detail[0]}" not in where:
            one = pod(f"p{detail[0]}", detail[1], detail[2], cpu=detail[3])
            chosen = table.choose(one)
            feasible = [name for name, facts in there.items() if fits(facts, one)]
            assert bool(chosen.node) == bool(feasible)
            assert bool(chosen.why) == (not feasible)
            if chosen.node:
                assert chosen.node in feasible
                assert table.put_pod(one, chosen.node)
                assert not table.put_pod(one, chosen.node)
                where[one.uid] = chosen.node, one
        elif what == "gone":
            assert table.remove_pod(f"p{detail}") == (where.pop(f"p{detail}", None) is not None)
        elif what == "node":
            number, cpu, tainted, zone = detail
            taints = (Taint("t", effect="NoSchedule"),) if tainted else ()
            facts = node(f"n{number}", *taints, zone=zone, cpu=cpu, pods=3)
            assert table.put_node(facts) == (there.get(facts.name) != facts)
            there[facts.name] = facts
        elif what == "no node":
            table.remove_node(f"n{detail}")
            there.pop(f"n{detail}", None)
        assert table.nodes == len(there)
        table.check()
