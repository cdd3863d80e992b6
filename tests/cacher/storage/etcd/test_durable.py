"""open_embedded_etcd with a data directory: the contract of every etcd, and what comes back after a restart."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest
import trio
import trio.testing

from cacher.storage.etcd import (
    CompactedError,
    DataDirInUseError,
    DataDirInvalidError,
    DeleteRange,
    EtcdEvent,
    EventKind,
    InvalidRequestError,
    KeyValue,
    LeaseExistsError,
    Put,
    Snapshot,
    open_embedded_etcd,
)
from cacher.storage.etcd._data_dir import FILE_NAME
from tests.cacher.storage.etcd.disks import InlineWorker, crash_copy, open_inline
from tests.cacher.storage.etcd.etcd_contract import CASES
from tests.cacher.storage.etcd.test_embedded import settle


def opener(data_dir: Path, **options):
    @asynccontextmanager
    async def open_etcd():
        async with open_inline(data_dir, InlineWorker(latency_s=0.001), **options) as etcd:
            yield etcd
            etcd._store._check()

    return open_etcd


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_contract(run_trio, quick_dir, case):
    """In virtual time, every commit takes a millisecond."""
    run_trio(case, opener(quick_dir))


@pytest.mark.parametrize("case", CASES[::4], ids=lambda case: case.__name__)
def test_contract_of_a_store_that_was_restarted(run_trio, quick_dir, case):
    async def before():
        async with open_inline(quick_dir) as etcd:
            for number in range(5):
                await etcd.put(f"other/{number}", "x")
            await etcd.delete("other/3")
            await etcd.compact(4)

    run_trio(before)
    run_trio(case, opener(quick_dir))


def twice(run_trio, data_dir, first, second, **options):
    """Run `first` on a store of `data_dir`, and `second` on the same one after a restart."""

    async def main():
        async with open_inline(data_dir, **options) as etcd:
            left = await first(etcd)
        async with open_inline(data_dir, **options) as etcd:
            etcd._store._check()
            return await second(etcd, left)

    return run_trio(main)


async def everything(etcd, **options):
    return (await etcd.range("\0", b"\0", **options)).kvs


async def history(etcd, start_revision, **options):
    """All events from there to now."""
    found: list[EtcdEvent] = []
    async with etcd.watch("\0", b"\0", start_revision=start_revision, **options) as watch:
        while (found[-1].kv.mod_revision if found else start_revision - 1) < etcd.revision:
            found += (await watch.receive()).events
    return found


# --- what comes back --------------------------------------------------------------------------------------------------


def test_keys_their_past_and_the_revision_come_back(run_trio, tmp_path):
    async def first(etcd):
        await etcd.put("a", "1")
        await etcd.put("a", b"\0\xff")
        await etcd.txn(success=[Put(b"b", b""), Put(b"c", b"x" * 100_000), DeleteRange(b"a")])
        await etcd.put("a", "again")
        return [await everything(etcd, revision=revision) for revision in range(1, 6)]

    async def second(etcd, left):
        assert etcd.revision == 5
        assert [await everything(etcd, revision=revision) for revision in range(1, 6)] == left
        assert (await etcd.put("a", "new")).revision == 6

    twice(run_trio, tmp_path, first, second)


def test_the_revision_goes_on_where_it_was_when_the_last_writes_were_deletions(run_trio, tmp_path):
    async def first(etcd):
        await etcd.put("a", "1")
        await etcd.delete("a")
        await etcd.compact(3)

    async def second(etcd, _):
        assert (etcd.revision, etcd.compact_revision, etcd.statistics().keys) == (3, 3, 0)
        (event,) = await history(etcd, 3)
        assert (event.kind, event.kv.key, event.kv.mod_revision) == (EventKind.DELETE, b"a", 3)
        assert (await etcd.put("a", "1")).revision == 4

    twice(run_trio, tmp_path, first, second)


def test_a_watch_resumes_from_an_older_revision_with_what_was_there_before(run_trio, tmp_path):
    async def first(etcd):
        await etcd.put("a", "1")
        await etcd.put("b", "1")
        await etcd.put("a", "2")
        await etcd.delete("\0", b"\0")
        await etcd.put("a", "3")
        return await history(etcd, 2, prev_kv=True)

    async def second(etcd, left):
        assert len(left) == 6
        assert await history(etcd, 2, prev_kv=True) == left
        async with etcd.watch("a", start_revision=6) as watch:
            assert [event.kv.value for event in (await watch.receive()).events] == [b"3"]
            await etcd.put("a", "4")
            assert [event.kv.value for event in (await watch.receive()).events] == [b"4"]

    twice(run_trio, tmp_path, first, second)


def test_a_compaction_comes_back_and_nothing_below_it_can_be_read(run_trio, tmp_path):
    async def first(etcd):
        for number in range(6):
            await etcd.put("a", str(number))
            await etcd.put("b", str(number))
        await etcd.delete("b")
        await etcd.compact(9)
        return [await everything(etcd, revision=revision) for revision in range(9, 15)], await history(
            etcd, 9, prev_kv=True
        )

    async def second(etcd, left):
        assert etcd.compact_revision == 9
        assert [await everything(etcd, revision=revision) for revision in range(9, 15)] == left[0]
        assert await history(etcd, 9, prev_kv=True) == left[1]
        with pytest.raises(CompactedError):
            await etcd.range("a", revision=8)
        with pytest.raises(CompactedError):
            await history(etcd, 8)
        with pytest.raises(CompactedError):
            await etcd.compact(9)

    twice(run_trio, tmp_path, first, second)


def test_a_lease_comes_back_with_its_keys_and_its_whole_time_as_in_etcd(run_trio, tmp_path):
    async def first(etcd):
        await etcd.lease_grant(100, lease=7)
        await etcd.lease_grant(100, lease=8)
        await etcd.lease_grant(100, lease=9)
        for key in ("a", "b", "c"):
            await etcd.put(key, "", lease=7)
        await etcd.put("c", "")
        await trio.sleep(60)
        await etcd.lease_revoke(8)

    async def second(etcd, _):
        held = await etcd.lease_time_to_live(7, keys=True)
        assert (held.ttl_s, held.granted_ttl_s, held.keys) == (100, 100, (b"a", b"b"))
        assert (await etcd.lease_time_to_live(8)).ttl_s == -1
        with pytest.raises(LeaseExistsError):
            await etcd.lease_grant(5, lease=9)
        await trio.sleep(101)
        assert [kv.key for kv in await everything(etcd)] == [b"c"]
        assert etcd.statistics().leases == 0

    twice(run_trio, tmp_path, first, second)


def test_leases_that_ran_out_stay_gone_also_hundreds_at_once(run_trio, tmp_path):
    async def first(etcd):
        for lease in range(1, 601):
            await etcd.lease_grant(10, lease=lease)
        await etcd.txn(success=[Put(b"%d" % lease, b"", lease=lease) for lease in range(1, 101)])
        await trio.sleep(20)
        return etcd.revision

    async def second(etcd, revision):
        assert revision == 102
        assert (etcd.revision, etcd.statistics().keys, etcd.statistics().leases) == (102, 0, 0)

    twice(run_trio, tmp_path, first, second)


def test_a_snapshot_begins_a_directory_and_comes_back(run_trio, tmp_path):
    kvs = [KeyValue(b"b", b"1", 40, 90, 3, 5), KeyValue(b"a", b"2", 90, 90, 1), KeyValue(b"c", b"3", 7, 7, 1)]

    async def main():
        async with open_inline(tmp_path, snapshot=Snapshot(100, kvs)) as etcd:
            assert etcd.revision == 100
        async with open_inline(tmp_path) as etcd:
            assert (etcd.revision, etcd.compact_revision) == (100, 100)
            assert await everything(etcd) == tuple(sorted(kvs, key=lambda kv: kv.key))
            with pytest.raises(CompactedError):
                await history(etcd, 100)
            await etcd.lease_grant(10, lease=5)
            assert (await etcd.lease_revoke(5)).deleted == 1
        async with open_inline(tmp_path) as etcd:
            (event,) = await history(etcd, 101, prev_kv=True)
            assert event.prev_kv == kvs[0]
            await etcd.compact(101)
        async with open_inline(tmp_path) as etcd:
            assert [kv.key for kv in await everything(etcd)] == [b"a", b"c"]
            etcd._store._check()

    run_trio(main)


def test_a_snapshot_is_refused_where_a_store_is_kept_and_a_wrong_one_leaves_nothing_behind(run_trio, tmp_path):
    good, wrong = Snapshot(9, [KeyValue(b"a", b"", 1, 1, 1)]), Snapshot(9, [KeyValue(b"a", b"", 1, 10, 1)])
    beyond = Snapshot(2**60, [])

    async def main():
        for snapshot in (wrong, beyond):
            with pytest.raises(InvalidRequestError):
                async with open_inline(tmp_path, snapshot=snapshot):
                    pass
        async with open_inline(tmp_path, snapshot=good):
            pass
        with pytest.raises(DataDirInvalidError, match="holds a store already"):
            async with open_inline(tmp_path, snapshot=good):
                pass

    run_trio(main)


def test_opening_tells_how_far_it_is(run_trio, tmp_path):
    async def main():
        told = []
        async with open_inline(tmp_path, on_opening=lambda *facts: told.append(facts)) as etcd:
            assert told == []
            for number in range(90):
                await etcd.txn(success=[Put(b"%d-%d" % (number, place), b"") for place in range(100)])
        async with open_inline(tmp_path, on_opening=lambda *facts: told.append(facts)):
            assert [rows for rows, _ in told] == [4096, 8192, 9000]
            shares = [share for _, share in told]
            assert shares == sorted(shares)
            assert 0.4 < shares[0] < 0.5
            assert shares[-1] == 1

    run_trio(main)


def test_with_a_thread_and_the_real_clock(tmp_path):
    """The worker thread itself: many writers, a watch, a restart."""

    async def main():
        async with open_embedded_etcd(data_dir=str(tmp_path), random=Random(1)) as etcd:
            async with etcd.watch("k", "l") as watch, trio.open_nursery() as nursery:
                for number in range(100):
                    nursery.start_soon(etcd.put, f"k{number}", "x")
                seen = 0
                while seen < 100:
                    seen += len((await watch.receive()).events)
            left = await everything(etcd)
        async with open_embedded_etcd(data_dir=tmp_path, random=Random(1)) as etcd:
            assert (len(left), await everything(etcd)) == (100, left)

    trio.run(main)


def test_an_error_of_the_callers_block_comes_out_as_it_is_and_the_directory_is_free_again(tmp_path):
    async def main():
        with pytest.raises(ZeroDivisionError):
            async with open_embedded_etcd(data_dir=tmp_path, random=Random(1)) as etcd:
                await etcd.put("a", "1")
                raise ZeroDivisionError
        with trio.move_on_after(0.05) as scope:
            async with open_embedded_etcd(data_dir=tmp_path, random=Random(1)):
                await trio.sleep_forever()
        assert scope.cancelled_caught
        with trio.CancelScope() as scope:
            scope.cancel()
            async with open_embedded_etcd(data_dir=tmp_path, random=Random(1)):
                raise AssertionError("cancelled before it was open")
        async with open_embedded_etcd(data_dir=tmp_path, random=Random(1)) as etcd:
            assert etcd.revision == 2

    trio.run(main)


# --- what a crash leaves ----------------------------------------------------------------------------------------------


def test_what_was_acknowledged_is_there_after_a_crash_and_what_was_not_committed_was_seen_by_nobody(run_trio, tmp_path):
    """Killed before a commit, and killed between a commit and its publication."""

    async def main():
        worker = InlineWorker()
        async with open_inline(tmp_path / "data", worker) as etcd, etcd.watch("a") as watch:
            await etcd.put("a", "1")
            assert (await watch.receive()).revision == 2
            worker.hold()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(etcd.put, "a", "2")
                await settle()
                before = crash_copy(tmp_path / "data", tmp_path / "before")
                committed = len(worker.batches)
                await settle()
                assert (etcd.revision, len(worker.batches)) == (2, committed)
                with trio.move_on_after(5) as scope:
                    await watch.receive()
                assert scope.cancelled_caught
                worker.latency_s = 0
                worker.release()
                while len(worker.batches) == committed:
                    await trio.lowlevel.checkpoint()
                between = crash_copy(tmp_path / "data", tmp_path / "between")
        for path, value in ((before, b"1"), (between, b"2")):
            async with open_inline(path) as etcd:
                assert [kv.value for kv in await everything(etcd)] == [value]
                assert etcd.revision == 1 + int(value)
                assert (await etcd.put("a", "9")).revision == 2 + int(value)

    run_trio(main)


def test_a_creation_that_was_interrupted_is_done_again(run_trio, tmp_path):
    async def main():
        (tmp_path / FILE_NAME).touch()
        connection = sqlite3.connect(tmp_path / FILE_NAME)
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.close()
        async with open_inline(tmp_path, snapshot=Snapshot(9, [])) as etcd:
            assert etcd.revision == 9

    run_trio(main)


# --- one at a time ----------------------------------------------------------------------------------------------------


def test_a_second_store_on_the_directory_is_refused_and_told_who_has_it(run_trio, tmp_path):
    async def main():
        async with open_inline(tmp_path) as etcd:
            await etcd.put("a", "1")
            with pytest.raises(DataDirInUseError, match=f"in use by process {os.getpid()}") as caught:
                async with open_inline(tmp_path):
                    pass
            assert (caught.value.pid, caught.value.path) == (os.getpid(), tmp_path)
            await etcd.put("a", "2")
        async with open_inline(tmp_path) as etcd:
            assert etcd.revision == 3

    run_trio(main)


def test_a_holder_that_did_not_say_who_it_is_is_still_respected(run_trio, tmp_path):
    async def main():
        with pytest.raises(DataDirInUseError, match="in use by another process"):
            async with open_inline(tmp_path):
                pass

    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run_trio(main)
