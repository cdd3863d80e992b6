"""Watches over etcd: where they start, what they deliver, and what ends them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from cacher.storage import InternalError, InvalidResourceVersion, ListOptions, StorageReadError, Update
from cacher.storage._codec import Codec
from cacher.storage._metrics import EtcdMetrics, MetricsRegistry
from cacher.storage.etcd import EtcdEvent, EtcdStorage, EventKind, KeyValue, Put, RangeResult, open_embedded_etcd
from cacher.storage.etcd._storage_requests import Requests
from cacher.storage.etcd._storage_watch import EventDecoder
from tests.cacher.storage.etcd.pods import GARBAGE, CountedEtcd, create, open_storage, pod, pod_storage, shown, take
from watch import Event, EventType, Expired, Selector, TooLargeResourceVersion

FULL = "/registry/pods/ns/"


def run(run_trio, body, **options):
    async def main():
        async with open_storage(**options) as (storage, etcd):
            await body(storage, etcd)

    run_trio(main)


async def update(storage: EtcdStorage, name: str, **changes) -> int:
    updated = await storage.guaranteed_update(
        f"/pods/ns/{name}", lambda _object, _meta: Update(pod(name, **changes)), ignore_not_found=True
    )
    return updated.revision


async def is_silent(stream) -> bool:
    """True where nothing comes for an hour."""
    with trio.move_on_after(3600):
        await stream.receive()
        return False
    return True


# --- where it starts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bookmarks", [False, True])
@pytest.mark.parametrize("initial", [None, False, True])
@pytest.mark.parametrize("version", ["", "0", "first", "now"])
def test_a_watch_starts_where_its_options_say(run_trio, version, initial, bookmarks):
    """SEMANTICS 2.2, raw etcd3: the state where it is asked for, or nothing is said; then what comes after."""

    async def body(storage, etcd):
        first, second = await create(storage, "a", "b")
        now = await etcd.put("/elsewhere", b"")
        versions = {"first": str(first), "now": str(now.revision)}
        options = ListOptions(
            resource_version=versions.get(version, version), send_initial_events=initial, allow_bookmarks=bookmarks
        )
        async with storage.watch("/pods", options) as stream:
            (third,) = await create(storage, "c")
            expected: list[tuple[str, str, int]] = []
            if initial or (initial is None and version in ("", "0")):
                expected += [("ADDED", "a", first), ("ADDED", "b", second)]
                expected += [("BOOKMARK", "", now.revision)] if initial and bookmarks else []
            elif version == "first":
                expected += [("ADDED", "b", second)]
            expected += [("ADDED", "c", third)]
            events = await take(stream, len(expected))
            assert shown(events) == expected
            assert [event.is_initial_events_end for event in events] == [kind == "BOOKMARK" for kind, _, _ in expected]
            assert await is_silent(stream)

    run(run_trio, body)


def test_a_watch_of_a_revision_to_come_is_silent_until_then(run_trio):
    async def body(storage, etcd):
        options = ListOptions(resource_version=str(etcd.revision + 2))
        async with storage.watch("/pods", options) as stream:
            *_, third, fourth = await create(storage, *"abcd")
            assert shown(await take(stream, 2)) == [("ADDED", "c", third), ("ADDED", "d", fourth)]

    run(run_trio, body)


def test_too_large_resource_version_error_for_watch_list(run_trio):
    """[9.4 TestTooLargeResourceVersionErrorForWatchList] opening succeeds; the error is in the stream, with a time to wait"""

    async def body(storage, _etcd):
        options = ListOptions(resource_version="102", send_initial_events=True, allow_bookmarks=True)
        waits = []
        for _ in range(20):
            async with storage.watch("/pods", options) as stream:
                with pytest.raises(TooLargeResourceVersion) as caught:
                    await stream.receive()
                assert (caught.value.asked, caught.value.current) == (102, 1)
                waits.append(caught.value.retry_after_s)
                with pytest.raises(trio.EndOfChannel):
                    await stream.receive()
        assert sorted(set(waits)) == [1.0, 2.0, 3.0], "drawn, so that not all come back at once"

    run(run_trio, body)


def test_a_resource_version_that_is_none_is_raised_on_entering(run_trio):
    async def body(storage, _etcd):
        with pytest.raises(InvalidResourceVersion):
            async with storage.watch("/pods", ListOptions(resource_version="abc")):
                raise AssertionError("not reached")

    run(run_trio, body)


def test_a_key_that_is_not_recursive_is_one_key(run_trio):
    async def body(storage, _etcd):
        await create(storage, "a", "ab")
        async with storage.watch("/pods/ns/a", ListOptions(recursive=False)) as stream:
            await update(storage, "ab", node="n")
            await storage.create("/pods/ns/a/b", pod("deeper"))
            revision = await update(storage, "a", node="n")
            assert shown(await take(stream, 2)) == [("ADDED", "a", 2), ("MODIFIED", "a", revision)]
        async with storage.watch("/pods/ns/a", ListOptions()) as stream:
            assert [event.object.name for event in await take(stream, 1)] == ["deeper"]

    run(run_trio, body)


# --- the state, page by page ------------------------------------------------------------------------------------------


def test_watch_chan_sync_the_state_is_of_one_revision(run_trio, monkeypatch):
    """[9.4 TestWatchChanSync] all ADDED, in key order; what is written after the first page comes as a change"""
    monkeypatch.setattr("cacher.storage.etcd._storage_watch.PAGE_SIZE_MAX", 2)

    async def body(storage, etcd):
        revisions = await create(storage, *"abcde")
        options = ListOptions(send_initial_events=True, allow_bookmarks=True)
        at = etcd.revision
        async with storage.watch("/pods", options) as stream:
            batches = [await stream.receive_batch()]
            added = await create(storage, "aa")
            changed = await update(storage, "e", node="n")
            await storage.delete("/pods/ns/c")
            while not any(event.is_initial_events_end for event in batches[-1]):
                batches.append(await stream.receive_batch())
            assert [len(batch) for batch in batches] == [2, 2, 2]
            state = [event for batch in batches for event in batch]
            assert shown(state[:-1]) == [
                ("ADDED", name, revision) for name, revision in zip("abcde", revisions, strict=True)
            ]
            assert state[-1].revision == at
            assert shown(await take(stream, 3)) == [
                ("ADDED", "aa", added[0]),
                ("MODIFIED", "e", changed),
                ("DELETED", "c", etcd.revision),
            ]

    run(run_trio, body)


@pytest.mark.parametrize(
    ("key", "page_size", "state", "reads"),
    [("/pods/none", 1, [], 1), ("/pods", 3, ["a", "b"], 1), ("/pods", 1, ["a", "b"], 2)],
)
def test_watch_chan_sync_asks_for_no_more_pages_than_there_are(run_trio, monkeypatch, key, page_size, state, reads):
    """[9.4 TestWatchChanSync] none, one and two pages; what is written once the first was read is in none of them"""
    monkeypatch.setattr("cacher.storage.etcd._storage_watch.PAGE_SIZE_MAX", page_size)

    class Disturbed(CountedEtcd):
        async def range(self, *args: Any, **options: Any) -> RangeResult:
            result = await super().range(*args, **options)
            if len(self.ranges) == 1:
                await self.etcd.put(f"{FULL}c", b"{}")
            return result

    async def body(writer, etcd):
        await create(writer, "a", "b")
        disturbed, at = Disturbed(etcd), etcd.revision
        options = ListOptions(send_initial_events=True, allow_bookmarks=True)
        async with pod_storage(disturbed).watch(key, options) as stream:
            *found, end = await take(stream, len(state) + 1)
            assert [(event.type, event.object.name) for event in found] == [(EventType.ADDED, name) for name in state]
            assert (end.is_initial_events_end, end.revision) == (True, at)
            assert len(disturbed.ranges) == reads

    run(run_trio, body)


def test_watch_chan_sync_a_compaction_between_pages_expires(run_trio, monkeypatch):
    """[9.4 TestWatchChanSyncStreamCompactionError] as 410, after what had been read"""
    monkeypatch.setattr("cacher.storage.etcd._storage_watch.PAGE_SIZE_MAX", 2)

    async def body(storage, etcd):
        await create(storage, *"abcde")
        async with storage.watch("/pods", ListOptions()) as stream:
            await create(storage, "f")
            await etcd.compact(etcd.revision)
            await take(stream, 2)
            with pytest.raises(Expired) as caught:
                await stream.receive()
            assert caught.value.message == "The resourceVersion for the provided watch is too old."
            with pytest.raises(trio.EndOfChannel):
                await stream.receive()

    run(run_trio, body)


def test_watch_chan_sync_the_state_shows_what_is_selected(run_trio, monkeypatch):
    """[9.4 TestWatchChanSync] a page of which nothing is selected is passed over"""
    monkeypatch.setattr("cacher.storage.etcd._storage_watch.PAGE_SIZE_MAX", 2)

    async def body(storage, _etcd):
        await create(storage, *"abcdef")
        options = ListOptions(selector=Selector.of(fields="metadata.name=f"), send_initial_events=True)
        async with storage.watch("/pods", options) as stream:
            assert [event.object.name for event in await stream.receive_batch()] == ["f"]

    run(run_trio, body)


# --- what it delivers -------------------------------------------------------------------------------------------------


def test_what_is_delivered_depends_on_before_and_after(run_trio):
    """SEMANTICS 2.3: what enters a selector is ADDED, what leaves it DELETED as it was, at the revision of the update."""

    async def body(storage, etcd):
        options = ListOptions(selector=Selector.of(fields="spec.nodeName=n"), resource_version=str(etcd.revision))
        async with storage.watch("/pods", options) as stream:
            await update(storage, "a")
            entered = await update(storage, "a", node="n")
            changed = await update(storage, "a", node="n", image="2")
            left = await update(storage, "a", node="m", image="2")
            await storage.delete("/pods/ns/a")
            again = await update(storage, "a", node="n")
            gone = await storage.delete("/pods/ns/a")
            events = await take(stream, 5)
            assert shown(events) == [
                ("ADDED", "a", entered),
                ("MODIFIED", "a", changed),
                ("DELETED", "a", left),
                ("ADDED", "a", again),
                ("DELETED", "a", again + 1),
            ]
            assert events[2].object == events[1].object.at_revision(left)
            assert events[4].object == gone
            assert [event.previous.revision if event.previous else None for event in events] == [
                None,
                entered,
                changed,
                None,
                again,
            ]

    run(run_trio, body)


def test_a_batch_is_made_of_whole_revisions(run_trio):
    async def body(storage, etcd):
        async with storage.watch("/pods", ListOptions(resource_version=str(etcd.revision))) as stream:
            raw = storage.codec.encode(pod("x"))
            for _ in range(3):
                await etcd.txn(success=[Put(f"{FULL}{name}".encode(), raw) for name in "abc"])
            await trio.testing.wait_all_tasks_blocked()
            events: list[Event] = []
            while len(events) < 9:
                batch = await stream.receive_batch()
                assert len(batch) % 3 == 0
                events += batch
            assert [event.revision for event in events] == [2, 2, 2, 3, 3, 3, 4, 4, 4]

    run(run_trio, body)


def test_progress_shows_as_bookmarks_where_that_is_asked_for(run_trio):
    async def body(storage, etcd):
        await create(storage, "a")
        version = str(etcd.revision)
        asking = ListOptions(resource_version=version, progress_notify=True)
        async with (
            storage.watch("/pods", asking) as stream,
            storage.watch("/pods", ListOptions(resource_version=version)) as plain,
        ):
            at = (await etcd.put("/elsewhere", b"")).revision
            await storage.request_watch_progress()
            bookmark = await stream.receive()
            assert (bookmark.type, bookmark.revision, bookmark.is_initial_events_end) == (EventType.BOOKMARK, at, False)
            assert storage.metrics.bookmarks.value >= 1
            assert await is_silent(plain)
        await storage.request_watch_progress()  # nobody is asked

    run(run_trio, body)


def test_an_object_that_was_mended_is_modified_where_nobody_needs_to_know_what_was_before(run_trio):
    """With a selector the version before decides, and is gone: the watch ends."""

    async def body(storage, etcd):
        await etcd.put(FULL + "a", GARBAGE)
        version = str(etcd.revision)
        selected = ListOptions(resource_version=version, selector=Selector.of(labels="!x"))
        async with (
            storage.watch("/pods", ListOptions(resource_version=version)) as stream,
            storage.watch("/pods", selected) as selecting,
        ):
            await etcd.put(FULL + "a", storage.codec.encode(pod("a")))
            (event,) = await take(stream, 1)
            assert (event.type, event.previous) == (EventType.MODIFIED, None)
            with pytest.raises(InternalError):
                await selecting.receive()

    run(run_trio, body)


# --- what ends it -----------------------------------------------------------------------------------------------------


def test_a_compacted_revision_expires_in_the_stream(run_trio):
    async def body(storage, etcd):
        first, *_ = await create(storage, *"abc")
        await etcd.compact(etcd.revision)
        async with storage.watch("/pods", ListOptions(resource_version=str(first))) as stream:
            with pytest.raises(Expired) as caught:
                await stream.receive()
            error = caught.value
            assert (error.code, error.reason, error.asked, error.oldest) == (410, "Expired", first, etcd.revision)
            assert error.message == "The resourceVersion for the provided watch is too old."

    run(run_trio, body)


def test_nothing_comes_after_an_error(run_trio):
    """And of the revision that could not be shown whole nothing comes at all."""

    async def body(storage, etcd):
        async with storage.watch("/pods", ListOptions(resource_version="1")) as stream:
            (first,) = await create(storage, "a")
            raw = storage.codec.encode(pod("b"))
            both = await etcd.txn(success=[Put(f"{FULL}b".encode(), raw), Put(f"{FULL}c".encode(), GARBAGE)])
            await create(storage, "d")
            await trio.testing.wait_all_tasks_blocked()
            assert shown(await take(stream, 1)) == [("ADDED", "a", first)]
            with pytest.raises(InternalError) as caught:
                await stream.receive_batch()
            assert caught.value.message.startswith(
                f"Internal error occurred: object not decodable revision={both.revision}: "
            )
            for _ in range(2):
                with pytest.raises(trio.EndOfChannel):
                    await stream.receive()

    run(run_trio, body)


def test_a_state_that_cannot_be_read_ends_the_watch(run_trio):
    async def body(storage, etcd):
        await create(storage, "a")
        await etcd.put(FULL + "b", GARBAGE)
        await create(storage, "c")
        async with storage.watch("/pods", ListOptions(send_initial_events=True, allow_bookmarks=True)) as stream:
            assert shown(await take(stream, 1)) == [("ADDED", "a", 2)]
            with pytest.raises(InternalError):
                await stream.receive()
            with pytest.raises(trio.EndOfChannel):
                await stream.receive()

    run(run_trio, body)


def test_what_is_deleted_unseen_ends_the_watch(run_trio):
    """[9.2 WatchWithUnsafeDelete] with what Kubernetes says of it"""

    async def body(storage, etcd):
        await etcd.put(FULL + "a", GARBAGE)
        async with storage.watch("/pods", ListOptions(resource_version=str(etcd.revision))) as stream:
            await storage.delete("/pods/ns/a", expect_decode_error=True)
            with pytest.raises(StorageReadError) as caught:
                await stream.receive()
            assert caught.value.reason == "StorageReadError"
            assert caught.value.message.startswith(
                "saw a DELETED event, but object data is corrupt - object not decodable revision="
            )

    run(run_trio, body)


@pytest.mark.parametrize("error", [trio.BrokenResourceError, trio.EndOfChannel])
def test_a_lost_connection_is_an_error_and_an_end_is_an_end(run_trio, error):
    async def main():
        async with open_embedded_etcd(random=Random(1)) as etcd:
            storage = pod_storage(Lossy(etcd, error))
            async with storage.watch("/pods", ListOptions()) as stream:
                with pytest.raises(InternalError if error is trio.BrokenResourceError else trio.EndOfChannel):
                    await stream.receive()
                with pytest.raises(trio.EndOfChannel):
                    await stream.receive()
                await storage.request_watch_progress()

    run_trio(main)


def test_a_store_that_is_out_of_reach_on_entering_shows_in_the_stream(run_trio):
    async def main():
        async with open_embedded_etcd(random=Random(1)) as etcd:
            storage = pod_storage(Lossy(etcd, trio.BrokenResourceError, ranges=False))
            async with storage.watch("/pods", ListOptions()) as stream:
                with pytest.raises(InternalError, match="connection to etcd was lost"):
                    await stream.receive()

    run_trio(main)


# --- as trio's channels -----------------------------------------------------------------------------------------------


def test_a_watch_that_was_left_is_closed(run_trio):
    async def body(storage, _etcd):
        await create(storage, "a")
        async with storage.watch("/pods", ListOptions()) as stream:
            pass
        for receive in (stream.receive, stream.receive_batch):
            with pytest.raises(trio.ClosedResourceError):
                await receive()

    run(run_trio, body)


def test_a_receive_that_is_cancelled_has_taken_nothing(run_trio):
    async def body(storage, _etcd):
        async with storage.watch("/pods", ListOptions()) as stream:
            with trio.move_on_after(1):
                await stream.receive()
            await create(storage, "a")
            await trio.testing.wait_all_tasks_blocked()
            with trio.CancelScope() as scope:
                scope.cancel()
                await stream.receive()
            assert scope.cancelled_caught, "a receive is a checkpoint also where something waits"
            assert shown(await take(stream, 1)) == [("ADDED", "a", 2)]

    run(run_trio, body)


def test_a_page_that_was_cancelled_is_read_again(run_trio, monkeypatch):
    monkeypatch.setattr("cacher.storage.etcd._storage_watch.PAGE_SIZE_MAX", 4)
    monkeypatch.setattr("cacher.storage.etcd._storage_watch.OBJECTS_A_STEP", 2)

    async def body(storage, _etcd):
        await create(storage, *"abcdefgh")
        async with storage.watch("/pods", ListOptions()) as stream:
            names = [event.object.name for event in await stream.receive_batch()]
            with trio.CancelScope() as scope:

                async def cancel() -> None:
                    scope.cancel()

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(cancel)
                    names += [event.object.name for event in await stream.receive_batch()]
            assert scope.cancelled_caught
            names += [event.object.name for event in await stream.receive_batch()]
            assert "".join(names) == "abcdefgh"

    run(run_trio, body)


def test_one_task_receives_at_a_time(run_trio):
    async def body(storage, _etcd):
        async with storage.watch("/pods", ListOptions()) as stream, trio.open_nursery() as nursery:
            nursery.start_soon(stream.receive)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError):
                await stream.receive_batch()
            nursery.cancel_scope.cancel()

    run(run_trio, body)


# --- one event --------------------------------------------------------------------------------------------------------


def kv(revision: int, *, created: int = 2, raw: bytes = b'{"metadata":{"name":"a"}}') -> KeyValue:
    return KeyValue(b"/registry/pods/ns/a", raw, created, revision, 1)


@pytest.fixture
def decoder() -> EventDecoder:
    metrics = EtcdMetrics(MetricsRegistry(), resource="pods")
    etcd: Any = None  # is not asked
    return EventDecoder(Requests(etcd, Codec(), metrics, lambda: 0.0), None)


def test_parse_event_a_create_has_no_version_before(decoder):
    """[9.4 TestParseEvent] a put whose create revision is its own"""
    event = decoder.event(EtcdEvent(EventKind.PUT, kv(2)))
    assert (event.type, event.previous, event.revision) == (EventType.ADDED, None, 2)


@pytest.mark.parametrize("kind", EventKind)
def test_parse_event_a_missing_version_before_is_an_error(decoder, kind):
    """[9.4 TestParseEvent] of a deletion, and of a put that made nothing"""
    with pytest.raises(InternalError) as caught:
        decoder.event(EtcdEvent(kind, kv(7, created=0 if kind is EventKind.DELETE else 2)))
    assert caught.value.problem == (
        f'etcd event received with PrevKv=nil (key="/registry/pods/ns/a", modRevision=7, type={kind.value})'
    )


def test_parse_event_a_deletion_is_of_the_version_before_at_its_own_revision(decoder):
    """[9.4 TestParseEvent] previous value and the deletion's revision"""
    event = decoder.event(EtcdEvent(EventKind.DELETE, kv(7, created=0, raw=b""), kv(5)))
    assert (event.type, event.object.name, event.object.revision, event.revision) == (EventType.DELETED, "a", 7, 7)
    assert event.previous == event.object.at_revision(5)


