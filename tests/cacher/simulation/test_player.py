from __future__ import annotations

from random import Random

import pytest
import trio

from cacher.simulation._player import Player, ReplayMismatch, Timetable
from cacher.simulation._trace import find_trace, load_trace
from cacher.storage.etcd import (
    DeleteRange,
    EmbeddedEtcd,
    LeaseResult,
    Put,
    Snapshot,
    WriteResult,
    open_embedded_etcd,
)
from tests.cacher.simulation.trace_files import TraceFiles, pod, pod_key, small_trace

LEASE = 7894425351746813472  # beyond what a double holds, as real ones are


class Watched:
    """The public door of a store, writing down what goes through."""

    def __init__(self, etcd: EmbeddedEtcd) -> None:
        self._etcd = etcd
        self.calls: list[tuple] = []
        self.granted_ttl_s: dict[int, int] = {}

    async def txn(self, compares=(), success=(), failure=()):
        self.calls.append((trio.current_time(), "txn", *(type(op).__name__ + " " + op.key.decode() for op in success)))
        return await self._etcd.txn(compares, success, failure)

    async def lease_grant(self, ttl_s: int, *, lease: int = 0) -> LeaseResult:
        self.calls.append((trio.current_time(), "grant", lease))
        self.granted_ttl_s[lease] = ttl_s
        return await self._etcd.lease_grant(ttl_s, lease=lease)

    async def lease_revoke(self, lease: int) -> WriteResult:
        self.calls.append((trio.current_time(), "revoke", lease))
        return await self._etcd.lease_revoke(lease)

    def __getattr__(self, name):
        return getattr(self._etcd, name)


def play(run_trio, trace, *, snapshot=None, spoil=None, **options):
    """What the player reports, and what it called; `spoil` is run beside it with the store."""

    async def main():
        async with open_embedded_etcd(snapshot=snapshot or trace.snapshot, random=Random(1)) as etcd:
            door = Watched(etcd)
            speed = options.pop("speed", 1.0)
            player = Player(trace, door, Timetable(trio.current_time(), speed), **options)
            failure = None
            async with trio.open_nursery() as nursery:
                if spoil is not None:
                    nursery.start_soon(spoil, etcd)
                try:
                    await player.run()
                except ReplayMismatch as error:
                    failure = error
                nursery.cancel_scope.cancel()
            assert player.finished.is_set() is (failure is None)
            if failure is not None:
                raise failure
            return player.played, door

    return run_trio(main)


def load(files, tmp_path):
    return load_trace(files.write(tmp_path))


def test_each_revision_is_one_transaction_at_its_own_time(tmp_path, run_trio):
    files = small_trace()
    files.together({pod_key("a"): pod("a"), pod_key("b"): pod("b")}, pod_key("old"))
    played, door = play(run_trio, load(files, tmp_path))
    assert door.calls == [
        (1.0, "txn", "Put " + pod_key("new")),
        (2.0, "txn", "Put " + pod_key("old")),
        (3.0, "txn", "Put compact_rev_key"),
        (4.0, "txn", "Put " + pod_key("new")),
        (5.0, "txn", "DeleteRange " + pod_key("new")),
        (6.0, "txn", "Put " + pod_key("a"), "Put " + pod_key("b"), "DeleteRange " + pod_key("old")),
    ]
    assert (played.revision, played.t, played.revisions, played.events) == (106, 6.0, 6, 7)
    assert (played.outside_puts, played.leases_granted, played.keys_checked) == (1, 0, 2)


def test_a_faster_pace_divides_the_times(tmp_path, run_trio):
    _, door = play(run_trio, load(small_trace(), tmp_path), speed=10.0)
    assert [at for at, *_ in door.calls] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])


def test_observers_hear_of_each_step_before_and_after_its_write(tmp_path, run_trio):
    trace = load(small_trace(), tmp_path)
    heard = []

    async def main():
        async with open_embedded_etcd(snapshot=trace.snapshot, random=Random(1)) as etcd:
            player = Player(
                trace,
                etcd,
                Timetable(trio.current_time()),
                before_step=lambda step: heard.append(("before", step.revision, etcd.revision)),
                after_step=lambda step: heard.append(("after", step.revision, etcd.revision)),
            )
            await player.run()

    run_trio(main)
    assert heard == [
        pair for r in range(101, 106) for pair in (("before", r, r - 1), ("after", r, r))
    ]  # fmt: skip


# --- leases ---------------------------------------------------------------------------------------------------------


