"""Rows of tables: what kubectl shows of each kind of object, and that an empty object has a row too."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacher import RESOURCES
from cacher.registry._printers_workloads import SCALE
from cacher.registry._table import PRINTERS

NOW_S = 1_700_000_000.0
AGO = "2023-11-14T22:11:15Z"
"""125 s before."""


def cells(version: str, plural: str, **obj: Any) -> list[Any]:
    metadata = {"name": "a", "creationTimestamp": AGO, **obj.pop("metadata", {})}
    found: list[Any] = PRINTERS[(version, plural)].cells({"metadata": metadata, **obj}, NOW_S)
    return found


def test_every_printer_is_of_a_resource_that_there_is():
    assert [known for known in PRINTERS if known not in RESOURCES] == []


MESS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["spec", "status", "conditions", "type", "containers", "ports", "name"]), inner
        )
    ),
    max_leaves=10,
)


@pytest.mark.parametrize("known", PRINTERS, ids="/".join)
def test_an_empty_object_has_a_row_with_a_cell_a_column(known):
    printer = PRINTERS[known]
    for obj in ({}, {"metadata": {"resourceVersion": "7"}}):
        table = printer.table([obj], NOW_S)
        # An IPAddress has an age that no column names: as it is in Kubernetes.
        assert len(table["rows"][0]["cells"]) == len(printer.columns) + (known[1] == "ipaddresses")
    assert {column["priority"] for column in printer.columns} <= {0, 1}


@pytest.mark.parametrize("known", PRINTERS, ids="/".join)
def test_an_age_is_told_in_every_table_but_of_an_event(known):
    row = PRINTERS[known].cells({"metadata": {"name": "a", "creationTimestamp": AGO}}, NOW_S)
    assert "2m5s" in row or known == ("v1", "events")
    assert "a" in row


def running(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "ready": True, "restartCount": 0, "state": {"running": {}}, **more}


def ended(code: int = 0, **more: Any) -> dict[str, Any]:
    return {"name": "c", "restartCount": 0, "state": {"terminated": {"exitCode": code, **more}}}


def waiting(reason: str) -> dict[str, Any]:
    return {"name": "c", "restartCount": 0, "state": {"waiting": {"reason": reason}}}


ONE = {"containers": [{"name": "c"}]}
TWO = {"containers": [{"name": "c"}, {"name": "d"}]}
INIT = {"containers": [{"name": "c"}], "initContainers": [{"name": "i"}, {"name": "j"}]}
SIDECAR = {"containers": [{"name": "c"}], "initContainers": [{"name": "s", "restartPolicy": "Always"}]}
RESTARTED = running("c", restartCount=3, lastState={"terminated": {"finishedAt": AGO}})
READY = [{"type": "Ready", "status": "True"}]


@pytest.mark.parametrize(
    ("spec", "status", "shown"),
    [
        (ONE, {"phase": "Pending"}, ["0/1", "Pending", "0"]),
        (ONE, {"phase": "Running", "containerStatuses": [running("c")]}, ["1/1", "Running", "0"]),
        (ONE, {"phase": "Running", "containerStatuses": [RESTARTED]}, ["1/1", "Running", "3 (2m5s ago)"]),
        (
            ONE,
            {"phase": "Running", "containerStatuses": [waiting("CrashLoopBackOff")]},
            ["0/1", "CrashLoopBackOff", "0"],
        ),
        (ONE, {"phase": "Failed", "containerStatuses": [ended(1)]}, ["0/1", "ExitCode:1", "0"]),
        (ONE, {"phase": "Failed", "containerStatuses": [ended(1, signal=9)]}, ["0/1", "Signal:9", "0"]),
        (ONE, {"phase": "Failed", "containerStatuses": [ended(1, reason="Error")]}, ["0/1", "Error", "0"]),
        (ONE, {"phase": "Failed", "reason": "Evicted"}, ["0/1", "Evicted", "0"]),
        (
            TWO,
            {"phase": "Running", "containerStatuses": [ended(reason="Completed"), running("d")], "conditions": READY},
            ["1/2", "Running", "0"],
        ),
        (
            TWO,
            {"phase": "Running", "containerStatuses": [ended(reason="Completed"), running("d")]},
            ["1/2", "NotReady", "0"],
        ),
        (INIT, {"phase": "Pending", "initContainerStatuses": [running("i")]}, ["0/1", "Init:0/2", "0"]),
        (
            INIT,
            {"phase": "Pending", "initContainerStatuses": [ended(), waiting("PodInitializing")]},
            ["0/1", "Init:1/2", "0"],
        ),
        (
            INIT,
            {"phase": "Pending", "initContainerStatuses": [waiting("ErrImagePull")]},
            ["0/1", "Init:ErrImagePull", "0"],
        ),
        (INIT, {"phase": "Pending", "initContainerStatuses": [ended(2)]}, ["0/1", "Init:ExitCode:2", "0"]),
        (
            SIDECAR,
            {
                "phase": "Running",
                "initContainerStatuses": [running("s", started=True)],
                "containerStatuses": [running("c")],
            },
            ["2/2", "Running", "0"],
        ),
        (ONE, {"conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]}, ["0/1", "SchedulingGated", "0"]),
    ],
)
def test_a_pod_is_shown_in_its_state(spec, status, shown):
    assert cells("v1", "pods", spec=spec, status=status)[1:4] == shown


def test_a_pod_that_is_going_is_terminating_unless_its_node_is_lost_or_it_has_ended():
    going = {"deletionTimestamp": AGO}
    assert cells("v1", "pods", metadata=going, status={"phase": "Running"})[2] == "Terminating"
    assert cells("v1", "pods", metadata=going, status={"phase": "Running", "reason": "NodeLost"})[2] == "Unknown"
    assert cells("v1", "pods", metadata=going, status={"phase": "Succeeded"})[2] == "Succeeded"


def test_a_pod_that_has_ended_says_so_beside_its_row():
    table = PRINTERS[("v1", "pods")].table([{"status": {"phase": "Failed"}}, {"status": {"phase": "Running"}}], NOW_S)
    assert table["rows"][0]["conditions"][0]["type"] == "Completed"
    assert "conditions" not in table["rows"][1]


@pytest.mark.parametrize(
    ("spec", "status", "shown"),
    [
        ({"type": "ClusterIP", "clusterIPs": ["10.0.0.1"]}, {}, ["ClusterIP", "10.0.0.1", "<none>", "<none>"]),
        (
            {
                "type": "NodePort",
                "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}],
                "externalIPs": ["1.2.3.4"],
            },
            {},
            ["NodePort", "<none>", "1.2.3.4", "80:30080/TCP"],
        ),
        ({"type": "LoadBalancer"}, {}, ["LoadBalancer", "<none>", "<pending>", "<none>"]),
        (
            {"type": "LoadBalancer"},
            {"loadBalancer": {"ingress": [{"hostname": "h"}, {"ip": "1.1.1.1"}]}},
            ["LoadBalancer", "<none>", "1.1.1.1,h", "<none>"],
        ),
        (
            {"type": "ExternalName", "externalName": "example.com"},
            {},
            ["ExternalName", "<none>", "example.com", "<none>"],
        ),
    ],
)
def test_a_service_is_shown_with_its_addresses_and_ports(spec, status, shown):
    assert cells("v1", "services", spec=spec, status=status)[1:5] == shown


@pytest.mark.parametrize(
    ("version", "plural", "obj", "shown"),
    [
        (
            "apps/v1",
            "replicasets",
            {"spec": {"replicas": 3}, "status": {"replicas": 2, "readyReplicas": 1}},
            ["a", 3, 2, 1, "2m5s"],
        ),
        ("apps/v1", "statefulsets", {"spec": {"replicas": 3}, "status": {"readyReplicas": 1}}, ["a", "1/3", "2m5s"]),
        (
            "apps/v1",
            "daemonsets",
            {"status": {"desiredNumberScheduled": 2, "numberReady": 1}},
            ["a", 2, 0, 1, 0, 0, "<none>"],
        ),
        (
            "batch/v1",
            "jobs",
            {"spec": {"completions": 2}, "status": {"succeeded": 1, "startTime": AGO}},
            ["a", "Running", "1/2", "2m5s"],
        ),
        ("batch/v1", "jobs", {"spec": {"parallelism": 3}}, ["a", "Running", "0/1 of 3", ""]),
        (
            "batch/v1",
            "jobs",
            {"status": {"conditions": [{"type": "Complete", "status": "True"}]}},
            ["a", "Complete", "0/1", ""],
        ),
        (
            "batch/v1",
            "cronjobs",
            {"spec": {"schedule": "* * * * *", "suspend": False}, "status": {"active": [{}], "lastScheduleTime": AGO}},
            ["a", "* * * * *", "<none>", "False", 1, "2m5s", "2m5s"],
        ),
        (
            "v1",
            "nodes",
            {"metadata": {"labels": {"node-role.kubernetes.io/worker": ""}}, "spec": {"unschedulable": True}},
            ["a", "Unknown,SchedulingDisabled", "worker"],
        ),
        (
            "v1",
            "endpoints",
            {"subsets": [{"addresses": [{"ip": "::1"}, {"ip": "b"}], "ports": [{"port": 1}, {"port": 2}]}]},
            ["a", "[::1]:1,b:1,[::1]:2 + 1 more..."],
        ),
        ("v1", "endpoints", {}, ["a", "<none>"]),
        (
            "discovery.k8s.io/v1",
            "endpointslices",
            {"addressType": "IPv4", "endpoints": [{"addresses": ["x"]}]},
            ["a", "IPv4", "<unset>", "x"],
        ),
        (
            "networking.k8s.io/v1",
            "ingresses",
            {"spec": {"rules": [{"host": "h"}], "tls": [{}]}},
            ["a", "<none>", "h", "", "80, 443"],
        ),
        (
            "networking.k8s.io/v1",
            "ipaddresses",
            {"spec": {"parentRef": {"resource": "services", "namespace": "n", "name": "s"}}},
            ["a", "services/n/s"],
        ),
        (
            "v1",
            "persistentvolumeclaims",
            {
                "spec": {"volumeName": "v"},
                "status": {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}},
            },
            ["a", "Bound", "v", "1Gi", "RWO"],
        ),
        (
            "v1",
            "persistentvolumes",
            {"spec": {"capacity": {"storage": "1Gi"}, "claimRef": {"namespace": "n", "name": "c"}}},
            ["a", "1Gi", "", "", "", "n/c"],
        ),
        (
            "v1",
            "resourcequotas",
            {"status": {"hard": {"pods": "4", "limits.cpu": "2"}, "used": {"pods": "1"}}},
            ["a", "pods: 1/4", "limits.cpu: 0/2"],
        ),
        ("policy/v1", "poddisruptionbudgets", {"spec": {"minAvailable": "50%"}}, ["a", "50%", "N/A", 0]),
        ("coordination.k8s.io/v1", "leases", {"spec": {"holderIdentity": "me"}}, ["a", "me"]),
        ("v1", "configmaps", {"data": {"k": ""}, "binaryData": {"b": ""}}, ["a", 2]),
        (
            "apps/v1",
            "controllerrevisions",
            {
                "metadata": {
                    "ownerReferences": [{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "controller": True}]
                },
                "revision": 4,
            },
            ["a", "daemonset.apps/d", 4],
        ),
    ],
)
def test_other_objects_are_shown_by_what_matters_of_them(version, plural, obj, shown):
    assert cells(version, plural, **obj)[: len(shown)] == shown


def test_an_event_is_shown_by_when_and_what_and_how_often():
    obj = {"type": "Normal", "reason": "Killing", "message": " stop ", "count": 3, "lastTimestamp": AGO,
           "involvedObject": {"kind": "Pod", "name": "p"}, "source": {"component": "kubelet", "host": "n"}}  # fmt: skip
    assert cells("v1", "events", **obj) == [
        *("2m5s", "Normal", "Killing", "pod/p", "", "kubelet, n", "stop", "<unknown>", 3, "a"),
    ]


def test_a_scale_is_shown_by_its_two_numbers():
    table = SCALE.table([{"metadata": {"name": "a"}, "spec": {"replicas": 2}, "status": {"replicas": 1}}], NOW_S)
    assert table["rows"][0]["cells"] == ["a", 2, 1, "<unknown>"]


@given(st.dictionaries(st.sampled_from(["spec", "status", "data", "subsets", "endpoints", "ports", "secrets"]), MESS))
def test_no_object_however_odd_keeps_a_table_from_being_made(obj):
    for printer in PRINTERS.values():
        printer.table([obj], NOW_S)


@pytest.mark.parametrize("odd", [5, True, "x", [1], [[1]], {"a": 1}, [{"ports": 5}], {"conditions": [5]}], ids=str)
@pytest.mark.parametrize(
    "member", ["data", "spec", "status", "subsets", "endpoints", "ports", "selector", "cidrs", "externalIPs"]
)
def test_a_member_of_another_type_counts_as_none(member, odd):
    for printer in PRINTERS.values():
        printer.table([{member: odd}, {"spec": {member: odd, "type": "ClusterIP"}}, {"status": {member: odd}}], NOW_S)
