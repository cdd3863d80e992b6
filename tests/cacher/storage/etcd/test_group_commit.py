"""GroupCommit: what becomes durable together, who waits for it, what nobody sees before, and a disk that refuses."""

from __future__ import annotations

import sqlite3

import pytest
import trio
import trio.testing

from cacher.storage.etcd import (
    CompactedError,
    Compare,
    CompareTarget,
    DataDirFailedError,
    EtcdError,
    FutureRevisionError,
    LeaseNotFoundError,
    Put,
    WatchResponse,
)
from cacher.storage.etcd._data_dir import FILE_NAME
from cacher.storage.etcd._group_commit import GROUP_RECORDS_MAX, GROUP_WAIT_S
from tests.cacher.storage.etcd.disks import InlineWorker, commit_sizes, crash_copy, open_inline
from tests.cacher.storage.etcd.test_embedded import settle


def run(run_trio, data_dir, body, *, latency_s=0.0):
    """Run `body(etcd, worker)` on a new store."""

    async def main():
        worker = InlineWorker(latency_s)
        async with open_inline(data_dir, worker) as etcd:
            return await body(etcd, worker)

    return run_trio(main)


class Calls:
    """Calls made side by side, and how each ended."""

    def __init__(self, nursery):
        self.nursery = nursery
        self.ends = {}

    async def start(self, name, call):
        async def wait():
            try:
                self.ends[name] = await call()
            except EtcdError as error:
                self.ends[name] = type(error)

        self.nursery.start_soon(wait)
        await settle()


# --- groups -----------------------------------------------------------------------------------------------------------


def test_writes_of_one_turn_are_one_commit_and_those_that_come_meanwhile_the_next(run_trio, tmp_path):
    async def body(etcd, worker):
        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(etcd.put, f"a{number}", "")
            await trio.sleep(0.005)
            for number in range(20):
                nursery.start_soon(etcd.put, f"b{number}", "")
            await trio.sleep(0.003)
            nursery.start_soon(etcd.put, "c", "")
        return commit_sizes(worker)

    assert run(run_trio, tmp_path, body, latency_s=0.010) == [10, 21]


def test_a_group_holds_no_more_than_its_limit(run_trio, tmp_path):
    async def body(etcd, worker):
        async with trio.open_nursery() as nursery:
            for number in range(2 * GROUP_RECORDS_MAX + 1):
                nursery.start_soon(etcd.put, f"a{number}", "")
        return commit_sizes(worker)

    assert run(run_trio, tmp_path, body) == [256, 256, 1]


def test_a_group_that_keeps_growing_is_closed_after_two_milliseconds(run_trio, tmp_path):
    async def body(etcd, worker):
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, trio.testing.MockClock)
        worker.hold()
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number in range(40):
                nursery.start_soon(etcd.put, f"a{number}", "")
                await trio.lowlevel.checkpoint()
                clock.jump(GROUP_WAIT_S / 8)
            worker.release()
        assert trio.current_time() - began >= 5 * GROUP_WAIT_S
        return commit_sizes(worker)

    first, *_ = run(run_trio, tmp_path, body)
    assert 7 <= first <= 10, "at a quarter of a millisecond each"


def test_a_lone_writer_waits_for_the_disk_alone(run_trio, tmp_path):
    async def body(etcd, worker):
        began = trio.current_time()
        for number in range(10):
            await etcd.put("a", str(number))
        return trio.current_time() - began

    assert run(run_trio, tmp_path, body, latency_s=0.010) == pytest.approx(0.100)


# --- who waits --------------------------------------------------------------------------------------------------------


