"""EmbeddedEtcd: the contract of every etcd, and what only the embedded one promises: turns, bounds, closing."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random

import pytest
import trio
import trio.testing

from cacher.storage.etcd import (
    CompactedError,
    Etcd,
    EtcdEvent,
    InvalidRequestError,
    KeyValue,
    LeaseNotFoundError,
    Put,
    Snapshot,
    WatchResponse,
    open_embedded_etcd,
)
from tests.cacher.storage.etcd.etcd_contract import CASES, OpenEtcd


def opener(**options) -> Callable[[], AbstractAsyncContextManager[Etcd]]:
    @asynccontextmanager
    async def open_etcd():
        async with open_embedded_etcd(random=Random(1), **options) as etcd:
            yield etcd

    return open_etcd


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_contract(run_trio, case: Callable[[OpenEtcd], Awaitable[None]]):
    run_trio(case, opener())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_contract_where_everything_is_small_and_acknowledgements_are_drawn(run_trio, case):
    """Bridges of one response, pending of three events, acknowledgements up to eight turns late."""
    turns = Random(2)
    run_trio(case, opener(bridge_responses_max=1, pending_events_max=3, ack_turns=lambda: turns.randrange(9)))


def run(run_trio, body, **options):
    async def main():
        async with open_embedded_etcd(random=Random(1), **options) as etcd:
            return await body(etcd)

    return run_trio(main)


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()


# --- acknowledgement ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("turns", "first"), [(0, "ack"), (1, "ack"), (8, "event")])
def test_an_event_may_arrive_before_the_acknowledgement_or_after_it(run_trio, turns, first):
    async def body(etcd):
        order = []

        async def read(task_status):
            async with etcd.watch("a") as watch:
                task_status.started()
                await watch.receive()
                order.append("event")

        async with trio.open_nursery() as nursery:
            await nursery.start(read)
            await settle()
            await etcd.put("a", "1")
            order.append("ack")
        return order[0]

    assert run(run_trio, body, ack_turns=lambda: turns) == first


def test_every_call_is_a_checkpoint(run_trio):
    async def body(etcd):
        lease = (await etcd.lease_grant(9)).lease
        for call in (
            lambda: etcd.put("a", "1", lease=lease),
            lambda: etcd.range("a"),
            lambda: etcd.delete("a"),
            lambda: etcd.txn(success=[Put(b"a", b"2")]),
            lambda: etcd.compact(3),
            lambda: etcd.lease_keep_alive(lease),
            lambda: etcd.lease_time_to_live(lease),
            lambda: etcd.lease_revoke(lease),
            lambda: etcd.lease_grant(9),
        ):
            with trio.testing.assert_checkpoints():
                await call()
        with trio.testing.assert_checkpoints():
            async with etcd.watch("a", start_revision=4) as watch:
                pass
        async with etcd.watch("a", start_revision=4) as watch:
            await settle()
            with trio.testing.assert_checkpoints():
                await watch.receive()

    run(run_trio, body, ack_turns=lambda: 0)


def test_a_cancelled_write_was_not_done(run_trio):
    async def body(etcd):
        with trio.CancelScope() as scope:
            scope.cancel()
            await etcd.put("a", "1")
        assert scope.cancelled_caught
        assert etcd.revision == 1

    run(run_trio, body)


# --- a watch and its reader -----------------------------------------------------------------------------------------


def test_a_cancelled_receive_leaves_the_response_in_place(run_trio):
    async def body(etcd):
        async with etcd.watch("a") as watch:
            with trio.move_on_after(1):
                await watch.receive()
            await etcd.put("a", "1")
            await settle()
            with trio.CancelScope() as scope:
                scope.cancel()
                await watch.receive()
            assert scope.cancelled_caught
            return [event.kv.value for event in (await watch.receive()).events]

    assert run(run_trio, body) == [b"1"]


def test_two_tasks_cannot_receive_from_one_watch(run_trio):
    async def body(etcd):
        async with etcd.watch("a") as watch, trio.open_nursery() as nursery:
            nursery.start_soon(watch.receive)
            await settle()
            with pytest.raises(trio.BusyResourceError):
                await watch.receive()
            nursery.cancel_scope.cancel()

    run(run_trio, body)


def test_events_that_came_together_arrive_together(run_trio):
    async def body(etcd):
        async with etcd.watch("a") as watch:
            await settle()
            async with trio.open_nursery() as nursery:
                for number in range(50):
                    nursery.start_soon(etcd.put, "a", str(number))
            first = await watch.receive()
            assert len(first.events) == 50

    run(run_trio, body, ack_turns=lambda: 1)


def test_a_reader_that_stands_still_makes_its_watch_unsynced_and_costs_a_bounded_buffer(run_trio):
    """Bridge full, then pending full, then history holds the rest; no progress meanwhile; then all arrives, in order."""

    async def body(etcd):
        async with etcd.watch("a") as watch:
            for number in range(100):
                await etcd.put("a", str(number))
            await settle()
            statistics = etcd.statistics()
            assert (statistics.watchers_synced, statistics.watchers_unsynced) == (0, 1)
            assert len(watch._bridge) == 2
            assert len(watch.watcher._pending) <= 10
            watch.request_progress()
            seen: list[int] = []
            while len(seen) < 100:
                response = await watch.receive()
                assert response.events, "a watch that is behind tells no progress"
                seen += [event.kv.mod_revision for event in response.events]
            assert seen == list(range(2, 102))
            await settle()
            assert etcd.statistics().watchers_synced == 1
            watch.request_progress()
            assert await watch.receive() == WatchResponse((), 101)

    run(run_trio, body, bridge_responses_max=2, pending_events_max=10)


def test_a_reader_that_lost_to_a_compaction_gets_what_was_saved_then_the_error_then_the_end(run_trio):
    async def body(etcd):
        async with etcd.watch("a") as watch:
            for number in range(100):
                await etcd.put("a", str(number))
            await etcd.compact(90)
            seen: list[int] = []
            with pytest.raises(CompactedError) as caught:
                while True:
                    seen += [event.kv.mod_revision for event in (await watch.receive()).events]
            assert caught.value.compact_revision == 90
            assert seen == list(range(2, 2 + len(seen)))
            assert 10 <= len(seen) < 88
            with pytest.raises(trio.EndOfChannel):
                await watch.receive()
            watch.request_progress()

    run(run_trio, body, bridge_responses_max=2, pending_events_max=10)


def test_a_reader_that_stands_still_costs_other_watches_nothing(run_trio):
    async def body(etcd):
        async with etcd.watch("a"), etcd.watch("a") as healthy:
            for number in range(50):
                await etcd.put("a", str(number))
                await settle()
                assert (await healthy.receive()).revision == etcd.revision

    run(run_trio, body, bridge_responses_max=1, pending_events_max=1)


def test_catching_up_lets_other_tasks_run_between_slices(run_trio):
    async def body(etcd):
        for number in range(5000):
            await etcd.put("b", str(number))
        turns = 0

        async def count():
            nonlocal turns
            while True:
                await trio.lowlevel.checkpoint()
                turns += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            async with etcd.watch("a", start_revision=2) as watch:
                while not etcd.statistics().watchers_synced:
                    await trio.lowlevel.checkpoint()
                watch.request_progress()
                assert (await watch.receive()).revision == 5001
            nursery.cancel_scope.cancel()
        assert turns >= 5

    run(run_trio, body)


# --- time -----------------------------------------------------------------------------------------------------------


def test_quiet_watches_that_asked_for_it_hear_how_far_they_are_every_so_often(run_trio):
    async def body(etcd):
        started = trio.current_time()
        async with etcd.watch("a", progress_notify=True) as watch, etcd.watch("a") as plain:
            await etcd.put("b", "1")
            assert await watch.receive() == WatchResponse((), 2)
            assert trio.current_time() - started == 5
            await trio.sleep(1)
            await etcd.put("a", "1")
            assert (await watch.receive()).events
            assert (await watch.receive()).events == ()
            assert trio.current_time() - started == 15, "events at 6 s stand in for the notification at 10 s"
            assert (await plain.receive()).events
            with trio.move_on_after(60) as scope:
                await plain.receive()
            assert scope.cancelled_caught

    run(run_trio, body, progress_interval_s=5)


def test_a_lease_ends_at_its_second_and_a_shorter_one_granted_later_before_it(run_trio):
    async def body(etcd):
        start = trio.current_time()
        ended: dict[bytes, float] = {}
        async with etcd.watch("l", "m") as watch:
            for ttl_s in (100, 10, 50):
                lease = (await etcd.lease_grant(ttl_s)).lease
                await etcd.put(f"l{ttl_s}", "", lease=lease)
                await watch.receive()
            while len(ended) < 3:
                for event in (await watch.receive()).events:
                    ended[event.kv.key] = trio.current_time() - start
        assert ended == {b"l10": 10, b"l50": 50, b"l100": 100}
        assert etcd.statistics().leases == 0

    run(run_trio, body, progress_interval_s=math.inf)


def test_leases_that_end_at_once_make_a_revision_each(run_trio):
    async def body(etcd):
        for lease in (3, 1, 2):
            await etcd.lease_grant(10, lease=lease)
            await etcd.put(f"{lease}a", "", lease=lease)
            await etcd.put(f"{lease}b", "", lease=lease)
        await trio.sleep(11)
        async with etcd.watch("\0", b"\0", start_revision=8) as watch:
            await settle()
            return [(event.kv.key, event.kv.mod_revision) for event in (await watch.receive()).events]

    expected = [(b"1a", 8), (b"1b", 8), (b"2a", 9), (b"2b", 9), (b"3a", 10), (b"3b", 10)]
    assert run(run_trio, body) == expected


def test_lease_ids_come_from_the_random_handed_in(run_trio):
    async def grant(etcd):
        return [(await etcd.lease_grant(10)).lease for _ in range(3)]

    ids = run(run_trio, grant)
    assert ids == run(run_trio, grant)
    assert all(0 < lease < 2**63 for lease in ids)


# --- snapshots ------------------------------------------------------------------------------------------------------


def test_a_store_opened_from_a_snapshot_goes_on_as_a_restored_backup(run_trio):
    lease = 7_587_000_000_000_000_001
    snapshot = Snapshot(100, [KeyValue(b"a", b"1", 40, 90, 3, lease), KeyValue(b"b", b"2", 50, 50, 1)])

    async def body(etcd):
        assert (etcd.revision, etcd.compact_revision, etcd.statistics().keys) == (100, 100, 2)
        with pytest.raises(LeaseNotFoundError):
            await etcd.put("c", "", lease=lease)
        await etcd.lease_grant(1000, lease=lease)
        assert (await etcd.lease_time_to_live(lease, keys=True)).keys == (b"a",)
        async with etcd.watch("a", start_revision=101, prev_kv=True) as watch:
            assert (await etcd.lease_revoke(lease)).revision == 101
            (event,) = (await watch.receive()).events
            assert event.prev_kv is snapshot.kvs[0]
        async with etcd.watch("a", start_revision=100) as watch:
            with pytest.raises(CompactedError):
                await watch.receive()

    run(run_trio, body, snapshot=snapshot)


# --- closing --------------------------------------------------------------------------------------------------------


def test_a_closed_store_refuses_calls_and_ends_watches_after_what_they_have(run_trio):
    async def main():
        async with open_embedded_etcd(random=Random(1)) as etcd:
            watch_context = etcd.watch("a")
            watch = await watch_context.__aenter__()
            await etcd.put("a", "1")
            await settle()
        assert (await watch.receive()).events
        for _ in range(2):
            with pytest.raises(trio.EndOfChannel):
                await watch.receive()
        watch.request_progress()
        await watch_context.__aexit__(None, None, None)
        for call in (etcd.put("a", ""), etcd.range("a"), etcd.lease_grant(1), etcd.watch("a").__aenter__()):
            with pytest.raises(trio.ClosedResourceError):
                await call
        assert etcd.revision == 2

    run_trio(main)


def test_a_reader_waiting_when_the_store_closes_is_told_the_end(run_trio):
    async def main():
        async with trio.open_nursery() as nursery:
            async with open_embedded_etcd(random=Random(1)) as etcd:

                async def read():
                    async with etcd.watch("a") as watch:
                        with pytest.raises(trio.EndOfChannel):
                            await watch.receive()

                nursery.start_soon(read)
                await settle()

    run_trio(main)


def test_a_watch_that_was_left_is_closed_and_forgotten(run_trio):
    """Whenever it is left: before its delivery began, while it was being woken, while its bridge was full."""

    async def body(etcd):
        for puts in (0, 1, 1, 1, 1, 3):
            for turns in range(3):
                async with etcd.watch("a") as watch:
                    for _ in range(puts):
                        await etcd.put("a", "1")
                    for _ in range(turns):
                        await trio.lowlevel.checkpoint()
                await settle()
                with pytest.raises(trio.ClosedResourceError):
                    await watch.receive()
                with pytest.raises(trio.ClosedResourceError):
                    watch.request_progress()
        assert etcd.statistics().watchers_synced == 0

    run(run_trio, body, bridge_responses_max=2)


def test_a_reader_waiting_when_its_watch_is_left_is_told_so(run_trio):
    async def body(etcd):
        async with trio.open_nursery() as nursery:
            async with etcd.watch("a") as watch:

                async def read():
                    with pytest.raises(trio.ClosedResourceError):
                        await watch.receive()

                nursery.start_soon(read)
                await settle()

    run(run_trio, body)


def test_an_error_of_the_callers_block_comes_out_as_it_is(run_trio):
    """Not in a group, also where the block is being cancelled from outside: it is not the store's tasks that failed."""

    async def main():
        with pytest.raises(InvalidRequestError):
            async with open_embedded_etcd(random=Random(1)) as etcd:
                await etcd.put("", "")
        came_out = None
        with trio.CancelScope() as scope:
            with pytest.raises(ZeroDivisionError) as came_out:
                async with open_embedded_etcd(random=Random(1)):
                    await settle()
                    scope.cancel()
                    raise ZeroDivisionError
        assert came_out is not None
        assert came_out.type is ZeroDivisionError
        with trio.move_on_after(1) as scope:
            async with open_embedded_etcd(random=Random(1)):
                await trio.sleep_forever()
        assert scope.cancelled_caught

    run_trio(main)


