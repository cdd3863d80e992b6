"""Lists over etcd: at which revision, which pages, which tokens, which errors."""

from __future__ import annotations

from random import Random

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from cacher.storage import (
    LATEST,
    BadRequest,
    Codec,
    InternalError,
    ListOptions,
    StorageReadError,
    UnknownMatch,
    Update,
    decode_continue,
    encode_continue,
)
from cacher.storage.etcd import EtcdStorage, open_embedded_etcd
from tests.cacher.storage.etcd.pods import GARBAGE, CountedEtcd, create, exactly, open_storage, pod, pod_storage
from watch import Expired, Object, Selector, TooLargeResourceVersion

PREFIX = "/registry/pods/"


def names(result) -> str:
    return "".join(found.name for found in result.objects)


def run(run_trio, body, **options):
    async def main():
        async with open_storage(**options) as (storage, etcd):
            await body(storage, etcd)

    run_trio(main)


# --- at which revision ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "match", "limit", "listed", "at"),
    [
        ("", "", 0, "abc", "now"),
        ("", "", 1, "a", "now"),
        ("0", "", 0, "abc", "now"),
        ("0", "", 1, "a", "now"),
        ("0", "NotOlderThan", 1, "a", "now"),
        ("old", "", 0, "abc", "now"),
        ("old", "", 1, "a", "old"),
        ("old", "", 9, "ab", "old"),
        ("old", "NotOlderThan", 0, "abc", "now"),
        ("old", "NotOlderThan", 9, "abc", "now"),
        ("old", "Exact", 0, "ab", "old"),
        ("old", "Exact", 1, "a", "old"),
        ("first", "Exact", 0, "", "first"),
        ("now", "Exact", 0, "abc", "now"),
        ("now", "NotOlderThan", 0, "abc", "now"),
    ],
)
def test_a_list_is_of_the_revision_that_the_matrix_says(run_trio, version, match, limit, listed, at):
    """SEMANTICS 1.7.2; "old" is before c was created, "now" that of a write elsewhere."""

    async def body(storage, etcd):
        _, old, _ = await create(storage, "a", "b", "c")
        await etcd.put("/elsewhere", b"")
        revisions = {"first": 1, "old": old, "now": etcd.revision}
        options = ListOptions(
            resource_version=str(revisions.get(version, version)), match=match, limit=limit, recursive=True
        )
        result = await storage.get_list("/pods", options)
        assert (names(result), result.revision) == (listed, revisions[at])

    run(run_trio, body)


@pytest.mark.parametrize(
    ("match", "limit"), [("", 0), ("", 5), ("NotOlderThan", 0), ("NotOlderThan", 5), ("Exact", 0), ("Exact", 5)]
)
@pytest.mark.parametrize("recursive", [True, False])
def test_a_revision_to_come_is_too_large(run_trio, match, limit, recursive):
    """And names the current one; etcd knows no time after which to try again."""

    async def body(storage, etcd):
        await create(storage, "a")
        for asked in (etcd.revision + 1, 2**63 - 1):
            options = ListOptions(resource_version=str(asked), match=match, limit=limit, recursive=recursive)
            with pytest.raises(TooLargeResourceVersion) as caught:
                await storage.get_list("/pods/ns/a", options)
            error = caught.value
            assert (error.asked, error.current, error.retry_after_s) == (asked, etcd.revision, 0)
            assert error.message == f"Timeout: Too large resource version: {asked}, current: {etcd.revision}"

    run(run_trio, body)


def test_options_that_make_no_sense_are_refused(run_trio):
    async def body(storage, _etcd):
        for options, error in [
            (ListOptions(resource_version="abc"), BadRequest),
            (ListOptions(resource_version="1", match="Invalid"), UnknownMatch),
            (ListOptions(continue_token="?"), BadRequest),
        ]:
            with pytest.raises(error):
                await storage.get_list("/pods", options)

    run(run_trio, body)


