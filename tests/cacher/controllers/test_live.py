"""A cluster that lives, from the outside: what is written, and what comes of it."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from cacher.controllers import EvictionRates, KubeletOptions, NamespaceOptions, NodeLifecycleOptions
from tests.cacher.controllers.live import Live, live


def condition(obj: Any, kind: str) -> Any:
    return next((one for one in obj["status"].get("conditions") or () if one["type"] == kind), {})


async def is_ready(world: Live, name: str, namespace: str = "default") -> bool:
    pod = await world.get("pods", name, namespace)
    return pod is not None and condition(pod, "Ready").get("status") == "True"


def owner_of(obj: Any, *, blocks: bool | None = True) -> dict[str, Any]:
    metadata = obj["metadata"]
    owner = {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "name": metadata["name"], "uid": metadata["uid"]}
    return owner if blocks is None else {**owner, "blockOwnerDeletion": blocks}


async def tree(world: Live, name: str, children: int = 2, grandchildren: int = 2) -> None:
    """Config maps that own each other, as in the recording of finalizers and garbage collection."""
    root = await world.create("configmaps", name)
    for at in range(children):
        child = await world.create("configmaps", f"{name}-{at}", metadata={"ownerReferences": [owner_of(root)]})
        for below in range(grandchildren):
            await world.create("configmaps", f"{name}-{at}-{below}", metadata={"ownerReferences": [owner_of(child)]})


async def deletions(world: Live, plural: str, namespace: str, stop: trio.Event, task_status: Any) -> list[str]:
    """The names of what goes, in order, until `stop`."""
    gone: list[str] = []
    async with world[plural].watch(namespace=namespace, resource_version=None, send_initial_events=False) as watch:
        task_status.started(gone)
        async for event in watch:
            if event.type == "DELETED":
                gone.append(event.object.name)
    return gone


# ---- pods ----------------------------------------------------------------------------------------------------------------


def test_a_bare_pod_is_scheduled_runs_and_is_ready_as_a_real_one(run_trio):
    async def main() -> None:
        async with live() as world:
            await world.pod("web", labels={"app": "web"})
            await world.until(lambda: is_ready(world, "web"), within_s=10)
            pod = await world.get("pods", "web")
            assert pod is not None
            status = pod["status"]
            kinds = [one["type"] for one in status["conditions"]]
            assert kinds == ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"]
            assert all(one["status"] == "True" for one in status["conditions"])
            assert status["phase"] == "Running"
            assert status["podIPs"] == [{"ip": status["podIP"]}]
            assert status["hostIPs"] == [{"ip": status["hostIP"]}]
            assert status["containerStatuses"][0]["ready"]
            managers = {(one["manager"], one.get("subresource", "")) for one in pod["metadata"]["managedFields"]}
            assert managers == {("kubectl", ""), ("kubelet", "status")}
            assert await world["pods"].delete("web", "default") is False  # it is given time
            await world.until(lambda: is_gone(world, "pods", "web"), within_s=10)

    run_trio(main)


async def is_gone(world: Live, plural: str, name: str, namespace: str | None = "default") -> bool:
    return await world.get(plural, name, namespace) is None


def test_a_pod_that_fits_nowhere_says_so_and_is_scheduled_once_there_is_room(run_trio):
    async def main() -> None:
        async with live(kubelets=KubeletOptions(nodes=1)) as world:
            large = {"resources": {"requests": {"cpu": "6"}}}
            await world.pod("first", containers=[{"name": "main", "image": "app", **large}])
            await world.until(lambda: is_ready(world, "first"))
            await world.pod("second", containers=[{"name": "main", "image": "app", **large}])
            await trio.sleep(5)
            waiting = await world.get("pods", "second")
            assert condition(waiting, "PodScheduled")["reason"] == "Unschedulable"
            assert condition(waiting, "PodScheduled")["message"] == "0/1 nodes are available: 1 Insufficient cpu."
            await world["pods"].delete("first", "default")
            await world.until(lambda: is_ready(world, "second"))

    run_trio(main)


@pytest.mark.parametrize(("exit_code", "phase"), [("0", "Succeeded"), ("3", "Failed")])
def test_a_pod_that_is_to_end_ends_as_its_annotations_say(run_trio, exit_code, phase):
    async def main() -> None:
        async with live() as world:
            annotations = {"simulated-kubelet/run-seconds": "5", "simulated-kubelet/exit-code": exit_code}
            await world.pod("work", annotations=annotations, restartPolicy="Never")
            await world.until(lambda: is_ready(world, "work"))
            await trio.sleep(6)
            pod = await world.get("pods", "work")
            assert pod is not None
            assert pod["status"]["phase"] == phase
            assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == int(exit_code)

    run_trio(main)


def test_a_container_that_ends_again_and_again_is_started_again_ever_later(run_trio):
    async def main() -> None:
        async with live() as world:
            annotations = {"simulated-kubelet/run-seconds": "1", "simulated-kubelet/exit-code": "1"}
            await world.pod("crash", annotations=annotations)
            seen: list[int] = []
            for _ in range(60):
                await trio.sleep(1)
                pod = await world.get("pods", "crash")
                assert pod is not None
                seen.append((pod["status"].get("containerStatuses") or [{}])[0].get("restartCount", 0))
            assert seen[8] == 1  # at once
            assert seen[20] == 2  # after ten seconds
            assert seen[-1] == 3  # after twenty
            status = (await pod_of(world, "crash"))["status"]
            assert status["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 1
            assert status["phase"] == "Running"

    run_trio(main)


def test_an_image_that_cannot_be_had_keeps_a_pod_pending(run_trio):
    async def main() -> None:
        async with live(kubelets=KubeletOptions(missing_images=("*:bad",))) as world:
            await world.pod("bad", containers=[{"name": "main", "image": "app:bad"}])
            await trio.sleep(10)
            pod = await world.get("pods", "bad")
            assert pod is not None
            assert pod["status"]["phase"] == "Pending"
            assert pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "ErrImagePull"

    run_trio(main)


# ---- owners --------------------------------------------------------------------------------------------------------------


def test_what_an_object_owned_goes_after_it_in_the_background(run_trio):
    async def main() -> None:
        async with live(kubelets=None) as world, trio.open_nursery() as nursery:
            await tree(world, "t")
            gone = await nursery.start(deletions, world, "configmaps", "default", trio.Event())
            assert await world["configmaps"].delete("t", "default", propagation_policy="Background")
            await world.until(lambda: _has(gone, 7))
            assert gone[0] == "t"
            _parents_first(gone)
            nursery.cancel_scope.cancel()

    run_trio(main)


def _parents_first(gone: list[str]) -> None:
    for at in range(2):
        assert all(gone.index(f"t-{at}") < gone.index(f"t-{at}-{below}") for below in range(2)), gone


async def _has(names: list[str], count: int) -> bool:
    return len(names) == count


def test_in_the_foreground_what_an_object_owns_goes_before_it(run_trio):
    async def main() -> None:
        async with live(kubelets=None) as world, trio.open_nursery() as nursery:
            await tree(world, "t")
            gone = await nursery.start(deletions, world, "configmaps", "default", trio.Event())
            assert not await world["configmaps"].delete("t", "default", propagation_policy="Foreground")
            await world.until(lambda: _has(gone, 7))
            assert gone[-1] == "t"
            for at in range(2):
                assert all(gone.index(f"t-{at}") > gone.index(f"t-{at}-{below}") for below in range(2)), gone
            nursery.cancel_scope.cancel()

    run_trio(main)


def test_in_the_foreground_an_owner_waits_for_what_finalizers_hold(run_trio):
    async def main() -> None:
        async with live(kubelets=None) as world:
            root = await world.create("configmaps", "t")
            held = {"ownerReferences": [owner_of(root)], "finalizers": ["example.com/slow"]}
            await world.create("configmaps", "t-held", metadata=held)
            await world.create("configmaps", "t-free", metadata={"ownerReferences": [owner_of(root)]})
            lax = {"ownerReferences": [owner_of(root, blocks=False)], "finalizers": ["example.com/slow"]}
            await world.create("configmaps", "t-lax", metadata=lax)
            await world["configmaps"].delete("t", "default", propagation_policy="Foreground")
            await trio.sleep(20)
            assert await world.names("configmaps") == ["kube-root-ca.crt", "t", "t-held", "t-lax"]
            await world["configmaps"].patch("t-held", {"metadata": {"finalizers": None}}, "default")
            await trio.sleep(1)
            assert await world.names("configmaps") == ["kube-root-ca.crt", "t-lax"]

    run_trio(main)


def test_orphans_stay_and_name_their_owner_no_longer(run_trio):
    async def main() -> None:
        async with live(kubelets=None) as world:
            await tree(world, "t")
            await world["configmaps"].delete("t", "default", propagation_policy="Orphan")
            await trio.sleep(5)
            assert len(await world.names("configmaps")) == 7  # the certificates among them
            for at in range(2):
                child = await world.get("configmaps", f"t-{at}")
                assert child is not None
                assert "ownerReferences" not in child["metadata"]
                below = await world.get("configmaps", f"t-{at}-0")
                assert below is not None
                assert len(below["metadata"]["ownerReferences"]) == 1

    run_trio(main)


def test_of_two_owners_the_one_that_goes_is_named_no_longer_and_the_last_takes_it_along(run_trio):
    async def main() -> None:
        async with live(kubelets=None) as world:
            a, b = await world.create("configmaps", "a"), await world.create("configmaps", "b")
            owners = [owner_of(a, blocks=None), owner_of(b, blocks=None)]
            await world.create("configmaps", "shared", metadata={"ownerReferences": owners})
            await world["configmaps"].delete("a", "default")
            await trio.sleep(2)
            shared = await world.get("configmaps", "shared")
            assert shared is not None
            assert [one["name"] for one in shared["metadata"]["ownerReferences"]] == ["b"]
            await world["configmaps"].delete("b", "default")
            await world.until(lambda: is_gone(world, "configmaps", "shared"))

    run_trio(main)


def test_an_owner_that_never_was_and_one_that_is_another_by_now_are_no_owners(run_trio):
    async def main() -> None:
        async with live(kubelets=None) as world:
            never = {"apiVersion": "v1", "kind": "ConfigMap", "name": "never", "uid": "no-such-uid"}
            await world.create("configmaps", "lost", metadata={"ownerReferences": [never]})
            await world.until(lambda: is_gone(world, "configmaps", "lost"))
            old = await world.create("configmaps", "again")
            await world["configmaps"].delete("again", "default")
            new = await world.create("configmaps", "again")
            for name, owner in (("old", old), ("new", new)):
                await world.create("configmaps", name, metadata={"ownerReferences": [owner_of(owner)]})
            await world.until(lambda: is_gone(world, "configmaps", "old"))
            await trio.sleep(5)
            assert await world.get("configmaps", "new") is not None

    run_trio(main)


def test_what_an_unknown_kind_owns_is_left_alone(run_trio):
    async def main() -> None:
        async with live(kubelets=None) as world:
            unknown = {"apiVersion": "example.com/v1", "kind": "Widget", "name": "w", "uid": "some-uid"}
            await world.create("configmaps", "kept", metadata={"ownerReferences": [unknown]})
            await trio.sleep(60)
            assert await world.get("configmaps", "kept") is not None

    run_trio(main)


# ---- namespaces ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_namespace_with_contents_really_goes_away_and_can_be_made_again(run_trio):
    async def main() -> None:
        async with live() as world:
            await world.create("namespaces", "team", None)
            await world.until(lambda: world.get("serviceaccounts", "default", "team"))
            await world.pod("web", "team", terminationGracePeriodSeconds=5)
            await world.create("configmaps", "c", "team")
            await world.until(lambda: is_ready(world, "web", "team"))
            await world["namespaces"].delete("team")
            await trio.sleep(5.1)
            assert await world.names("configmaps", "team") == ["c", "kube-root-ca.crt"]  # pods go first
            await world.until(lambda: is_gone(world, "namespaces", "team", None))
            for plural in ("pods", "configmaps", "serviceaccounts", "secrets"):
                assert await world.names(plural, "team") == []
            await world.create("namespaces", "team", None)
            await world.until(lambda: world.get("configmaps", "kube-root-ca.crt", "team"))
            await trio.sleep(20)
            assert await world.names("configmaps", "team") == ["kube-root-ca.crt"]

    run_trio(main)


def test_a_namespace_tells_what_holds_it_as_recorded_and_goes_when_that_is_released(run_trio):
    async def main() -> None:
        async with live(kubelets=None) as world:
            await world.create("namespaces", "doomed-b", None)
            await world.create("configmaps", "held", "doomed-b", metadata={"finalizers": ["example.com/hold"]})
            await world["namespaces"].delete("doomed-b")
            await trio.sleep(10)
            namespace = await world.get("namespaces", "doomed-b", None)
            assert namespace is not None
            assert namespace["status"]["phase"] == "Terminating"
            told = [
                (one["type"], one["status"], one["reason"], one["message"]) for one in namespace["status"]["conditions"]
            ]
            assert told == [
                (
                    "NamespaceDeletionDiscoveryFailure",
                    "False",
                    "ResourcesDiscovered",
                    "All resources successfully discovered",
                ),
                (
                    "NamespaceDeletionGroupVersionParsingFailure",
                    "False",
                    "ParsedGroupVersions",
                    "All legacy kube types successfully parsed",
                ),
                (
                    "NamespaceDeletionContentFailure",
                    "False",
                    "ContentDeleted",
                    "All content successfully deleted, may be waiting on finalization",
                ),
                (
                    "NamespaceContentRemaining",
                    "True",
                    "SomeResourcesRemain",
                    "Some resources are remaining: configmaps. has 1 resource instances",
                ),
                (
                    "NamespaceFinalizersRemaining",
                    "True",
                    "SomeFinalizersRemain",
                    "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances",
                ),
            ]
            await world["configmaps"].patch("held", {"metadata": {"finalizers": None}}, "doomed-b")
            await world.until(lambda: is_gone(world, "namespaces", "doomed-b", None), within_s=20)

    run_trio(main)


def test_what_is_written_into_a_namespace_while_it_goes_does_not_stay(run_trio):
    """A write that was admitted a moment before the namespace was gone lands behind it: here, straight in the store."""

    async def main() -> None:
        async with live(kubelets=None, namespaces=NamespaceOptions(delay_s=1)) as world:
            await world.create("namespaces", "team", None)
            await world["namespaces"].delete("team")
            await world.until(lambda: is_gone(world, "namespaces", "team", None))
            raw = (
                b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"late","namespace":"team","uid":"late-uid"}}'
            )
            await world.cluster.etcd.put("/registry/configmaps/team/late", raw)
            await world.until(lambda: _is_empty(world, "configmaps", "team"), within_s=10)

    run_trio(main)


async def _is_empty(world: Live, plural: str, namespace: str) -> bool:
    return await world.names(plural, namespace) == []


# ---- nodes -----------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_node_that_dies_is_marked_and_its_pods_are_evicted_in_their_time(run_trio):
    async def main() -> None:
        async with live(nodes=NodeLifecycleOptions(rates=EvictionRates(normal=1))) as world:
            tolerations = [
                {
                    "key": "node.kubernetes.io/unreachable",
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": 20,
                }
            ]
            for at in range(3):
                await world.pod(f"p{at}", tolerations=tolerations)
                await world.until(lambda at=at: is_ready(world, f"p{at}"))  # type: ignore[misc]
            victim = await world.get("pods", "p0")
            assert victim is not None
            node = victim["spec"]["nodeName"]
            there = [at for at in range(3) if (await _node_of(world, f"p{at}")) == node]
            world.kubelets.fail(node)
            await trio.sleep(45)
            assert condition(await world.get("nodes", node, None), "Ready")["status"] == "True"
            await trio.sleep(22)
            dead = await world.get("nodes", node, None)
            assert dead is not None
            assert condition(dead, "Ready")["status"] == "Unknown"
            assert condition(dead, "Ready")["reason"] == "NodeStatusUnknown"
            taints = [(one["key"], one["effect"]) for one in dead["spec"]["taints"]]
            unreachable = "node.kubernetes.io/unreachable"
            assert taints == [(unreachable, "NoSchedule"), (unreachable, "NoExecute")]
            assert not await is_ready(world, "p0")
            assert not (await pod_of(world, "p0"))["metadata"].get("deletionTimestamp")
            await trio.sleep(20)
            for at in range(3):
                pod = await pod_of(world, f"p{at}")
                assert bool(pod["metadata"].get("deletionTimestamp")) == (at in there), pod["metadata"]["name"]
            assert condition(await pod_of(world, "p0"), "DisruptionTarget")["reason"] == "DeletionByTaintManager"
            world.kubelets.recover(node)
            await world.until(lambda: is_gone(world, "pods", "p0"), within_s=10)
            await trio.sleep(6)
            well = await world.get("nodes", node, None)
            assert well is not None
            assert condition(well, "Ready")["status"] == "True"
            assert "taints" not in well["spec"]

    run_trio(main)


async def pod_of(world: Live, name: str) -> Any:
    return await world["pods"].get(name, "default")


async def _node_of(world: Live, name: str) -> str:
    return str((await pod_of(world, name))["spec"]["nodeName"])


@pytest.mark.slow
def test_a_node_that_comes_back_in_time_keeps_its_pods_and_they_are_ready_again(run_trio):
    async def main() -> None:
        async with live(kubelets=KubeletOptions(nodes=2)) as world:
            await world.pod("p")
            await world.until(lambda: is_ready(world, "p"))
            node, uid = await _node_of(world, "p"), (await pod_of(world, "p"))["metadata"]["uid"]
            world.kubelets.fail(node)
            await trio.sleep(70)
            assert not await is_ready(world, "p")
            world.kubelets.recover(node)
            await world.until(lambda: is_ready(world, "p"), within_s=5)
            await trio.sleep(400)
            assert (await pod_of(world, "p"))["metadata"]["uid"] == uid

    run_trio(main)


@pytest.mark.slow
def test_where_all_nodes_fall_silent_nobody_is_evicted_and_who_was_told_to_leave_may_stay(run_trio):
    async def main() -> None:
        options = NodeLifecycleOptions(rates=EvictionRates(normal=1), default_toleration_s=100)
        async with live(nodes=options) as world:
            await world.pod("p")
            await world.until(lambda: is_ready(world, "p"))
            first = await _node_of(world, "p")
            world.kubelets.fail(first)
            await trio.sleep(70)
            assert await _evicts(world, first)
            for node in world.kubelets.nodes:
                world.kubelets.fail(node)
            await trio.sleep(300)
            assert not await _evicts(world, first)
            assert not (await pod_of(world, "p"))["metadata"].get("deletionTimestamp")

    run_trio(main)


async def _evicts(world: Live, name: str) -> bool:
    node = await world.get("nodes", name, None)
    assert node is not None
    return any(one["effect"] == "NoExecute" for one in node["spec"].get("taints") or ())


@pytest.mark.slow
def test_pods_of_a_node_that_is_gone_go_too(run_trio):
    async def main() -> None:
        async with live() as world:
            await world.pod("p")
            await world.until(lambda: is_ready(world, "p"))
            node = await _node_of(world, "p")
            world.kubelets.fail(node)
            await world["nodes"].delete(node)
            await world.until(lambda: is_gone(world, "pods", "p"), within_s=60)
            await world.until(lambda: is_gone(world, "leases", node, "kube-node-lease"))  # its owner is gone

    run_trio(main)


# ---- services ----------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_service_has_a_slice_of_its_pods_and_what_goes_is_told_to_be_going(run_trio):
    async def main() -> None:
        async with live() as world:
            ports = [{"name": "http", "port": 80, "targetPort": "http"}]
            await world.create("services", "web", spec={"selector": {"app": "web"}, "ports": ports})
            await trio.sleep(1)
            empty = await _slices(world, "web")
            assert [(one["endpoints"], one["ports"]) for one in empty] == [([], [])] or not empty[0].get("endpoints")
            for at in range(3):
                await world.pod(f"web-{at}", labels={"app": "web"}, terminationGracePeriodSeconds=5)
            await world.pod("other", labels={"app": "other"})
            for at in range(3):
                await world.until(lambda at=at: is_ready(world, f"web-{at}"))  # type: ignore[misc]
            await trio.sleep(1)
            (full,) = await _slices(world, "web")
            assert full["metadata"]["name"] == empty[0]["metadata"]["name"] or len(full["endpoints"]) == 3
            assert full["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
            found = {one["targetRef"]["name"]: one for one in full["endpoints"]}
            assert sorted(found) == ["web-0", "web-1", "web-2"]
            ready = {"ready": True, "serving": True, "terminating": False}
            assert all(one["conditions"] == ready and one["zone"] for one in found.values())
            owner = full["metadata"]["ownerReferences"][0]
            assert (owner["kind"], owner["name"], owner["controller"]) == ("Service", "web", True)
            await world["pods"].delete("web-0", "default")
            await trio.sleep(0.2)
            (going,) = await _slices(world, "web")
            told = {one["targetRef"]["name"]: one["conditions"] for one in going["endpoints"]}
            assert told["web-0"] == {"ready": False, "serving": True, "terminating": True}
            await world.until(lambda: is_gone(world, "pods", "web-0"))
            await trio.sleep(1)
            (left,) = await _slices(world, "web")
            assert len(left["endpoints"]) == 2
            await world["services"].delete("web", "default")
            await world.until(lambda: _is_empty(world, "endpointslices", "default"))

    run_trio(main)


async def _slices(world: Live, service: str) -> list[Any]:
    listed = await world["endpointslices"].list(labels={"kubernetes.io/service-name": service})
    return [obj.to_dict() for obj in listed.objects]
