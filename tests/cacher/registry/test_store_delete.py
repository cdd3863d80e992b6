"""Deleting: at once, after a while, or once the finalizers are gone; preconditions, policies, dry runs (5.5), collections (5.6)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio

from cacher.registry import (
    APIError,
    BadRequest,
    ConfigMapStrategy,
    Conflict,
    Context,
    DeleteOptions,
    Forbidden,
    GarbageCollection,
    GroupResource,
    Hooks,
    Invalid,
    NotFound,
    Replacement,
)
from cacher.storage import ListOptions, Preconditions
from tests.cacher.registry.world import (
    DEPLOYMENTS,
    TEAM,
    configmap,
    configmaps,
    deployment,
    open_world,
    registry_of,
    run,
)
from watch import Selector

BOTH = pytest.mark.parametrize("cached", [False, True])
HOLD = {"finalizers": ["example.com/hold"]}


class _Graceful(ConfigMapStrategy):
    """Config maps that get a minute to go."""

    def check_graceful_delete(self, context, obj, options):
        return 60 if options.grace_period_s is None else options.grace_period_s


class _Orphaning(ConfigMapStrategy):
    def default_garbage_collection_policy(self, context):
        return GarbageCollection.ORPHAN_DEPENDENTS


class _Unsupported(ConfigMapStrategy):
    def default_garbage_collection_policy(self, context):
        return GarbageCollection.UNSUPPORTED


@BOTH
def test_a_deletion_answers_with_a_status_and_the_object_is_gone(cached):
    async def main() -> None:
        async with open_world(cached=cached) as world:
            store = await configmaps(world)
            made = await store.create(TEAM, configmap())
            answer, is_gone = await store.delete(TEAM, "a")
            assert is_gone
            assert answer == {
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Success",
                "details": {"name": "a", "kind": "configmaps", "uid": made["metadata"]["uid"]},
            }
            with pytest.raises(NotFound):
                await store.get(TEAM, "a")
            with pytest.raises(NotFound):
                await store.delete(TEAM, "a")

    run(main)


def test_a_resource_may_answer_with_the_deleted_object():
    async def main() -> None:
        async with open_world() as world:
            hooks = Hooks(decorator=lambda obj: {**obj, "shown": True})
            store = await configmaps(world, hooks=hooks, returns_deleted_object=True)
            await store.create(TEAM, configmap(data={"k": "1"}))
            answer, _ = await store.delete(TEAM, "a")
            assert (answer["kind"], answer["data"], answer["shown"]) == ("ConfigMap", {"k": "1"}, True)
            assert int(answer["metadata"]["resourceVersion"]) == world.etcd.revision

    run(main)


@BOTH
def test_finalizers_hold_an_object_which_is_marked_once(cached):
    async def main() -> None:
        async with open_world(cached=cached) as world:
            store = await configmaps(world)
            await store.create(TEAM, configmap(meta={**HOLD, "generation": 2}))
            await trio.sleep(5)
            held, is_gone = await store.delete(TEAM, "a")
            assert not is_gone
            assert held["metadata"]["deletionTimestamp"] == "2023-11-14T22:13:25Z"
            assert held["metadata"]["deletionGracePeriodSeconds"] == 0
            assert held["metadata"]["generation"] == 3
            await trio.sleep(5)
            assert await store.delete(TEAM, "a") == (held, False)

    run(main)


@pytest.mark.parametrize(
    ("options", "finalizers"),
    [
        ({"propagation_policy": "Foreground"}, ["foregroundDeletion"]),
        ({"propagation_policy": "Orphan"}, ["orphan"]),
        ({"orphan_dependents": True}, ["orphan"]),
        ({"propagation_policy": "Background"}, None),
        ({"orphan_dependents": False}, None),
        ({}, None),
    ],
)
def test_the_policy_becomes_a_finalizer_or_none(options, finalizers):
    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world)
            await store.create(TEAM, configmap())
            answer, is_gone = await store.delete(TEAM, "a", options=DeleteOptions(**options))
            assert is_gone is (finalizers is None)
            if finalizers:
                assert answer["metadata"]["finalizers"] == finalizers

    run(main)


@pytest.mark.parametrize(
    ("strategy", "present", "options", "wanted"),
    [
        (ConfigMapStrategy, ["orphan"], {}, ["orphan"]),
        (ConfigMapStrategy, ["orphan", "example.com/x"], {"propagation_policy": "Background"}, ["example.com/x"]),
        (
            ConfigMapStrategy,
            ["orphan", "example.com/x"],
            {"propagation_policy": "Foreground"},
            ["example.com/x", "foregroundDeletion"],
        ),
        (ConfigMapStrategy, ["orphan", "example.com/x"], {}, ["orphan", "example.com/x"]),
        (_Orphaning, ["example.com/x"], {}, ["example.com/x", "orphan"]),
        (_Orphaning, ["foregroundDeletion"], {}, ["foregroundDeletion"]),
        (_Unsupported, ["example.com/x"], {"propagation_policy": "Orphan"}, ["example.com/x"]),
    ],
)
def test_what_is_said_counts_before_what_is_there_and_that_before_the_default(strategy, present, options, wanted):
    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world, strategy())
            await store.create(TEAM, configmap(meta={"finalizers": present}))
            held, _ = await store.delete(TEAM, "a", options=DeleteOptions(**options))
            assert held["metadata"]["finalizers"] == wanted

    run(main)


def test_without_garbage_collection_no_finalizer_is_set():
    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world, garbage_collection=False)
            await store.create(TEAM, configmap())
            _, is_gone = await store.delete(TEAM, "a", options=DeleteOptions(propagation_policy="Orphan"))
            assert is_gone

    run(main)


def test_an_orphan_deleted_again_in_the_background_goes():
    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world)
            await store.create(TEAM, configmap())
            await store.delete(TEAM, "a", options=DeleteOptions(propagation_policy="Orphan"))
            _, is_gone = await store.delete(TEAM, "a", options=DeleteOptions(propagation_policy="Background"))
            assert is_gone

    run(main)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"propagation_policy": "Sideways"}, 'supported values: "Foreground", "Background", "Orphan", "nil"'),
        (
            {"propagation_policy": "Orphan", "orphan_dependents": True},
            "orphanDependents and deletionPropagation cannot be both set",
        ),
    ],
)
def test_options_that_cannot_be_are_refused(options, why):
    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world)
            await store.create(TEAM, configmap())
            with pytest.raises(Invalid) as caught:
                await store.delete(TEAM, "a", options=DeleteOptions(**options))
            assert why in caught.value.message
            await store.get(TEAM, "a")

    run(main)


@BOTH
@pytest.mark.parametrize("meta", [{}, HOLD])
def test_a_precondition_that_does_not_hold_deletes_nothing(cached, meta):
    async def main() -> None:
        async with open_world(cached=cached) as world:
            store = await configmaps(world)
            made = await store.create(TEAM, configmap(meta=meta))
            for wrong in (Preconditions(uid="1"), Preconditions(resource_version="1")):
                with pytest.raises(Conflict, match="in the precondition") as caught:
                    await store.delete(TEAM, "a", options=DeleteOptions(preconditions=wrong))
                assert caught.value.details is not None
                assert caught.value.details.kind == "ConfigMap"
            assert await store.get(TEAM, "a") == made
            uid, version = made["metadata"]["uid"], made["metadata"]["resourceVersion"]
            _, is_gone = await store.delete(TEAM, "a", options=DeleteOptions(preconditions=Preconditions(uid, version)))
            assert is_gone is (not meta)

    run(main)


def test_a_precondition_of_the_version_holds_through_the_marking_of_a_graceful_deletion():
    """5.5, 6: with no seconds left the object is marked and then deleted at its new version."""

    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world, _Graceful())
            made = await store.create(TEAM, configmap())
            version = Preconditions(resource_version=made["metadata"]["resourceVersion"])
            _, is_gone = await store.delete(TEAM, "a", options=DeleteOptions(grace_period_s=0, preconditions=version))
            assert is_gone

    run(main)


def test_a_graceful_deletion_gives_time_which_can_only_be_shortened():
    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world, _Graceful(), returns_deleted_object=True)
            await store.create(TEAM, configmap(meta={"generation": 1}))
            await trio.sleep(10)

            async def deleted(seconds: int | None) -> tuple[Any, ...]:
                obj, is_gone = await store.delete(TEAM, "a", options=DeleteOptions(grace_period_s=seconds))
                meta = obj["metadata"]
                return meta["deletionTimestamp"][-6:-1], meta["deletionGracePeriodSeconds"], meta["generation"], is_gone

            assert await deleted(None) == ("14:30", 60, 2, False)
            assert await deleted(None) == ("14:30", 60, 2, False)
            assert await deleted(90) == ("14:30", 60, 2, False)
            assert await deleted(30) == ("14:00", 30, 2, False)
            await trio.sleep(40)
            # The start, 13:30, and 20 s have passed: the time is moved to now and not before.
            assert await deleted(20) == ("14:10", 1, 2, False)
            _, is_gone = await store.delete(TEAM, "a", options=DeleteOptions(grace_period_s=0))
            assert is_gone

    run(main)


def test_a_negative_time_counts_as_a_second():
    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world, _Graceful())
            await store.create(TEAM, configmap())
            obj, is_gone = await store.delete(TEAM, "a", options=DeleteOptions(grace_period_s=-5))
            assert not is_gone
            assert obj["metadata"]["deletionGracePeriodSeconds"] == 1

    run(main)


def test_finalizers_hold_a_graceful_deletion_whose_time_is_over():
    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world, _Graceful())
            await store.create(TEAM, configmap(meta=HOLD))
            obj, is_gone = await store.delete(TEAM, "a", options=DeleteOptions(grace_period_s=0))
            assert not is_gone
            assert obj["metadata"]["deletionGracePeriodSeconds"] == 0
            await store.update(TEAM, "a", Replacement(configmap()))
            with pytest.raises(NotFound):
                await store.get(TEAM, "a")

    run(main)


def test_a_keeper_that_is_faster_than_the_deletion_is_tolerated(monkeypatch):
    """Marked with no time left, the object is deleted by its keeper first: it is gone, which was asked for."""

    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world, _Graceful())
            await store.create(TEAM, configmap())
            delete = store.storage.delete

            async def late(key, **options):
                await delete(key)
                return await delete(key, **options)

            monkeypatch.setattr(store.storage, "delete", late)
            answer, is_gone = await store.delete(TEAM, "a", options=DeleteOptions(grace_period_s=0))
            assert (answer["status"], is_gone) == ("Success", True)

    run(main)


def test_admission_can_refuse_a_deletion_of_either_kind():
    def refuse(obj):
        raise Forbidden(GroupResource("", "configmaps"), obj["metadata"]["name"], "not today")

    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world)
            for name, meta in (("a", {}), ("b", HOLD)):
                made = await store.create(TEAM, configmap(name, meta=meta))
                for dry_run in (False, True):
                    with pytest.raises(Forbidden):
                        await store.delete(TEAM, name, validate=refuse, options=DeleteOptions(dry_run=dry_run))
                assert await store.get(TEAM, name) == made

    run(main)


@BOTH
def test_a_dry_deletion_answers_and_removes_nothing(cached):
    async def main() -> None:
        async with open_world(cached=cached) as world:
            store = await configmaps(world)
            dry = DeleteOptions(dry_run=True)
            free, held = await store.create(TEAM, configmap()), await store.create(TEAM, configmap("b", meta=HOLD))
            answer, is_gone = await store.delete(TEAM, "a", options=dry)
            assert (answer["status"], is_gone) == ("Success", True)
            marked, is_gone = await store.delete(TEAM, "b", options=dry)
            assert marked["metadata"]["deletionTimestamp"]
            assert not is_gone
            assert [await store.get(TEAM, "a"), await store.get(TEAM, "b")] == [free, held]

    run(main)


def test_the_hook_is_told_of_each_object_that_is_gone():
    gone: list[str] = []
    hooks = Hooks(after_delete=lambda obj, options: gone.append(obj["metadata"]["name"]))

    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world, hooks=hooks)
            await store.create(TEAM, configmap())
            await store.create(TEAM, configmap("b", meta=HOLD))
            await store.delete(TEAM, "a")
            await store.delete(TEAM, "b")
            assert gone == ["a"]
            await store.update(TEAM, "b", Replacement(configmap("b")))
            assert gone == ["a", "b"]

    run(main)


def test_what_cannot_be_read_is_deleted_on_purpose_and_nothing_else_is():
    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world)
            await store.create(TEAM, configmap("b"))
            await world.etcd.put(b"/registry/configmaps/team-a/a", b"not json")
            purpose = DeleteOptions(ignore_read_errors=True)
            with pytest.raises(APIError) as caught:
                await store.get(TEAM, "a")
            assert caught.value.code == 500
            with pytest.raises(APIError):
                await store.delete(TEAM, "a")
            _, is_gone = await store.delete(TEAM, "a", options=purpose)
            assert is_gone
            with pytest.raises(NotFound):
                await store.get(TEAM, "a")
            with pytest.raises(Invalid, match="is exclusively used to delete corrupt object"):
                await store.delete(TEAM, "b", options=purpose)
            with pytest.raises(Invalid, match="is exclusively used to delete corrupt object"):
                await store.delete(TEAM, "none", options=purpose)

    run(main)


# ---- collections -----------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("workers", [1, 3])
def test_a_collection_answers_with_what_was_there(cached, workers):
    async def main() -> None:
        async with open_world(cached=cached) as world:
            store = await configmaps(world, delete_workers=workers)
            for name in "abcde":
                meta = HOLD if name == "b" else {}
                await store.create(TEAM, configmap(name, meta={**meta, "labels": {"odd": str(name in "ace")}}))
            await store.create(msgspec.structs.replace(TEAM, namespace="team-b"), configmap("z"))
            page = await store.delete_collection(TEAM, ListOptions(selector=Selector.of(labels="odd=True")))
            assert [obj.name for obj in page.objects] == ["a", "c", "e"]
            page = await store.delete_collection(TEAM, ListOptions())
            assert [obj.name for obj in page.objects] == ["b", "d"]
            left = (await store.list(msgspec.structs.replace(TEAM, namespace=""), ListOptions())).objects
            assert [(obj.namespace, obj.name) for obj in left] == [("team-a", "b"), ("team-b", "z")]

    run(main)


def test_a_collection_of_all_namespaces_is_not_deleted():
    """Kubernetes has no path for it; here it names what is missing."""

    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world)
            await store.create(TEAM, configmap())
            with pytest.raises(BadRequest, match="Namespace parameter required"):
                await store.delete_collection(Context(), ListOptions())
            await store.get(TEAM, "a")

    run(main)


def test_a_collection_with_a_limit_deletes_one_page_and_without_all_pages(monkeypatch):
    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world)
            for name in "abcde":
                await store.create(TEAM, configmap(name))
            page = await store.delete_collection(TEAM, ListOptions(limit=2))
            assert [obj.name for obj in page.objects] == ["a", "b"]
            assert page.continue_token
            assert page.remaining == 3
            monkeypatch.setattr("cacher.registry._store_delete_collection.PAGE_SIZE", 2)
            page = await store.delete_collection(TEAM, ListOptions())
            assert [obj.name for obj in page.objects] == ["c", "d", "e"]
            assert (page.continue_token, page.remaining) == ("", None)
            assert (await store.list(TEAM, ListOptions())).objects == ()

    run(main)


def test_a_collection_ends_at_its_first_error_and_does_not_mind_what_is_gone(monkeypatch):
    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world)
            for name in "abc":
                await store.create(TEAM, configmap(name))

            def refuse(obj):
                if obj["metadata"]["name"] == "b":
                    raise Forbidden(GroupResource("", "configmaps"), "b", "not today")

            with pytest.raises(Forbidden):
                await store.delete_collection(TEAM, ListOptions(), validate=refuse)
            assert [obj.name for obj in (await store.list(TEAM, ListOptions())).objects] == ["b", "c"]
            listed = store.list

            async def list_and_lose(context, options):
                page = await listed(context, options)
                await store.delete(TEAM, "b")
                return page

            monkeypatch.setattr(store, "list", list_and_lose)
            page = await store.delete_collection(TEAM, ListOptions())
            assert [obj.name for obj in page.objects] == ["b", "c"]
            assert (await listed(TEAM, ListOptions())).objects == ()

    run(main)


def test_a_foreground_deletion_of_a_deployment_ends_when_its_finalizer_is_taken():
    async def main() -> None:
        async with open_world() as world:
            registry = await registry_of(world, DEPLOYMENTS)
            door = registry.resource("apps/v1", "deployments")
            await door.create(deployment(), "team-a")
            held, is_gone = await door.delete("web", "team-a", propagation_policy="Foreground")
            assert not is_gone
            assert held["metadata"]["generation"] == 2
            held["metadata"].pop("finalizers")
            await door.update(held)
            with pytest.raises(NotFound):
                await door.get("web", "team-a")

    run(main)