def test_one_key_is_read_as_a_list_of_one_or_none(run_trio):
    async def body(storage, etcd):
        first, _, _ = await create(storage, "a", "ab", "b")
        updated = await storage.guaranteed_update("/pods/ns/a", lambda _object, _meta: Update(pod("a", node="n")))
        one = ListOptions(recursive=False)
        assert (await storage.get_list("/pods/ns/a", one)).objects == (updated,)
        old = await storage.get_list("/pods/ns/a", exactly(first, recursive=False))
        assert ([found.revision for found in old.objects], old.revision) == ([first], first)
        for key in ("/pods/", "/pods/ns", "/pods/ns/", "/pods/ns/missing"):
            missing = await storage.get_list(key, one)
            assert (missing.objects, missing.revision, missing.continue_token) == ((), etcd.revision, "")
        # A limit with a revision does not mean Exact here, and a token is not looked at.
        legacy = ListOptions(resource_version=str(first), limit=1, recursive=False, continue_token="?")
        result = await storage.get_list("/pods/ns/a", legacy)
        assert (result.objects, result.revision, result.continue_token) == ((updated,), etcd.revision, "")
        filtered = await storage.get_list(
            "/pods/ns/a", ListOptions(recursive=False, selector=Selector.of(fields="metadata.name!=a"))
        )
        assert filtered.objects == ()

    run(run_trio, body)


def test_a_key_is_below_what_it_is_below_and_not_what_it_begins_like(run_trio):
    async def body(storage, _etcd):
        await create(storage, "a", "ab")
        await storage.create("/pods/nsx/a", pod("a"))
        assert len((await storage.get_list("/pods", ListOptions())).objects) == 3
        assert names(await storage.get_list("/pods/ns", ListOptions())) == "aab"
        assert (await storage.get_list("/pods/ns/a", ListOptions())).objects == ()

    run(run_trio, body)


# --- pages ------------------------------------------------------------------------------------------------------------


def test_pages_are_of_one_revision_and_say_what_remains(run_trio):
    async def body(storage, etcd):
        await create(storage, *"abcde")
        revision = etcd.revision
        pages, token = [], ""
        while True:
            page = await storage.get_list("/pods", ListOptions(limit=2, continue_token=token))
            pages.append((names(page), page.revision, page.remaining))
            token = page.continue_token
            await storage.create(f"/pods/ns/c{len(pages)}", pod("z"))  # comes too late to be shown
            if not token:
                break
            assert decode_continue(token, PREFIX) == (page.objects[-1].key + "\0", revision)
        assert pages == [("ab", revision, 3), ("cd", revision, 1), ("e", revision, None)]

    run(run_trio, body)


def test_a_token_without_a_limit_reads_the_rest(run_trio):
    async def body(storage, _etcd):
        await create(storage, *"abcde")
        page = await storage.get_list("/pods", ListOptions(limit=2))
        for version in ("", "0"):
            rest = await storage.get_list(
                "/pods", ListOptions(continue_token=page.continue_token, resource_version=version)
            )
            assert (names(rest), rest.revision, rest.continue_token, rest.remaining) == ("cde", page.revision, "", None)

    run(run_trio, body)


def test_a_token_of_the_latest_goes_on_at_whatever_is_current(run_trio):
    async def body(storage, etcd):
        await create(storage, *"abcd")
        token = encode_continue(PREFIX + "ns/b\0", PREFIX, LATEST)
        await create(storage, "bb")
        page = await storage.get_list("/pods", ListOptions(limit=1, continue_token=token))
        assert (names(page), page.revision) == ("bb", etcd.revision)
        assert decode_continue(page.continue_token, PREFIX) == (PREFIX + "ns/bb\0", etcd.revision)

    run(run_trio, body)


def test_a_page_that_ends_with_the_last_key_has_no_token(run_trio):
    async def body(storage, _etcd):
        await create(storage, *"abcd")
        page = await storage.get_list("/pods", ListOptions(limit=4))
        assert (names(page), page.continue_token, page.remaining) == ("abcd", "", None)

    run(run_trio, body)


def test_a_page_with_a_selector_is_filled_by_reading_on_in_ever_larger_steps(run_trio):
    """And says nothing of what remains, which nobody has counted."""

    async def body(storage, etcd):
        for index in range(40):
            await storage.create(f"/pods/ns/{index:02}", pod(f"{index:02}", node="n" if index in (20, 39) else ""))
        counted = CountedEtcd(etcd)
        storage = pod_storage(counted)
        at_node = Selector.of(fields="spec.nodeName=n")
        page = await storage.get_list("/pods", ListOptions(limit=1, selector=at_node))
        # 1, 2, 4, 8 and 16 keys: the 21st is the sixth of the last 16. All later ones are at the revision of the first.
        assert counted.ranges == [(1, 0), *((limit, page.revision) for limit in (2, 4, 8, 16))]
        assert (names(page), page.remaining) == ("20", None)
        assert decode_continue(page.continue_token, PREFIX) == (PREFIX + "ns/20\0", page.revision)
        last = await storage.get_list(
            "/pods", ListOptions(limit=2, selector=at_node, continue_token=page.continue_token)
        )
        assert (names(last), last.continue_token) == ("39", "")

    run(run_trio, body)


