"""Cases: where a watch begins: resource version × sendInitialEvents × bookmarks, and what the first bookmark says."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from watch import EventType, Object

from .._errors import InternalError
from ._case import add_case, case
from ._expect import Reader, expect_same, shown
from ._fixture import Fixture

ADDED = EventType.ADDED
PATHS = ("ns/foo-1", "ns/foo-2", "ns/foo-3")

PAST, CURRENT = "a past revision", "the current revision"


class Start(msgspec.Struct, frozen=True):
    """How a watch is opened, and whether it begins with the objects that there are."""

    rv: str
    """What is asked for; PAST is the revision before the first write."""
    initial: bool | None
    bookmarks: bool
    replays: bool

    @property
    def name(self) -> str:
        """The three as words."""
        return f"resource version {self.rv or 'unset'}, sendInitialEvents {self.initial}, bookmarks {self.bookmarks}"

    def may_lag(self, store: Fixture) -> bool:
        """Whether a cache may begin in the store's past: whatever state it has will do, or is new enough."""
        is_any = self.rv == "0" or (not self.rv and store.is_v1_22)
        return is_any or (self.rv, self.initial) in (("", None), (PAST, True))

    @property
    def ends_with_bookmark(self) -> bool:
        """Whether the annotated bookmark says that the initial events are over."""
        return bool(self.initial) and self.bookmarks


NO_PROGRESS = "the required storage feature RequestWatchProgress is disabled"


def lacks_progress(store: Fixture) -> bool:
    """A cache that cannot learn how far its store is cannot promise a bookmark that ends a state."""
    return store.is_cached and not store.supports_progress


STARTS = [
    Start(rv, initial, bookmarks, replays=initial or rv == PAST)
    for rv in ("", "0", PAST, CURRENT)
    for initial in (True, False)
    for bookmarks in (True, False)
]
LEGACY = [Start(rv, None, bookmarks, replays=True) for rv in ("", "0") for bookmarks in (True, False)]


async def check_start(store: Fixture, start: Start) -> None:
    """State or none, the bookmark or none, then what is written next. Objects elsewhere are not seen."""
    past = await store.now()
    pods = [await store.create(path) for path in PATHS]
    hidden = await store.create("ns-2/hidden")
    now = await store.now()
    rv = {PAST: str(past), CURRENT: str(now)}.get(start.rv, start.rv)
    async with store.watching("ns", rv, initial=start.initial, bookmarks=start.bookmarks) as watch:
        if start.ends_with_bookmark and lacks_progress(store):
            await watch.fails(InternalError, says=NO_PROGRESS)
            return
        lags = start.may_lag(store) and not store.is_prompt
        bookmark = await _expect_state(
            watch, pods if start.replays else [], ends=start.ends_with_bookmark, may_come=pods if lags else []
        )
        if bookmark is not None and not lags:
            assert bookmark >= hidden.revision, f"the bookmark is at {bookmark}, below {hidden.revision}"
        written = await store.create("ns/foo-4")
        await _expect_next(watch, written, may_come=pods if lags else [])


async def _expect_state(
    watch: Reader, state: Sequence[Object], *, ends: bool, may_come: Sequence[Object]
) -> int | None:
    """Claims ADDED of each in key order, then the annotated bookmark if it `ends` them; its revision."""
    if may_come:
        return await _take_state(watch, state, ends=ends)
    for obj in state:
        await watch.expect(ADDED, obj)
    return await watch.expect_bookmark(ends_initial_events=True) if ends else None


async def _take_state(watch: Reader, state: Sequence[Object], *, ends: bool) -> int | None:
    """The same of a cache that lags: the objects in any order, the bookmark among them."""
    missing, bookmark = {obj.key: obj for obj in state}, None
    while missing or (ends and bookmark is None):
        event = await watch.next()
        if event.type is EventType.BOOKMARK:
            expect_same(event.is_initial_events_end, ends and bookmark is None)
            bookmark = event.revision
        else:
            assert (event.type, event.object) == (ADDED, missing.pop(event.key)), shown(event.object)
    return bookmark


async def _expect_next(watch: Reader, written: Object, *, may_come: Sequence[Object]) -> None:
    while True:
        event = await watch.next()
        if event.object in may_come:
            continue
        assert (event.type, event.object) == (ADDED, written), f"{event.type} of {shown(event.object)} came"
        return


def _add_cases() -> None:
    for start in (*STARTS, *LEGACY):

        async def check(store: Fixture, start: Start = start) -> None:
            await check_start(store, start)

        begins = "state or history" if start.replays else "nothing of the past"
        ends = ", then the annotated bookmark" if start.ends_with_bookmark else ""
        add_case(f"watch from {start.name}", f"[9.2 WatchSemantics] {start.name}: {begins}{ends}, then changes", check)


_add_cases()


@case()
async def the_first_bookmark_knows_of_what_the_watch_cannot_see(store: Fixture) -> None:
    """[9.2 WatchSemanticInitialEventsExtended] an object elsewhere was written last: the bookmark is not older than it"""
    pods = [await store.create(path) for path in PATHS]
    hidden = await store.create("ns-2/hidden")
    async with store.watching("ns", "", initial=True, bookmarks=True) as watch:
        if lacks_progress(store):
            await watch.fails(InternalError, says=NO_PROGRESS)
            return
        lags = store.is_v1_22 and not store.is_prompt  # an unset revision is then whatever the cache has
        bookmark = await _expect_state(watch, pods, ends=True, may_come=pods if lags else [])
        assert lags or (bookmark or 0) >= hidden.revision, f"the bookmark is at {bookmark}, below {hidden.revision}"
        await _expect_next(watch, await store.create("ns/foo-4"), may_come=pods if lags else [])


@case()
async def a_watched_list_of_one_name_ends_at_the_store_s_revision(store: Fixture) -> None:
    """[9.2 WatchListMatchSingle] five objects, one name: one ADDED, then the bookmark, at the last write of all"""
    pods = [await store.create(f"ns/pod-{number}") for number in range(5)]
    async with store.watching("", "", initial=True, bookmarks=True, fields="metadata.name=pod-1") as watch:
        if lacks_progress(store):
            await watch.fails(InternalError, says=NO_PROGRESS)
            return
        lags = store.is_v1_22 and not store.is_prompt  # an unset revision is then whatever the cache has
        bookmark = await _expect_state(watch, pods[1:2], ends=True, may_come=pods if lags else [])
        is_current = bookmark == pods[-1].revision
        assert lags or is_current, f"the bookmark is at {bookmark}, the store at {pods[-1].revision}"


@case()
async def initial_events_can_be_asked_for_without_anything_else(store: Fixture) -> None:
    """[9.2 SendInitialEventsBackwardCompatibility] no resource version, no bookmarks: it is opened, and is a watch"""
    async with store.watching("", "", initial=True) as watch:
        await watch.expect(ADDED, await store.create("ns/foo"))