def test_a_lease_is_granted_before_its_first_key_for_longer_than_the_trace(tmp_path, run_trio):
    files = TraceFiles()
    files.put(pod_key("plain"), pod("plain"))
    files.put(pod_key("a"), pod("a"), lease=LEASE)
    files.put(pod_key("b"), pod("b"), lease=LEASE)
    played, door = play(run_trio, load(files, tmp_path))
    assert [call[1:] for call in door.calls] == [
        ("txn", "Put " + pod_key("plain")),
        ("grant", LEASE),
        ("txn", "Put " + pod_key("a")),
        ("txn", "Put " + pod_key("b")),
    ]
    assert door.granted_ttl_s[LEASE] > 3.0
    assert (played.leases_granted, played.leases_revoked) == (1, 0)


def test_a_slow_pace_keeps_leases_alive_for_as_long_as_it_takes(tmp_path, run_trio):
    files = TraceFiles()
    files.put(pod_key("a"), pod("a"), lease=LEASE)
    for step in range(50):
        files.put(pod_key("b"), pod("b", step=step))
    played, door = play(run_trio, load(files, tmp_path), speed=0.01)
    assert door.granted_ttl_s[LEASE] > 51 / 0.01
    assert played.revision == files.revision


@pytest.mark.parametrize("count", [1, 2, 253])
def test_all_keys_of_a_lease_deleted_at_once_were_its_end(tmp_path, run_trio, count):
    """253 keys are more deletions than one transaction may hold: only the lease explains them."""
    files = TraceFiles()
    keys = [pod_key(f"p-{n:03}") for n in range(count)]
    for key in keys:
        files.put(key, pod(key), lease=LEASE)
    files.put(pod_key("other"), pod("other"), lease=LEASE + 1)
    files.delete(*keys)
    played, door = play(run_trio, load(files, tmp_path))
    assert door.calls[-1][1:] == ("revoke", LEASE)
    assert (played.leases_granted, played.leases_revoked, played.keys_checked) == (2, 1, 1)


def test_a_lease_of_the_snapshot_is_granted_first_and_can_end(tmp_path, run_trio):
    files = TraceFiles()
    for name in ("a", "b"):
        files.begins_with(pod_key(name), pod(name), lease=LEASE)
    files.put(pod_key("other"), pod("other"))
    files.delete(pod_key("a"), pod_key("b"))
    _, door = play(run_trio, load(files, tmp_path))
    assert [call[1:] for call in door.calls] == [
        ("grant", LEASE),
        ("txn", "Put " + pod_key("other")),
        ("revoke", LEASE),
    ]


def test_some_keys_of_a_lease_deleted_at_once_were_deleted_by_a_transaction(tmp_path, run_trio):
    files = TraceFiles()
    for name in ("a", "b", "c"):
        files.put(pod_key(name), pod(name), lease=LEASE)
    files.delete(pod_key("a"), pod_key("b"))
    _, door = play(run_trio, load(files, tmp_path))
    assert door.calls[-1][1:] == ("txn", "DeleteRange " + pod_key("a"), "DeleteRange " + pod_key("b"))


def test_a_lease_that_is_used_again_did_not_end(tmp_path, run_trio):
    files = TraceFiles()
    files.put(pod_key("a"), pod("a"), lease=LEASE)
    files.delete(pod_key("a"))
    files.put(pod_key("b"), pod("b"), lease=LEASE)
    files.delete(pod_key("b"))
    _, door = play(run_trio, load(files, tmp_path))
    assert [call[1] for call in door.calls] == ["grant", "txn", "txn", "txn", "revoke"]


def test_a_key_put_under_another_lease_no_longer_belongs_to_the_first(tmp_path, run_trio):
    files = TraceFiles()
    for name in ("a", "b"):
        files.put(pod_key(name), pod(name), lease=LEASE)
    files.put(pod_key("b"), pod("b", again=True), lease=LEASE + 1)
    files.delete(pod_key("a"))
    files.put(pod_key("b"), pod("b", without=True))
    _, door = play(run_trio, load(files, tmp_path))
    assert door.calls[-2][1:] == ("revoke", LEASE)


def test_deletions_that_share_a_revision_with_a_put_are_a_transaction(tmp_path, run_trio):
    files = TraceFiles()
    files.put(pod_key("a"), pod("a"), lease=LEASE)
    files.together({pod_key("b"): pod("b")}, pod_key("a"))
    files.events[-2:] = reversed(files.events[-2:])
    _, door = play(run_trio, load(files, tmp_path))
    assert door.calls[-1][1:] == ("txn", "DeleteRange " + pod_key("a"), "Put " + pod_key("b"))


# --- what stops it --------------------------------------------------------------------------------------------------


def refused(run_trio, trace, path, line, words, **options):
    with pytest.raises(ReplayMismatch, match=words) as caught:
        play(run_trio, trace, **options)
    assert (caught.value.path, caught.value.line) == (path, line)
    assert str(caught.value).startswith(f"{path}:{line}: ")