@pytest.mark.parametrize(("limit", "read"), [(3, [3, 5, 5, 5]), (7, [7, 7, 7])])
def test_pages_stop_growing_where_a_server_would_suffer(run_trio, monkeypatch, limit, read):
    """A larger limit of the caller's own is kept."""
    monkeypatch.setattr("cacher.storage.etcd._storage_list.PAGE_SIZE_MAX", 5)

    async def body(storage, etcd):
        await create(storage, *"abcdefghijklmnopq")
        counted = CountedEtcd(etcd)
        nothing = ListOptions(limit=limit, selector=Selector.of(labels="a=b"))
        result = await pod_storage(counted).get_list("/pods", nothing)
        assert (result.objects, result.continue_token) == ((), "")
        assert [size for size, _ in counted.ranges] == read

    run(run_trio, body)


def test_list_metrics_tell_what_was_read_judged_and_returned(run_trio):
    """[9.4 TestListMetrics] objects fetched from etcd, evaluated and returned"""

    async def body(storage, _etcd):
        await create(storage, *"abcdefg")
        # Of the pages of 1, 2, 4 the last is cut where the limit is reached.
        await storage.get_list("/pods", ListOptions(limit=1, selector=Selector.of(fields="metadata.name=e")))
        lists = storage.metrics.lists
        total, fetched, evaluated = lists._by_index[""]
        assert (total.value, fetched.value, evaluated.value, lists._returned.value) == (1, 7, 5, 1)

    run(run_trio, body)


@settings(max_examples=60)
@given(
    keys=st.lists(st.text("ab/", min_size=1, max_size=5).filter(lambda key: "" not in key.split("/")), unique=True),
    limit=st.integers(1, 4),
    wanted=st.sampled_from([None, "yes", "no"]),
)
def test_the_pages_together_are_the_whole_list(keys, limit, wanted):
    """Whatever the keys, the selector and the limit: nothing twice, nothing missing, all of one revision."""

    async def main():
        async with open_embedded_etcd(random=Random(1)) as etcd:
            storage = pod_storage(etcd)
            for index, key in enumerate(keys):
                await storage.create(f"/pods/{key}", {"metadata": {"labels": {"odd": "yes" if index % 2 else "no"}}})
            selector = Selector.of(labels={"odd": wanted} if wanted else None)
            whole = await storage.get_list("/pods", ListOptions(selector=selector))
            assert [found.key for found in whole.objects] == sorted(
                PREFIX + key for index, key in enumerate(keys) if wanted in (None, "yes" if index % 2 else "no")
            )
            paged: list[Object] = []
            token = ""
            while True:
                page = await storage.get_list(
                    "/pods", ListOptions(selector=selector, limit=limit, continue_token=token)
                )
                paged += page.objects
                assert page.revision == whole.revision
                assert len(page.objects) == limit or not page.continue_token
                if page.remaining is not None:
                    assert page.remaining == len(whole.objects) - len(paged)
                token = page.continue_token
                if not token:
                    break
            assert tuple(paged) == whole.objects

    trio.run(main)


# --- what was forgotten -----------------------------------------------------------------------------------------------


def test_a_list_at_a_compacted_revision_expires(run_trio):
    async def body(storage, etcd):
        first, _ = await create(storage, "a", "b")
        await etcd.compact(etcd.revision)
        for options in (exactly(first), exactly(first, limit=1), ListOptions(resource_version=str(first), limit=1)):
            with pytest.raises(Expired) as caught:
                await storage.get_list("/pods", options)
            assert caught.value.message == "The resourceVersion for the provided list is too old."
            assert (caught.value.code, caught.value.reason, caught.value.continue_token) == (410, "Expired", "")

    run(run_trio, body)


