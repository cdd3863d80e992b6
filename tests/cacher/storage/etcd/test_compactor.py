"""Compactor: what is forgotten when, and how several agree."""

from __future__ import annotations

from contextlib import asynccontextmanager
from random import Random

import pytest
import trio
import trio.testing

from cacher.storage.etcd import (
    COMPACT_REV_KEY,
    CompactedError,
    Compactor,
    EmbeddedEtcd,
    EtcdError,
    RangeResult,
    open_embedded_etcd,
)
from cacher.storage.etcd._compactor import Tick, compact_once
from tests.cacher.storage.etcd.pods import pod_storage


def run(run_trio, body):
    async def main():
        async with open_embedded_etcd(random=Random(1)) as etcd:
            await body(etcd)

    run_trio(main)


@asynccontextmanager
async def running(*compactors: Compactor):
    async with trio.open_nursery() as nursery:
        for compactor in compactors:
            nursery.start_soon(compactor.run)
        await trio.testing.wait_all_tasks_blocked()
        yield
        nursery.cancel_scope.cancel()


async def put(etcd: EmbeddedEtcd, times: int) -> int:
    for _ in range(times):
        await etcd.put("/registry/pods/a", b"{}")
    return etcd.revision


def test_compact_forgets_what_was_there_one_turn_ago(run_trio):
    """[9.4 TestCompact] the first turn only notes the revision, the second compacts there"""

    async def body(etcd):
        await put(etcd, 3)
        first = await compact_once(etcd, Tick())
        assert first == Tick(version=1, revision=etcd.revision, compacted=0)
        assert etcd.compact_revision == 0, "at the start nobody knows what is old"
        await put(etcd, 3)
        second = await compact_once(etcd, first)
        assert second == Tick(version=2, revision=etcd.revision, compacted=first.revision)
        assert etcd.compact_revision == first.revision
        assert (await etcd.range(COMPACT_REV_KEY)).kvs[0].value == str(first.revision).encode()
        with pytest.raises(CompactedError):
            await etcd.range("/registry/pods/a", revision=first.revision - 1)

    run(run_trio, body)


def test_compact_keeps_one_to_two_intervals_of_history(run_trio):
    """[9.4 TestCompact] as a task, on the clock"""

    async def body(etcd):
        compactor = Compactor(etcd, interval_s=300)
        storage = pod_storage(etcd, compactor=compactor)
        async with running(compactor):
            at: dict[int, int] = {}
            for minute in range(60):
                at[minute] = await put(etcd, 1)
                await trio.sleep(60)
                oldest = next(known for known in sorted(at) if at[known] >= etcd.compact_revision)
                assert minute - 10 <= oldest <= max(0, minute - 4)
            assert storage.compact_revision() == compactor.revision == etcd.compact_revision > 0

    run(run_trio, body)


def test_compact_interval_zero_compacts_nothing(run_trio):
    """[9.4 TestCompactIntervalZero] and writes nothing; what others compact is still learnt"""

    async def body(etcd):
        idle, other = Compactor(etcd, interval_s=0), Compactor(etcd, interval_s=300)
        async with running(idle):
            revision = await put(etcd, 3)
            await trio.sleep(24 * 3600)
            assert (etcd.revision, etcd.compact_revision, idle.revision) == (revision, 0, 0)
            async with running(other):
                await trio.sleep(1000)
            assert idle.revision == other.revision == etcd.compact_revision > 0

    run(run_trio, body)


def test_compact_conflict_one_wins_and_the_other_learns(run_trio):
    """[9.4 TestCompactConflict] two with one logical time"""

    async def body(etcd):
        await put(etcd, 3)
        first = await compact_once(etcd, Tick())
        await put(etcd, 3)
        winner = await compact_once(etcd, first)
        compacted = etcd.compact_revision
        await put(etcd, 3)
        loser = await compact_once(etcd, Tick(first.version, revision=etcd.revision))
        assert loser == Tick(winner.version, revision=etcd.revision, compacted=winner.compacted)
        assert etcd.compact_revision == compacted == first.revision
        # With what it has learnt it wins the next turn, and compacts where it lost this one.
        assert (await compact_once(etcd, loser)).compacted == loser.revision == etcd.compact_revision

    run(run_trio, body)


