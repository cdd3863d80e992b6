"""Cases of caches: the bookmarks that they send of themselves."""

from __future__ import annotations

import trio

from watch import EventType

from ._case import On, case
from ._expect import expect_later
from ._fixture import Fixture

DEADLINE_S = 3.0


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
