"""What every `Etcd` promises, embedded or remote: CASES, each an async function that takes an opener of one.

A case asks nothing of the store but the protocol, works under its own prefix, and counts revisions from where it began, so
a real etcd with other things in it passes as well. Nobody else may write meanwhile. Times are seconds that a real server
needs too; under a virtual clock they cost nothing. What a case needs to know of etcd is in its name and its docstring.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import wraps

import pytest
import trio

from cacher.storage.etcd import (
    CompactedError,
    Compare,
    CompareTarget,
    DeleteRange,
    DuplicateKeyError,
    Etcd,
    EtcdEvent,
    EtcdWatch,
    FutureRevisionError,
    InvalidRequestError,
    LeaseExistsError,
    LeaseNotFoundError,
    Operation,
    Put,
    Range,
    RangeResult,
    Txn,
    WatchFilter,
    WatchResponse,
    WriteResult,
    prefix_end,
)

OpenEtcd = Callable[[], AbstractAsyncContextManager[Etcd]]
PREFIX = b"/contract/"
END = prefix_end(PREFIX)
PATIENCE_S = 10.0

CASES: list[Callable[[OpenEtcd], Awaitable[None]]] = []


def contract(case: Callable[[Etcd, int], Awaitable[None]]) -> None:
    """Add a case: it gets an etcd with nothing under PREFIX, and the revision that this etcd is at."""

    @wraps(case)
    async def run(open_etcd: OpenEtcd) -> None:
        async with open_etcd() as etcd:
            await etcd.delete(PREFIX, END)
            with trio.fail_after(6 * PATIENCE_S):
                await case(etcd, (await etcd.range(PREFIX, count_only=True)).revision)

    CASES.append(run)


def k(name: str) -> bytes:
    return PREFIX + name.encode()


async def value(etcd: Etcd, key: bytes, revision: int = 0) -> bytes | None:
    kvs = (await etcd.range(key, revision=revision)).kvs
    return kvs[0].value if kvs else None


async def receive(watch: EtcdWatch) -> WatchResponse:
    with trio.fail_after(PATIENCE_S):
        return await watch.receive()


async def events(watch: EtcdWatch, count: int) -> list[EtcdEvent]:
    """The next `count` events, over as many responses as the server likes; progress in between is left out."""
    found: list[EtcdEvent] = []
    while len(found) < count:
        response = await receive(watch)
        found += response.events
        assert not response.events or response.revision >= response.events[-1].kv.mod_revision
    assert len(found) == count
    return found


async def progress(watch: EtcdWatch) -> WatchResponse:
    """Ask until heard, as one must: a request may be lost while the watch is behind."""
    with trio.fail_after(PATIENCE_S):
        while True:
            watch.request_progress()
            with trio.move_on_after(0.1):
                return await watch.receive()


def told(found: list[EtcdEvent] | tuple[EtcdEvent, ...], base: int) -> list[tuple[str, str, int]]:
    return [(e.kind.value, e.kv.key.removeprefix(PREFIX).decode(), e.kv.mod_revision - base) for e in found]


# --- keys -----------------------------------------------------------------------------------------------------------


@contract
async def a_key_counts_its_versions_and_starts_over_when_made_again(etcd: Etcd, base: int) -> None:
    assert (await etcd.put(k("a"), "1")).revision == base + 1
    result = await etcd.put(k("a"), "2", prev_kv=True)
    assert [kv.value for kv in result.prev_kvs] == [b"1"]
    (kv,) = (await etcd.range(k("a"))).kvs
    assert (kv.create_revision, kv.mod_revision, kv.version, kv.value) == (base + 1, base + 2, 2, b"2")
    deleted = await etcd.delete(k("a"), prev_kv=True)
    assert (deleted.revision, deleted.deleted, deleted.prev_kvs) == (base + 3, 1, (kv,))
    await etcd.put(k("a"), "3")
    (kv,) = (await etcd.range(k("a"))).kvs
    assert (kv.create_revision, kv.mod_revision, kv.version) == (base + 4, base + 4, 1)


@contract
async def text_is_written_as_utf_8(etcd: Etcd, base: int) -> None:
    await etcd.put("/contract/ключ", "значение")
    assert await value(etcd, "/contract/ключ".encode()) == "значение".encode()
    assert (await etcd.delete("/contract/к", "/contract/л")).deleted == 1


@contract
async def deleting_nothing_makes_no_revision(etcd: Etcd, base: int) -> None:
    for result in (await etcd.delete(k("a")), await etcd.delete(PREFIX, END)):
        assert (result.revision, result.deleted) == (base, 0)


@contract
async def a_range_is_in_key_order_from_its_key_up_to_its_end(etcd: Etcd, base: int) -> None:
    for name in ("c", "a", "b", "bb"):
        await etcd.put(k(name), name)

    async def names(start: bytes, end: bytes | None) -> list[str]:
        result = await etcd.range(start, end)
        assert (result.count, result.more, result.revision) == (len(result.kvs), False, base + 4)
        return [kv.value.decode() for kv in result.kvs if kv.key.startswith(PREFIX)]

    assert await names(PREFIX, END) == ["a", "b", "bb", "c"]
    assert await names(k("b"), k("c")) == ["b", "bb"]
    assert await names(k("b"), None) == ["b"]
    assert await names(k("b"), b"\0") == ["b", "bb", "c"]
    assert await names(k("c"), k("a")) == []
    assert await names(k("a"), k("a")) == []
    assert await names(k("x"), None) == []


@contract
async def a_limited_range_says_how_many_there_are_and_that_there_are_more(etcd: Etcd, base: int) -> None:
    for name in "abc":
        await etcd.put(k(name), name)
    for limit, names, more in ((2, "ab", True), (3, "abc", False), (4, "abc", False), (0, "abc", False)):
        result = await etcd.range(PREFIX, END, limit=limit)
        assert ([kv.value.decode() for kv in result.kvs], result.more, result.count) == (list(names), more, 3)
    counted = await etcd.range(PREFIX, END, count_only=True)
    assert (counted.kvs, counted.count) == ((), 3)
    bare = await etcd.range(PREFIX, END, keys_only=True, limit=1)
    assert [(kv.key, kv.value, kv.version) for kv in bare.kvs] == [(k("a"), b"", 1)]


@contract
async def the_past_can_be_read_page_by_page_while_the_present_moves_on(etcd: Etcd, base: int) -> None:
    for name in "abcd":
        await etcd.put(k(name), "old")
    pinned = base + 4
    first = await etcd.range(PREFIX, END, revision=pinned, limit=2)
    await etcd.delete(k("c"))
    await etcd.put(k("d"), "new")
    await etcd.put(k("cc"), "new")
    second = await etcd.range(first.kvs[-1].key + b"\0", END, revision=pinned, limit=2)
    assert [kv.key for kv in second.kvs] == [k("c"), k("d")]
    assert {kv.value for kv in second.kvs} == {b"old"}
    assert (first.more, second.more, second.count, second.revision) == (True, False, 2, pinned + 3)


@contract
async def compaction_ends_reading_below_it(etcd: Etcd, base: int) -> None:
    for number in range(4):
        await etcd.put(k("a"), str(number))
    await etcd.compact(base + 2)
    assert await value(etcd, k("a"), base + 2) == b"1"
    with pytest.raises(CompactedError):
        await etcd.range(k("a"), revision=base + 1)
    for revision in (base + 1, base + 2):
        with pytest.raises(CompactedError):
            await etcd.compact(revision)
    with pytest.raises(FutureRevisionError):
        await etcd.compact(base + 5)
    with pytest.raises(FutureRevisionError):
        await etcd.range(k("a"), revision=base + 5)
    assert await value(etcd, k("a"), base + 4) == b"3"


@contract
async def requests_without_a_key_or_beyond_the_limits_are_refused(etcd: Etcd, base: int) -> None:
    put = Put(k("a"), b"")
    with pytest.raises(InvalidRequestError):
        await etcd.put("", "x")
    with pytest.raises(InvalidRequestError):
        await etcd.range("")
    with pytest.raises(InvalidRequestError):
        await etcd.delete("")
    with pytest.raises(InvalidRequestError):
        await etcd.txn(success=[Range(b"")])
    with pytest.raises(InvalidRequestError):
        await etcd.txn(success=[DeleteRange(k(str(number))) for number in range(129)])
    with pytest.raises(InvalidRequestError):
        await etcd.put(k("a"), b"x" * (3 * 512 * 1024 + 1))
    with pytest.raises(DuplicateKeyError):
        await etcd.txn(success=[put, put])
    with pytest.raises(DuplicateKeyError):
        await etcd.txn(failure=[put, DeleteRange(PREFIX, END)])
    assert (await etcd.put(k("a"), b"x" * 1024 * 1024)).revision == base + 1


# --- transactions ---------------------------------------------------------------------------------------------------


@contract
async def every_compare_holds_as_its_operator_says(etcd: Etcd, base: int) -> None:
    lease = (await etcd.lease_grant(60)).lease
    await etcd.put(k("b"), "m", lease=lease)
    await etcd.put(k("b"), "m", lease=lease)
    of_b: dict[CompareTarget, int] = {
        CompareTarget.VERSION: 2,
        CompareTarget.CREATE: base + 1,
        CompareTarget.MOD: base + 2,
        CompareTarget.LEASE: lease,
    }
    for key, facts in ((k("b"), of_b), (k("missing"), dict.fromkeys(of_b, 0))):
        for target, fact in facts.items():
            for operator, holding in (("=", [0]), ("!=", [-1, 1]), ("<", [1]), (">", [-1])):
                for off in (-1, 0, 1):
                    result = await etcd.txn([Compare(key, target, operator, fact + off)])
                    assert result.succeeded == (off in holding), (key, target, operator, off)
    for operator, operand, holds in (("=", b"m", True), ("<", b"n", True), (">", b"l", True), ("!=", b"m", False)):
        assert (await etcd.txn([Compare(k("b"), CompareTarget.VALUE, operator, operand)])).succeeded is holds
        assert not (await etcd.txn([Compare(k("missing"), CompareTarget.VALUE, operator, b"")])).succeeded
    await etcd.lease_revoke(lease)


@contract
async def a_compare_of_a_range_holds_of_every_key_in_it(etcd: Etcd, base: int) -> None:
    compare = Compare(k("a"), CompareTarget.VERSION, "=", 1, range_end=k("z"))
    assert not (await etcd.txn([compare])).succeeded, "an empty range counts as one missing key, of version 0"
    await etcd.put(k("a"), "")
    await etcd.put(k("b"), "")
    assert (await etcd.txn([compare])).succeeded
    await etcd.put(k("b"), "")
    assert not (await etcd.txn([compare])).succeeded


@contract
async def a_transaction_takes_one_branch_under_one_revision(etcd: Etcd, base: int) -> None:
    await etcd.put(k("old"), "x")
    is_new = Compare(k("a"), CompareTarget.MOD, "=", 0)
    writes: list[Operation] = [Put(k("a"), b"1"), Put(k("b"), b"2"), DeleteRange(k("old"), prev_kv=True), Range(k("a"))]
    done = await etcd.txn([is_new], writes, [Range(k("a"))])
    assert (done.succeeded, done.revision) == (True, base + 2)
    deleted, read = done.responses[2:]
    assert isinstance(deleted, WriteResult)
    assert [kv.value for kv in deleted.prev_kvs] == [b"x"]
    assert isinstance(read, RangeResult)
    assert read.kvs[0].value == b"1", "a read sees the writes before it"
    assert {kv.mod_revision for kv in (await etcd.range(PREFIX, END)).kvs} == {base + 2}
    refused = await etcd.txn([is_new], writes, [Range(k("a")), Txn((is_new,), (Put(k("z"), b""),), (Range(k("b")),))])
    assert (refused.succeeded, refused.revision) == (False, base + 2), "without a write there is no new revision"
    assert (await etcd.txn()).revision == base + 2
    assert (await etcd.txn(success=[DeleteRange(k("nothing"))])).revision == base + 2


@contract
async def a_transaction_that_cannot_be_done_does_nothing(etcd: Etcd, base: int) -> None:
    with pytest.raises(LeaseNotFoundError):
        await etcd.txn(success=[Put(k("a"), b""), Put(k("b"), b"", lease=123456)])
    with pytest.raises(FutureRevisionError):
        await etcd.txn(success=[Put(k("a"), b""), Range(k("b"), revision=base + 100)])
    assert (await etcd.range(PREFIX, END)).revision == base
    taken = await etcd.txn(failure=[Put(k("b"), b"", lease=123456)])
    assert taken.succeeded, "the branch not taken may name what is not there"


# --- leases ---------------------------------------------------------------------------------------------------------


@contract
async def a_revoked_lease_takes_the_keys_that_hang_on_it_under_one_revision(etcd: Etcd, base: int) -> None:
    granted = await etcd.lease_grant(60)
    lease = granted.lease
    assert granted.ttl_s == 60
    for name in "cabd":
        await etcd.put(k(name), "", lease=lease)
    await etcd.put(k("d"), "")
    held = await etcd.lease_time_to_live(lease, keys=True)
    assert (sorted(held.keys), held.granted_ttl_s) == ([k("a"), k("b"), k("c")], 60)
    assert 50 <= held.ttl_s <= 60
    async with etcd.watch(PREFIX, END) as watch:
        assert (await etcd.lease_revoke(lease)).revision == base + 6
        assert told(await events(watch, 3), base) == [("DELETE", "a", 6), ("DELETE", "b", 6), ("DELETE", "c", 6)]
    assert [kv.key for kv in (await etcd.range(PREFIX, END)).kvs] == [k("d")]
    assert (await etcd.lease_time_to_live(lease)).ttl_s == -1
    for call in (etcd.lease_revoke, etcd.lease_keep_alive):
        with pytest.raises(LeaseNotFoundError):
            await call(lease)
    with pytest.raises(LeaseNotFoundError):
        await etcd.put(k("a"), "", lease=lease)


@contract
async def a_lease_without_keys_makes_no_revision_when_it_goes(etcd: Etcd, base: int) -> None:
    lease = (await etcd.lease_grant(60, lease=4711)).lease
    assert lease == 4711
    with pytest.raises(LeaseExistsError):
        await etcd.lease_grant(60, lease=4711)
    await etcd.lease_revoke(lease)
    assert (await etcd.range(PREFIX)).revision == base


@contract
async def a_lease_runs_out_unless_it_is_kept_alive(etcd: Etcd, base: int) -> None:
    short = (await etcd.lease_grant(3)).lease
    kept = (await etcd.lease_grant(3)).lease
    await etcd.put(k("short"), "", lease=short)
    await etcd.put(k("kept"), "", lease=kept)
    async with etcd.watch(PREFIX, END) as watch:
        for _ in range(4):
            await trio.sleep(1.5)
            assert (await etcd.lease_keep_alive(kept)).ttl_s == 3
        assert told(await events(watch, 1), base) == [("DELETE", "short", 3)]
    assert [kv.key for kv in (await etcd.range(PREFIX, END)).kvs] == [k("kept")]
    await etcd.lease_revoke(kept)


# --- watches --------------------------------------------------------------------------------------------------------


@contract
async def a_watch_tells_what_happens_in_its_range_from_now_on(etcd: Etcd, base: int) -> None:
    await etcd.put(k("b"), "0")
    async with etcd.watch(k("b"), k("d"), prev_kv=True) as watch:
        await etcd.put(k("a"), "1")
        await etcd.put(k("b"), "1")
        await etcd.put(k("c"), "1")
        await etcd.delete(PREFIX, END)
        found = await events(watch, 4)
    assert told(found, base) == [("PUT", "b", 3), ("PUT", "c", 4), ("DELETE", "b", 5), ("DELETE", "c", 5)]
    assert [event.prev_kv and event.prev_kv.value for event in found] == [b"0", None, b"1", b"1"]
    assert [event.is_create for event in found] == [False, True, False, False]
    tombstone = found[2].kv
    assert (tombstone.value, tombstone.create_revision, tombstone.version, tombstone.lease) == (b"", 0, 0, 0)


@contract
async def previous_versions_are_told_to_those_who_ask(etcd: Etcd, base: int) -> None:
    await etcd.put(k("a"), "0")
    await etcd.put(k("a"), "1")
    async with etcd.watch(k("a"), start_revision=base + 2) as plain:
        async with etcd.watch(k("a"), start_revision=base + 2, prev_kv=True) as asked:
            assert (await events(plain, 1))[0].prev_kv is None
            previous = (await events(asked, 1))[0].prev_kv
            assert previous is not None
            assert previous.value == b"0"


@contract
async def a_watch_from_the_past_tells_all_of_it_and_then_goes_on(etcd: Etcd, base: int) -> None:
    for number in range(2500):
        await etcd.put(k("a"), str(number))
    async with etcd.watch(PREFIX, END, start_revision=base + 2) as watch:
        await etcd.put(k("a"), "last")
        found = await events(watch, 2500)
        assert [event.kv.mod_revision for event in found] == list(range(base + 2, base + 2502))


@contract
async def a_watch_from_the_future_tells_nothing_before_it(etcd: Etcd, base: int) -> None:
    async with etcd.watch(PREFIX, END, start_revision=base + 3) as watch:
        for number in range(4):
            watch.request_progress()
            await etcd.put(k("a"), str(number))
        assert told(await events(watch, 2), base) == [("PUT", "a", 3), ("PUT", "a", 4)]


@contract
async def a_revision_arrives_whole(etcd: Etcd, base: int) -> None:
    names = [f"{number:03}" for number in range(100)]
    async with etcd.watch(PREFIX, END) as live, etcd.watch(PREFIX, END, start_revision=base + 1) as early:
        for _ in range(3):
            await etcd.txn(success=[Put(k(name), b"") for name in names])
        async with etcd.watch(PREFIX, END, start_revision=base + 1) as late:
            for watch in (live, early, late):
                seen = 0
                while seen < 300:
                    response = await receive(watch)
                    seen += len(response.events)
                    assert seen % 100 == 0


@contract
async def filters_keep_out_one_kind_of_event(etcd: Etcd, base: int) -> None:
    async with etcd.watch(PREFIX, END, filters=[WatchFilter.NO_PUT]) as deletes:
        async with etcd.watch(PREFIX, END, filters=[WatchFilter.NO_DELETE]) as puts:
            for _ in range(2):
                await etcd.put(k("a"), "")
                await etcd.delete(k("a"))
            assert told(await events(deletes, 2), base) == [("DELETE", "a", 2), ("DELETE", "a", 4)]
            assert told(await events(puts, 2), base) == [("PUT", "a", 1), ("PUT", "a", 3)]


@contract
async def a_delete_at_the_compact_revision_reaches_a_watch_from_there(etcd: Etcd, base: int) -> None:
    """etcd #18089 and #19179."""
    for number in range(3):
        await etcd.put(k("a"), str(number))
    await etcd.delete(k("a"))
    await etcd.put(k("a"), "4")
    await etcd.compact(base + 4)
    async with etcd.watch(PREFIX, END, start_revision=base + 4, prev_kv=True) as watch:
        found = await events(watch, 2)
    assert told(found, base) == [("DELETE", "a", 4), ("PUT", "a", 5)]
    assert found[0].prev_kv is None, "the version before went with the compaction"