def test_every_answer_waits_for_what_it_may_have_seen(run_trio, tmp_path):
    """Reads at any revision, refusals, transactions that write nothing: each tells of writes on their way to the disk."""

    async def body(etcd, worker):
        await etcd.lease_grant(100, lease=1)
        await etcd.put("a", "1", lease=1)
        worker.hold()
        async with trio.open_nursery() as nursery:
            calls = Calls(nursery)
            await calls.start("put", lambda: etcd.put("a", "2"))
            await calls.start("revoke", lambda: etcd.lease_revoke(1))
            await calls.start("read", lambda: etcd.range("a"))
            await calls.start("count", lambda: etcd.range("a", count_only=True))
            await calls.start("pinned", lambda: etcd.range("a", revision=2))
            await calls.start("future", lambda: etcd.range("a", revision=9))
            await calls.start("refused", lambda: etcd.put("b", "", lease=1))
            await calls.start("compared", lambda: etcd.txn([Compare(b"a", CompareTarget.VALUE, "=", b"2")]))
            await calls.start("nothing", lambda: etcd.delete("b"))
            await calls.start("lease", lambda: etcd.lease_time_to_live(1))
            await calls.start("alive", lambda: etcd.lease_keep_alive(1))
            await trio.sleep(100)
            assert calls.ends == {}
            assert etcd.revision == 2
            assert etcd.statistics().revision == 2
            worker.release()
        ends = calls.ends
        assert [kv.value for kv in ends["read"].kvs] == [b"2"]
        assert (ends["count"].revision, ends["pinned"].revision) == (3, 3)
        assert [kv.value for kv in ends["pinned"].kvs] == [b"1"]
        assert (ends["future"], ends["refused"]) == (FutureRevisionError, LeaseNotFoundError)
        assert ends["alive"] is LeaseNotFoundError
        assert (ends["compared"].succeeded, ends["compared"].revision) == (True, 3)
        assert (ends["nothing"].revision, ends["nothing"].deleted) == (3, 0)
        assert ends["lease"].ttl_s == -1

    run(run_trio, tmp_path, body)


def test_a_read_waits_for_no_later_write_and_for_nothing_where_nothing_waits(run_trio, tmp_path):
    async def body(etcd, worker):
        await etcd.put("a", "1")
        began = trio.current_time()
        assert (await etcd.range("a")).revision == 2
        assert trio.current_time() == began
        async with trio.open_nursery() as nursery:
            for moment in range(5):
                nursery.start_soon(etcd.put, "a", str(moment))
                await trio.sleep(0.008)
            # The fourth group (10 ms each, from 30 ms on) is under way at 40 ms, and the fifth waits behind it.
            result = await etcd.range("a")
            waited_s = trio.current_time() - began
        assert result.revision == 7
        assert waited_s == pytest.approx(0.050)

    run(run_trio, tmp_path, body, latency_s=0.010)


def test_a_transaction_sees_the_writes_before_it_also_those_on_their_way(run_trio, tmp_path):
    async def body(etcd, worker):
        worker.hold()
        async with trio.open_nursery() as nursery:
            calls = Calls(nursery)
            await calls.start("put", lambda: etcd.put("a", "1"))
            is_new = Compare(b"a", CompareTarget.MOD, "=", 0)
            await calls.start("txn", lambda: etcd.txn([is_new], [], [Put(b"a", b"2")]))
            worker.release()
        assert (calls.ends["txn"].succeeded, calls.ends["txn"].revision) == (False, 3)
        assert (await etcd.range("a")).kvs[0].version == 2

    run(run_trio, tmp_path, body)


def test_a_watch_hears_of_nothing_before_it_is_durable_however_it_was_opened(run_trio, tmp_path):
    async def body(etcd, worker):
        await etcd.put("a", "1")
        worker.hold()
        async with trio.open_nursery() as nursery, etcd.watch("a") as early:
            nursery.start_soon(etcd.put, "a", "2")
            await settle()
            async with (
                etcd.watch("a") as late,
                etcd.watch("a", start_revision=2) as past,
                etcd.watch("a", start_revision=3) as future,
            ):
                assert [event.kv.value for event in (await past.receive()).events] == [b"1"]
                for watch in (early, late, past):
                    watch.request_progress()
                    assert await watch.receive() == WatchResponse((), 2)
                future.request_progress()
                for watch in (early, late, past, future):
                    with trio.move_on_after(60) as scope:
                        await watch.receive()
                    assert scope.cancelled_caught
                worker.release()
                for watch in (early, late, past, future):
                    (event,) = (await watch.receive()).events
                    assert (event.kv.value, event.kv.mod_revision) == (b"2", 3)

    run(run_trio, tmp_path, body)


def test_a_compaction_takes_the_past_away_when_it_is_durable(run_trio, tmp_path):
    async def body(etcd, worker):
        for number in range(5):
            await etcd.put("a", str(number))
        worker.hold()
        async with trio.open_nursery() as nursery:
            calls = Calls(nursery)
            await calls.start("compact", lambda: etcd.compact(5))
            await calls.start("again", lambda: etcd.compact(5))
            await calls.start("future", lambda: etcd.compact(7))
            await calls.start("further", lambda: etcd.compact(6))
            await calls.start("put", lambda: etcd.put("a", "5"))
            await calls.start("beyond", lambda: etcd.compact(7))
            async with etcd.watch("a", start_revision=2) as watch:
                assert len((await watch.receive()).events) == 5
            assert calls.ends == {}
            assert etcd.compact_revision == 0
            worker.release()
        assert calls.ends["again"] is CompactedError
        assert calls.ends["future"] is FutureRevisionError
        assert calls.ends["further"] is None
        assert calls.ends["beyond"] is None
        assert etcd.compact_revision == 7
        etcd._store._check()

    run(run_trio, tmp_path, body)


