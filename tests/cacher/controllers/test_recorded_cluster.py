"""What a real scheduler, garbage collector, namespace controller and endpointslice controller wrote, held against ours."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio

from cacher.controllers import BUILT_IN
from cacher.controllers._endpoints import MANAGED_BY, MANAGER, SERVICE_NAME, Plan, desired, plan
from cacher.controllers._metadata import metadata_of
from cacher.controllers._namespace_contents import Report, conditions, left_of, longest_grace_s
from cacher.controllers._node_table import NodeTable
from cacher.controllers._owner_graph import Fate, Node, OwnerGraph, OwnerState, owner_state, verdict
from cacher.controllers._placement import ZONE, read_node, read_pod
from cacher.controllers._pod_runs import Host, started, stopped
from cacher.controllers._served import Kinds
from cacher.controllers._times import seconds
from tests.cacher.controllers import recorded
from tests.cacher.controllers.live import Live, live
from tests.cacher.controllers.test_live import owner_of

NAMES = ["rollout", "finalizers-and-gc"]
JSONObject = dict[str, Any]


def raw(obj: JSONObject) -> bytes:
    return msgspec.json.encode(obj)


# ---- slices --------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_slices_at_rest_need_nothing(name):
    seen = 0
    for state in (recorded.start(name), recorded.end(name)):
        zones = {one["metadata"]["name"]: one["metadata"]["labels"][ZONE] for one in recorded.of(state, "minions")}
        for service in recorded.of(state, "services/specs"):
            selector = service["spec"].get("selector")
            if not selector:
                continue
            where = service["metadata"]["namespace"]
            pods = [
                pod
                for pod in recorded.of(state, f"pods/{where}")
                if selector.items() <= pod["metadata"].get("labels", {}).items()
            ]
            slices = [
                one
                for one in recorded.of(state, f"endpointslices/{where}")
                if one["metadata"]["labels"].get(SERVICE_NAME) == service["metadata"]["name"]
                and one["metadata"]["labels"].get(MANAGED_BY) == MANAGER
            ]
            assert plan(service, desired(service, pods, zones), slices) == Plan()
            seen += len(slices)
    assert seen >= 4


# ---- owners --------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_graph_of_a_recorded_history_is_whole_and_at_its_end_nothing_is_to_be_collected(name):
    kinds, graph = Kinds(BUILT_IN), OwnerGraph()
    for obj in recorded.start(name).values():
        _observe(graph, kinds, obj)
    for change in recorded.changes(name):
        if change.new is None:
            graph.forget((change.old or {}).get("metadata", {}).get("uid", ""))
        else:
            _observe(graph, kinds, change.new)
    graph.check()
    end = {obj["metadata"]["uid"]: obj for obj in recorded.end(name).values() if obj.get("metadata", {}).get("uid")}
    seen = 0
    for obj in end.values():
        metadata = metadata_of(obj)
        if metadata.is_going or not metadata.owners:
            continue
        states = {
            owner: owner_state(owner, metadata_of(end[owner.uid]) if owner.uid in end else None)
            for owner in metadata.owners
        }
        assert set(states.values()) == {OwnerState.SOLID}
        assert verdict(metadata, states, graph.dependents(metadata.uid)).fate is Fate.KEEP
        seen += 1
    assert seen >= 20


def _observe(graph: OwnerGraph, kinds: Kinds, obj: JSONObject) -> None:
    resource = kinds.find(obj.get("apiVersion", ""), obj.get("kind", ""))
    if resource is not None:
        graph.observe(resource, metadata_of(obj))


def test_every_recorded_collection_is_one_that_ours_makes(run_trio):
    """Whenever what had owners was deleted or marked, and its owners were gone or waiting, ours would have done the same."""
    live_: dict[str, JSONObject] = {}
    for obj in recorded.start("finalizers-and-gc").values():
        live_[obj.get("metadata", {}).get("uid", "")] = obj
    collected = detached = 0
    for change in recorded.changes("finalizers-and-gc"):
        old = metadata_of(change.old or {})
        if change.key.startswith("/registry/configmaps/gc") and old.owners and not old.is_going:
            new = metadata_of(change.new or {})
            states = {
                owner: owner_state(owner, metadata_of(live_[owner.uid]) if owner.uid in live_ else None)
                for owner in old.owners
            }
            dependents = [
                Node(BUILT_IN[0], metadata_of(one))
                for one in live_.values()
                if any(ref.get("uid") == old.uid for ref in one.get("metadata", {}).get("ownerReferences", ()))
            ]
            decided = verdict(old, states, dependents)
            if change.new is None or new.is_going:
                assert decided.fate is Fate.DELETE, change.key
                assert (decided.policy == "Foreground") == new.waits_for_dependents, change.key
                collected += 1
            elif 0 < len(new.owners) < len(old.owners):
                assert decided.fate is Fate.DETACH
                assert set(old.owners) - set(new.owners) == set(decided.owners)
                detached += 1
        if change.new is None:
            live_.pop(old.uid, None)
        else:
            live_[change.new.get("metadata", {}).get("uid", "")] = change.new
    assert collected >= 40
    assert detached >= 4


def children_first(gone: list[str], owners: dict[str, str]) -> None:
    """Raises AssertionError where an owner went before one that blocked it."""
    for name, owner in owners.items():
        assert gone.index(name) < gone.index(owner), f"{owner} went before {name}, which it owned: {gone}"


def test_a_foreground_deletion_goes_from_the_leaves_up_as_recorded_and_as_ours(run_trio):
    owners: dict[str, str] = {}
    gone: list[str] = []
    for change in recorded.changes("finalizers-and-gc"):
        name = change.key.rpartition("/")[2]
        if not change.key.startswith("/registry/configmaps/gc/fg"):
            continue
        for reference in ((change.new or {}).get("metadata") or {}).get("ownerReferences") or ():
            owners[name] = reference["name"]
        if change.new is None:
            gone.append(name)
    assert len(owners) == 15
    children_first(gone, owners)

    async def main() -> list[str]:
        async with live(kubelets=None) as world, trio.open_nursery() as nursery:
            await _make(world, owners)
            ours: list[str] = await nursery.start(_deletions, world)
            await world["configmaps"].delete("fg", "default", propagation_policy="Foreground")
            with trio.fail_after(60):
                while len(ours) < 16:
                    await trio.sleep(0.1)
            nursery.cancel_scope.cancel()
            return ours

    children_first(run_trio(main), owners)


async def _make(world: Live, owners: dict[str, str]) -> None:
    made = {"fg": await world.create("configmaps", "fg")}
    for name, owner in owners.items():
        made[name] = await world.create("configmaps", name, metadata={"ownerReferences": [owner_of(made[owner])]})


async def _deletions(world: Live, task_status: trio.TaskStatus[list[str]]) -> None:
    gone: list[str] = []
    async with world["configmaps"].watch(namespace="default", send_initial_events=False) as watch:
        task_status.started(gone)
        async for event in watch:
            if event.type == "DELETED":
                gone.append(event.object.name)


# ---- namespaces ----------------------------------------------------------------------------------------------------------


def test_the_conditions_of_namespaces_that_went_are_those_that_ours_would_have_written():
    state = dict(recorded.start("finalizers-and-gc"))
    told = 0
    for change in recorded.changes("finalizers-and-gc"):
        if change.key.startswith("/registry/namespaces/") and change.new and change.old:
            new = change.new["status"].get("conditions") or []
            old = change.old["status"].get("conditions") or []
            if new != old:
                now = max(one["lastTransitionTime"] for one in new)
                report = _report(state, change.new["metadata"], now)
                assert conditions(old, report, now) == new
                told += 1
        if change.new is None:
            state.pop(change.key, None)
        else:
            state[change.key] = change.new
    assert told >= 8


def _report(state: dict[str, JSONObject], namespace: JSONObject, now: str) -> Report:
    """What was left then: the pods alone, as long as there were any."""
    elapsed_s = (seconds(now) or 0) - (seconds(namespace["deletionTimestamp"]) or 0)
    left = []
    for resource in sorted(BUILT_IN, key=lambda one: one.plural != "pods"):
        found = [
            obj
            for obj in recorded.of(state, f"{resource.plural}/{namespace['name']}")
            if obj.get("kind") == resource.kind and resource.is_namespaced
        ]
        grace_s = longest_grace_s(map(raw, found)) if resource.plural == "pods" else 0.0
        one = left_of(resource, [metadata_of(obj) for obj in found], grace_s - elapsed_s if grace_s else 0.0)
        if one is not None:
            left.append(one)
            if resource.plural == "pods":
                break
    return Report(namespace["name"], tuple(left))


# ---- the scheduler and kubelets --------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_recorded_binding_is_to_a_node_that_ours_finds_fit(name):
    table, bound = NodeTable(), 0
    for obj in recorded.of(recorded.start(name), "minions"):
        table.put_node(read_node(raw(obj)))
    for obj in recorded.of(recorded.start(name), "pods"):
        table.put_pod(read_pod(raw(obj)), obj["spec"]["nodeName"])
    nodes = {one["metadata"]["name"]: read_node(raw(one)) for one in recorded.of(recorded.start(name), "minions")}
    for change in recorded.changes(name):
        if not change.key.startswith("/registry/pods/"):
            continue
        uid = ((change.new or change.old) or {})["metadata"]["uid"]
        pod = read_pod(raw(change.new)) if change.new is not None else None
        if pod is None or pod.is_over:
            table.remove_pod(uid)
        elif pod.node and not table.node_of(uid):
            assert pod.placement.refuses(nodes[pod.node]) == ""
            assert table.choose(pod).node
            table.put_pod(pod, pod.node)
            bound += 1
    table.check()
    assert bound >= 30


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_pod_that_runs_or_ended_says_so_as_recorded_pods_do(name):
    ran = over = 0
    for change in recorded.changes(name):
        if not (change.key.startswith("/registry/pods/") and change.new and change.old):
            continue
        old, new = change.old["status"], change.new["status"]
        if old["phase"] == "Pending" and new["phase"] == "Running":
            now = new["containerStatuses"][0]["state"]["running"]["startedAt"]
            made = started(change.old, Host(new["hostIP"], new["podIP"]), now)
            assert _shape(made) == _shape(new)
            ran += 1
        elif old["phase"] == "Running" and new["phase"] == "Succeeded":
            now = new["containerStatuses"][0]["state"]["terminated"]["finishedAt"]
            assert _shape(stopped(change.old, 0, now)) == _shape(new)
            over += 1
    assert ran >= 20
    assert over >= 10


def _shape(status: JSONObject) -> JSONObject:
    """A status without what only names who wrote it, and without times."""
    containers = [
        {
            **{name: value for name, value in one.items() if name not in ("containerID", "state")},
            "state": sorted(one["state"]),
        }
        for one in status["containerStatuses"]
    ]
    # The recorded kubelets, which are simulated as well, leave out one reason that a real one gives.
    told = [
        (one["type"], one["status"], one.get("reason") if one["type"] != "Initialized" else None)
        for one in status["conditions"]
    ]
    # Nor do they take note that a deletion is a generation of its own.
    apart = ("containerStatuses", "conditions", "observedGeneration")
    rest = {name: value for name, value in status.items() if name not in apart}
    return {**rest, "containers": containers, "conditions": told}


def test_the_order_is_told_from_its_opposite():
    children_first(["leaf", "root"], {"leaf": "root"})
    with pytest.raises(AssertionError, match="root went before leaf"):
        children_first(["root", "leaf"], {"leaf": "root"})
