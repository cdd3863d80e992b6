"""Cases: a watch: where it starts, what it brings of each change, how it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from math import inf

import trio

from watch import EventType, Expired, NotReady

from .._errors import BadRequest, InternalError, PlainError, UndecodableObject
from ._case import On, case
from ._expect import PATIENCE_S, Reader, expect_later, expect_same, raises, shown
from ._fixture import Fixture

ADDED, MODIFIED, DELETED = EventType.ADDED, EventType.MODIFIED, EventType.DELETED
FOO = "team-a/foo"


@case()
async def a_watch_brings_what_is_created_and_updated(store: Fixture) -> None:
    """[9.2 Watch] of a prefix and of a key, from a list's revision: ADDED, MODIFIED, DELETED, each object as it was written"""
    for number, recursive in enumerate((True, False)):
        path = f"ns-{number}/foo"
        at, more = (f"ns-{number}" if recursive else path), {"recursive": recursive}
        start = (await store.list(at, **more)).revision
        async with store.watching(at, start, **more) as watch:
            await store.create(f"ns-{number}-bad/foo")  # the namespace's name is only the beginning of another's
            await watch.expect(ADDED, await store.create(path))
            await watch.expect(MODIFIED, await store.set(path, node="n1"))
            await store.set(f"ns-{number}-bad/foo", node="n1")
            deleted = await store.drop(path)
            await watch.expect(DELETED, deleted)
            await watch.nothing()


@case()
async def a_watch_shows_what_enters_and_leaves_its_field_selector(store: Fixture) -> None:
    """[9.2 Watch] matching from now on: ADDED; no longer: DELETED, the last matching state at the new revision"""
    for number, recursive in enumerate((True, False)):
        path = f"ns-{number}/foo"
        more = {"recursive": recursive}
        at = f"ns-{number}" if recursive else path
        start = (await store.list(at, **more)).revision
        async with (
            store.watching(at, start, fields="spec.nodeName=n1", **more) as on_node,
            store.watching(at, start, fields="spec.nodeName!=n1", **more) as elsewhere,
        ):
            unassigned = await store.create(path)
            await elsewhere.expect(ADDED, unassigned)
            assigned = await store.set(path, node="n1")
            await on_node.expect(ADDED, assigned)
            await elsewhere.expect(DELETED, unassigned.at_revision(assigned.revision))
            running = await store.set(path, node="n1", phase="Running")
            await on_node.expect(MODIFIED, running)
            moved = await store.set(path, node="n2")
            await on_node.expect(DELETED, running.at_revision(moved.revision))
            await elsewhere.expect(ADDED, moved)
            deleted = await store.drop(path)
            await elsewhere.expect(DELETED, deleted)
            await on_node.nothing()


@case()
async def a_watch_shows_what_enters_and_leaves_its_label_selector(store: Fixture) -> None:
    """[9.2 Watch] added, left, entered again, modified, deleted: ADDED, DELETED, ADDED, MODIFIED, DELETED"""
    start = await store.now()
    async with store.watching("team-a", start, labels="select=true") as watch:
        first = await store.create(FOO, labels={"select": "true"})
        await watch.expect(ADDED, first)
        left = await store.set(FOO, labels={"select": "false"})
        await watch.expect(DELETED, first.at_revision(left.revision))
        await store.set(FOO, labels={"select": "false"}, phase="Running")
        entered = await store.set(FOO, labels={"select": "true"})
        await watch.expect(ADDED, entered)
        modified = await store.set(FOO, labels={"select": "true"}, phase="Running")
        await watch.expect(MODIFIED, modified)
        await watch.expect(DELETED, await store.drop(FOO))
        await watch.nothing()


@case(needs_etcd=True)
async def a_watch_from_zero_begins_with_what_there_is(store: Fixture) -> None:
    """[9.2 WatchFromZero] ADDED with the present state, also after an update, also after its history was compacted"""
    await store.create(FOO)
    await _expect_state_then_changes(store)
    updated = await store.set(FOO, a="1")
    await _expect_state_then_changes(store)
    last = await store.set(FOO)
    expect_later(last.revision, updated.revision)
    await store.compact(last.revision)
    await _expect_state_then_changes(store)