@contract
async def a_watch_from_a_compacted_revision_is_refused_by_an_error_and_over(etcd: Etcd, base: int) -> None:
    """etcd #8668: a client that overlooked this waited for ever."""
    for number in range(3):
        await etcd.put(k("a"), str(number))
    await etcd.compact(base + 3)
    async with etcd.watch(PREFIX, END, start_revision=base + 2) as watch:
        with pytest.raises(CompactedError) as caught:
            await receive(watch)
        assert caught.value.compact_revision == base + 3
        with pytest.raises(trio.EndOfChannel):
            await receive(watch)


@contract
async def a_quiet_watch_says_how_far_it_is_when_asked(etcd: Etcd, base: int) -> None:
    """etcd #17557: a watch that had had no event yet never answered."""
    async with etcd.watch(k("quiet"), start_revision=base + 1) as future:
        await etcd.put(k("a"), "")
        async with etcd.watch(k("quiet"), start_revision=base + 1) as past, etcd.watch(k("quiet")) as now:
            for watch in (past, now, future):
                assert await progress(watch) == WatchResponse((), base + 1)


@contract
async def progress_never_overtakes_an_event(etcd: Etcd, base: int) -> None:
    """etcd #15220."""
    async with etcd.watch(PREFIX, END) as watch, trio.open_nursery() as nursery:

        async def write() -> None:
            for number in range(200):
                watch.request_progress()
                await etcd.put(k("a"), str(number))
                watch.request_progress()

        nursery.start_soon(write)
        reached, seen = base, 0
        while seen < 200:
            response = await receive(watch)
            assert all(event.kv.mod_revision > reached for event in response.events)
            assert response.revision >= reached
            reached, seen = response.revision, seen + len(response.events)


@contract
async def a_watch_of_no_range_is_refused(etcd: Etcd, base: int) -> None:
    with pytest.raises(InvalidRequestError):
        async with etcd.watch(k("b"), k("a")) as watch:
            await receive(watch)
