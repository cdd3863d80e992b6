"""Services: what addresses and ports they are given, keep, and give back."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from cacher import RESOURCES
from cacher.registry import APIError
from tests.cacher.registry.world import World, open_world, registry_of, run

SERVICES = RESOURCES["v1", "services"]
NS = "team-a"


def service(name: str = "a", *ports: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"ports": list(ports) or [{"port": 80}], **spec}}


async def doors(world: World, **options: Any) -> Any:
    return (await registry_of(world, SERVICES, **options)).resource("v1", "services")


def tell(main: Any, **options: Any) -> None:
    async def whole():
        async with open_world() as world:
            await main(world, await doors(world, **options))

    run(whole)


async def refusal(call: Any) -> tuple[int, str]:
    with pytest.raises(APIError) as caught:
        await call
    return caught.value.code, caught.value.message


def test_a_service_gets_an_address_of_the_range_and_keeps_it():
    async def main(world, door):
        made = await door.create(service(), NS)
        spec = made["spec"]
        assert ipaddress.ip_address(spec["clusterIP"]) in ipaddress.ip_network("10.96.0.0/12")
        assert (spec["clusterIPs"], spec["type"]) == ([spec["clusterIP"]], "ClusterIP")
        assert (spec["ipFamilies"], spec["ipFamilyPolicy"], spec["sessionAffinity"]) == (
            ["IPv4"],
            "SingleStack",
            "None",
        )
        # An update that leaves it out keeps it.
        bare = {**made, "spec": {"ports": [{"port": 81}]}}
        made = await door.update(bare, NS)
        assert made["spec"]["clusterIPs"] == spec["clusterIPs"]
        other = {**made["spec"], "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"]}
        code, message = await refusal(door.update({**made, "spec": other}, NS))
        assert code == 422
        assert 'spec.clusterIPs[0]: Invalid value: ["10.96.0.9"]: may not change once set' in message

    tell(main)


def test_no_two_services_have_one_address_and_a_deletion_gives_it_back():
    async def main(world, door):
        # Two of /30 can be had: its first and its last are nobody's.
        made = [await door.create(service(name), NS) for name in ("a", "b")]
        assert {one["spec"]["clusterIP"] for one in made} == {"10.0.0.1", "10.0.0.2"}
        code, message = await refusal(door.create(service("c"), NS))
        assert code == 500
        assert message == "Internal error occurred: failed to allocate a serviceIP: range is full"
        await door.delete("a", NS)
        assert (await door.create(service("c"), NS))["spec"]["clusterIP"] == made[0]["spec"]["clusterIP"]

    tell(main, cluster_cidr="10.0.0.0/30")


def test_an_address_that_is_asked_for_is_had_once_and_only_of_the_range():
    async def main(world, door):
        assert (await door.create(service(clusterIP="10.96.0.7"), NS))["spec"]["clusterIP"] == "10.96.0.7"
        for address, why in (
            ("10.96.0.7", "provided IP is already allocated"),
            ("192.168.0.1", "the provided network does not match the current range"),
        ):
            code, message = await refusal(door.create(service("b", clusterIP=address), NS))
            assert code == 422
            assert why in message

    tell(main)


def test_a_create_that_fails_takes_nothing():
    async def main(world, door):
        await door.create(service(), NS)
        for _ in range(3):
            assert (await refusal(door.create(service(), NS)))[0] == 409
            await door.create(service("b"), NS, dry_run=True)
        assert (await door.create(service("b"), NS))["spec"]["clusterIP"]

    tell(main, cluster_cidr="10.0.0.0/30")


def test_a_headless_service_has_no_address_and_never_gets_one():
    async def main(world, door):
        made = await door.create(service(clusterIP="None", selector={"app": "web"}), NS)
        assert (made["spec"]["clusterIP"], made["spec"]["clusterIPs"]) == ("None", ["None"])
        changed = {**made["spec"], "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"]}
        code, message = await refusal(door.update({**made, "spec": changed}, NS))
        assert code == 422
        assert "may not change once set" in message

    tell(main)


def test_node_ports_are_given_kept_and_given_back():
    async def main(world, door):
        made = await door.create(service("a", {"port": 80}, type="NodePort"), NS)
        (port,) = made["spec"]["ports"]
        assert (port["nodePort"], port["targetPort"], port["protocol"]) == (30000, 80, "TCP")
        assert made["spec"]["externalTrafficPolicy"] == "Cluster"
        bare = service("a", {"port": 80}, type="NodePort")
        kept = await door.update({**bare, "metadata": made["metadata"]}, NS)
        assert kept["spec"]["ports"][0]["nodePort"] == 30000
        code, message = await refusal(door.create(service("b", {"port": 80, "nodePort": 30000}, type="NodePort"), NS))
        assert code == 422
        assert "spec.ports[0].nodePort: Invalid value: 30000: provided port is already allocated" in message
        code, message = await refusal(door.create(service("b", {"port": 80, "nodePort": 99}, type="NodePort"), NS))
        assert "The range of valid ports is 30000-30000" in message
        # Of another type it has none any more, and another may have it.
        plain = await door.update({**kept, "spec": {**kept["spec"], "type": "ClusterIP"}}, NS)
        assert "nodePort" not in plain["spec"]["ports"][0]
        assert (await door.create(service("b", type="NodePort"), NS))["spec"]["ports"][0]["nodePort"] == 30000

    tell(main, node_ports=range(30000, 30001))


def test_an_external_name_gives_its_address_back():
    async def main(world, door):
        made = await door.create(service(), NS)
        await door.create(service("b"), NS)
        spec = {"type": "ExternalName", "externalName": "example.com"}
        changed = await door.update({**made, "spec": {**made["spec"], **spec}}, NS)
        assert "clusterIP" not in changed["spec"]
        assert (await door.create(service("c"), NS))["spec"]["clusterIP"] == made["spec"]["clusterIP"]

    tell(main, cluster_cidr="10.0.0.0/30")


def test_what_services_have_is_known_to_the_next_registry():
    async def main():
        async with open_world() as world:
            first = await doors(world, cluster_cidr="10.0.0.0/30")
            made = await first.create(service(), NS)
            second = await doors(world, cluster_cidr="10.0.0.0/30")
            assert (await second.create(service("b"), NS))["spec"]["clusterIP"] != made["spec"]["clusterIP"]
            assert (await refusal(second.create(service("c"), NS)))[0] == 500

    run(main)


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"ports": []}, "spec.ports: Required value"),
        ({"type": "Other"}, 'spec.type: Unsupported value: "Other"'),
        ({"ports": [{"port": 0}]}, "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"),
        ({"ports": [{"port": 1}, {"port": 2}]}, "spec.ports[0].name: Required value"),
        ({"clusterIP": "junk"}, "spec.clusterIPs[0]: Invalid value"),
        ({"sessionAffinity": "Sometimes"}, 'spec.sessionAffinity: Unsupported value: "Sometimes"'),
        ({"type": "ExternalName"}, "spec.externalName: Required value"),
        ({"type": "LoadBalancer", "clusterIP": "None"}, "may not be set to 'None' for LoadBalancer services"),
    ],
)
def test_what_is_no_service_is_refused(spec, why):
    async def main(world, door):
        code, message = await refusal(door.create(service(**{"ports": [{"port": 80}], **spec}), NS))
        assert code == 422
        assert why in message

    tell(main)


def test_a_status_is_written_by_itself():
    async def main(world, door):
        made = await door.create({**service(type="LoadBalancer"), "status": {"loadBalancer": {"ingress": []}}}, NS)
        assert made["status"] == {"loadBalancer": {}}
        ingress = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
        answer = await door.subresource("status").update(
            {**made, "spec": {"ports": [], "type": "LoadBalancer"}, "status": ingress}, NS
        )
        assert answer["spec"] == made["spec"]
        assert answer["status"]["loadBalancer"]["ingress"] == [{"ip": "192.0.2.1", "ipMode": "VIP"}]
        # And a plain update leaves it.
        assert (await door.update({**answer, "status": {}}, NS))["status"] == answer["status"]

    tell(main)
