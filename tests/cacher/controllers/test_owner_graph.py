"""Who owns whom, and what becomes of it: by example, and against a plain model of a cluster."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cacher.controllers._metadata import FOREGROUND, ORPHAN, Metadata, OwnerReference
from cacher.controllers._owner_graph import Fate, Node, OwnerGraph, OwnerState, owner_state, verdict
from cacher.controllers._served import ServedResource

CONFIG_MAPS = ServedResource("v1", "configmaps", "ConfigMap")
NODES = ServedResource("v1", "nodes", "Node", False)


def ref(owner: str, **more: Any) -> OwnerReference:
    return OwnerReference(**{"api_version": "v1", "kind": "ConfigMap", "name": owner, "uid": f"uid-{owner}", **more})


def config_map(name: str, *owners: OwnerReference, **more: Any) -> Metadata:
    return Metadata(name=name, namespace="shop", uid=f"uid-{name}", owner_references=owners or None, **more)


def going(name: str, *owners: OwnerReference, finalizer: str = "") -> Metadata:
    return config_map(
        name, *owners, deletion_timestamp="2026-11-23T00:00:00Z", finalizers=(finalizer,) if finalizer else None
    )


def graph_of(*objects: Metadata) -> OwnerGraph:
    graph = OwnerGraph()
    for obj in objects:
        graph.observe(CONFIG_MAPS, obj)
    return graph


def node(metadata: Metadata) -> Node:
    return Node(CONFIG_MAPS, metadata)


# ---- whom to look at -----------------------------------------------------------------------------------------------------


def test_what_has_no_owner_is_worth_no_look():
    assert OwnerGraph().observe(CONFIG_MAPS, config_map("alone")) == ()


def test_an_object_whose_owner_was_not_seen_is_worth_a_look():
    assert graph_of().observe(CONFIG_MAPS, config_map("child", ref("owner"))) == ("uid-child",)


def test_an_object_whose_owner_was_seen_is_not():
    assert graph_of(config_map("owner")).observe(CONFIG_MAPS, config_map("child", ref("owner"))) == ()


@pytest.mark.parametrize("wrong", [{"kind": "Secret"}, {"name": "other"}, {"api_version": "apps/v1"}])
def test_a_reference_that_names_another_than_its_uid_is_worth_a_look_whichever_is_seen_first(wrong):
    child = config_map("child", ref("owner", **wrong))
    assert graph_of(config_map("owner")).observe(CONFIG_MAPS, child) == ("uid-child",)
    assert graph_of(child).observe(CONFIG_MAPS, config_map("owner")) == ("uid-child",)


def test_a_reference_across_namespaces_is_worth_a_look():
    elsewhere = Metadata(name="owner", namespace="other", uid="uid-owner")
    graph = OwnerGraph()
    graph.observe(CONFIG_MAPS, elsewhere)
    assert graph.observe(CONFIG_MAPS, config_map("child", ref("owner"))) == ("uid-child",)


def test_an_owner_without_a_namespace_may_own_anything():
    graph = OwnerGraph()
    graph.observe(NODES, Metadata(name="n", uid="uid-n"))
    assert graph.observe(CONFIG_MAPS, config_map("child", ref("n", kind="Node"))) == ()


def test_another_version_of_the_owners_group_means_the_same_owner():
    graph = OwnerGraph()
    graph.observe(ServedResource("apps/v1", "replicasets", "ReplicaSet"), config_map("set"))
    assert (
        graph.observe(CONFIG_MAPS, config_map("child", ref("set", api_version="apps/v1beta1", kind="ReplicaSet"))) == ()
    )


def test_what_a_deleted_owner_owned_is_worth_a_look():
    graph = graph_of(config_map("owner"), config_map("a", ref("owner")), config_map("b", ref("owner")))
    assert graph.forget("uid-owner") == ("uid-a", "uid-b")
    assert graph.forget("uid-owner") == ()


def test_an_owner_that_starts_to_go_in_the_foreground_is_looked_at_after_what_it_owns():
    graph = graph_of(config_map("owner"), config_map("a", ref("owner")))
    assert graph.observe(CONFIG_MAPS, going("owner", finalizer=FOREGROUND)) == ("uid-a", "uid-owner")
    assert graph.observe(CONFIG_MAPS, going("owner", finalizer=FOREGROUND)) == ()


def test_an_owner_first_seen_while_it_goes_is_looked_at_too():
    assert graph_of().observe(CONFIG_MAPS, going("owner", finalizer=FOREGROUND)) == ("uid-owner",)
    assert graph_of().observe(CONFIG_MAPS, going("owner", finalizer=ORPHAN)) == ("uid-owner",)
    assert graph_of().observe(CONFIG_MAPS, going("owner", finalizer="example.com/x")) == ()


def test_an_owner_that_waits_is_looked_at_when_a_dependent_goes_or_lets_go():
    waiting, child = going("owner", finalizer=FOREGROUND), config_map("a", ref("owner"))
    assert graph_of(waiting, child).forget("uid-a") == ("uid-owner",)
    assert graph_of(waiting, child).observe(CONFIG_MAPS, config_map("a")) == ("uid-owner",)
    unblocked = config_map("a", ref("owner", block_owner_deletion=False))
    assert "uid-owner" in graph_of(waiting, child).observe(CONFIG_MAPS, unblocked)


def test_only_those_that_say_so_block():
    graph = graph_of(
        config_map("owner"), config_map("a", ref("owner", block_owner_deletion=True)), config_map("b", ref("owner"))
    )
    assert [one.metadata.name for one in graph.blocking("uid-owner")] == ["a"]
    assert [one.metadata.name for one in graph.dependents("uid-owner")] == ["a", "b"]


def test_dependents_of_an_owner_that_comes_back_into_sight_are_still_known():
    """A relist may show an owner as gone and there again: what it owns must go with it all the same."""
    graph = graph_of(config_map("owner"), config_map("a", ref("owner")))
    graph.forget("uid-owner")
    graph.observe(CONFIG_MAPS, config_map("owner"))
    assert graph.forget("uid-owner") == ("uid-a",)


# ---- what is written -----------------------------------------------------------------------------------------------------

SOLID, WAITING, ABSENT = OwnerState.SOLID, OwnerState.WAITING, OwnerState.ABSENT


def test_an_object_with_a_live_owner_is_kept_and_names_the_others_no_longer():
    a, b, c = ref("a"), ref("b"), ref("c")
    child = config_map("child", a, b, c)
    assert verdict(child, {a: SOLID, b: SOLID, c: SOLID}, ()).fate is Fate.KEEP
    decided = verdict(child, {a: SOLID, b: WAITING, c: ABSENT}, ())
    assert decided.fate is Fate.DETACH
    assert set(decided.owners) == {b, c}


def test_an_object_whose_owners_are_all_absent_is_deleted_as_its_finalizers_ask():
    a = ref("a")
    for finalizers, policy in (((), "Background"), ((FOREGROUND,), "Foreground"), ((ORPHAN,), "Orphan")):
        decided = verdict(config_map("child", a, finalizers=finalizers), {a: ABSENT}, ())
        assert (decided.fate, decided.policy) == (Fate.DELETE, policy)


def test_a_dependent_of_an_owner_that_waits_goes_in_the_foreground_if_it_owns_something():
    a = ref("a")
    child = config_map("child", a)
    assert verdict(child, {a: WAITING}, ()).policy == "Background"
    decided = verdict(child, {a: WAITING}, (node(config_map("grandchild", ref("child"))),))
    assert (decided.policy, decided.unblocks) == ("Foreground", False)


def test_two_that_own_each_other_do_not_wait_for_ever():
    a = ref("a")
    decided = verdict(config_map("b", a), {a: WAITING}, (node(going("a", ref("b"), finalizer=FOREGROUND)),))
    assert decided.unblocks


def test_an_owner_of_the_same_name_and_another_uid_is_absent():
    assert owner_state(ref("a"), config_map("a")) is SOLID
    assert owner_state(ref("a", uid="older"), config_map("a")) is ABSENT
    assert owner_state(ref("a"), None) is ABSENT
    assert owner_state(ref("a"), going("a", finalizer=FOREGROUND)) is WAITING
    assert owner_state(ref("a"), going("a", finalizer=ORPHAN)) is SOLID


@given(states=st.lists(st.sampled_from(OwnerState), max_size=4), grandchildren=st.booleans())
def test_nothing_is_deleted_while_an_owner_stays_and_nothing_is_kept_without_one(states, grandchildren):
    owners = [ref(f"o{at}") for at in range(len(states))]
    dependents = (node(config_map("g", ref("child"))),) if grandchildren else ()
    decided = verdict(config_map("child", *owners), dict(zip(owners, states, strict=True)), dependents)
    assert (decided.fate is Fate.DELETE) == (bool(states) and SOLID not in states)
    assert (decided.fate is Fate.KEEP) == all(state is SOLID for state in states)
    if decided.fate is Fate.DETACH:
        assert {owner for owner, state in zip(owners, states, strict=True) if state is not SOLID} == set(decided.owners)


# ---- a whole cluster, whose copy is behind ----------------------------------------------------------------------------------


class Cluster:
    """A store of objects, a collector on a copy of it, and events on their way to that copy, a queue a resource."""

    def __init__(self) -> None:
        self.live: dict[str, Metadata] = {}
        self.under_way: list[list[tuple[str, Metadata]]] = [[], []]
        self.graph = OwnerGraph()
        self.queue: dict[str, None] = {}

    def resource(self, metadata: Metadata) -> int:
        return int(metadata.name) % 2  # two kinds, told by two informers, in no common order

    def put(self, metadata: Metadata) -> None:
        self.live[metadata.uid] = metadata
        self.under_way[self.resource(metadata)].append(("put", metadata))

    def delete(self, uid: str, finalizers: tuple[str, ...] = ()) -> None:
        found = self.live[uid]
        if finalizers or found.finalizers:
            kept = tuple(dict.fromkeys((*(found.finalizers or ()), *finalizers)))
            self.put(Metadata(found.name, "shop", uid, "", "now", 0, kept, found.owner_references))
        else:
            del self.live[uid]
            self.under_way[self.resource(found)].append(("gone", found))

    def deliver(self, kind: int) -> None:
        if not self.under_way[kind]:
            return
        what, metadata = self.under_way[kind].pop(0)
        seen = self.graph.observe(CONFIG_MAPS, metadata) if what == "put" else self.graph.forget(metadata.uid)
        self.queue.update(dict.fromkeys(seen))
        self.graph.check()

    def work(self) -> None:
        """What GarbageCollector.reconcile does, without awaiting."""
        uid = next(iter(self.queue))
        del self.queue[uid]
        if self.graph.node(uid) is None:
            return
        latest = self.live.get(uid)
        if latest is None:
            self.queue.update(dict.fromkeys(self.graph.forget(uid)))
        elif latest.orphans_dependents:
            for dependent in self.graph.dependents(uid):
                found = self.live.get(dependent.uid)
                if found is not None and any(owner.uid == uid for owner in found.owners):
                    self.replace_owners(found, [owner for owner in found.owners if owner.uid != uid])
            self.release(latest, ORPHAN)
        elif latest.waits_for_dependents:
            blocking = self.graph.blocking(uid)
            if not blocking:
                self.release(latest, FOREGROUND)
            self.queue.update({one.uid: None for one in blocking if not one.metadata.waits_for_dependents})
        elif not latest.is_going and latest.owners:
            self.judge(latest)

    def judge(self, latest: Metadata) -> None:
        states = {owner: owner_state(owner, self.live.get(owner.uid)) for owner in latest.owners}
        decided = verdict(latest, states, self.graph.dependents(latest.uid))
        if decided.fate is Fate.DETACH:
            self.replace_owners(latest, [owner for owner in latest.owners if owner not in decided.owners])
        elif decided.fate is Fate.DELETE:
            assert all(state is not SOLID for state in states.values()), "an object with a live owner was deleted"
            if decided.unblocks:
                unblocked = [
                    OwnerReference(o.api_version, o.kind, o.name, o.uid, o.controller, False) for o in latest.owners
                ]
                self.replace_owners(latest, unblocked)
            finalizers = {"Foreground": (FOREGROUND,), "Orphan": (ORPHAN,)}.get(decided.policy, ())
            self.delete(latest.uid, finalizers)
        if any(state is not ABSENT and self.graph.node(owner.uid) is None for owner, state in states.items()):
            self.queue[latest.uid] = None

    def replace_owners(self, found: Metadata, owners: list[OwnerReference]) -> None:
        self.put(
            Metadata(found.name, "shop", found.uid, "", found.deletion_timestamp, None, found.finalizers, tuple(owners))
        )

    def release(self, found: Metadata, finalizer: str) -> None:
        kept = tuple(name for name in found.finalizers or () if name != finalizer)
        self.live[found.uid] = Metadata(found.name, "shop", found.uid, "", "now", 0, kept, found.owner_references)
        if kept:
            self.put(self.live[found.uid])
        else:
            del self.live[found.uid]
            self.under_way[self.resource(found)].append(("gone", found))


ACTIONS = st.one_of(
    st.tuples(st.just("create"), st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=2)),
    st.tuples(st.just("delete"), st.tuples(st.integers(0, 12), st.sampled_from(((), (FOREGROUND,), (ORPHAN,))))),
    st.tuples(st.just("deliver"), st.integers(0, 1)),
    st.tuples(st.just("work"), st.none()),
)


@pytest.mark.slow
@settings(max_examples=300)
@given(actions=st.lists(ACTIONS, max_size=60))
def test_whatever_happens_in_whatever_order_nothing_without_an_owner_stays_and_nothing_with_one_goes(actions):
    """Creations, deletions of all three kinds, late events; then everything is delivered and worked off."""
    cluster, born = Cluster(), 0
    for what, detail in actions:
        if what == "create":
            owners = tuple(
                OwnerReference("v1", "ConfigMap", str(number), f"uid-{number}", block_owner_deletion=blocks)
                for number, blocks in detail
                if number < born
            )
            cluster.put(Metadata(str(born), "shop", f"uid-{born}", owner_references=owners))
            born += 1
        elif what == "delete":
            if f"uid-{detail[0]}" in cluster.live:
                cluster.delete(f"uid-{detail[0]}", detail[1])
        elif what == "deliver":
            cluster.deliver(detail)
        elif cluster.queue:
            cluster.work()
    for _ in range(3000):
        if any(cluster.under_way):
            cluster.deliver(0 if cluster.under_way[0] else 1)
        elif cluster.queue:
            cluster.work()
        else:
            break
    else:
        raise AssertionError("the collector goes on for ever")
    for metadata in cluster.live.values():
        assert not metadata.is_going, f"{metadata} was deleted and stays"
        assert all(owner.uid in cluster.live for owner in metadata.owners), f"{metadata} has an owner that is gone"
    assert len(cluster.graph) == len(cluster.live)
