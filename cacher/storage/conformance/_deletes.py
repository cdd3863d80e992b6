"""Cases: an object is deleted: with conditions, with a suggestion that may be stale, in spite of its bytes."""

from __future__ import annotations

from watch import Object

from .._errors import InternalError, InvalidObject, KeyNotFound
from .._interface import Preconditions
from ._case import case
from ._expect import expect_same, raises
from ._fixture import Fixture, pod

FOO = "team-a/foo"


class Refused(Exception):
    """What a validation raises here."""


def expect_deletion_of(store: Fixture, deleted: Object | None, live: Object) -> None:
    """Claims that `deleted` is `live` at a later revision, its deletion's; in v1.22 at its own."""
    assert deleted is not None, "nothing was returned"
    if store.is_v1_22:
        expect_same(deleted, live)
        return
    assert deleted.revision > live.revision, f"deleted at {deleted.revision}, and written at {live.revision}"
    assert deleted == live.at_revision(deleted.revision), f"{deleted} was returned, {live} was deleted"


async def expect_gone(store: Fixture, path: str = FOO) -> None:
    with raises(KeyNotFound):
        await store.get(path)


@case()
async def a_deletion_returns_the_last_state_at_its_own_revision(store: Fixture) -> None:
    """[9.1 UnconditionalDelete] what was there comes back at the deletion's revision (v1.22: its own); else KeyNotFound"""
    created = await store.create(FOO, labels={"app": "web"})
    with raises(KeyNotFound):
        await store.delete("team-a/missing")
    expect_deletion_of(store, await store.delete(FOO), created)
    await expect_gone(store)
    with raises(KeyNotFound):
        await store.delete(FOO)


@case()
async def a_deletion_can_be_bound_to_a_uid(store: Fixture) -> None:
    """[9.1 ConditionalDelete] another uid: InvalidObject, and the object stays; its own: deleted"""
    created = await store.create(FOO, uid="A")
    with raises(InvalidObject, says="Precondition failed: UID in precondition: B, UID in object meta: A") as refused:
        await store.storage.delete(store.key(FOO), preconditions=Preconditions(uid="B"))
    refused.shows(number=4)
    expect_same(await store.get(FOO), created)
    expect_deletion_of(store, await store.storage.delete(store.key(FOO), preconditions=Preconditions(uid="A")), created)
    await expect_gone(store)


@case()
async def a_deletion_can_be_bound_to_a_resource_version(store: Fixture) -> None:
    """[9.1 ConditionalDelete] the same with the resource version that the object is at"""
    created = await store.create(FOO)
    updated = await store.set(FOO, node="n1")
    stale = Preconditions(resource_version=created.resource_version)
    with raises(InvalidObject, says="Precondition failed: ResourceVersion in precondition"):
        await store.storage.delete(store.key(FOO), preconditions=stale)
    fresh = Preconditions(resource_version=updated.resource_version)
    expect_deletion_of(store, await store.storage.delete(store.key(FOO), preconditions=fresh), updated)


@case()
async def a_deletion_takes_a_suggestion(store: Fixture) -> None:
    """[9.1 DeleteWithSuggestion] with the present object as the suggestion it is deleted"""
    created = await store.create(FOO)
    expect_deletion_of(store, await store.delete(FOO, suggestion=created), created)
    await expect_gone(store)


@case()
async def a_deletion_with_a_stale_suggestion_deletes_what_is_there(store: Fixture) -> None:
    """[9.1 DeleteWithSuggestionAndConflict] it succeeds, and returns the live object, not the suggestion"""
    created = await store.create(FOO)
    updated = await store.set(FOO, labels={"version": "2"})
    expect_deletion_of(store, await store.delete(FOO, suggestion=created), updated)
    await expect_gone(store)


@case()
async def a_deletion_that_lost_a_race_is_tried_again_on_what_is_there(store: Fixture) -> None:
    """[9.1 DeleteWithConflict] updated while it was being validated: validated exactly twice, and the newer one deleted"""
    await store.create(FOO)
    seen: list[Object] = []
    updated: list[Object] = []

    async def validate(present: Object) -> None:
        seen.append(present)
        if len(seen) == 1:
            updated.append(await store.set(FOO, labels={"version": "2"}))

    deleted = await store.storage.delete(store.key(FOO), validate=validate)
    assert len(seen) == 2, f"validated {len(seen)} times"
    expect_same(seen[1], updated[0])
    expect_deletion_of(store, deleted, updated[0])
    await expect_gone(store)


@case()
async def a_suggestion_does_not_bring_a_deleted_object_back(store: Fixture) -> None:
    """[9.1 DeleteWithSuggestionOfDeletedObject] the key is gone already: KeyNotFound"""
    created = await store.create(FOO)
    await store.delete(FOO)
    with raises(KeyNotFound):
        await store.delete(FOO, suggestion=created)