def test_compact_conflict_of_many_is_one_compaction_an_interval(run_trio):
    """[9.4 TestCompactConflict] and all know of it"""

    async def body(etcd):
        compactors = [Compactor(etcd, interval_s=300) for _ in range(5)]
        async with running(*compactors):
            seen = []
            for _ in range(10):
                await put(etcd, 1)
                await trio.sleep(300)
                await trio.testing.wait_all_tasks_blocked()
                version = (await etcd.range(COMPACT_REV_KEY)).kvs[0].version
                seen.append(version)
                assert {compactor.revision for compactor in compactors} == {etcd.compact_revision}
            assert seen == sorted(set(seen)), "somebody wins each interval"
            assert seen[-1] <= 11, "and only one"

    run(run_trio, body)


def test_an_etcd_that_was_compacted_by_other_means_stops_nobody(run_trio):
    async def body(etcd):
        compactor = Compactor(etcd, interval_s=300)
        async with running(compactor):
            for _ in range(6):
                await etcd.compact(await put(etcd, 3))
                await trio.sleep(300)
            await put(etcd, 3)
            await trio.sleep(600)
            assert etcd.compact_revision == compactor.revision > 3

    run(run_trio, body)


def test_an_etcd_that_fails_for_a_while_stops_nobody(run_trio):
    """A turn that failed is lost, and the watch of the key is opened again."""

    async def body(etcd):
        flaky = Flaky(etcd)
        compactor = Compactor(flaky, interval_s=300)
        async with running(compactor):
            await trio.sleep(301)
            flaky.fails = True
            await trio.sleep(1000)
            flaky.fails = False
            await put(etcd, 3)
            await trio.sleep(901)
            assert etcd.compact_revision == compactor.revision > 1

    run(run_trio, body)


def test_a_key_that_was_removed_or_spoilt_by_hand_starts_anew(run_trio):
    async def body(etcd):
        compactor = Compactor(etcd, interval_s=300)
        async with running(compactor):
            await trio.sleep(601)
            before = compactor.revision
            await etcd.delete(COMPACT_REV_KEY)
            await put(etcd, 3)
            await trio.sleep(901)
            assert compactor.revision > before
            await etcd.put(COMPACT_REV_KEY, b"nonsense")
            await put(etcd, 3)
            await trio.sleep(901)
            assert compactor.revision == etcd.compact_revision > before + 3

    run(run_trio, body)


def test_a_compactor_that_starts_late_knows_what_was_compacted_before(run_trio):
    async def body(etcd):
        early = Compactor(etcd, interval_s=300)
        async with running(early):
            await put(etcd, 3)
            await trio.sleep(601)
        late = Compactor(etcd, interval_s=0)
        assert late.revision == 0, "a constructor asks nothing"
        async with running(late):
            assert late.revision == early.revision > 0

    run(run_trio, body)


class Flaky:
    """An etcd whose calls fail, and whose watches break, while `fails`."""

    def __init__(self, etcd) -> None:
        self._etcd = etcd
        self.fails = False

    async def txn(self, *args, **options):
        await trio.lowlevel.checkpoint()
        if self.fails:
            raise EtcdError("no leader")
        return await self._etcd.txn(*args, **options)

    async def range(self, *args, **options) -> RangeResult:
        await trio.lowlevel.checkpoint()
        if self.fails:
            raise EtcdError("no leader")
        result: RangeResult = await self._etcd.range(*args, **options)
        return result

    @asynccontextmanager
    async def watch(self, *args, **options):
        async with self._etcd.watch(*args, **options) as watch:
            yield Breaking(self, watch)

    def __getattr__(self, name):
        return getattr(self._etcd, name)


class Breaking:
    def __init__(self, owner, watch) -> None:
        self._owner = owner
        self._watch = watch

    async def receive(self):
        while True:
            with trio.move_on_after(10):
                return await self._watch.receive()
            if self._owner.fails:
                raise trio.BrokenResourceError