# --- any history ------------------------------------------------------------------------------------------------------

WRITES = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["put n", "put m", "delete"])), max_size=12)


@settings(max_examples=60)
@given(before=WRITES, after=WRITES, selects=st.booleans(), seed=st.integers(0, 2**16))
def test_state_and_changes_together_are_what_is_there(before, after, selects, seed):
    """Whoever applies a watch's events, from any moment on, has at the end what a list says, and no event goes back."""
    chance = Random(seed)

    async def write(storage, etcd, writes):
        for name, act in writes:
            if act == "delete":
                await etcd.delete(FULL + name)
            else:
                await update(storage, name, node=act[-1])

    async def main():
        async with open_embedded_etcd(random=Random(1), ack_turns=lambda: chance.randrange(4)) as etcd:
            storage = pod_storage(etcd)
            await write(storage, etcd, before)
            selector = Selector.of(fields="spec.nodeName=n" if selects else None)
            options = ListOptions(selector=selector, send_initial_events=True, allow_bookmarks=True)
            known: dict[str, int] = {}
            async with storage.watch("/pods", options) as stream:
                await write(storage, etcd, after)
                await storage.create("/pods/ns/z", pod("z", node="n"))
                at = 0
                while "z" not in known:
                    event = await stream.receive()
                    if event.type is EventType.BOOKMARK:
                        at = event.revision
                        continue
                    assert not at or event.revision > at
                    at = at and event.revision
                    assert (event.object.name in known) is (event.type is not EventType.ADDED)
                    known[event.object.name] = event.revision
                    if event.type is EventType.DELETED:
                        del known[event.object.name]
            listed = await storage.get_list("/pods", ListOptions(selector=selector))
            assert known == {found.name: found.revision for found in listed.objects}

    trio.run(main)


class Lossy:
    """An etcd whose watches fail at once; and its reads too, where `ranges` is false."""

    def __init__(self, etcd, error, *, ranges=True) -> None:
        self._etcd = etcd
        self._error = error
        self._ranges = ranges

    async def range(self, *args, **options):
        await trio.lowlevel.checkpoint()
        if not self._ranges:
            raise self._error
        return await self._etcd.range(*args, **options)

    @asynccontextmanager
    async def watch(self, *args, **options):
        await trio.lowlevel.checkpoint()
        yield self

    async def receive(self):
        await trio.lowlevel.checkpoint()
        raise self._error