@case()
async def what_validation_raised_of_the_present_object_is_raised(store: Fixture) -> None:
    """[9.1 ValidateDeletionWithSuggestion] the very error, after one call: reading again showed nothing newer"""
    created = await store.create(FOO)
    error = Refused()
    calls = 0

    async def refuse(_: Object) -> None:
        nonlocal calls
        calls += 1
        raise error

    with raises(Refused) as refused:
        await store.storage.delete(store.key(FOO), validate=refuse, suggestion=created)
    expect_same(refused.error, error)
    assert calls == 1, f"validated {calls} times"
    expect_same(await store.get(FOO), created)


@case()
async def a_stale_suggestion_that_validation_refuses_does_not_count(store: Fixture) -> None:
    """[9.1 ValidateDeletionWithSuggestion] the live object passes: deleted, validated at most twice"""
    created = await store.create(FOO, labels={"fresh": "no"})
    updated = await store.set(FOO, labels={"fresh": "yes"})
    calls = 0

    async def only_fresh(present: Object) -> None:
        nonlocal calls
        calls += 1
        if present.labels["fresh"] != "yes":
            raise Refused

    deleted = await store.storage.delete(store.key(FOO), validate=only_fresh, suggestion=created)
    expect_deletion_of(store, deleted, updated)
    assert calls <= 2, f"validated {calls} times"


@case()
async def a_stale_suggestion_that_validation_lets_pass_does_not_count_either(store: Fixture) -> None:
    """[9.1 ValidateDeletionWithOnlySuggestionValid] the live object is refused: its error, at most two calls, and it stays"""
    created = await store.create(FOO, labels={"fresh": "no"})
    updated = await store.set(FOO, labels={"fresh": "yes"})
    calls = 0

    async def only_stale(present: Object) -> None:
        nonlocal calls
        calls += 1
        if present.labels["fresh"] == "yes":
            raise Refused

    with raises(Refused):
        await store.storage.delete(store.key(FOO), validate=only_stale, suggestion=created)
    assert calls <= 2, f"validated {calls} times"
    expect_same(await store.get(FOO), updated)


@case()
async def a_precondition_is_asked_of_the_live_object(store: Fixture) -> None:
    """[9.1 PreconditionalDeleteWithSuggestion] the suggestion fails it and the live object does not: deleted"""
    created = await store.create(FOO)
    updated = await store.set(FOO, uid="mine")
    deleted = await store.storage.delete(store.key(FOO), preconditions=Preconditions(uid="mine"), suggestion=created)
    expect_deletion_of(store, deleted, updated)
    await expect_gone(store)


@case()
async def a_precondition_that_only_the_suggestion_meets_fails(store: Fixture) -> None:
    """[9.1 PreconditionalDeleteWithOnlySuggestionPass] InvalidObject, and the live object stays"""
    created = await store.create(FOO, uid="mine")
    updated = await store.set(FOO, uid="other")
    with raises(InvalidObject):
        await store.storage.delete(store.key(FOO), preconditions=Preconditions(uid="mine"), suggestion=created)
    expect_same(await store.get(FOO), updated)


@case(needs_etcd=True)
async def an_unreadable_object_can_be_deleted_unsafely(store: Fixture) -> None:
    """[9.1 DeleteExpectedTransformOrDecodeError] with `expect_decode_error` it goes, and nothing is returned"""
    await store.create(FOO)
    await store.spoil(FOO)
    with raises(InternalError):
        await store.get(FOO)
    expect_same(await store.storage.delete(store.key(FOO), expect_decode_error=True), None)
    await expect_gone(store)


@case()
async def a_readable_object_is_not_deleted_unsafely(store: Fixture) -> None:
    """[9.1 DeleteWithSuggestionAndMissingExpectedTransformOrDecodeError] InvalidObject, also with it as the suggestion"""
    created = await store.create(FOO)
    says = "unsafe deletion is not allowed because the object is decodable from storage"
    for suggestion in (None, created):
        with raises(InvalidObject, says=says):
            await store.storage.delete(store.key(FOO), suggestion=suggestion, expect_decode_error=True)
    expect_same(await store.get(FOO), created)


@case(needs_etcd=True)
async def an_object_that_became_readable_is_not_deleted_unsafely(store: Fixture) -> None:
    """[9.1 DeleteWithConflictAndMissingExpectedTransformOrDecodeError] mended before the deletion came: InvalidObject"""
    await store.create(FOO)
    await store.spoil(FOO)
    store.intervene(lambda: store.put_raw(FOO, pod(FOO, labels={"mended": "yes"})))
    with raises(InvalidObject):
        await store.storage.delete(store.key(FOO), expect_decode_error=True)
    found = await store.get(FOO)
    assert found is not None, "it is gone"
    expect_same(found.labels, {"mended": "yes"})