def test_who_observes_is_told_in_the_step_of_each_write_and_of_its_range_alone(run_trio):
    """Before the write is acknowledged, a revision a time, with what was there before; a lease's end too."""

    async def main() -> None:
        async with open_embedded_etcd(random=Random(1), lease_ttl_min_s=1) as etcd:
            told: list[tuple[int, list[tuple[str, bytes, bytes | None]]]] = []

            def note(events: tuple[EtcdEvent, ...]) -> None:
                seen = [(e.kind.value, e.kv.key, e.prev_kv.value if e.prev_kv else None) for e in events]
                told.append((etcd.revision, seen))

            etcd.observe("/a/", "/a0", note)
            await etcd.put("/a/1", "x")
            await etcd.put("/b/1", "x")
            await etcd.txn(success=[Put(b"/a/1", b"y"), Put(b"/a/2", b"z"), Put(b"/b/2", b"z")])
            lease = (await etcd.lease_grant(1)).lease
            await etcd.put("/a/3", "x", lease=lease)
            await trio.sleep(2)
            assert told == [
                (2, [("PUT", b"/a/1", None)]),
                (4, [("PUT", b"/a/1", b"x"), ("PUT", b"/a/2", None)]),
                (5, [("PUT", b"/a/3", None)]),
                (6, [("DELETE", b"/a/3", b"x")]),
            ]

    run_trio(main)
