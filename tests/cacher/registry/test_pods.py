"""Pods: how long they get to go, what may change, which node they get, and when they may be evicted."""

from __future__ import annotations

from typing import Any

import pytest

from cacher import RESOURCES
from cacher.registry import APIError, Registry
from cacher.registry._pod_qos import qos_class
from tests.cacher.registry.world import open_world, registry_of, run

PODS = RESOURCES["v1", "pods"]
BUDGETS = RESOURCES["policy/v1", "poddisruptionbudgets"]
NS = "team-a"


def pod(name: str = "a", meta: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    containers = [{"name": "c", "image": "example.com/app:1"}]
    return {"metadata": {"name": name, **(meta or {})}, "spec": {"containers": containers, **spec}}


def eviction(name: str = "a", **options: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, **({"deleteOptions": options} if options else {})}


async def set_status(registry: Registry, name: str, **status: Any) -> None:
    part = registry.resource("v1", "pods").subresource("status")
    found = await registry.resource("v1", "pods").get(name, NS)
    await part.update({**found, "status": {**found["status"], **status}}, NS, name=name)


async def running(registry: Registry, name: str = "a", *, ready: bool = True, **members: Any) -> dict[str, Any]:
    """A pod on a node, running."""
    await registry.resource("v1", "pods").create(pod(name, nodeName="n", **members), NS)
    conditions = [{"type": "Ready", "status": str(ready)}]
    await set_status(registry, name, phase="Running", conditions=conditions)
    return await registry.resource("v1", "pods").get(name, NS)


async def budget(registry: Registry, name: str = "b", status: dict[str, Any] | None = None, **spec: Any) -> None:
    door = registry.resource("policy/v1", "poddisruptionbudgets")
    made = await door.create(
        {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": {"app": "web"}}, "minAvailable": 1, **spec}},
        NS,
    )
    counts = {"observedGeneration": 1, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1}
    whole = {**made, "status": {"disruptionsAllowed": 0, **counts, **(status or {})}}
    await door.subresource("status").update(whole, NS, name=name)


WEB = {"labels": {"app": "web"}}


def refused(caught: pytest.ExceptionInfo[APIError]) -> tuple[int, str]:
    return caught.value.code, caught.value.message


@pytest.mark.parametrize(
    ("spec", "phase", "asked", "grace"),
    [
        ({"nodeName": "n"}, "Running", None, 30),
        ({"nodeName": "n", "terminationGracePeriodSeconds": 5}, "Running", None, 5),
        ({"nodeName": "n"}, "Running", 7, 7),
        ({"nodeName": "n"}, "Running", 0, None),
        ({}, "Pending", None, None),
        ({"nodeName": "n"}, "Succeeded", None, None),
        ({"nodeName": "n"}, "Failed", 9, None),
        # Below 0 is 1.
        ({"nodeName": "n"}, "Running", -3, 1),
    ],
)
def test_a_pod_gets_time_to_go_while_it_runs_on_a_node(spec, phase, asked, grace):
    async def main():
        async with open_world() as world:
            registry = await registry_of(world, PODS)
            door = registry.resource("v1", "pods")
            await door.create(pod(**spec), NS)
            await set_status(registry, "a", phase=phase)
            answer, is_gone = await door.delete("a", NS, grace_period_s=asked)
            assert answer["kind"] == "Pod"
            assert (is_gone, answer["metadata"].get("deletionGracePeriodSeconds")) == (
                grace is None,
                grace if grace is not None else answer["metadata"].get("deletionGracePeriodSeconds"),
            )
            assert bool((await door.list(NS)).objects) is (grace is not None)

    run(main)


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}}, "Guaranteed"),
        ({"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}, "Burstable"),
        ({"limits": {"example.com/gpu": "1"}}, "BestEffort"),
        ({"limits": {"cpu": "0"}, "requests": {"cpu": "0"}}, "BestEffort"),
    ],
)
def test_the_class_of_a_pod_is_that_of_its_resources(resources, expected):
    assert qos_class({"containers": [{"name": "c", "resources": resources}]}) == expected


def test_a_new_pod_is_pending_and_its_requests_are_its_limits():
    async def main():
        async with open_world() as world:
            door = (await registry_of(world, PODS)).resource("v1", "pods")
            resources = {"limits": {"cpu": "1", "memory": "1Gi"}}
            made = await door.create(
                {
                    **pod(containers=[{"name": "c", "image": "a", "resources": resources}]),
                    "status": {"phase": "Failed"},
                },
                NS,
            )
            assert made["spec"]["containers"][0]["resources"]["requests"] == resources["limits"]
            assert made["status"] == {"phase": "Pending", "qosClass": "Guaranteed"}
            assert made["metadata"]["generation"] == 1

    run(main)


