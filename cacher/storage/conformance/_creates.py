"""Cases: an object is created, and read alone."""

from __future__ import annotations

from watch import EventType, TooLargeResourceVersion

from .._errors import BadRequest, InvalidResourceVersion, KeyExists, KeyNotFound, ResourceVersionSetOnCreate
from ._case import case
from ._expect import expect_later, expect_same, raises
from ._fixture import Fixture, pod, stored_value

FOO = "team-a/foo"
FAR_FUTURE = str(2**63 - 1)


@case()
async def a_created_object_is_returned_as_it_can_be_read(store: Fixture) -> None:
    """[9.1 Create] what was not there is there afterwards, with a revision, exactly as `create` returned it"""
    with raises(KeyNotFound) as missing:
        await store.get(FOO)
    missing.shows(number=1)
    created = await store.create(FOO, labels={"app": "web"}, node="n1")
    expect_same((created.name, created.namespace), ("foo", "team-a"))
    assert created.revision > 0, "the object has no revision"
    expect_same(created.key, store.etcd_key(FOO))
    found = await store.get(FOO)
    assert found == created, f"{found} was read, {created} was created"


@case(needs_etcd=True)
async def what_is_stored_carries_no_resource_version(store: Fixture) -> None:
    """[9.1 Create] the stored bytes are the object's, without resourceVersion, under the key below the root"""
    created = await store.create(FOO, labels={"app": "web"})
    kv = await store.stored(FOO)
    assert kv is not None, f"etcd has nothing under {store.etcd_key(FOO)}"
    expect_same(kv.mod_revision, created.revision)
    expect_same(stored_value(kv), pod(FOO, labels={"app": "web"}))


@case()
async def a_new_object_must_not_carry_a_resource_version(store: Fixture) -> None:
    """[9.1 Create] one that says at which revision it is was read somewhere: it is refused, and not stored"""
    value = pod(FOO)
    value["metadata"]["resourceVersion"] = "7"
    with raises(ResourceVersionSetOnCreate):
        await store.storage.create(store.key(FOO), value)
    with raises(KeyNotFound):
        await store.get(FOO)


@case()
async def an_object_with_a_time_to_live_is_deleted_when_it_has_passed(store: Fixture) -> None:
    """[9.1 CreateWithTTL] a watch from its revision sees it deleted in the end"""
    created = await store.create(FOO, ttl_s=1)
    async with store.watching(FOO, created.revision, recursive=False) as watch:
        event = await watch.next()
        expect_same(event.type, EventType.DELETED)
        expect_same(event.object, created.at_revision(event.revision))
        expect_later(event.revision, created.revision)
    with raises(KeyNotFound):
        await store.get(FOO)


@case()
async def a_key_is_created_once(store: Fixture) -> None:
    """[9.1 CreateWithKeyExist] a second creation of the key is refused and changes nothing"""
    created = await store.create(FOO)
    with raises(KeyExists) as refused:
        await store.create(FOO, node="n1")
    refused.shows(number=2)
    expect_same(await store.get(FOO), created)


@case()
async def a_get_is_not_older_than_its_resource_version(store: Fixture) -> None:
    """[9.1 Get] unset: the latest; N: N or newer; "0": whatever there is, or nothing yet"""
    created = await store.create(FOO)
    updated = await store.set(FOO, node="n1")
    for ignore in (False, True):
        expect_same(await store.get(FOO, ignore_not_found=ignore), updated)
        current = await store.get(FOO, resource_version=str(updated.revision), ignore_not_found=ignore)
        expect_same(current, updated)
        older = await store.get(FOO, resource_version=str(created.revision), ignore_not_found=ignore)
        assert older in ((created, updated) if store.is_cached else (updated,)), f"found {older}"
    any_version = await store.get(FOO, resource_version="0", ignore_not_found=True)
    assert any_version in ((None, created, updated) if store.is_cached else (updated,)), f"found {any_version}"


@case()
async def a_get_of_a_revision_to_come_is_refused(store: Fixture) -> None:
    """[9.1 Get] the revision asked for is above the store's: 504, whether the key exists or not"""
    created = await store.create(FOO)
    for path in (FOO, "team-a/missing"):
        for asked in (str(created.revision + 1000), FAR_FUTURE):
            for ignore in (False, True):
                with raises(TooLargeResourceVersion, says="Too large resource version") as refused:
                    await store.get(path, resource_version=asked, ignore_not_found=ignore)
                refused.shows(code=504, reason="Timeout", asked=int(asked))


@case()
async def a_get_of_nothing_says_so_or_returns_nothing(store: Fixture) -> None:
    """[9.1 Get] KeyNotFound, or None with `ignore_not_found`, at every revision that has been reached"""
    created = await store.create(FOO)
    for asked in ("", "0", str(created.revision)):
        with raises(KeyNotFound):
            await store.get("team-a/missing", resource_version=asked)
        expect_same(await store.get("team-a/missing", resource_version=asked, ignore_not_found=True), None)


@case()
async def a_get_of_a_resource_version_that_is_none_is_refused(store: Fixture) -> None:
    """[9.1 Get] by the store as a bad request; by a cache that is ready without a code, which a server answers with 500"""
    await store.create(FOO)
    for path in (FOO, "team-a/missing"):
        for garbage in ("abc", "-1"):
            with raises(BadRequest, InvalidResourceVersion, says="resourceVersion: Invalid value"):
                await store.get(path, resource_version=garbage)