async def _expect_state_then_changes(store: Fixture) -> None:
    """A watch at "0", once a read has brought a cache up to date, begins with the object; then come changes."""
    await store.now()
    present = await store.get(FOO)
    assert present is not None, "it is gone"
    async with store.watching(FOO, "0", recursive=False) as watch:
        event = await watch.next()
        expect_same(event.type, ADDED)
        while not store.is_prompt and event.revision < present.revision:
            event = await watch.next()  # a cache that is slow on purpose begins in the past
        assert event.object == present, f"{shown(event.object)} came; {shown(present)} should have"
        await watch.expect(MODIFIED, await store.set(FOO, phase=f"After{present.revision}"))


@case(needs_etcd=True)
async def a_watch_from_a_compacted_revision_says_so_in_its_stream(store: Fixture) -> None:
    """[9.2 WatchFromZero] opening it succeeds; then comes 410 and nothing else, unless a cache still has the history"""
    created = await store.create(FOO)
    await store.set(FOO, node="n1")
    updated = await store.set(FOO, node="n2")
    await store.compact(updated.revision)
    async with store.watching(FOO, created.revision, recursive=False) as watch:
        if store.is_cached:
            with raises(Expired, InternalError, optional=True):
                event = await watch.next()
                expect_same(event.type, MODIFIED)
            return
        refused = await watch.fails(Expired, InternalError)
        refused.shows(code=410, reason="Expired")


@case()
async def a_deletion_reaches_a_watch_of_the_key(store: Fixture) -> None:
    """[9.2 DeleteTriggerWatch] a watch from the object's revision brings DELETED"""
    created = await store.create(FOO)
    async with store.watching(FOO, created.revision, recursive=False) as watch:
        await watch.expect(DELETED, await store.drop(FOO))


@case()
async def a_watch_from_a_revision_does_not_repeat_it(store: Fixture) -> None:
    """[9.2 WatchFromNonZero] from the object's own revision the first event is the next change"""
    created = await store.create(FOO)
    async with store.watching(FOO, created.revision, recursive=False) as watch:
        await watch.expect(MODIFIED, await store.set(FOO, version="2"))


@case()
async def a_reader_that_pauses_misses_nothing_in_between(store: Fixture) -> None:
    """[9.2 DelayedWatchDelivery] 21 events, of which it takes one and then sleeps: what it gets then has no gap"""
    start = await store.now()
    async with store.watching("team-a", start) as watch:
        written = [await store.create(f"team-a/foo-{number:02}") for number in range(21)]
        await watch.expect(ADDED, written[0])
        await trio.sleep(1)
        for obj in written[1:11]:
            await watch.expect(ADDED, obj)
        # The rest may be dropped with the watch by a storage that does not wait for it, but not one of them alone.
        with raises(trio.EndOfChannel, Expired, optional=True):
            for obj in written[11:]:
                await watch.expect(ADDED, obj)
    with raises(trio.ClosedResourceError):
        await watch.next()


@case(needs_etcd=True)
async def a_watch_of_what_cannot_be_read_brings_an_error(store: Fixture) -> None:
    """[9.2 WatchError] the first word is the error, the last too"""
    start = await store.now()
    await store.spoil(FOO)
    with _kept_from_being_ready(store):
        async with store.watching(FOO, start, recursive=False) as watch:
            await _fails(store, watch)


@case(needs_etcd=True)
async def an_unsafe_deletion_is_an_error_to_those_who_watch(store: Fixture) -> None:
    """[9.2 WatchWithUnsafeDelete] a plain deletion fails, an unsafe one does not; the watch says that what went was corrupt"""
    await store.create(FOO)
    spoilt = await store.spoil(FOO)
    with raises(UndecodableObject, InternalError):
        await store.delete(FOO)
    with _kept_from_being_ready(store):
        async with store.watching(FOO, spoilt, recursive=False) as watch:
            expect_same(await store.storage.delete(store.key(FOO), expect_decode_error=True), None)
            await _fails(store, watch, says="saw a DELETED event, but object data is corrupt")


@contextmanager
def _kept_from_being_ready(store: Fixture) -> Iterator[None]:
    """A cache that must list anew cannot while there is an unreadable object: it refuses watches, or lets them wait, in v1.22."""
    may_wait = store.is_cached and store.is_v1_22 and not store.is_prompt
    refusal = (NotReady,) if store.is_cached else ()
    with trio.move_on_after(PATIENCE_S if may_wait else inf), raises(*refusal, optional=True):
        yield


