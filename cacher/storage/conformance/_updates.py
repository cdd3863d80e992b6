"""Cases: guaranteed_update, the one way to change an object: what it stores, when it stores nothing, how it retries."""

from __future__ import annotations

from watch import EventType, Object

from .._errors import InternalError, InvalidObject, KeyNotFound, UndecodableObject
from .._interface import Preconditions, ResponseMeta, Stats, Update, Value
from ._case import case
from ._expect import expect_later, expect_same, raises
from ._fixture import Fixture, Pod, pod

FOO = "team-a/foo"


class Refused(Exception):
    """What an update function raises here."""


def unchanged(present: Object | None) -> Pod:
    """The object as it is shown: with its resource version."""
    assert present is not None, "the function was not shown the object"
    return present.to_dict()


@case()
async def an_update_of_nothing_is_refused_or_creates(store: Fixture) -> None:
    """[9.1 GuaranteedUpdate] KeyNotFound; with `ignore_not_found` the function gets None and makes the object"""
    seen: list[Object | None] = []

    def make(present: Object | None) -> Value:
        seen.append(present)
        return pod(FOO)

    with raises(KeyNotFound):
        await store.update(FOO, make)
    assert seen == [], "the function was asked though nothing is there"
    created = await store.update(FOO, make, ignore_not_found=True)
    expect_same(seen, [None])
    expect_later(created.revision, 0)
    expect_same(await store.get(FOO), created)


@case()
async def an_update_makes_a_new_revision(store: Fixture) -> None:
    """[9.1 GuaranteedUpdate] the function gets the present object and its revision; what it returns is stored"""
    created = await store.create(FOO, labels={"version": "1"})
    seen: list[tuple[Object | None, int]] = []

    def change(present: Object | None, meta: ResponseMeta) -> Update:
        seen.append((present, meta.revision))
        return Update(pod(FOO, labels={"version": "2"}))

    updated = await store.storage.guaranteed_update(store.key(FOO), change)
    expect_same(seen[-1], (created, created.revision))
    expect_later(updated.revision, created.revision)
    expect_same(updated.labels, {"version": "2"})
    expect_same(await store.get(FOO), updated)


@case()
async def an_update_that_changes_nothing_writes_nothing(store: Fixture) -> None:
    """[9.1 GuaranteedUpdate] the same object: the same revision; resourceVersion and selfLink are no part of it"""
    created = await store.create(FOO, labels={"app": "web"})

    def linked(present: Object | None) -> Value:
        value = unchanged(present)
        value["metadata"]["selfLink"] = "/api/v1/namespaces/team-a/pods/foo"
        return value

    for change in (unchanged, linked, unchanged):
        same = await store.update(FOO, change)
        assert same == created, f"{same} was returned, {created} is stored"
    expect_same(await store.get(FOO), created)


@case()
async def an_update_can_be_bound_to_a_uid(store: Fixture) -> None:
    """[9.1 GuaranteedUpdate] its own uid and the same object: no write; another uid: InvalidObject, function not asked"""
    created = await store.create(FOO, uid="A")
    expect_same(await store.update(FOO, unchanged, preconditions=Preconditions(uid="A")), created)

    def never(_: Object | None) -> Value:
        raise AssertionError("the function was asked in spite of the precondition")

    with raises(InvalidObject, says="Precondition failed: UID in precondition: B, UID in object meta: A"):
        await store.update(FOO, never, preconditions=Preconditions(uid="B"))
    expect_same(await store.get(FOO), created)


@case()
async def an_update_can_be_bound_to_a_resource_version(store: Fixture) -> None:
    """[9.1 GuaranteedUpdate] what was updated since is InvalidObject"""
    created = await store.create(FOO)
    updated = await store.set(FOO, node="n1")
    stale = Preconditions(resource_version=created.resource_version)
    with raises(InvalidObject, says="Precondition failed: ResourceVersion in precondition"):
        await store.update(FOO, lambda _: pod(FOO, node="n2"), preconditions=stale)
    fresh = Preconditions(resource_version=updated.resource_version)
    again = await store.update(FOO, lambda _: pod(FOO, node="n2"), preconditions=fresh)
    expect_later(again.revision, updated.revision)


@case()
async def an_update_can_give_a_time_to_live(store: Fixture) -> None:
    """[9.1 GuaranteedUpdateWithTTL] created by an update with one: a watch sees it deleted in the end"""
    created = await store.update(FOO, lambda _: pod(FOO), ttl_s=1, ignore_not_found=True)
    async with store.watching(FOO, created.revision, recursive=False) as watch:
        event = await watch.next()
        expect_same((event.type, event.object), (EventType.DELETED, created.at_revision(event.revision)))


