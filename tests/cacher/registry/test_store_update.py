"""Updating: versions, what no update can change, creates that come as updates, and the last finalizer (5.4)."""

from __future__ import annotations

import pytest
import trio

from cacher.registry import (
    Change,
    ConfigMapStrategy,
    Conflict,
    DeleteOptions,
    Forbidden,
    GroupResource,
    Hooks,
    Invalid,
    LeaseStrategy,
    NotFound,
    PlainServerError,
    Replacement,
    UpdateOptions,
)
from cacher.storage import ListOptions, ResponseMeta
from tests.cacher.registry.world import TEAM, configmap, configmaps, open_world, run

BOTH = pytest.mark.parametrize("cached", [False, True])
DRY = UpdateOptions(dry_run=True)


class _Creating(ConfigMapStrategy):
    """Config maps that a PUT may create."""

    allow_create_on_update = True


class _Strict(ConfigMapStrategy):
    """Config maps whose updates name a version."""

    allow_unconditional_update = False


@BOTH
def test_an_update_without_a_version_replaces_whatever_is_there(cached):
    async def main() -> None:
        async with open_world(cached=cached) as world:
            store = await configmaps(world)
            first = await store.create(TEAM, configmap(data={"k": "1"}))
            await trio.sleep(5)
            new, is_new = await store.update(TEAM, "a", Replacement(configmap(data={"k": "2"})))
            assert not is_new
            assert new["data"] == {"k": "2"}
            for lasting in ("uid", "creationTimestamp"):
                assert new["metadata"][lasting] == first["metadata"][lasting]
            assert int(new["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])

    run(main)


@BOTH
def test_an_update_of_another_version_is_a_conflict_even_where_nothing_would_change(cached):
    async def main() -> None:
        async with open_world(cached=cached) as world:
            store = await configmaps(world)
            first = await store.create(TEAM, configmap(data={"k": "1"}))
            await store.update(TEAM, "a", Replacement({**first, "data": {"k": "2"}}))
            for data in ({"k": "2"}, {"k": "3"}):
                with pytest.raises(Conflict, match="the object has been modified"):
                    await store.update(TEAM, "a", Replacement({**first, "data": data}))

    run(main)


def test_where_versions_are_asked_for_an_update_without_one_is_invalid():
    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world, _Strict())
            await store.create(TEAM, configmap())
            with pytest.raises(Invalid) as caught:
                await store.update(TEAM, "a", Replacement(configmap()))
            assert caught.value.message == (
                'configmaps "a" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update'
            )

    run(main)


@pytest.mark.parametrize("version", ["abc", "-1", "1.0", "¹"])
def test_a_version_that_is_no_number_overwrites_nothing(version):
    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world)
            made = await store.create(TEAM, configmap())
            with pytest.raises(PlainServerError, match="invalid syntax"):
                sent = configmap(meta={"resourceVersion": version}, data={"k": "1"})
                await store.update(TEAM, "a", Replacement(sent))
            assert await store.get(TEAM, "a") == made

    run(main)


def test_a_uid_is_a_precondition():
    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world)
            made = await store.create(TEAM, configmap())
            await store.update(TEAM, "a", Replacement(configmap(meta={"uid": made["metadata"]["uid"]})))
            with pytest.raises(Conflict, match="Precondition failed: UID in precondition: 1, UID in object meta"):
                await store.update(TEAM, "a", Replacement(configmap(meta={"uid": "1"})))
            with pytest.raises(Conflict, match="Precondition failed: UID in precondition: 1, UID in object meta"):
                await store.update(TEAM, "a", Replacement(configmap(meta={"uid": "1"})), options=DRY)

    run(main)


@BOTH
def test_an_update_that_changes_nothing_writes_nothing(cached):
    async def main() -> None:
        async with open_world(cached=cached) as world:
            store = await configmaps(world)
            made = await store.create(TEAM, configmap(data={"k": "1"}))
            before = world.etcd.revision
            same, _ = await store.update(TEAM, "a", Replacement(configmap(data={"k": "1"})))
            assert same == made
            assert world.etcd.revision == before

    run(main)


def test_times_of_managed_fields_alone_change_nothing():
    def entry(time):
        return [{"manager": "me", "operation": "Update", "time": time, "fieldsType": "FieldsV1", "fieldsV1": {}}]

    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world)
            old = await store.create(TEAM, configmap(meta={"managedFields": entry("2020-01-01T00:00:00Z")}))
            later = configmap(meta={"managedFields": entry("2021-01-01T00:00:00Z")})
            assert (await store.update(TEAM, "a", Replacement(later)))[0] == old
            changed, _ = await store.update(TEAM, "a", Replacement({**later, "data": {"k": "1"}}))
            assert changed["metadata"]["managedFields"][0]["time"] == "2021-01-01T00:00:00Z"

    run(main)