async def _fails(store: Fixture, watch: Reader, says: str = "") -> None:
    """An InternalError in the stream; a cache that could not read it either ends the watch, which is to be opened again."""
    if store.is_cached:
        with raises(InternalError, trio.EndOfChannel, Expired):
            event = await watch.next()
            raise AssertionError(f"{event} came, and an error should have")
        return
    (await watch.fails(InternalError, says=says)).shows(code=500)


@case()
async def a_watch_in_a_cancelled_scope_ends_quietly(store: Fixture) -> None:
    """[9.2 WatchContextCancel] no error but the cancellation, and afterwards the storage is as it was"""
    with trio.CancelScope() as scope:
        scope.cancel()
        async with store.watching("team-a/missing", "0", recursive=False) as watch:
            await watch.next()
    assert scope.cancelled_caught, "the cancellation was lost"
    await store.create(FOO)


@case()
async def readers_that_never_read_do_not_keep_events_from_others(store: Fixture) -> None:
    """[9.2 WatcherTimeout] 50 idle watches beside one that reads: it gets all 22 events, within 250 ms for each idle one"""
    start = await store.now()
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            await nursery.start(partial(_hold_open, store, start))
        async with store.watching("team-a", start) as watch:
            written = [await store.create(f"team-a/foo-{number:02}") for number in range(22)]
            began = trio.current_time()
            for obj in written:
                await watch.expect(ADDED, obj)
            took = trio.current_time() - began
            assert not store.is_prompt or took <= 50 * 0.25, f"it took {took:g} s"
        nursery.cancel_scope.cancel()


async def _hold_open(store: Fixture, start: int, *, task_status: trio.TaskStatus[None]) -> None:
    async with store.watching("team-a", start):
        task_status.started()
        await trio.sleep_forever()


@case()
async def a_deletion_has_one_revision_for_all(store: Fixture) -> None:
    """[9.2 WatchDeleteEventObjectHaveLatestRV] `delete` returns what a watch brings, to the byte (v1.22: at the old revision)"""
    created = await store.create(FOO, labels={"app": "web"})
    async with store.watching(FOO, created.revision, recursive=False) as watch:
        deleted = await store.delete(FOO)
        event = await watch.next()
        expect_later(event.revision, created.revision)
        expect_same((event.type, event.object), (DELETED, created.at_revision(event.revision)))
        expect_same(deleted, created if store.is_v1_22 else event.object)


@case(needs_etcd=True, on=On.UNCACHED)
async def a_store_tells_a_cache_how_far_its_watch_is(store: Fixture) -> None:
    """[9.2 ProgressNotify] with `progress_notify` come bookmarks with nothing but a revision, at least that of the start"""
    created = await store.create(FOO)
    async with store.watching(FOO, created.revision, recursive=False, progress_notify=True) as watch:
        elsewhere = await store.write_elsewhere()  # etcd tells nothing of a watch that is ahead of it
        revision = 0
        while revision < elsewhere:
            await store.storage.request_watch_progress()
            found = await watch.expect_bookmark()
            assert found >= max(created.revision, revision), f"progress went from {revision} to {found}"
            revision = found


@case()
async def a_watch_from_a_resource_version_that_is_none_is_not_opened(store: Fixture) -> None:
    """[9.2 Watch] opening it raises"""
    for garbage in ("abc", "-1"):
        with raises(BadRequest, PlainError, says="nvalid"):
            async with store.watching(FOO, garbage):
                pass


@case(needs_etcd=True)
async def nothing_follows_an_error_in_a_watch(store: Fixture) -> None:
    """[9.2 WatchErrorIsBlockingFurtherEvents] ten watches, an unreadable change, then a good one: the error, then the end"""
    created = await store.create(FOO)
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            await nursery.start(partial(_expect_error_alone, store, created.revision))
        await store.spoil("team-a/bar")
        await store.set(FOO, node="n1")


async def _expect_error_alone(store: Fixture, start: int, *, task_status: trio.TaskStatus[None]) -> None:
    async with store.watching("team-a", start) as watch:
        task_status.started()
        with _kept_from_being_ready(store):
            await _fails(store, watch)