@pytest.mark.parametrize(
    ("change", "is_allowed"),
    [
        ({"containers": [{"name": "c", "image": "example.com/app:2"}]}, True),
        ({"activeDeadlineSeconds": 5}, True),
        ({"tolerations": [{"key": "k", "operator": "Exists"}]}, True),
        ({"nodeName": "other"}, False),
        ({"restartPolicy": "Never"}, False),
        ({"containers": [{"name": "d", "image": "example.com/app:1"}]}, False),
        ({"hostNetwork": True}, False),
    ],
)
def test_of_a_pods_spec_little_may_change(change, is_allowed):
    async def main():
        async with open_world() as world:
            door = (await registry_of(world, PODS)).resource("v1", "pods")
            made = await door.create(pod(nodeName="n"), NS)
            spec = {**made["spec"], **change}
            if is_allowed:
                assert (await door.update({**made, "spec": spec}, NS))["metadata"]["generation"] == 2
                return
            with pytest.raises(APIError) as caught:
                await door.update({**made, "spec": spec}, NS)
            assert caught.value.code == 422
            assert "pod updates may not" in caught.value.message

    run(main)


def test_an_update_of_the_status_leaves_spec_and_class_and_is_no_generation():
    async def main():
        async with open_world() as world:
            registry = await registry_of(world, PODS)
            made = await registry.resource("v1", "pods").create(pod(nodeName="n"), NS)
            status = {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]}
            part = registry.resource("v1", "pods").subresource("status")
            answer = await part.update({**made, "spec": {**made["spec"], "nodeName": "m"}, "status": status}, NS)
            assert (answer["spec"]["nodeName"], answer["status"]["qosClass"]) == ("n", "BestEffort")
            assert answer["metadata"]["generation"] == 1

    run(main)


def test_a_binding_gives_a_pod_its_node_once():
    async def main():
        async with open_world() as world:
            registry = await registry_of(world, PODS)
            door = registry.resource("v1", "pods")
            await door.create(pod(meta={"annotations": {"a": "1", "b": "1"}}), NS)
            bind = door.subresource("binding")
            target = {"target": {"kind": "Node", "name": "n"}}
            body = {"metadata": {"name": "a", "annotations": {"b": "2"}, "labels": {"l": "1"}}, **target}
            assert (await bind.create(body, NS, name="a", dry_run=True))["status"] == "Success"
            assert "nodeName" not in (await door.get("a", NS))["spec"]
            stale = {"metadata": {"name": "a", "resourceVersion": "1"}, **target}
            with pytest.raises(APIError) as caught:
                await bind.create(stale, NS, name="a")
            assert caught.value.code == 409
            assert (await bind.create(body, NS, name="a"))["code"] == 201
            found = await door.get("a", NS)
            assert found["spec"]["nodeName"] == "n"
            assert (found["metadata"]["annotations"], found["metadata"]["labels"]) == ({"a": "1", "b": "2"}, {"l": "1"})
            assert [(one["type"], one["status"]) for one in found["status"]["conditions"]] == [("PodScheduled", "True")]
            with pytest.raises(APIError) as caught:
                await bind.create(body, NS, name="a")
            assert refused(caught) == (
                409,
                'Operation cannot be fulfilled on pods/binding "a": pod a is already assigned to node "n"',
            )
            with pytest.raises(APIError) as caught:
                await bind.create({"metadata": {"name": "a"}, "target": {"kind": "Pod"}}, NS, name="a")
            assert refused(caught) == (
                500,
                '[target.kind: Unsupported value: "Pod": supported values: "Node", "<empty>", '
                "target.name: Required value]",
            )
            with pytest.raises(APIError) as caught:
                await bind.create({"metadata": {"name": "b"}, **target}, NS, name="a")
            assert refused(caught) == (400, "name in URL does not match name in Binding object")

    run(main)


def test_a_pod_that_is_going_or_gated_gets_no_node():
    async def main():
        async with open_world() as world:
            registry = await registry_of(world, PODS)
            door = registry.resource("v1", "pods")
            await door.create(pod("gated", schedulingGates=[{"name": "example.com/g"}]), NS)
            await door.create(pod("going", meta={"finalizers": ["example.com/f"]}), NS)
            await door.delete("going", NS)
            said = {"gated": "pod gated has non-empty .spec.schedulingGates", "going": "pod going is being deleted"}
            for name, why in said.items():
                with pytest.raises(APIError, match=why) as caught:
                    await door.subresource("binding").create(
                        {"metadata": {"name": name}, "target": {"name": "n"}}, NS, name=name
                    )
                assert caught.value.code == 409

    run(main)


def evicted(world_pod: dict[str, Any], told: dict[str, Any] | None, *, ready: bool = True, **spec: Any) -> Any:
    """What the eviction of a running pod comes to: the budget's status after it, or the refusal; and whether the pod stays."""
    found: list[Any] = []

    async def main():
        async with open_world() as world:
            registry = await registry_of(world, PODS, BUDGETS)
            await running(registry, ready=ready, meta=world_pod)
            if told is not None:
                await budget(registry, status=told, **spec)
            door = registry.resource("v1", "pods")
            try:
                found.append(await door.subresource("eviction").create(eviction(), NS, name="a"))
            except APIError as error:
                found.append(error)
            found.append("deletionTimestamp" in (await door.get("a", NS))["metadata"])
            if told is not None:
                found.append((await registry.resource("policy/v1", "poddisruptionbudgets").get("b", NS))["status"])

    run(main)
    return found


