"""Clusters that differ by chance alone are alike; and nothing that matters may differ."""

from __future__ import annotations

import copy
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacher.simulation import canonical_state, state_differences

HASH = "pod-template-hash"


def cluster(chance: Random):
    """A deployment with two sets and three pods, a service with its slice, and a pod of nobody, under names of chance."""

    def uid():
        return f"{chance.getrandbits(64):x}"

    def made(kind, name, owner=None, **members):
        metadata = {"name": name, "namespace": "a", "uid": uid(), **members.pop("metadata", {})}
        if owner:
            metadata["ownerReferences"] = [
                {
                    "kind": owner["kind"],
                    "name": owner["metadata"]["name"],
                    "uid": owner["metadata"]["uid"],
                    "controller": True,
                }
            ]
        return {"kind": kind, "metadata": metadata, **members}

    web = made("Deployment", "web", spec={"replicas": 3}, status={"replicas": 3, "observedGeneration": 2})
    web["metadata"]["generation"] = 2
    web["status"]["conditions"] = [{"type": "Available", "status": "True", "reason": "Enough", "message": uid()}]
    objects = [web]
    for revision, size in ((1, 0), (2, 3)):
        text = uid()
        labels = {HASH: text, "app": "web"}
        annotations = {"deployment.kubernetes.io/revision": str(revision)}
        one = made("ReplicaSet", f"web-{text}", web, spec={"replicas": size})
        one["metadata"] |= {"labels": labels, "annotations": annotations}
        objects.append(one)
        for _ in range(size):
            pod = made("Pod", f"web-{text}-{uid()}", one, spec={"nodeName": uid()}, status={"phase": "Running"})
            pod["metadata"] |= {"generateName": f"web-{text}-", "labels": labels, "creationTimestamp": uid()}
            objects.append(pod)
    service = made("Service", "web")
    piece = made(
        "EndpointSlice", f"web-{uid()}", service, endpoints=[{"addresses": [uid()], "conditions": {"ready": True}}]
    )
    piece["metadata"]["generateName"] = "web-"
    loose = made("Pod", f"web-{uid()}", status={"phase": "Running"})
    loose["metadata"]["generateName"] = "web-"
    objects += [service, piece, loose, made("Event", uid())]
    chance.shuffle(objects)
    return objects


def find(objects, kind, name=None):
    found = sorted((one for one in objects if one["kind"] == kind), key=lambda one: one["metadata"]["name"])
    return next(one for one in found if name is None or one["metadata"]["name"] == name)


@given(st.integers(), st.integers())
def test_two_clusters_that_differ_by_chance_are_alike(one, other):
    theirs, ours = canonical_state(cluster(Random(one))), canonical_state(cluster(Random(other)))
    assert state_differences(theirs, ours) == []
    assert list(theirs) == [
        "Deployment a/web",
        "EndpointSlice a/web/0",
        "Pod a/web/1/0",
        "Pod a/web/1/1",
        "Pod a/web/1/2",
        "Pod a/~/0",
        "ReplicaSet a/web/0",
        "ReplicaSet a/web/1",
        "Service a/web",
    ]


def _orphaned(objects):
    del find(objects, "EndpointSlice")["metadata"]["ownerReferences"]


def _uncontrolled(objects):
    find(objects, "EndpointSlice")["metadata"]["ownerReferences"][0]["controller"] = False


def _held(objects):
    find(objects, "Service")["metadata"]["finalizers"] = ["example.com/x"]


def _going(objects):
    find(objects, "Service")["metadata"]["deletionTimestamp"] = "now"


def _resized(objects):
    find(objects, "Deployment")["status"]["replicas"] = 2


def _unobserved(objects):
    find(objects, "Deployment")["metadata"]["generation"] = 3


def _other_reason(objects):
    find(objects, "Deployment")["status"]["conditions"][0]["reason"] = "Other"


def _other_revision(objects):
    find(objects, "ReplicaSet")["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "3"


def _unlabelled(objects):
    find(objects, "Pod")["metadata"]["labels"] = {}


def _not_ready(objects):
    find(objects, "EndpointSlice")["endpoints"][0]["conditions"]["ready"] = False


def _one_pod_fewer(objects):
    objects.remove(find(objects, "Pod"))


@pytest.mark.parametrize(
    "change",
    [
        _orphaned, _uncontrolled, _held, _going, _resized, _unobserved, _other_reason, _other_revision, _unlabelled, _not_ready,
        _one_pod_fewer,
    ],
)  # fmt: skip
def test_whatever_matters_makes_a_difference(change):
    theirs = cluster(Random(1))
    ours = copy.deepcopy(theirs)
    change(ours)
    differences = state_differences(canonical_state(theirs), canonical_state(ours))
    assert differences
    assert all("a/" in line for line in differences)


def test_owners_in_a_ring_are_named_all_the_same():
    one = {"kind": "A", "metadata": {"name": "a", "uid": "1", "ownerReferences": [{"uid": "2", "kind": "B"}]}}
    other = {"kind": "B", "metadata": {"name": "b", "uid": "2", "ownerReferences": [{"uid": "1", "kind": "A"}]}}
    assert list(canonical_state([one, other])) == ["A a", "B b"]


def test_an_owner_that_is_not_there_is_told():
    one = {"kind": "A", "metadata": {"name": "a", "uid": "1", "ownerReferences": [{"uid": "9", "kind": "B"}]}}
    assert canonical_state([one]) == {"A a": {"owners": ["B that is not there"]}}


def test_objects_can_be_left_out_by_name():
    one = {"kind": "ConfigMap", "metadata": {"name": "a", "uid": "1"}}
    assert canonical_state([one], without=["a"]) == {}
