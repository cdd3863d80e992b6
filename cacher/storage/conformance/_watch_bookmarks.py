"""Cases of caches: the bookmarks that they send of themselves."""

from __future__ import annotations

import trio

from watch import EventType

from ._case import On, case
from ._expect import QUIET_S, expect_later
from ._fixture import Fixture

DEADLINE_S = 3.0
TICKS_S = 2.5
"""Two of a cache's ticks of 1 to 1.25 s."""


@case(on=On.CACHED)
async def a_bookmark_comes_before_the_deadline_to_those_who_want_it(store: Fixture) -> None:
    """[9.2 WatchDispatchBookmarkEvents] 2 s before it, give or take the tick: a bookmark of what was written elsewhere"""
    created = await store.create("ns/foo")
    for number, wanted in enumerate((False, True)):
        deadline = trio.current_time() + DEADLINE_S
        async with store.watching(
            "ns/foo", created.revision, recursive=False, bookmarks=wanted, deadline=deadline
        ) as watch:
            elsewhere = await store.create(f"other-{number}/foo")
            if not wanted:
                await watch.nothing(DEADLINE_S)
                continue
            revision = 0
            with trio.move_on_at(deadline):
                revision = await watch.expect_bookmark()
            if revision:
                expect_later(revision + 1, created.revision)
            if store.is_prompt:
                assert revision >= elsewhere.revision, f"the bookmark is at {revision}, below {elsewhere.revision}"


@case(on=On.CACHED)
async def bookmarks_are_in_order_with_the_events_around_them(store: Fixture) -> None:
    """[9.2 OptionalWatchBookmarksWithCorrectResourceVersion] never below what came before, and every event above them"""
    start = await store.now()
    seen, bookmarks = start, 0
    deadline = trio.current_time() + DEADLINE_S

    async def write() -> None:
        for number in range(100):
            await store.create(f"ns/foo-{number:02}")
            await trio.sleep(0.01)

    async with trio.open_nursery() as nursery:
        async with store.watching("ns", start, bookmarks=True, deadline=deadline) as watch:
            nursery.start_soon(write)
            with trio.move_on_at(deadline):
                while True:
                    event = await watch.next()
                    if event.type is EventType.BOOKMARK:
                        assert event.revision >= seen, f"a bookmark at {event.revision} came after {seen}"
                        bookmarks += 1
                    else:
                        assert event.revision > seen, f"an event at {event.revision} came after {seen}"
                    seen = event.revision
    assert bookmarks or not store.is_prompt, "no bookmark came"


@case(on=On.CACHED)
async def the_end_of_the_initial_events_is_told_at_once(store: Fixture) -> None:
    """[9.3 TestBookmarkAfterResourceVersionWatchers] right after the last of them; in v1.22 at the tick after that"""
    if not (store.is_prompt and store.supports_progress):
        return
    created = await store.create("ns/foo")
    async with store.watching("ns", created.revision, initial=True, bookmarks=True) as watch:
        await watch.expect(EventType.ADDED, created)
        began_s = trio.current_time()
        await watch.expect_bookmark(ends_initial_events=True)
        took_s = trio.current_time() - began_s
    if store.is_v1_22:
        assert QUIET_S < took_s <= TICKS_S, f"it came after {took_s:g} s"
    else:
        assert took_s <= QUIET_S, f"it came after {took_s:g} s"


@case(on=On.CACHED, needs_etcd=True)
async def a_state_without_resource_version_is_the_store_s(store: Fixture) -> None:
    """[9.3 TestGetWatchCacheResourceVersion] not older than the store was; in v1.22 whatever the cache has, as with "0" """
    if not (store.is_prompt and store.supports_progress):
        return
    created = await store.create("ns/foo")
    elsewhere = await store.write_elsewhere()
    async with store.watching("ns", "", initial=True, bookmarks=True) as watch:
        await watch.expect(EventType.ADDED, created)
        ended = await watch.expect_bookmark(ends_initial_events=True)
    if store.is_v1_22:
        assert created.revision <= ended < elsewhere, f"the state is of {ended}; nobody asked the store, at {elsewhere}"
    else:
        assert ended >= elsewhere, f"the state is of {ended}, and the store was at {elsewhere}"
