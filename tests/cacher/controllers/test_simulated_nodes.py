"""Nodes that are not there: their objects and addresses; and what an API serves."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacher.controllers import BUILT_IN, NodeShape
from cacher.controllers._served import Kinds, ServedResource, served_by
from cacher.controllers._simulated_nodes import (
    NODES_MAX,
    PODS_MAX,
    NodeAddresses,
    PodAddresses,
    new_lease,
    new_node,
    node_status,
    renewed,
)


def test_every_node_has_addresses_of_its_own():
    assert (NodeAddresses(0).host, NodeAddresses(0).pods, NodeAddresses(0).pod(1)) == (
        "172.16.0.1",
        "10.128.0.0/24",
        "10.128.0.1",
    )
    last = NodeAddresses(NODES_MAX - 1)
    assert (last.host, last.pods, last.pod(PODS_MAX)) == ("172.16.128.0", "10.255.255.0/24", "10.255.255.254")
    for number in (-1, NODES_MAX):
        with pytest.raises(ValueError, match="addresses for 32,768 nodes"):
            NodeAddresses(number)


def test_an_address_that_a_pod_has_already_is_kept_for_it_and_given_to_nobody_else():
    addresses = PodAddresses(NodeAddresses(0))
    assert addresses.of("old", "10.128.0.1") == "10.128.0.1"
    assert addresses.of("new") == "10.128.0.2"
    assert addresses.of("late", "10.128.0.1") == "10.128.0.3"


def test_a_full_node_has_no_address_until_one_is_given_back():
    addresses = PodAddresses(NodeAddresses(0))
    taken = [addresses.of(f"p{at}") for at in range(PODS_MAX)]
    assert len(set(taken)) == PODS_MAX
    assert addresses.of("one more") == ""
    addresses.release("p7")
    addresses.release("p7")
    assert addresses.of("one more") == taken[7]


@given(steps=st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=60))
def test_no_two_pods_of_a_node_ever_share_an_address(steps):
    addresses, held = PodAddresses(NodeAddresses(3)), dict[str, str]()
    for comes, number in steps:
        uid = f"p{number}"
        if comes:
            held[uid] = addresses.of(uid)
        else:
            addresses.release(uid)
            held.pop(uid, None)
        assert len(set(held.values())) == len(held)


def test_a_node_is_as_recorded_and_says_that_it_is_well():
    node = new_node("node-1", NodeAddresses(1), NodeShape(labels={"pool": "a"}), 0.0)
    assert node["metadata"]["labels"]["topology.kubernetes.io/zone"] == "r1b"
    assert node["metadata"]["labels"]["pool"] == "a"
    assert node["spec"] == {"podCIDR": "10.128.1.0/24", "podCIDRs": ["10.128.1.0/24"]}
    conditions = node["status"]["conditions"]
    assert [(one["type"], one["status"], one["reason"]) for one in conditions] == [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID"),
        ("Ready", "True", "KubeletReady"),
    ]
    later = node_status({**node["status"], "mine": 1}, "node-1", NodeAddresses(1), NodeShape(), 60.0)
    assert later["mine"] == 1
    assert later["conditions"][3]["lastHeartbeatTime"] == "1970-01-01T00:01:00Z"
    assert later["conditions"][3]["lastTransitionTime"] == "1970-01-01T00:00:00Z"
    bare = new_node("n", NodeAddresses(0), NodeShape(zones=()), 0.0)
    assert "topology.kubernetes.io/zone" not in bare["metadata"]["labels"]


def test_a_lease_is_the_nodes_and_is_renewed_to_the_microsecond():
    lease = new_lease("node-1", "uid-1", 0.25, 40)
    assert lease["spec"] == {
        "holderIdentity": "node-1",
        "leaseDurationSeconds": 40,
        "renewTime": "1970-01-01T00:00:00.250000Z",
    }
    assert lease["metadata"]["ownerReferences"][0]["uid"] == "uid-1"
    assert renewed(lease, 10.5)["spec"]["renewTime"] == "1970-01-01T00:00:10.500000Z"


# ---- what is served ----------------------------------------------------------------------------------------------------------


def definition(**status: Any) -> dict[str, Any]:
    versions = [{"name": "v1beta1", "served": True}, {"name": "v1", "served": True, "storage": True}]
    names = {"plural": "widgets", "kind": "Widget"}
    return {
        "spec": {"group": "example.com", "scope": "Namespaced", "versions": versions},
        "status": {"acceptedNames": names, "conditions": [{"type": "Established", "status": "True"}], **status},
    }


def test_a_definition_serves_its_storage_version_once_it_is_established():
    assert served_by(definition()) == ServedResource("example.com/v1", "widgets", "Widget", True)
    assert served_by(definition(conditions=[])) is None
    assert served_by(definition(acceptedNames={})) is None
    unserved = definition()
    unserved["spec"]["versions"][1]["served"] = False
    assert served_by(unserved) == ServedResource("example.com/v1beta1", "widgets", "Widget", True)
    unserved["spec"]["versions"][0]["served"] = False
    assert served_by(unserved) is None


def test_a_kind_is_found_in_its_group_and_nowhere_else():
    kinds = Kinds(BUILT_IN)
    found = kinds.find("v1", "ConfigMap")
    assert found is not None
    assert (found.plural, found.group, found.shown) == ("configmaps", "", "configmaps.")
    assert kinds.find("apps/v1", "ConfigMap") is None
    assert kinds.find("example.com/v1", "Widget") is None
