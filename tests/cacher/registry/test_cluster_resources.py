"""Nodes, volumes, claims, endpoints and their slices: what is filled in, checked and kept."""

from __future__ import annotations

from typing import Any

import pytest

from cacher import RESOURCES
from cacher.registry import APIError
from tests.cacher.registry.world import open_world, registry_of, run

KINDS = {"endpointslices": "discovery.k8s.io/v1"}
CLUSTERED = {"nodes", "persistentvolumes"}


def tell(plural: str, main: Any) -> None:
    async def whole():
        async with open_world() as world:
            version = KINDS.get(plural, "v1")
            await main((await registry_of(world, RESOURCES[version, plural])).resource(version, plural))

    run(whole)


def named(name: str = "a", **members: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, **members}


def volume(**spec: Any) -> dict[str, Any]:
    whole = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/a"}, **spec}
    return named(spec={name: value for name, value in whole.items() if value is not None})


def claim(size: str = "1Gi", **spec: Any) -> dict[str, Any]:
    return named(spec={"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec})


async def refusal(call: Any) -> str:
    with pytest.raises(APIError) as caught:
        await call
    assert caught.value.code == 422
    return caught.value.message


def test_a_node_brings_its_status_and_an_update_does_not_change_it():
    async def main(door):
        made = await door.create(named(spec={"podCIDR": "10.0.0.0/24"}, status={"capacity": {"cpu": "4"}}))
        assert made["spec"]["podCIDRs"] == ["10.0.0.0/24"]
        assert made["status"]["allocatable"] == {"cpu": "4"}
        changed = await door.update({**made, "status": {}, "spec": {**made["spec"], "unschedulable": True}})
        assert changed["status"] == made["status"]
        status = {**changed["status"], "conditions": [{"type": "Ready", "status": "True"}]}
        answer = await door.subresource("status").update({**changed, "spec": {}, "status": status})
        assert (answer["spec"], answer["status"]["conditions"][0]["status"]) == (changed["spec"], "True")

    tell("nodes", main)


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"podCIDR": "10.1.0.0/24", "podCIDRs": ["10.1.0.0/24"]}, 'may not change podCIDR except from "" to valid'),
        ({"providerID": "other"}, 'may not change providerID except from "" to valid'),
        ({"taints": [{"key": "k"}]}, "metadata.taints[0].effect: Required value"),
        ({"taints": [{"key": "k", "effect": "NoSchedule"}] * 2}, "taints must be unique by key and effect pair"),
        ({"taints": [{"key": "k", "effect": "Never"}]}, 'Unsupported value: "Never"'),
    ],
)
def test_what_a_node_is_stays_and_its_taints_are_checked(spec, why):
    async def main(door):
        made = await door.create(named(spec={"podCIDR": "10.0.0.0/24", "providerID": "mine"}))
        assert why in await refusal(door.update({**made, "spec": {**made["spec"], **spec}}))

    tell("nodes", main)


def test_a_volume_is_pending_and_says_where_it_is_once():
    async def main(door):
        made = await door.create({**volume(), "status": {"phase": "Bound"}})
        assert made["status"] == {"phase": "Pending"}
        assert made["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
        moved = {**made, "spec": {**made["spec"], "hostPath": {"path": "/b"}}}
        assert "spec.persistentvolumesource is immutable after creation" in await refusal(door.update(moved))
        answer = await door.subresource("status").update({**moved, "status": {"phase": "Available"}})
        assert (answer["spec"], answer["status"]["phase"]) == (made["spec"], "Available")
        gone, _ = await door.delete("a")
        assert gone["kind"] == "PersistentVolume"

    tell("persistentvolumes", main)


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"capacity": None}, "spec.capacity: Required value"),
        ({"capacity": {"storage": "0"}}, 'spec.capacity[storage]: Invalid value: "0": must be greater than zero'),
        ({"accessModes": []}, "spec.accessModes: Required value"),
        ({"accessModes": ["Sometimes"]}, 'spec.accessModes: Unsupported value: "Sometimes"'),
        (
            {"accessModes": ["ReadWriteOncePod", "ReadWriteOnce"]},
            "may not use ReadWriteOncePod with other access modes",
        ),
        ({"hostPath": None}, "must specify a volume type"),
        ({"nfs": {"path": "/", "server": "s"}}, "spec.nfs: Forbidden: may not specify more than 1 volume type"),
        ({"persistentVolumeReclaimPolicy": "Burn"}, 'Unsupported value: "Burn"'),
    ],
)
def test_what_is_no_volume_is_refused(spec, why):
    async def main(door):
        assert why in await refusal(door.create(volume(**spec)))

    tell("persistentvolumes", main)