def test_an_eviction_without_a_budget_is_a_deletion():
    answer, is_going = evicted(WEB, None)
    assert (answer["status"], answer["code"], is_going) == ("Success", 201, True)


def test_an_eviction_takes_one_of_what_the_budget_allows():
    answer, is_going, status = evicted(WEB, {"disruptionsAllowed": 2})
    assert (answer["status"], is_going) == ("Success", True)
    assert (status["disruptionsAllowed"], list(status["disruptedPods"])) == (1, ["a"])


def test_an_eviction_that_the_budget_does_not_allow_is_refused_with_the_reason():
    error, is_going, status = evicted(WEB, {"disruptionsAllowed": 0})
    assert not is_going
    assert error.status()["code"] == 429
    assert error.status()["message"] == "Cannot evict pod as it would violate the pod's disruption budget."
    assert error.status()["details"]["causes"] == [
        {"reason": "DisruptionBudget", "message": "The disruption budget b needs 1 healthy pods and has 1 currently"}
    ]
    assert "disruptedPods" not in status


def test_a_budget_that_was_not_looked_at_yet_allows_nothing():
    error, is_going, _ = evicted(WEB, {"disruptionsAllowed": 5, "observedGeneration": 0})
    assert (error.code, is_going, error.status()["details"]["retryAfterSeconds"]) == (429, False, 10)
    assert "is still being processed by the server" in error.status()["details"]["causes"][0]["message"]


def test_a_pod_that_is_not_ready_is_evicted_where_its_budget_is_met_or_always_allows_it():
    answer, is_going, status = evicted(WEB, {"currentHealthy": 1, "desiredHealthy": 1}, ready=False)
    assert (answer["status"], is_going) == ("Success", True)
    assert status["disruptionsAllowed"] == 0
    error, is_going, _ = evicted(WEB, {"currentHealthy": 0}, ready=False)
    assert (error.code, is_going) == (429, False)
    answer, is_going, _ = evicted(WEB, {"currentHealthy": 0}, ready=False, unhealthyPodEvictionPolicy="AlwaysAllow")
    assert (answer["status"], is_going) == ("Success", True)


def test_a_budget_of_other_pods_is_not_asked():
    answer, is_going, _ = evicted({"labels": {"app": "db"}}, {"disruptionsAllowed": 0})
    assert (answer["status"], is_going) == ("Success", True)


def test_two_budgets_are_more_than_an_eviction_knows():
    async def main():
        async with open_world() as world:
            registry = await registry_of(world, PODS, BUDGETS)
            await running(registry, meta=WEB)
            await budget(registry, "b", {"disruptionsAllowed": 1})
            await budget(registry, "c", {"disruptionsAllowed": 1})
            answer = await registry.resource("v1", "pods").subresource("eviction").create(eviction(), NS, name="a")
            assert (answer["status"], answer["code"]) == ("Failure", 500)
            assert answer["message"].startswith("This pod has more than one PodDisruptionBudget")

    run(main)


def test_an_eviction_that_is_only_tried_changes_neither_pod_nor_budget():
    async def main():
        async with open_world() as world:
            registry = await registry_of(world, PODS, BUDGETS)
            await running(registry, meta=WEB)
            await budget(registry, status={"disruptionsAllowed": 1})
            before = world.etcd.revision
            door = registry.resource("v1", "pods").subresource("eviction")
            assert (await door.create(eviction(), NS, name="a", dry_run=True))["status"] == "Success"
            assert (await door.create(eviction(dryRun=["All"]), NS, name="a"))["status"] == "Success"
            assert world.etcd.revision == before

    run(main)


def test_a_pod_that_waits_is_evicted_whatever_its_budget_says_and_an_eviction_of_another_is_refused():
    async def main():
        async with open_world() as world:
            registry = await registry_of(world, PODS, BUDGETS)
            door = registry.resource("v1", "pods")
            await door.create(pod(meta=WEB), NS)
            await budget(registry, status={"disruptionsAllowed": 0})
            with pytest.raises(APIError) as caught:
                await door.subresource("eviction").create(eviction("b"), NS, name="a")
            assert refused(caught) == (400, "name in URL does not match name in Eviction object")
            with pytest.raises(APIError) as caught:
                other = eviction(preconditions={"uid": "other"})
                await door.subresource("eviction").create(other, NS, name="a")
            assert caught.value.code == 409
            await door.subresource("eviction").create(eviction(), NS, name="a")
            assert not (await door.list(NS)).objects
            with pytest.raises(APIError) as caught:
                await door.subresource("eviction").create(eviction(), NS, name="a")
            assert caught.value.code == 404

    run(main)