@case(needs_etcd=True)
async def an_update_compares_with_the_stored_bytes(store: Fixture) -> None:
    """[9.1 GuaranteedUpdateChecksStoredData] bytes that nobody here would have written are rewritten, then left alone"""
    foreign = await store.put_raw(FOO, pod(FOO), before=b" ")
    rewritten = await store.update(FOO, unchanged)
    assert rewritten.revision > foreign, "bytes that are not canonical were left as they are"
    kv = await store.stored(FOO)
    assert kv is not None, "it is gone"
    assert not kv.value.startswith(b" "), "the stored bytes are still not ours"
    again = await store.update(FOO, unchanged, suggestion=rewritten)
    assert again.revision == rewritten.revision, "an update that changes nothing wrote"


@case(needs_etcd=True)
async def an_update_that_lost_a_race_is_made_again_on_what_is_there(store: Fixture) -> None:
    """[9.1 GuaranteedUpdateWithConflict] two of them interleave: both are stored, the later function is asked twice"""
    created = await store.create(FOO)
    seen: list[dict[str, str]] = []

    def second(present: Object | None) -> Value:
        assert present is not None, "the function was not shown the object"
        seen.append(present.labels)
        return pod(FOO, labels=present.labels | {"second": "yes"})

    async def first() -> None:
        await store.update(FOO, lambda _: pod(FOO, labels={"first": "yes"}))

    store.intervene(first)
    updated = await store.update(FOO, second, suggestion=created)
    expect_same(updated.labels, {"first": "yes", "second": "yes"})
    assert seen == [{}, {"first": "yes"}], f"the function was shown {seen}"


@case()
async def what_an_update_function_raises_of_a_stale_suggestion_does_not_count(store: Fixture) -> None:
    """[9.1 GuaranteedUpdateWithSuggestionAndConflict] it is asked again with the live object, whose change is stored"""
    created = await store.create(FOO, labels={"version": "1"})
    await store.set(FOO, labels={"version": "2"})
    conflicts = 0

    def only_fresh(present: Object | None) -> Value:
        nonlocal conflicts
        assert present is not None, "the function was not shown the object"
        if present.labels["version"] != "2":
            conflicts += 1
            raise Refused
        return pod(FOO, labels={"version": "3"})

    updated = await store.update(FOO, only_fresh, suggestion=created)
    expect_same(updated.labels, {"version": "3"})
    # A cache takes its own object for the suggestion, which may be the live one.
    assert conflicts <= 1 if store.is_cached else conflicts == 1, f"the stale object was shown {conflicts} times"


@case()
async def what_an_update_function_raises_of_the_present_object_is_raised(store: Fixture) -> None:
    """[9.1 GuaranteedUpdateWithSuggestionAndConflict] the suggestion was up to date: that error, at most two attempts"""
    created = await store.create(FOO)
    error = Refused()
    attempts = 0

    def refuse(_: Object | None) -> Value:
        nonlocal attempts
        attempts += 1
        raise error

    with raises(Refused) as refused:
        await store.update(FOO, refuse, suggestion=created)
    expect_same(refused.error, error)
    assert attempts <= 2, f"{attempts} attempts"
    expect_same(await store.get(FOO), created)


@case(needs_etcd=True)
async def an_unreadable_object_is_a_server_error_to_everybody(store: Fixture) -> None:
    """[9.1 TransformationFailure] get, update (also with an unchanged suggestion) and delete raise it, and it stays

    Kubernetes has an InternalError of what it cannot decrypt; an update or a deletion of what is decrypted and cannot be
    decoded is the plain error of its decoder.
    """
    created = await store.create(FOO)
    await store.create("team-b/readable")
    spoilt = await store.spoil(FOO)
    with raises(InternalError) as refused:
        await store.get(FOO)
    refused.shows(code=500)
    for suggestion in (None, created):
        with raises(UndecodableObject, InternalError):
            await store.update(FOO, lambda _: pod(FOO), suggestion=suggestion)
    with raises(UndecodableObject, InternalError):
        await store.storage.delete(store.key(FOO))
    kv = await store.stored(FOO)
    assert kv is not None, "it is gone"
    assert kv.mod_revision == spoilt, "a refused operation wrote"


@case()
async def stats_count_the_objects_and_average_their_stored_bytes(store: Fixture) -> None:
    """[9.1 Stats] 0, 1, 2, after an update, after a deletion, after one that failed, 0 again; sizes where they are tracked"""
    sizes: dict[str, int] = {}

    async def expect() -> None:
        await store.list()  # a consistent list brings a cache up to date
        stats = await store.storage.stats()
        average = sum(sizes.values()) // len(sizes) if sizes else 0
        untracked = not stats.average_object_bytes
        assert stats == Stats(len(sizes), 0 if untracked else average), f"{stats} of {sizes}"

    await expect()
    sizes["a"] = len((await store.create("team-a/a")).raw)
    await expect()
    sizes["b"] = len((await store.create("team-a/b", node="a-long-name")).raw)
    await expect()
    sizes["b"] = len((await store.set("team-a/b", labels={"foo": "bar"})).raw)
    await expect()
    await store.delete("team-a/a")
    del sizes["a"]
    await expect()
    with raises(KeyNotFound):
        await store.delete("team-a/a")
    await expect()
    await store.delete("team-a/b")
    sizes.clear()
    await expect()
