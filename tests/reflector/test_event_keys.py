"""Which keys a change is about, and which changes matter: by what a controller then reconciles."""

from __future__ import annotations

import trio
import trio.testing

from reflector import OwnerReference, Tombstone, any_of, labels_changed, owner_key, revision_changed, spec_changed
from reflector import controller_of as manager_of
from tests.reflector.controlled import FakeInformer, Script, controller_of, made, running

settled = trio.testing.wait_all_tasks_blocked


def run(async_fn, *args):
    return trio.run(async_fn, *args, clock=trio.testing.MockClock(autojump_threshold=0))


def owned(name, owner, *, revision=1, kind="ReplicaSet"):
    reference = {"apiVersion": "apps/v1", "kind": kind, "name": owner, "uid": f"uid-{owner}", "controller": True}
    return made(name, revision=revision, ownerReferences=[reference])


def test_an_object_that_changes_its_owner_is_of_interest_to_both():
    async def main():
        reconcile, informer = Script(), FakeInformer()
        async with trio.open_nursery() as nursery:
            await running(nursery, controller_of(reconcile).watches(informer, owner_key("ReplicaSet", "apps")))
            informer.updates(owned("pod", "old"), owned("pod", "new", revision=2))
            informer.adds(owned("pod", "somebody", kind="Job"))
            informer.adds(made("orphan"))
            await settled()
            assert reconcile.keys == ["shop/old", "shop/new"]
            nursery.cancel_scope.cancel()

    run(main)


def test_a_predicate_keeps_a_controller_from_its_own_echo():
    async def main():
        reconcile, informer = Script(), FakeInformer()
        async with trio.open_nursery() as nursery:
            await running(nursery, controller_of(reconcile).watches(informer, when=spec_changed))
            old = made("a", generation=1)
            informer.updates(old, made("a", generation=1, revision=2, status={"replicas": 3}))
            await settled()
            assert reconcile.keys == []
            informer.updates(old, made("a", generation=2, revision=3))
            await settled()
            informer.deletes(made("a", generation=2, revision=4))
            await settled()
            assert reconcile.keys == ["shop/a", "shop/a"]
            nursery.cancel_scope.cancel()

    run(main)


def test_the_owner_that_manages_is_the_controller_and_no_other():
    owners = [{"kind": "Node", "name": "n", "uid": "1", "apiVersion": "v1"}]
    assert manager_of(made("pod", ownerReferences=owners)) is None
    assert manager_of(made("pod")) is None
    found = manager_of(owned("pod", "web"))
    assert found == OwnerReference("apps/v1", "ReplicaSet", "web", "uid-web", True)


def test_an_owner_without_a_namespace_is_called_by_its_name():
    owner = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "1", "controller": True}
    pod = made("pod", ownerReferences=[owner])
    assert owner_key("Node", "", namespaced=False)(pod) == "n1"
    assert owner_key("Node", "apps")(pod) is None


def test_predicates_tell_which_updates_matter():
    old = made("a", labels={"x": "1"}, generation=1)
    relabelled = made("a", revision=2, labels={"x": "2"}, generation=1)
    respecified = made("a", revision=3, labels={"x": "1"}, generation=2)
    both = any_of(labels_changed, spec_changed)
    updates = [(old, old), (old, relabelled), (old, respecified)]
    assert [labels_changed(*update) for update in updates] == [False, True, False]
    assert [spec_changed(*update) for update in updates] == [False, False, True]
    assert [revision_changed(*update) for update in updates] == [False, True, True]
    assert [both(*update) for update in updates] == [False, True, True]
    for predicate in (labels_changed, spec_changed, revision_changed, both):
        assert predicate(None, old)
        assert predicate(old, None)


def test_a_key_function_may_find_several_keys_or_none():
    async def main():
        reconcile, informer = Script(), FakeInformer()
        controller = controller_of(reconcile).watches(informer, lambda obj: [obj.name, "shared", obj.name])
        controller.watches(informer, lambda obj: None)
        async with trio.open_nursery() as nursery:
            await running(nursery, controller)
            informer.updates(made("a"), made("a", revision=2))
            await settled()
            assert reconcile.keys == ["a", "shared"]
            nursery.cancel_scope.cancel()

    run(main)


def test_a_deletion_that_nobody_saw_is_about_the_last_state_known():
    async def main():
        reconcile, informer = Script(), FakeInformer()
        async with trio.open_nursery() as nursery:
            await running(nursery, controller_of(reconcile).watches(informer, owner_key("ReplicaSet")))
            informer.deletes(Tombstone(owned("pod", "web"), 9))
            await settled()
            assert reconcile.keys == ["shop/web"]
            nursery.cancel_scope.cancel()

    run(main)
