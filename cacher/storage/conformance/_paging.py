"""Cases: a list in pages: what each shows, how the next is asked for, what is read for it, and what a compaction does to it."""

from __future__ import annotations

from watch import Expired

from .._interface import ListResult
from ._case import case
from ._expect import expect_later, expect_objects, expect_page, expect_same, expect_token, raises
from ._fixture import Fixture, Pod, pod

PATHS = ("first/bar", "second/bar", "second/foo")


@case(needs_etcd=True)
async def a_list_goes_on_where_its_page_ended(store: Fixture) -> None:
    """[9.1 ListContinuation] all pages are of the first one's revision; etcd is asked for no more than a page"""
    one, two, three = [await store.create(path) for path in PATHS]
    store.page_reads()
    first = await store.list(limit=1)
    expect_page(first, objects=[one], is_last=False, remaining=2)
    _expect_reads(store, [1])
    rest = await store.list(token=first.continue_token)
    expect_page(rest, objects=[two, three], is_last=True)
    _expect_reads(store, [0])
    second = await store.list(limit=1, token=first.continue_token)
    expect_page(second, objects=[two], is_last=False, remaining=1)
    _expect_reads(store, [1])
    third = await store.list(limit=1, token=second.continue_token)
    expect_page(third, objects=[three], is_last=True)
    _expect_reads(store, [1])
    assert {rest.revision, second.revision, third.revision} == {first.revision}, "the pages are of several revisions"


def _expect_reads(store: Fixture, limits: list[int]) -> None:
    """Claims the sizes of the pages that etcd was asked for; a cache need not ask."""
    found = [read.limit for read in store.page_reads()]
    assert store.is_cached or found == limits, f"etcd was asked for pages of {found}, not {limits}"


@case(needs_etcd=True)
async def a_rare_object_is_found_on_one_page(store: Fixture) -> None:
    """[9.1 ListPaginationRareObject] the last of 1000, with limit 1: that one, no continue, in reads that double in size"""
    for number in range(1000):
        await _write_raw(store, f"first/pod-{number:03}")
    store.page_reads()
    page = await store.list(limit=1, fields="metadata.name=pod-999")
    expect_same([obj.name for obj in page.objects], ["pod-999"])
    expect_page(page, objects=page.objects, is_last=True)
    _expect_reads(store, [2**power for power in range(10)])


async def _write_raw(store: Fixture, path: str) -> None:
    """Writes past the storage: a thousand creations would only make the case slow."""
    value: Pod = pod(path)
    await store.put_raw(path, value)


@case(needs_etcd=True)
async def a_filtered_page_is_filled_by_reading_on(store: Fixture) -> None:
    """[9.1 ListContinuationWithFilter] four, one filtered out, limit 2: two and a token, then the last; no remaining count"""
    await store.create("1/foo", labels={"keep": "yes"})
    await store.create("2/bar", labels={"keep": "no"})
    await store.create("3/baz", labels={"keep": "yes"})
    last = await store.create("4/foo", labels={"keep": "yes"})
    store.page_reads()
    first = await store.list(limit=2, labels="keep=yes")
    expect_page(first, objects=first.objects, is_last=False)
    expect_same([obj.namespace for obj in first.objects], ["1", "3"])
    # The second read is larger than what is wanted of it, and yet no key is skipped.
    _expect_reads(store, [2, 4])
    rest = await store.list(limit=2, labels="keep=yes", token=first.continue_token)
    expect_page(rest, objects=[last], is_last=True)
    _expect_reads(store, [2])
    expect_same(rest.revision, first.revision)


@case(needs_etcd=True)
async def a_list_whose_pages_were_compacted_can_go_on_inconsistently(store: Fixture) -> None:
    """[9.1 ListInconsistentContinuation] 410 with a token of the latest revision; it gives the rest, newer than the first page"""
    _, two, three = [await store.create(path) for path in PATHS]
    first = await store.list(limit=1)
    updated = await store.set(PATHS[1], node="n1")
    expect_later(updated.revision, two.revision)
    compacted = await store.write_elsewhere()
    await store.compact(compacted)
    token = await _token_of_the_rest(store, first)
    expect_token(token, after="first/bar", revision=-1)
    second = await store.list(rv="0", limit=1, token=token)
    # A cache takes no notice of a limit at "0".
    if not second.continue_token:
        expect_objects(second.objects, [updated, three])
        second = await store.list(limit=1, token=token)
    expect_page(second, objects=[updated], is_last=False, remaining=1)
    expect_later(second.revision + 1, updated.revision)
    third = await store.list(limit=1, token=second.continue_token)
    expect_page(third, objects=[three], is_last=True)
    expect_same(third.revision, second.revision)


async def _token_of_the_rest(store: Fixture, first: ListResult) -> str:
    """Goes on with `first` until its revision is gone, which a cache may notice later than the store."""
    await store.eventually_forgotten(first.revision)
    with raises(Expired, says="The provided continue parameter is too old to display a consistent list") as refused:
        await store.list(limit=1, token=first.continue_token)
    refused.shows(code=410, reason="Expired")
    assert isinstance(refused.error, Expired), repr(refused.error)
    return refused.error.continue_token


@case()
async def pages_do_not_show_what_was_written_between_them(store: Fixture) -> None:
    """[9.1 ListPaging] four objects, limit 1: four pages in key order; a fifth, created meanwhile, is on none"""
    for number in range(4):
        await store.create(f"paging/test-{number}")
    names: list[str] = []
    token, pages = "", 0
    while pages == 0 or token:
        page = await store.list(limit=1, token=token)
        token, pages = page.continue_token, pages + 1
        names += [obj.name for obj in page.objects]
        if pages == 2:
            await store.create("paging/test-5")
    assert pages == 4, f"{pages} pages"
    expect_same(names, [f"test-{number}" for number in range(4)])