def test_another_revision_than_recorded_stops_the_play_at_its_line(tmp_path, run_trio):
    trace = load(small_trace(), tmp_path)

    async def somebody_else_writes(etcd):
        await trio.sleep(3.5)
        await etcd.put("elsewhere", "x")

    words = "the store made revision 105, recorded is 104"
    refused(run_trio, trace, trace.events_path, 3, words, spoil=somebody_else_writes)


def test_another_revision_at_a_write_outside_points_to_meta(tmp_path, run_trio):
    trace = load(small_trace(), tmp_path)

    async def somebody_else_writes(etcd):
        await trio.sleep(2.5)
        await etcd.put("elsewhere", "x")

    refused(run_trio, trace, trace.meta_path, 1, "the store made revision 104", spoil=somebody_else_writes)


def test_a_store_that_is_not_at_the_snapshot_is_refused_before_anything_is_written(tmp_path, run_trio):
    trace = load(small_trace(), tmp_path)
    empty = Snapshot(trace.start_revision, ())
    refused(run_trio, trace, trace.start_path, 1, "revision 100 with 0 keys", snapshot=empty)
    later = Snapshot(101, trace.snapshot.kvs)
    refused(run_trio, trace, trace.start_path, 1, "revision 101 with 1 keys", snapshot=later)


def test_a_deletion_of_what_is_not_there_makes_no_revision(tmp_path, run_trio):
    files = small_trace()
    files.revision += 1
    files.events.append(files.events[-1] | {"rev": files.revision})
    trace = load(files, tmp_path)
    refused(run_trio, trace, trace.events_path, 5, "the store made revision 105, recorded is 106")


def test_what_the_store_refuses_is_told_with_its_line(tmp_path, run_trio):
    files = small_trace()
    files.put(pod_key("twice"), pod("twice"))
    files.events.append(files.events[-1])
    trace = load(files, tmp_path)
    refused(run_trio, trace, trace.events_path, 5, "refused what the recorded one did .*duplicate key")


@pytest.mark.parametrize(("member", "value", "words"), [
    ("create", 99, "ends with create_revision 40, recorded is 99"),
    ("version", 9, "ends with version 4, recorded is 9"),
])  # fmt: skip
def test_a_key_that_ends_otherwise_than_recorded_stops_the_play_at_its_last_line(
    tmp_path, run_trio, member, value, words
):
    files = small_trace()
    files.events[1][member] = value
    trace = load(files, tmp_path)
    refused(run_trio, trace, trace.events_path, 2, words)


def smuggled_into_the_last_step(*operations):
    """Beside the play: further operations in its last transaction, so that every revision is still as recorded."""

    async def spoil(etcd):
        await trio.sleep(4.5)
        txn = etcd.txn

        async def with_more(compares=(), success=(), failure=()):
            return await txn(compares, (*success, *operations), failure)

        etcd.txn = with_more

    return spoil


@pytest.mark.parametrize("name", ["a", "zz"])
def test_a_key_too_many_at_the_end_stops_the_play(tmp_path, run_trio, name):
    trace = load(small_trace(), tmp_path)
    spoil = smuggled_into_the_last_step(Put(pod_key(name).encode(), b"{}"))
    refused(run_trio, trace, trace.events_path, 0, f"the store holds {pod_key(name)}", spoil=spoil)


def test_a_key_missing_at_the_end_stops_the_play_at_its_last_line(tmp_path, run_trio):
    trace = load(small_trace(), tmp_path)
    spoil = smuggled_into_the_last_step(DeleteRange(pod_key("old").encode()))
    refused(run_trio, trace, trace.events_path, 2, f"the store lacks {pod_key('old')}", spoil=spoil)


def test_another_value_at_the_end_stops_the_play_at_its_last_line(tmp_path, run_trio):
    files = TraceFiles()
    files.put(pod_key("a"), pod("a"))
    files.put(pod_key("b"), pod("b"))
    trace = load(files, tmp_path)

    async def alter(etcd):
        txn = etcd.txn

        async def with_an_extra_space(compares=(), success=(), failure=()):
            return await txn(compares, [Put(op.key, op.value + b" ") for op in success], failure)

        etcd.txn = with_an_extra_space

    refused(run_trio, trace, trace.events_path, 1, "ends with another value than recorded", spoil=alter)


# --- the shipped one ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_shipped_rollout_makes_every_revision_as_recorded(run_trio):
    trace = load_trace(find_trace("rollout"))
    played, door = play(run_trio, trace)
    assert (played.revision, played.revisions, played.events) == (29952, 12685, 12942)
    assert (played.outside_puts, played.keys_checked) == (1, 2831)
    assert [call[0] for call in door.calls if call[1] == "revoke"] == [160.025831, 160.026267]
    assert played.leases_granted == 69
