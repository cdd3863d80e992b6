"""Cases: lists beside the matrix: consistent ones, of one key, of a prefix, of a namespace, of what cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import trio

from watch import Expired, NotReady, Object, TooLargeResourceVersion

from .._errors import InternalError
from .._interface import Match
from ._case import On, add_case, case
from ._expect import continue_token, expect_later, expect_objects, expect_same, raises
from ._fixture import Fixture

FAR_FUTURE = 2**63 - 1
FRESH_S = 3.0
"""How long a read waits for a cache to catch up. Source: watch_cache.go, blockTimeout."""
EXACT, NOT_OLDER = Match.EXACT, Match.NOT_OLDER_THAN


@case(needs_etcd=True)
async def a_list_without_resource_version_is_of_the_store_s_revision(store: Fixture) -> None:
    """[9.1 ConsistentList] "0" may be old; unset and a token at -1 are current; after them a cache has caught up"""
    created = await store.create("default/foo")

    async def revision_at(rv: str, token: str = "") -> tuple[int, int]:
        now = await store.write_elsewhere()
        return (await store.list("empty", rv=rv, token=token)).revision, now

    found, now = await revision_at("0")
    assert found <= now if store.is_cached else found == now, f"at 0 the list is of {found}, the store at {now}"
    found, now = await revision_at("")
    assert found == now, f"the list is of {found}, the store at {now}"
    found, now = await revision_at("", continue_token("a", -1))
    assert found == now, f"the rest of the list is of {found}, the store at {now}"
    reached = found
    found, now = await revision_at("0")
    if store.is_cached and not store.supports_progress:
        return  # nothing made the cache catch up
    if store.is_cached and store.is_prompt:
        assert reached <= found <= now, f"a list at {reached} was given, then one at {found}"
    elif not store.is_cached:
        expect_same(found, now)
    expect_later(reached, created.revision)


@case(on=On.CACHED, needs_etcd=True)
async def a_list_that_waits_is_woken_by_the_store_s_progress(store: Fixture) -> None:
    """[9.3 TestWaitUntilFreshAndListFromCache] at a revision of something else: soon; in v1.22, waking nobody, after 3 s"""
    if not (store.is_prompt and store.supports_progress):
        return
    created = await store.create("default/foo")
    elsewhere = await store.write_elsewhere()
    began_s = trio.current_time()
    page = await store.list("default", elsewhere)
    took_s = trio.current_time() - began_s
    expect_objects(page.objects, [created])
    assert page.revision >= elsewhere, f"the list is of {page.revision}, and not of {elsewhere}"
    if store.is_v1_22:
        assert took_s >= FRESH_S, f"it was woken after {took_s:g} s"
    else:
        assert took_s < FRESH_S / 2, f"it was woken after {took_s:g} s"


@case()
async def a_list_of_one_key_shows_that_object_or_nothing(store: Fixture) -> None:
    """[9.1 GetListNonRecursive] unset, current, exact: the object; "0" and older: a version of it or nothing yet; missing: empty"""
    before = await store.create("team-a/foo", labels={"version": "1"})
    obj = await store.set("team-a/foo", labels={"version": "2"})
    now = obj.revision

    async def ask(rv: str | int, match: str = "", **more: str) -> Sequence[Object]:
        page = await store.list("team-a/foo", rv=rv, match=match, recursive=False, **more)
        assert page.revision > 0, "the list has no revision"
        assert page.revision == rv if match == EXACT else page.revision >= int(rv or now), f"at {page.revision}"
        return page.objects

    for rv, match in ((now, NOT_OLDER), (now, EXACT), (now, ""), ("", "")):
        expect_objects(await ask(rv, match), [obj])
    expect_objects(await ask(before.revision, EXACT), [before])
    lagging = ((), (before,), (obj,)) if store.is_cached else ((obj,),)
    for rv, match in (("0", ""), ("0", NOT_OLDER)):
        found = await ask(rv, match)
        assert found in lagging, f"{found} is shown"
    found = await ask(before.revision, NOT_OLDER)
    assert found in lagging[-2:], f"{found} is shown"
    expect_objects(await ask("", fields="metadata.name=foo"), [obj])
    expect_objects(await ask("", fields="metadata.name!=foo"), [])


@case()
async def a_list_of_one_key_that_is_not_there_is_empty(store: Fixture) -> None:
    """[9.1 GetListNonRecursive] no error, and a revision; a revision to come is 504 all the same"""
    obj = await store.create("team-a/foo")
    for rv, match in (("", ""), ("0", ""), (obj.revision, NOT_OLDER), (obj.revision, EXACT)):
        page = await store.list("team-a/missing", rv=rv, match=match, recursive=False)
        expect_objects(page.objects, [])
        assert page.revision > 0, "the list has no revision"
    for path in ("team-a/foo", "team-a/missing"):
        with raises(TooLargeResourceVersion):
            await store.list(path, rv=FAR_FUTURE, recursive=False)


@case()
async def a_list_of_a_prefix_is_recursive_or_empty(store: Fixture) -> None:
    """[9.1 GetListRecursivePrefix] recursive: what is below, not what begins alike; else the very key, which a prefix is not"""
    foo, foo_bar, other = [await store.create(path) for path in ("ns/foo", "ns/foo-bar", "ns-2/foo")]
    now = other.revision
    for rv, match in ((now, EXACT), ("", ""), (now, NOT_OLDER)):

        async def ask(path: str, *, recursive: bool, rv: str | int = rv, match: str = match) -> Sequence[Object]:
            return (await store.list(path, rv=rv, match=match, recursive=recursive)).objects

        expect_objects(await ask("", recursive=False), [])
        expect_objects(await ask("", recursive=True), [other, foo, foo_bar])
        expect_objects(await ask("ns/", recursive=False), [])
        expect_objects(await ask("ns/", recursive=True), [foo, foo_bar])
        expect_objects(await ask("ns", recursive=True), [foo, foo_bar])
        expect_objects(await ask("ns/foo", recursive=False), [foo])
        expect_objects(await ask("ns/foo-bar", recursive=False), [foo_bar])
        expect_objects(await ask("ns/foo", recursive=True), [])


@case(needs_etcd=True)
async def writes_do_not_change_what_an_exact_list_shows(store: Fixture) -> None:
    """[9.1 ListResourceVersionMatch] the same page at the same revision while writes go on; not older: a newer page"""
    for number in range(10):
        await store.create(f"team-a/{number}", labels={"even": str(number % 2 == 0).lower()})
    even: Any = {"limit": 4, "labels": "even=true"}
    first = await store.list(**even)
    expect_same([obj.name for obj in first.objects], ["0", "2", "4", "6"])
    for number in (0, 1):
        await store.create(f"team-a/0{number}", labels={"even": "true"})
    exact = await store.list(rv=first.revision, match=EXACT, **even)
    expect_same((exact.objects, exact.revision), (first.objects, first.revision))
    newer = await store.list(rv=await store.now(), match=NOT_OLDER, **even)
    expect_later(newer.revision, first.revision)
    expect_same([obj.name for obj in newer.objects], ["0", "00", "01", "2"])
    await store.delete("team-a/0")
    exact = await store.list(rv=newer.revision, match=EXACT, **even)
    expect_same((exact.objects, exact.revision), (newer.objects, newer.revision))


@case(needs_etcd=True)
async def a_compaction_is_seen_and_makes_old_lists_impossible(store: Fixture) -> None:
    """[9.1 CompactRevision] exact at R is well until R is compacted, then 410; the storage knows how far that went"""
    now = await store.now()
    expect_later(now, store.storage.compact_revision())
    expect_same((await store.list(rv=now, match=EXACT)).revision, now)
    compacted = await store.write_elsewhere()
    await store.compact(compacted)
    seen = store.storage.compact_revision()
    assert seen == compacted, f"the compaction is seen at {seen}, and was at {compacted}"
    await store.eventually_forgotten(now)
    with raises(Expired, says="The resourceVersion for the provided list is too old") as refused:
        await store.list(rv=now, match=EXACT)
    refused.shows(code=410, reason="Expired")


@case(on=On.UNCACHED, needs_etcd=True)
async def a_list_names_the_objects_that_cannot_be_read(store: Fixture) -> None:
    """[9.1 GetListWithErrorAggregation] 500, with the keys of all that are corrupt; a list without them is well"""
    await store.create("team-a/good")
    for path in ("team-a/bad-1", "team-a/bad-2"):
        await store.create(path)
        await store.spoil(path)
    with raises(InternalError) as refused:
        await store.list()
    refused.shows(code=500)
    told = f"{refused.message} {getattr(refused.error, 'causes', '')}"
    for path in ("team-a/bad-1", "team-a/bad-2"):
        assert store.etcd_key(path) in told, f"{told!r} does not name {path}"
    assert store.etcd_key("team-a/good") not in told, f"{told!r} names one that is readable"
    expect_same([obj.name for obj in (await store.list("team-a/good", recursive=False)).objects], ["good"])


@case(needs_etcd=True)
async def a_list_with_an_unreadable_object_is_refused(store: Fixture) -> None:
    """[9.1 TransformationFailure] an internal error; a cache that the object keeps from being ready may say so instead"""
    await store.create("team-a/good")
    await store.create("team-b/bad")
    await store.spoil("team-b/bad")
    with raises(InternalError, NotReady if store.is_cached else InternalError):
        await store.list()


class Scope(msgspec.Struct, frozen=True):
    """A list of a namespace or of all, with a field selector, over a few pods."""

    name: str
    pods: str
    """`namespace/name` or `namespace/name@node`, separated by blanks."""
    shows: str
    namespace: str = ""
    fields: str = ""


SCOPES = [
    Scope("all", "ns1/foo1 ns2/foo2", "ns1/foo1 ns2/foo2"),
    Scope("all, by namespace", "ns1/foo1 ns2/foo1", "ns1/foo1", fields="metadata.namespace=ns1"),
    Scope("all, by node", "ns1/foo1@bar1 ns2/foo2@bar2", "ns1/foo1", fields="spec.nodeName=bar1"),
    Scope("all, by not the node", "ns1/foo1@bar1 ns2/foo2@bar2", "ns2/foo2", fields="spec.nodeName!=bar1"),
    Scope("a namespace", "ns1/foo1 ns2/foo1 ns1/foo2", "ns1/foo1 ns1/foo2", "ns1"),
    Scope("a namespace, by itself", "ns1/foo1 ns2/foo1", "ns1/foo1", "ns1", "metadata.namespace=ns1"),
    Scope("a namespace, by another", "ns1/foo1 ns2/foo1 ns1/foo2 ns2/foo2", "", "ns1", "metadata.namespace=ns2"),
    Scope("a namespace, by node", "ns1/foo1@bar1 ns2/foo1@bar2 ns1/foo2@bar2", "ns1/foo2", "ns1", "spec.nodeName=bar2"),
    Scope(
        "a namespace, by not the node",
        "ns1/foo1 ns2/foo1 ns2/foo3@bar1 ns2/foo2@bar2",
        "ns2/foo1 ns2/foo2",
        "ns2",
        "spec.nodeName!=bar1",
    ),
    Scope("all, by name", "ns1/foo1 ns2/foo1 ns1/foo2", "ns1/foo1 ns2/foo1", fields="metadata.name=foo1"),
    Scope(
        "all, by name and namespace",
        "ns1/foo1 ns1/foo2 ns2/foo1",
        "ns1/foo1",
        fields="metadata.name=foo1,metadata.namespace=ns1",
    ),
    Scope(
        "all, by name and node",
        "ns1/foo1@bar1 ns2/foo1 ns1/foo2@bar1",
        "ns1/foo1",
        fields="metadata.name=foo1,spec.nodeName=bar1",
    ),
    Scope(
        "all, by name and not the node",
        "ns1/foo1 ns1/foo2 ns2/foo1@bar1 ns2/foo2@bar1 ns3/foo1@bar2 ns3/foo2@bar2",
        "ns1/foo1 ns3/foo1",
        fields="metadata.name=foo1,spec.nodeName!=bar1",
    ),
    Scope("a namespace, by name", "ns1/foo1 ns1/foo2 ns2/foo1 ns2/foo2", "ns1/foo1", "ns1", "metadata.name=foo1"),
    Scope(
        "a namespace, by name and itself",
        "ns1/foo1 ns1/foo2 ns2/foo1 ns2/foo2",
        "ns1/foo1",
        "ns1",
        "metadata.name=foo1,metadata.namespace=ns1",
    ),
    Scope(
        "a namespace, by name, itself and node",
        "ns1/foo1 ns1/foo2 ns2/foo1 ns2/foo2@bar1 ns3/foo1@bar1 ns3/foo2@bar1",
        "ns2/foo2",
        "ns2",
        "metadata.name=foo2,metadata.namespace=ns2,spec.nodeName=bar1",
    ),
    Scope(
        "a namespace, by name, itself and not the node",
        "ns1/foo1 ns1/foo2 ns2/foo1@bar1 ns2/foo2@bar2 ns3/foo1@bar2",
        "ns2/foo1",
        "ns2",
        "metadata.name=foo1,metadata.namespace=ns2,spec.nodeName!=bar2",
    ),
]


async def check_scope(store: Fixture, scope: Scope) -> None:
    """The same objects, whichever way the storage finds them: consistently, at the revision of that, and at least at it."""
    for each in scope.pods.split():
        path, _, node = each.partition("@")
        await store.create(path, node=node)
    consistent = await store.list(scope.namespace, fields=scope.fields or None)
    for rv, match in (("", ""), (consistent.revision, NOT_OLDER), (consistent.revision, EXACT)):
        page = await store.list(scope.namespace, rv=rv, match=match, fields=scope.fields or None)
        found = " ".join(f"{obj.namespace}/{obj.name}" for obj in page.objects)
        assert found == scope.shows, f"{match or 'consistently'}, {found!r} is shown, not {scope.shows!r}"


def _add_cases() -> None:
    for scope in SCOPES:

        async def check(store: Fixture, scope: Scope = scope) -> None:
            await check_scope(store, scope)

        add_case(f"list of a scope: {scope.name}", f"[9.1 NamespaceScopedList] {scope.name}", check)


_add_cases()