def test_a_token_at_a_compacted_revision_expires_with_another_that_goes_on(run_trio):
    async def body(storage, etcd):
        await create(storage, *"abc")
        page = await storage.get_list("/pods", ListOptions(limit=1))
        await storage.delete("/pods/ns/b")
        await etcd.compact(etcd.revision)
        with pytest.raises(Expired) as caught:
            await storage.get_list("/pods", ListOptions(limit=1, continue_token=page.continue_token))
        assert caught.value.message == (
            "The provided continue parameter is too old to display a consistent list result. You can start a new list "
            "without the continue parameter, or use the continue token in this response to retrieve the remainder of "
            "the results. Continuing with the provided token results in an inconsistent list - objects that were "
            "created, modified, or deleted between the time the first chunk was returned and now may show up in the list."
        )
        token = caught.value.continue_token
        assert decode_continue(token, PREFIX) == (PREFIX + "ns/a\0", LATEST)
        rest = await storage.get_list("/pods", ListOptions(continue_token=token))
        assert (names(rest), rest.revision) == ("c", etcd.revision)

    run(run_trio, body)


def test_a_list_whose_later_pages_are_compacted_meanwhile_expires(run_trio):
    """There is no token then: nothing was handed out that could be gone on with."""

    async def body(storage, etcd):
        await create(storage, *"abcd")

        class Compacting(CountedEtcd):
            async def range(self, *args, **options):
                result = await super().range(*args, **options)
                if len(self.ranges) == 1:
                    await etcd.put("/elsewhere", b"")
                    await etcd.compact(etcd.revision)
                return result

        storage = pod_storage(Compacting(etcd))
        with pytest.raises(Expired) as caught:
            await storage.get_list("/pods", ListOptions(limit=1, selector=Selector.of(labels="a=b")))
        assert caught.value.message == "The resourceVersion for the provided list is too old."

    run(run_trio, body)


# --- what cannot be read ----------------------------------------------------------------------------------------------


def test_aggregated_storage_error_message_names_what_cannot_be_read(run_trio):
    """[9.4 TestAggregatedStorageErrorMessage] one error for all of them, each with its key"""

    async def body(storage, etcd):
        await create(storage, *"ac")
        at = {name: (await etcd.put(f"/registry/pods/ns/{name}", GARBAGE)).revision for name in "bde"}
        with pytest.raises(StorageReadError) as caught:
            await storage.get_list("/pods", ListOptions())
        error = caught.value
        assert isinstance(error, InternalError)
        assert (error.code, error.reason) == (500, "StorageReadError")
        for (key, problem), (name, revision) in zip(error.causes, at.items(), strict=True):
            assert key == f"/registry/pods/ns/{name}"
            assert problem.startswith(
                f"StorageError: corrupt object, Code: 7, Key: {key}, ResourceVersion: 0, "
                f"AdditionalErrorMsg: object not decodable revision={revision}: "
            )
        first = error.causes[0][1]
        assert error.message == f"failed to read one or more pods from the storage: {first} (and 2 more)"
        assert error.is_complete

    run(run_trio, body)


def test_a_list_with_one_unreadable_object_says_so_with_its_group(run_trio):
    async def main():
        async with open_embedded_etcd(random=Random(1)) as etcd:
            codec = Codec(group_version="apps/v1")
            storage = EtcdStorage(etcd, codec=codec, random=Random(2), resource_prefix="/deployments")
            await etcd.put("/registry/deployments/ns/b", GARBAGE)
            with pytest.raises(StorageReadError) as caught:
                await storage.get_list("/deployments", ListOptions())
            ((_, problem),) = caught.value.causes
            assert caught.value.message == f"failed to read one or more deployments.apps from the storage: {problem}"

    run_trio(main)


@pytest.mark.parametrize(("bad", "is_complete"), [(99, True), (100, False), (101, False)])
def test_a_list_stops_at_a_hundred_that_cannot_be_read(run_trio, bad, is_complete):
    async def body(storage, etcd):
        for index in range(bad):
            await etcd.put(f"/registry/pods/ns/{index:03}", GARBAGE)
        with pytest.raises(StorageReadError) as caught:
            await storage.get_list("/pods", ListOptions())
        assert (len(caught.value.causes), caught.value.is_complete) == (min(bad, 100), is_complete)

    run(run_trio, body)


def test_a_key_that_is_no_text_costs_nobody_the_list(run_trio):
    async def body(storage, etcd):
        await etcd.put(b"/registry/pods/ns/\xff", b"{}")
        await create(storage, "a")
        page = await storage.get_list("/pods", ListOptions())
        assert len(page.objects) == 2

    run(run_trio, body)
