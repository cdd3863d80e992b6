"""Which endpoints a service has, and how they are laid into slices."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cacher.controllers._endpoints import (
    Plan,
    Port,
    belongs,
    desired,
    endpoint_of,
    plan,
    pool_of,
    ports_of,
    slice_labels,
)

SERVICE: dict[str, Any] = {
    "metadata": {"name": "web", "namespace": "shop", "uid": "service-uid", "labels": {"app": "web"}},
    "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
}


def pod(number: int, *, ready: bool = True, port: int = 8080, **more: Any) -> dict[str, Any]:
    status = {
        "phase": "Running",
        "podIP": f"10.0.{number // 250}.{number % 250 + 1}",
        "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
    }
    return {
        "metadata": {"name": f"web-{number}", "namespace": "shop", "uid": f"uid-{number}", **more.pop("metadata", {})},
        "spec": {"nodeName": "n", "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": port}]}]},
        "status": {**status, **more},
    }


def carried_out(slices: list[dict[str, Any]], decided: Plan) -> list[dict[str, Any]]:
    """What is there after the writes; new slices get names."""
    gone = [one["metadata"]["name"] for one in decided.delete]
    changed = {one["metadata"]["name"]: one for one in decided.update}
    assert not set(gone) & set(changed)
    kept = [changed.get(name, one) for one in slices if (name := one["metadata"]["name"]) not in gone]
    number = max((int(one["metadata"]["name"].rpartition("-")[2]) for one in slices), default=-1) + 1
    for at, one in enumerate(decided.create):
        kept.append({**one, "metadata": {**one["metadata"], "name": f"web-{number + at}"}})
    return kept


def brought(slices: list[dict[str, Any]], pods: list[dict[str, Any]], per_slice: int = 100) -> list[dict[str, Any]]:
    return carried_out(slices, plan(SERVICE, desired(SERVICE, pods, {"n": "z"}), slices, per_slice))


def uids(one: dict[str, Any]) -> list[str]:
    return [endpoint["targetRef"]["uid"] for endpoint in one["endpoints"]]


def test_a_service_without_pods_has_one_empty_slice_and_keeps_it():
    slices = brought([], [])
    assert [(one["endpoints"], one["ports"], one["addressType"]) for one in slices] == [([], [], "IPv4")]
    assert plan(SERVICE, {}, slices) == Plan()


def test_pods_take_the_place_of_the_empty_slice_and_leave_one_behind():
    full = brought(brought([], []), [pod(0)])
    assert [uids(one) for one in full] == [["uid-0"]]
    assert [one["endpoints"] for one in brought(full, [])] == [[]]


def test_a_slice_is_as_recorded():
    (one,) = brought([], [pod(0)])
    metadata = one["metadata"]
    assert metadata["generateName"] == "web-"
    assert metadata["labels"] == {
        "app": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        "kubernetes.io/service-name": "web",
    }
    owner = {"apiVersion": "v1", "kind": "Service", "name": "web", "uid": "service-uid"}
    assert metadata["ownerReferences"] == [{**owner, "controller": True, "blockOwnerDeletion": True}]
    assert one["ports"] == [{"name": "http", "protocol": "TCP", "port": 8080}]
    assert one["endpoints"] == [
        {
            "addresses": ["10.0.0.1"],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "targetRef": {"kind": "Pod", "namespace": "shop", "name": "web-0", "uid": "uid-0"},
            "nodeName": "n",
            "zone": "z",
        }
    ]


def test_only_pods_with_an_address_that_are_not_over_belong():
    assert belongs(pod(0))
    assert not belongs(pod(0, podIP=""))
    assert not belongs(pod(0, phase="Succeeded"))
    assert not belongs(pod(0, phase="Failed"))


def test_a_pod_that_goes_still_serves_and_one_that_is_not_ready_does_not():
    going = pod(0, metadata={"deletionTimestamp": "2026-11-23T00:00:00Z"})
    always = {**SERVICE, "spec": {**SERVICE["spec"], "publishNotReadyAddresses": True}}
    cases = [
        (SERVICE, going, (False, True, True)),
        (SERVICE, pod(0, ready=False), (False, False, False)),
        (always, pod(0, ready=False), (True, False, False)),
        (always, going, (True, True, True)),
    ]
    for service, one, (ready, serving, terminating) in cases:
        conditions = endpoint_of(service, one, "10.0.0.1", "")["conditions"]
        assert conditions == {"ready": ready, "serving": serving, "terminating": terminating}


def test_ports_lead_where_the_service_says():
    spec = {
        "ports": [{"port": 1}, {"name": "a", "port": 2, "targetPort": 3}, {"name": "b", "port": 4, "targetPort": "no"}]
    }
    assert ports_of({"spec": spec}, pod(0)) == (Port("", "TCP", 1), Port("a", "TCP", 3))


def test_pods_whose_named_port_is_another_are_in_a_slice_of_their_own():
    slices = brought([], [pod(0), pod(1, port=9090)])
    assert sorted(one["ports"][0]["port"] for one in slices) == [8080, 9090]
    left = brought(slices, [pod(1, port=9090)])
    assert [one["ports"][0]["port"] for one in left] == [9090]


def test_each_family_has_slices_of_its_own():
    both = {**SERVICE, "spec": {**SERVICE["spec"], "ipFamilies": ["IPv4", "IPv6"]}}
    one = pod(0, podIPs=[{"ip": "10.0.0.1"}, {"ip": "fd00::1"}])
    made = plan(both, desired(both, [one], {}), [])
    assert [(each["addressType"], each["endpoints"][0]["addresses"]) for each in made.create] == [
        ("IPv4", ["10.0.0.1"]),
        ("IPv6", ["fd00::1"]),
    ]


def test_headless_services_say_so_on_their_slices():
    headless = {**SERVICE, "spec": {**SERVICE["spec"], "clusterIP": "None"}}
    assert slice_labels(headless)["service.kubernetes.io/headless"] == ""


def test_another_label_of_the_service_goes_to_all_its_slices():
    slices = brought([], [pod(at) for at in range(3)], per_slice=2)
    other = {**SERVICE, "metadata": {**SERVICE["metadata"], "labels": {"app": "other"}}}
    decided = plan(other, desired(other, [pod(at) for at in range(3)], {"n": "z"}), slices, 2)
    assert len(decided.update) == 2
    assert not (decided.create)
    assert not (decided.delete)
    empty = brought([], [])
    assert [one["metadata"]["labels"]["app"] for one in plan(other, {}, empty).update] == ["other"]


def test_one_pod_more_or_less_changes_one_slice_of_many():
    pods = [pod(at) for at in range(250)]
    slices = brought([], pods)
    assert sorted(len(uids(one)) for one in slices) == [50, 100, 100]
    more = plan(SERVICE, desired(SERVICE, [*pods, pod(250)], {"n": "z"}), slices)
    assert (len(more.create), len(more.update), len(more.delete)) == (0, 1, 0)
    less = plan(SERVICE, desired(SERVICE, pods[1:], {"n": "z"}), slices)
    assert (len(less.create), len(less.update), len(less.delete)) == (0, 1, 0)
    unready = [pod(0, ready=False), *pods[1:]]
    told = plan(SERVICE, desired(SERVICE, unready, {"n": "z"}), slices)
    assert (len(told.create), len(told.update), len(told.delete)) == (0, 1, 0)


def test_new_pods_go_where_the_most_are_already_among_slices_with_room():
    two = [pod(0), pod(1)]
    slices = brought(brought([], two, per_slice=2), [*two, pod(2)], per_slice=2)
    assert [len(uids(one)) for one in slices] == [2, 1]
    wider = plan(SERVICE, desired(SERVICE, [*two, pod(2), pod(3)], {"n": "z"}), slices, 3)
    assert [uids(one) for one in wider.update] == [["uid-0", "uid-1", "uid-3"]]


PODS = st.lists(st.tuples(st.integers(0, 12), st.booleans(), st.sampled_from([8080, 9090])), max_size=12)


@pytest.mark.slow
@settings(max_examples=200)
@given(rounds=st.lists(PODS, min_size=1, max_size=5), per_slice=st.integers(1, 4))
def test_whatever_comes_and_goes_each_pod_is_in_one_slice_and_the_next_look_changes_nothing(rounds, per_slice):
    slices: list[dict[str, Any]] = []
    for drawn in rounds:
        pods = [
            pod(number, ready=ready, port=port) for number, (ready, port) in {one[0]: one[1:] for one in drawn}.items()
        ]
        before = {one["metadata"]["name"]: uids(one) for one in slices}
        slices = brought(slices, pods, per_slice)
        told = [uid for one in slices for uid in uids(one)]
        assert sorted(told) == sorted(one["metadata"]["uid"] for one in pods)
        assert all(len(uids(one)) <= per_slice for one in slices)
        assert all(uids(one) for one in slices) or (len(slices) == 1 and not pods)
        assert len({one["metadata"]["name"] for one in slices}) == len(slices)
        by_uid = {one["metadata"]["uid"]: one for one in pods}
        for one in slices:
            for endpoint in one["endpoints"]:
                of = by_uid[endpoint["targetRef"]["uid"]]
                assert endpoint["conditions"]["ready"] == (of["status"]["conditions"][0]["status"] == "True")
                assert pool_of(one).ports == ports_of(SERVICE, of)
            # Who was in this slice and is still wanted there has not moved.
            for uid in before.get(one["metadata"]["name"], ()):
                stays = uid in by_uid and ports_of(SERVICE, by_uid[uid]) == pool_of(one).ports
                assert not stays or uid in uids(one)
        assert plan(SERVICE, desired(SERVICE, pods, {"n": "z"}), slices, per_slice) == Plan()