@pytest.mark.parametrize(
    ("meta", "field"),
    [
        ({"deletionTimestamp": "2001-01-01T00:00:00Z"}, "metadata.deletionTimestamp"),
        ({"deletionGracePeriodSeconds": 5}, "metadata.deletionGracePeriodSeconds"),
        ({"name": "b"}, "metadata.name"),
    ],
)
def test_an_update_may_not_change_what_is_immutable(meta, field):
    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world)
            await store.create(TEAM, configmap())
            with pytest.raises(Invalid, match="field is immutable") as caught:
                await store.update(TEAM, "a", Replacement(configmap(meta=meta)))
            assert {error.field for error in caught.value.causes} == {field}

    run(main)


def test_a_generation_and_a_time_of_creation_that_are_sent_are_not_taken():
    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world)
            made = await store.create(TEAM, configmap(meta={"generation": 3}))
            sent = configmap(meta={"generation": 9, "creationTimestamp": "2001-01-01T00:00:00Z"}, data={"k": "1"})
            new, _ = await store.update(TEAM, "a", Replacement(sent))
            assert new["metadata"]["generation"] == 3
            assert new["metadata"]["creationTimestamp"] == made["metadata"]["creationTimestamp"]

    run(main)


def test_an_update_of_nothing_is_not_found_or_creates():
    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world)
            with pytest.raises(NotFound):
                await store.update(TEAM, "a", Replacement(configmap()))
            forced, is_new = await store.update(TEAM, "a", Replacement(configmap()), force_create=True)
            assert is_new
            assert forced["metadata"]["uid"]
            creating = await configmaps(world, _Creating())
            made, is_new = await creating.update(TEAM, "b", Replacement(configmap("b", meta={"resourceVersion": "5"})))
            assert is_new
            assert made["metadata"]["resourceVersion"] != "5"
            _, is_new = await creating.update(TEAM, "b", Replacement(configmap("b")))
            assert not is_new

    run(main)


def test_a_create_by_update_asks_admission_of_creates():
    def refuse(obj):
        raise Forbidden(GroupResource("", "configmaps"), "b", "not today")

    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world, _Creating())
            with pytest.raises(Forbidden):
                await store.update(TEAM, "b", Replacement(configmap("b")), validate_create=refuse)
            await store.create(TEAM, configmap("b"))
            await store.update(TEAM, "b", Replacement(configmap("b")), validate_create=refuse)

    run(main)


def test_hooks_of_an_update_run_in_order_and_finish_once():
    told: list[str] = []

    def begin(context, new, old, options):
        told.append(f"begin {old['data']} {new['data']}")
        return lambda success: told.append(f"finish {success}")

    hooks = Hooks(begin_update=begin, after_update=lambda obj, options: told.append("after"))

    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world, hooks=hooks)
            await store.create(TEAM, configmap(data={"k": "1"}))
            sent = Replacement(configmap(data={"k": "2"}))
            await store.update(TEAM, "a", sent, validate_update=lambda new, old: told.append("admission"))
            assert told == ["begin {'k': '1'} {'k': '2'}", "admission", "finish True", "after"]
            told.clear()
            with pytest.raises(Invalid):
                await store.update(TEAM, "a", Replacement(configmap(data={"bad key": "2"})))
            assert told == ["begin {'k': '2'} {'bad key': '2'}", "finish False"]

    run(main)


def test_each_attempt_of_an_update_that_began_is_finished(monkeypatch):
    """Somebody comes between the first attempt and its write: what it began ends without success, before the next begins."""
    told: list[str] = []

    def begin(context, new, old, options):
        told.append("begin")
        return lambda success: told.append(f"finish {success}")

    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world, hooks=Hooks(begin_update=begin))
            await store.create(TEAM, configmap(data={"n": "0"}))
            guaranteed_update = store.storage.guaranteed_update

            async def contended(key, try_update, **options):
                found = await store.storage.get(key)
                assert found is not None
                try_update(found, ResponseMeta(found.revision))
                return await guaranteed_update(key, try_update, **options)

            monkeypatch.setattr(store.storage, "guaranteed_update", contended)
            await store.update(TEAM, "a", Replacement(configmap(data={"n": "1"})))
            assert told == ["begin", "finish False", "begin", "finish True"]

    run(main)


@BOTH
def test_a_change_is_made_again_of_what_somebody_wrote_meanwhile(cached):
    """A patch has no version of its own: it is applied to the newest, and nobody's write is lost."""

    async def main() -> None:
        async with open_world(cached=cached) as world:
            store = await configmaps(world)
            await store.create(TEAM, configmap(data={"n": "0"}))

            def add_one(old):
                assert old is not None
                return {**old, "data": {"n": str(int(old["data"]["n"]) + 1)}}

            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(store.update, TEAM, "a", Change(add_one))
            assert (await store.get(TEAM, "a"))["data"] == {"n": "20"}

    run(main)