def test_a_claim_grows_once_it_is_bound_and_is_the_same_otherwise():
    async def main(door):
        made = await door.create(claim(), "team-a")
        assert (made["spec"]["volumeMode"], made["status"]) == ("Filesystem", {"phase": "Pending"})
        grown = {**made, "spec": {**made["spec"], "resources": {"requests": {"storage": "2Gi"}}}}
        assert "spec is immutable after creation" in await refusal(door.update(grown, "team-a"))
        status = {"phase": "Bound", "capacity": {"storage": "1Gi"}}
        bound = await door.subresource("status").update({**made, "status": status}, "team-a")
        version = bound["metadata"]["resourceVersion"]
        grown["metadata"] = {**grown["metadata"], "resourceVersion": version}
        whole = await door.update(grown, "team-a")
        assert whole["spec"]["resources"]["requests"]["storage"] == "2Gi"
        less = {**whole, "spec": {**whole["spec"], "resources": {"requests": {"storage": "512Mi"}}}}
        assert "field can not be less than status.capacity" in await refusal(door.update(less, "team-a"))

    tell("persistentvolumeclaims", main)


def test_endpoints_are_made_by_an_update_and_have_addresses():
    async def main(door):
        subset = {"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}
        made, is_new = await door.replace(named(subsets=[subset]), "team-a", name="a")
        assert is_new
        assert made["subsets"][0]["ports"] == [{"port": 80, "protocol": "TCP"}]
        for wrong, why in (
            ({}, "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"),
            ({"addresses": [{"ip": "127.0.0.1"}]}, "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
            ({"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 0}]}, "subsets[0].ports[0].port: Invalid value: 0"),
        ):
            assert why in await refusal(door.create(named("b", subsets=[wrong]), "team-a"))

    tell("endpoints", main)


def test_a_slice_counts_generations_of_what_it_says_and_keeps_its_type():
    async def main(door):
        body = named(addressType="IPv4", endpoints=[{"addresses": ["10.0.0.1"]}], ports=[{"port": 80}])
        made = await door.create(body, "team-a")
        assert made["ports"] == [{"port": 80, "name": "", "protocol": "TCP"}]
        assert made["metadata"]["generation"] == 1
        noted = await door.update({**made, "metadata": {**made["metadata"], "annotations": {"a": "1"}}}, "team-a")
        assert noted["metadata"]["generation"] == 1
        labelled = await door.update({**noted, "metadata": {**noted["metadata"], "labels": {"a": "1"}}}, "team-a")
        assert labelled["metadata"]["generation"] == 2
        other = {**labelled, "addressType": "IPv6", "endpoints": [{"addresses": ["2001:db8::1"]}]}
        assert 'addressType: Invalid value: "IPv6": field is immutable' in await refusal(door.update(other, "team-a"))

    tell("endpointslices", main)


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"addressType": ""}, "addressType: Required value"),
        ({"addressType": "DNS"}, 'addressType: Unsupported value: "DNS": supported values: "FQDN", "IPv4", "IPv6"'),
        ({"endpoints": [{"addresses": []}]}, "endpoints[0].addresses: Required value: must contain at least 1 address"),
        ({"endpoints": [{"addresses": ["2001:db8::1"]}]}, "must be a valid IPv4 address"),
        ({"ports": [{"port": 1}, {"port": 2}]}, "ports[1].name: Duplicate value"),
    ],
)
def test_what_is_no_slice_is_refused(members, why):
    async def main(door):
        body = named(**{"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}], **members})
        assert why in await refusal(door.create(body, "team-a"))

    tell("endpointslices", main)