def test_a_write_that_is_on_its_way_cannot_be_cancelled_and_a_read_that_waits_can(run_trio, tmp_path):
    async def body(etcd, worker):
        worker.hold()
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(5) as reading:
                nursery.start_soon(etcd.put, "a", "0")
                await settle()
                await etcd.range("a")
            assert reading.cancelled_caught
            nursery.start_soon(release_later, worker)
            with trio.move_on_after(5) as writing:
                assert (await etcd.put("a", "1")).revision == 3
            assert not writing.cancelled_caught
            assert etcd.revision == 3

    async def release_later(worker):
        await trio.sleep(10)
        worker.release()

    run(run_trio, tmp_path, body)


def test_closing_waits_for_what_is_on_its_way_and_answers(run_trio, tmp_path):
    async def main():
        async with trio.open_nursery() as nursery:
            calls = Calls(nursery)
            with trio.CancelScope() as scope:
                async with open_inline(tmp_path, InlineWorker(0.010)) as etcd:
                    await calls.start("first", lambda: etcd.put("a", "1"))
                    await calls.start("second", lambda: etcd.put("a", "2"))
                    scope.cancel()
        assert [result.revision for result in calls.ends.values()] == [2, 3]
        async with open_inline(tmp_path) as etcd:
            assert (await etcd.range("a")).kvs[0].value == b"2"

    run_trio(main)


# --- a disk that refuses ----------------------------------------------------------------------------------------------


def test_a_disk_that_refuses_ends_writing_and_leaves_what_was_durable_to_read_and_watch(run_trio, tmp_path):
    async def body(etcd, worker):
        await etcd.lease_grant(50, lease=1)
        await etcd.put("a", "1", lease=1)
        async with etcd.watch("a") as watch, etcd.watch("quiet", progress_notify=True) as quiet:
            worker.hold()
            worker.failure = DataDirFailedError(tmp_path, "the disk is full: free some space")
            async with trio.open_nursery() as nursery:
                calls = Calls(nursery)
                for name in ("first", "second"):
                    await calls.start(name, lambda name=name: etcd.put("a", name))
                await calls.start("read", lambda: etcd.range("a"))
                await calls.start("pinned", lambda: etcd.range("a", revision=3))
                await calls.start("ttl", lambda: etcd.lease_time_to_live(1))
                worker.release()
            ends = calls.ends
            assert ends["first"] is ends["second"] is ends["ttl"] is DataDirFailedError
            assert ends["pinned"] is FutureRevisionError
            assert ([kv.value for kv in ends["read"].kvs], ends["read"].revision) == ([b"1"], 2)
            worker.failure = None
            for call in (
                lambda: etcd.put("b", ""),
                lambda: etcd.delete("a"),
                etcd.txn,
                lambda: etcd.compact(2),
                lambda: etcd.lease_grant(9),
                lambda: etcd.lease_revoke(1),
                lambda: etcd.lease_keep_alive(1),
            ):
                with pytest.raises(DataDirFailedError, match="free some space"):
                    await call()
            await trio.sleep(100)
            result = await etcd.range("\0", b"\0")
            assert (result.revision, [kv.value for kv in result.kvs]) == (2, [b"1"]), "nor does a lease end any more"
            assert await quiet.receive() == WatchResponse((), 2)
            with trio.move_on_after(60) as scope:
                await watch.receive()
            assert scope.cancelled_caught
            async with etcd.watch("a", start_revision=2) as again:
                assert [event.kv.mod_revision for event in (await again.receive()).events] == [2]

    run(run_trio, tmp_path, body)


def test_a_lease_that_ends_on_a_disk_that_refuses_is_still_there_afterwards(run_trio, tmp_path):
    async def main():
        worker = InlineWorker()
        async with open_inline(tmp_path, worker) as etcd:
            await etcd.lease_grant(10, lease=1)
            await etcd.put("a", "1", lease=1)
            worker.failure = DataDirFailedError(tmp_path, "the disk failed")
            await trio.sleep(20)
            assert len((await etcd.range("a")).kvs) == 1
        async with open_inline(tmp_path) as etcd:
            assert (await etcd.lease_time_to_live(1, keys=True)).keys == (b"a",)

    run_trio(main)