def test_a_dry_update_answers_at_the_present_version_and_stores_nothing():
    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world)
            made = await store.create(TEAM, configmap(data={"k": "1"}))
            new, _ = await store.update(TEAM, "a", Replacement(configmap(data={"k": "2"})), options=DRY)
            assert new["data"] == {"k": "2"}
            assert new["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
            assert await store.get(TEAM, "a") == made
            with pytest.raises(Conflict):
                stale = configmap(meta={"resourceVersion": "1"})
                await store.update(TEAM, "a", Replacement(stale), options=DRY)
            with pytest.raises(NotFound):
                await store.update(TEAM, "none", Replacement(configmap("none")), options=DRY)

    run(main)


@BOTH
def test_the_update_that_takes_the_last_finalizer_of_a_terminating_object_deletes_it(cached):
    """5.4h: it answers with the object as it was sent; its hook is told; a living object stays."""
    gone: list[str] = []
    hooks = Hooks(after_delete=lambda obj, options: gone.append(obj["metadata"]["name"]))

    async def main() -> None:
        async with open_world(cached=cached) as world:
            store = await configmaps(world, hooks=hooks)
            held = {"finalizers": ["example.com/a", "example.com/b"]}
            await store.create(TEAM, configmap(meta=held))
            await store.update(TEAM, "a", Replacement(configmap()))
            await store.update(TEAM, "a", Replacement(configmap(meta=held)))
            await store.delete(TEAM, "a")
            one, _ = await store.update(TEAM, "a", Replacement(configmap(meta={"finalizers": ["example.com/b"]})))
            assert one["metadata"]["finalizers"] == ["example.com/b"]
            dry, _ = await store.update(TEAM, "a", Replacement(configmap()), options=DRY)
            assert "finalizers" not in dry["metadata"]
            await store.get(TEAM, "a")
            last, is_new = await store.update(TEAM, "a", Replacement(configmap(data={"k": "1"})))
            assert (last["data"], is_new) == ({"k": "1"}, False)
            assert last["metadata"]["resourceVersion"] == one["metadata"]["resourceVersion"]
            with pytest.raises(NotFound):
                await store.get(TEAM, "a")
            assert gone == ["a", "a"]

    run(main)


def test_a_hook_may_keep_an_object_without_finalizers_a_while():
    """Namespaces are kept by their spec: the hook adds to the rule, and never replaces it."""
    may_go = False
    hooks = Hooks(should_delete_during_update=lambda context, key, new, old: may_go)

    async def main() -> None:
        nonlocal may_go
        async with open_world() as world:
            store = await configmaps(world, hooks=hooks)
            await store.create(TEAM, configmap(meta={"finalizers": ["example.com/a"]}))
            await store.delete(TEAM, "a")
            await store.update(TEAM, "a", Replacement(configmap()))
            assert (await store.get(TEAM, "a"))["metadata"]["deletionTimestamp"]
            may_go = True
            await store.update(TEAM, "a", Replacement(configmap(data={"k": "1"})))
            with pytest.raises(NotFound):
                await store.get(TEAM, "a")

    run(main)


def test_a_terminating_object_gains_no_finalizer():
    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world)
            await store.create(TEAM, configmap(meta={"finalizers": ["example.com/a"]}))
            await store.delete(TEAM, "a")
            more = configmap(meta={"finalizers": ["example.com/a", "example.com/b"]})
            with pytest.raises(Invalid, match="no new finalizers can be added if the object is being deleted"):
                await store.update(TEAM, "a", Replacement(more))

    run(main)


def test_an_immutable_config_map_stays_as_it_is():
    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world)
            await store.create(TEAM, configmap(data={"k": "1"}, immutable=True))
            for change in ({"data": {"k": "2"}, "immutable": True}, {"data": {"k": "1"}}):
                with pytest.raises(Invalid, match="field is immutable when `immutable` is set"):
                    await store.update(TEAM, "a", Replacement(configmap(**change)))
            labelled = configmap(data={"k": "1"}, immutable=True, meta={"labels": {"l": "1"}})
            await store.update(TEAM, "a", Replacement(labelled))

    run(main)


def test_a_lease_is_created_by_update_and_renewed_at_its_version():
    strategy = LeaseStrategy()
    assert (strategy.allow_create_on_update, strategy.allow_unconditional_update) == (True, False)


def test_what_was_updated_can_be_deleted_and_listed():
    async def main() -> None:
        async with open_world(cached=True) as world:
            store = await configmaps(world)
            await store.create(TEAM, configmap())
            await store.update(TEAM, "a", Replacement(configmap(data={"k": "1"})))
            assert [obj.parse()["data"] for obj in (await store.list(TEAM, ListOptions())).objects] == [{"k": "1"}]
            await store.delete(TEAM, "a", options=DeleteOptions())
            assert (await store.list(TEAM, ListOptions())).objects == ()

    run(main)