def test_a_disk_that_is_really_full_says_so_and_nothing_acknowledged_is_lost(run_trio, tmp_path):
    """SQLite's own answer, by a limit on the pages of the file."""

    async def main():
        done = 0
        async with open_inline(tmp_path) as etcd:
            assert etcd._commits is not None
            etcd._commits._file._connection.execute("PRAGMA max_page_count = 20")
            with pytest.raises(DataDirFailedError, match="disk is full: free some space") as caught:
                while True:
                    await etcd.put("a", b"x" * 10_000)
                    done += 1
            assert caught.value.path == tmp_path / FILE_NAME
            assert 2 < done < 20
            assert (await etcd.range("a")).kvs[0].version == done
        async with open_inline(tmp_path) as etcd:
            assert (await etcd.range("a")).kvs[0].version == done
            assert (await etcd.put("a", "1")).revision == done + 2

    run_trio(main)


def test_when_the_task_that_commits_fails_nobody_waits_for_ever(run_trio, tmp_path):
    async def main():
        worker, ends = InlineWorker(), {}
        async with trio.open_nursery() as nursery:
            with pytest.RaisesGroup(ZeroDivisionError):
                async with open_inline(tmp_path, worker) as etcd:
                    worker.failure = ZeroDivisionError()
                    calls = Calls(nursery)
                    ends = calls.ends
                    await calls.start("put", lambda: etcd.put("a", "1"))
                    await trio.sleep(1)
        assert ends == {"put": DataDirFailedError}

    run_trio(main)


# --- size -------------------------------------------------------------------------------------------------------------


def rows(data_dir):
    connection = sqlite3.connect(data_dir / FILE_NAME)
    try:
        return connection.execute("SELECT seq >> 24, key FROM version ORDER BY seq").fetchall()
    finally:
        connection.close()


def test_a_compaction_takes_rows_away_a_commit_at_a_time_and_also_after_a_restart(run_trio, tmp_path):
    async def main():
        worker = InlineWorker()
        async with open_inline(tmp_path / "a", worker) as etcd:
            for number in range(20):
                async with trio.open_nursery() as nursery:
                    for key in range(100):
                        nursery.start_soon(etcd.put, f"{key:02}", str(number))
            await etcd.delete("50", "60")
            await etcd.put("99", "last")
            await etcd.compact(etcd.revision)
            left = crash_copy(tmp_path / "a", tmp_path / "b")
            await trio.sleep(1)
            sizes = [len(batch.superfluous) for batch in worker.batches]
            assert max(sizes) == 512
        assert len(rows(tmp_path / "b")) > 90
        async with open_inline(left) as etcd:
            etcd._store._check()
            assert etcd.statistics().keys == 90
            await trio.sleep(1)
        return tmp_path / "a", left

    for path in run_trio(main):
        found = rows(path)
        assert len(found) == 90
        assert found[-1] == (2003, b"99")


@pytest.mark.slow
def test_files_stay_bounded_where_the_past_is_compacted(run_trio, quick_dir):
    """Space of what was compacted is used again, the write-ahead log is carried over, and a great surplus is given back."""

    async def main():
        sizes, wal = [], 0
        async with open_inline(quick_dir) as etcd:
            for _ in range(8):
                for part in range(20):
                    async with trio.open_nursery() as nursery:
                        for key in range(100):
                            nursery.start_soon(etcd.put, f"{part}/{key}", b"x" * 2000)
                    wal = max(wal, (quick_dir / f"{FILE_NAME}-wal").stat().st_size)
                await etcd.compact(etcd.revision)
                await trio.sleep(1)
                sizes.append((quick_dir / FILE_NAME).stat().st_size)
            assert wal < 12_000_000
            assert sizes[-1] < 2 * sizes[1], "the whole was written eight times"
            await etcd.put("big", b"y" * 1_000_000)
            for _ in range(60):
                await etcd.put("big", b"y" * 1_000_000)
            high = (quick_dir / FILE_NAME).stat().st_size
            await etcd.compact(etcd.revision)
            await trio.sleep(1)
            await etcd.put("a", "")
        assert high > 50_000_000
        assert (quick_dir / FILE_NAME).stat().st_size < high // 2
        assert not (quick_dir / f"{FILE_NAME}-wal").exists(), "closing carries it over"

    run_trio(main)
