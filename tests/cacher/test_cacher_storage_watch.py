"""Watches of a cached storage: where they start, what they begin with, and what ends them."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from cacher import Ring
from cacher.storage import EventStream, InternalError, ListOptions, Semantics, Unreachable
from tests.cacher.layers import ALL_PODS, ROOT, later, layers, run, settle, taken, told
from watch import Event, EventType, Expired, TooLargeResourceVersion, Watch

NEWEST, V1_22 = Semantics.NEWEST, Semantics.V1_22
BOTH = pytest.mark.parametrize("semantics", [NEWEST, V1_22])


def kinds(events: list[Event]) -> str:
    """A for ADDED, M, D, B for a bookmark, E for the one that ends the initial events."""
    return "".join("E" if event.is_initial_events_end else event.type.value[0] for event in events)


async def until_error(stream: EventStream) -> tuple[list[Event], Exception]:
    """What comes before the error, which is followed by nothing."""
    found: list[Event] = []
    with trio.fail_after(1000):
        while True:
            try:
                found += await stream.receive_batch()
            except Exception as error:  # noqa: BLE001 - it is the claim of whoever calls
                for _ in range(2):
                    with pytest.raises((trio.EndOfChannel, type(error))):
                        await stream.receive()
                return found, error


# ---- where it starts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["", "0"])
def test_a_watch_is_always_the_caches(version):
    """[9.3 TestWatchCacheBypass] Without a revision too, and though the store does not answer."""

    async def main() -> None:
        async with layers("a/one") as all_:
            all_.below.errors |= {
                name: Unreachable("/pods") for name in ("get_list", "watch", "current_resource_version")
            }
            async with all_.storage.watch(ALL_PODS, ListOptions(resource_version=version)) as stream:
                assert isinstance(stream, Watch)
                assert kinds(await taken(stream)) == "A"
            assert all_.below.asked == []

    run(main)


def test_a_new_cache_can_be_watched_from_its_list_on():
    """[9.3 TestEmptyWatchEventCache] One revision below: too old, in the stream; at it and above it: well."""

    async def main() -> None:
        async with layers("a/one") as all_:
            listed = all_.etcd.revision
            async with all_.storage.watch(ALL_PODS, ListOptions(resource_version=str(listed - 1))) as stream:
                found, error = await until_error(stream)
                assert isinstance(error, Expired)
                assert found == []
                assert (error.code, error.message) == (410, f"too old resource version: {listed - 1} ({listed})")
            for start in (listed, listed + 1):
                async with all_.storage.watch(ALL_PODS, ListOptions(resource_version=str(start))) as stream:
                    assert await taken(stream) == []

    run(main)


@pytest.mark.parametrize("bookmarks", [True, False])
@pytest.mark.parametrize(
    ("version", "initial", "begins", "then"),
    [
        ("", True, "AA", "AA"),
        ("", False, "", "AA"),
        ("0", True, "AA", "AA"),
        ("0", False, "", "AA"),
        ("listed", True, "AA", "AA"),
        ("listed", False, "A", "AA"),
        ("current", True, "AA", "AA"),
        ("current", False, "", "AA"),
        ("", None, "AA", "AA"),
        ("0", None, "AA", "AA"),
        ("listed", None, "A", "AA"),
        ("current", None, "", "AA"),
    ],
)
def test_what_a_watch_begins_with(version, initial, begins, then, bookmarks):
    """[9.3 TestWatchListSemanticsSimple] [9.3 TestInitialEventsEndBookmark] The state, the history, or nothing; and the end of it
    is told where initial events and bookmarks were both asked for."""

    async def main() -> None:
        async with layers("a/one") as all_:
            listed = str(all_.etcd.revision)
            await all_.put("a/two")
            rv = {"listed": listed, "current": str(all_.etcd.revision)}.get(version, version)
            options = ListOptions(resource_version=rv, send_initial_events=initial, allow_bookmarks=bookmarks)
            async with all_.storage.watch(ALL_PODS, options) as stream:
                found = await taken(stream)
                end = "E" if initial and bookmarks else ""
                assert kinds(found) == begins + end
                if end:
                    assert found[-1].revision == all_.etcd.revision
                await all_.put("b/three")
                await all_.put("a/four")
                assert kinds(await taken(stream)) == then

    run(main)


def test_a_watch_with_initial_events_first_reaches_the_stores_revision():
    """[9.3 TestWaitUntilWatchCacheFreshAndForceAllEvents] It asks the store how far it is, and the cache to get there."""

    async def main() -> None:
        async with layers("a/one") as all_:
            all_.below.hold()
            written = await all_.put("a/two")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(later, 1.0, all_.below.flow)
                options = ListOptions(send_initial_events=True, allow_bookmarks=True)
                async with all_.storage.watch(ALL_PODS, options) as stream:
                    found = await taken(stream)
            assert (kinds(found), found[-1].revision, trio.current_time()) == ("AAE", written, 1.0)
            assert all_.below.asked == ["current_resource_version"]
            assert all_.below.progress_asked != []
            all_.below.hold()
            ahead = await all_.put("a/three")
            for version in ("", str(ahead)):
                options = ListOptions(resource_version=version, send_initial_events=True)
                async with all_.storage.watch(ALL_PODS, options) as stream:
                    found, error = await until_error(stream)
                    assert isinstance(error, TooLargeResourceVersion)
                    assert (found, error.code, error.retry_after_s) == ([], 504, 1)

    run(main)


def test_a_watch_list_on_a_quiet_cache_comes_to_its_end():
    """[9.3 TestWatchListIsSynchronisedWhenNoEventsFromStoreReceived] No event is needed; the bookmark has the global revision."""

    async def main() -> None:
        async with layers() as all_:
            other = await all_.elsewhere()
            options = ListOptions(send_initial_events=True, allow_bookmarks=True)
            async with all_.storage.watch(ALL_PODS, options) as stream:
                (end,) = await taken(stream)
                assert (end.is_initial_events_end, end.revision) == (True, other)
            assert trio.current_time() < 0.2

    run(main)


def test_what_changes_only_are_wanted_from_the_stores_revision_on_is_not_told_twice():
    """[9.3 TestStartingResourceVersion] What the cache has yet to hear of, up to that revision, is not delivered."""

    async def main() -> None:
        async with layers("a/one") as all_:
            one = ListOptions(resource_version=str(all_.etcd.revision + 10), recursive=False)
            async with all_.storage.watch("/pods/a/one", one) as stream:
                *_, last = [await all_.put("a/one", labels={"turn": str(turn)}) for turn in range(11)]
                assert told(await taken(stream)) == [("MODIFIED", "one", last)]
            all_.below.hold()
            await all_.put("a/two")
            async with all_.storage.watch(ALL_PODS, ListOptions(send_initial_events=False)) as stream:
                assert await taken(stream) == []
                all_.below.flow()
                assert await taken(stream) == []
                written = await all_.put("a/three")
                assert told(await taken(stream)) == [("ADDED", "three", written)]

    run(main)


def test_v1_22_takes_an_unset_revision_for_any():
    async def main() -> None:
        async with layers("a/one", semantics=V1_22) as all_:
            all_.below.errors["current_resource_version"] = AssertionError("it is not asked")
            all_.below.hold()
            await all_.put("a/two")
            for initial, begins in ((None, "A"), (True, "A"), (False, "")):
                async with all_.storage.watch(ALL_PODS, ListOptions(send_initial_events=initial)) as stream:
                    assert kinds(await taken(stream)) == begins
            assert trio.current_time() == 0

    run(main)


def test_what_goes_wrong_at_the_start_is_told_in_the_stream():
    async def main() -> None:
        async with layers("a/one", supports_progress=False) as all_:
            options = ListOptions(send_initial_events=True, allow_bookmarks=True)
            async with all_.storage.watch(ALL_PODS, options) as stream:
                _, error = await until_error(stream)
                assert isinstance(error, InternalError)
                assert error.message.endswith(
                    "a watch stream was requested by the client but the required storage feature "
                    "RequestWatchProgress is disabled"
                )
            options = ListOptions(send_initial_events=True)
            async with all_.storage.watch(ALL_PODS, options) as stream:
                assert kinds(await taken(stream)) == "A", "without bookmarks nobody needs the end"
            for trouble in (Unreachable("/pods"), OSError("no route"), InternalError("spoilt")):
                all_.below.errors["current_resource_version"] = trouble
                async with all_.storage.watch(ALL_PODS, options) as stream:
                    _, error = await until_error(stream)
                    assert isinstance(error, InternalError)
                    assert error.code == 500

    run(main)


def test_a_cache_that_lost_its_state_while_a_watch_was_opened_ends_it_at_once():
    async def main() -> None:
        async with layers("a/one") as all_:

            async def relist() -> None:
                await trio.sleep(0.5)
                all_.below.break_watch(Expired(1, 2))
                await trio.sleep(0.1)
                all_.below.flow()

            for is_set in (False, True):
                all_.below.hold()
                written = await all_.put("a/two")
                version = str(written) if is_set else ""
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(relist)
                    options = ListOptions(resource_version=version, send_initial_events=True, allow_bookmarks=True)
                    async with all_.storage.watch(ALL_PODS, options) as stream:
                        with pytest.raises(trio.EndOfChannel):
                            await stream.receive()
                await trio.sleep(10)

    run(main)


@pytest.mark.parametrize("relists", [False, True])
def test_a_cache_that_lost_its_state_while_the_store_was_asked_ends_the_watch_at_once(relists):
    """In the stream, as an end: it was ready on entering, and the next watch will find out how it is now."""

    async def main() -> None:
        async with layers("a/one") as all_:
            if not relists:
                all_.below.errors["get_list"] = OSError("no route")
            all_.below.revision_s = 10
            async with trio.open_nursery() as nursery:
                nursery.start_soon(later, 1.0, lambda: all_.below.break_watch(Expired(1, 2)))
                async with all_.storage.watch(ALL_PODS, ListOptions(send_initial_events=False)) as stream:
                    await all_.put("a/two")
                    with pytest.raises(trio.EndOfChannel):
                        await stream.receive()
            assert all_.storage.cacher.is_ready is relists

    run(main)


# ---- what follows the initial events ---------------------------------------------------------------------------------


def test_nothing_that_the_initial_events_show_is_told_again():
    """[9.3 TestResourceVersionAfterInitEvents] [9.3 TestCacheIntervalNextFromStore]
    [9.3 TestCacheIntervalFromStoreSorted] Ten objects in key order, then only what is newer than the state that they show."""

    async def main() -> None:
        async with layers(*(f"a/{turn}" for turn in reversed(range(10)))) as all_:
            options = ListOptions(resource_version="0", allow_bookmarks=True, send_initial_events=True)
            async with all_.storage.watch(ALL_PODS, options) as stream:
                all_.storage.cacher.bookmark(all_.etcd.revision)
                written = await all_.put("a/5", node="n1")
                found = await taken(stream)
                assert kinds(found) == "A" * 10 + "EM"
                first = all_.etcd.revision - 10
                assert told(found[:10]) == [("ADDED", str(turn), first + 9 - turn) for turn in range(10)]
                assert (found[10].revision, found[11].revision) == (written - 1, written)

    run(main)


@pytest.mark.parametrize("is_read", [True, False])
def test_a_watch_that_is_ended_before_anything_was_read_still_has_it_all(is_read):
    """[9.3 TestCacheWatcherDrainingNoBookmarkAfterResourceVersionSent] [9.3 TestCacheWatcherDrainingRequestedButNotDrained] The
    state, its end, what came after it, in this order, and then the end. Where nobody reads it, nothing of it is kept."""

    async def main() -> None:
        async with layers("a/one", "a/two") as all_:
            listed, router = all_.etcd.revision, all_.storage.cacher.router
            options = ListOptions(allow_bookmarks=True, send_initial_events=True)
            async with all_.storage.watch(ALL_PODS, options) as stream:
                await all_.put("a/three")
                await all_.put("a/one", node="n1")
                await settle()
                router.end_all()
                await all_.put("a/four")
                if is_read:
                    found = [await stream.receive() for _ in range(5)]
                    assert (kinds(found), [event.revision for event in found]) == (
                        "AAEAM",
                        [listed - 1, listed, listed, listed + 1, listed + 2],
                    )
                    with pytest.raises(trio.EndOfChannel):
                        await stream.receive()
            figures = all_.storage.cacher.statistics()
            assert (figures.watches, figures.views, figures.log_events) == (0, 0, 0)

    run(main)


def test_a_state_that_is_read_in_steps_is_joined_to_what_happened_meanwhile(monkeypatch):
    monkeypatch.setattr("cacher._watch_cache.STEP_KEYS_MAX", 2)

    async def main(ring: Ring) -> None:
        async with layers(*(f"a/{turn:02}" for turn in range(30)), ring=ring) as all_:
            opened = all_.etcd.revision
            done = trio.Event()

            async def disturb() -> None:
                for turn in range(29, 9, -1):
                    await all_.etcd.delete(f"{ROOT}/pods/a/{turn:02}")
                done.set()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(disturb)
                options = ListOptions(resource_version="0", allow_bookmarks=True, send_initial_events=True)
                async with all_.storage.watch(ALL_PODS, options) as stream:
                    found: list[Event] = []
                    while not found or found[-1].revision < opened + 20:
                        found += await stream.receive_batch()
            at = next(index for index, event in enumerate(found) if event.is_initial_events_end)
            state, end, after = found[:at], found[at], found[at + 1 :]
            deleted = end.revision - opened
            assert [event.object.name for event in state] == [f"{turn:02}" for turn in range(30 - deleted)]
            assert [event.revision for event in after] == list(range(end.revision + 1, opened + 21))
            assert all(event.type is EventType.DELETED for event in after)

    run(lambda: main(Ring()))
    run(lambda: main(Ring(capacity_min=2, capacity_max=2)))


@pytest.mark.parametrize("hold_s", [0.0, 0.5, 5.0])
def test_the_end_of_the_initial_events_comes_at_once_but_at_a_tick_in_v1_22(hold_s):
    """[9.3 TestBookmarkAfterResourceVersionWatchers] Whoever waits for it gets it at the next tick, then bookmarks as others do."""

    async def main(semantics: Semantics) -> None:
        async with layers("a/one", "b/two", semantics=semantics) as all_:
            options = ListOptions(resource_version="0", allow_bookmarks=True, send_initial_events=True)
            async with all_.storage.watch("/pods/a", options) as stream:
                await trio.sleep(hold_s)
                assert (await stream.receive()).type is EventType.ADDED
                if hold_s:
                    await all_.put("a/three")
                    assert kinds([await stream.receive()]) == ("A" if semantics is V1_22 else "E")
                late = await stream.receive_batch()
                expected_s = 0 if semantics is NEWEST else max(1.0, hold_s)
                if not hold_s or semantics is V1_22:
                    assert kinds(list(late)) == "E"
                    assert late[0].revision == all_.etcd.revision
                    assert expected_s <= trio.current_time() <= expected_s + 0.25 or hold_s == 5.0
                written = await all_.put("a/four")
                assert told(list(await stream.receive_batch()))[-1] == ("ADDED", "four", written)

    run(lambda: main(NEWEST))
    run(lambda: main(V1_22))


@pytest.mark.parametrize("lost_s", [1.0, 4.5])
@pytest.mark.parametrize("initial", [True, False])
def test_a_watch_whose_cache_began_anew_while_it_was_being_opened_ends_at_once_and_without_a_word(initial, lost_s):
    """[9.3 TestCacherDontMissEventsOnReinitialization] It was promised the state or the history of another generation.

    The store takes 5 s to say its revision; meanwhile the cache starts over, which takes a second, or has just lost its state.
    """

    async def main() -> None:
        async with layers("a/one") as all_:
            all_.below.revision_s = 5.0
            options = ListOptions(send_initial_events=initial, allow_bookmarks=True)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(later, lost_s, lambda: all_.below.break_watch(Expired(1, 2)))
                async with all_.storage.watch(ALL_PODS, options) as stream:
                    assert trio.current_time() == 5.0
                    cacher = all_.storage.cacher
                    assert (cacher.is_ready, cacher.readiness.generation) == (
                        (True, 2) if lost_s == 1.0 else (False, 1)
                    )
                    found, error = await until_error(stream)
                    assert (found, type(error)) == ([], trio.EndOfChannel)
            assert all_.storage.cacher.router.watches() == 0

    run(main)


# ---- bookmarks -------------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("allowed", [True, False])
def test_bookmarks_come_to_whom_they_were_promised_two_seconds_before_the_deadline(semantics, allowed):
    """[9.3 TestCacherSendBookmarkEvents] A deadline of 3 s, a pod every 100 ms for one: a bookmark within 2 s, not behind."""

    async def main() -> None:
        async with layers("a/one", semantics=semantics) as all_:
            options = ListOptions(resource_version="0", allow_bookmarks=allowed, deadline=trio.current_time() + 3)
            async with all_.storage.watch(ALL_PODS, options) as stream:
                found: list[Event] = []
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_collect, stream, found, 3.0)
                    for turn in range(10):
                        await all_.put(f"a/p{turn}")
                        await trio.sleep(0.1)
            assert kinds(found).count("B") == (1 if allowed else 0)
            revisions = [event.revision for event in found]
            assert revisions == sorted(revisions)

    run(main)


@BOTH
def test_v1_22_gives_no_bookmark_before_anything_happened_nor_later_to_who_was_due_before(semantics):
    """[9.3 TestBookmarksOnResourceVersionUpdates] Progress alone counts as something, and leads to a bookmark."""

    async def main() -> None:
        async with layers("a/one", semantics=semantics) as all_:
            all_.below.hold()
            options = ListOptions(resource_version="0", allow_bookmarks=True)
            async with all_.storage.watch(ALL_PODS, options) as early, all_.storage.watch(ALL_PODS, options) as late:
                assert kinds(await taken(early)) == kinds(await taken(late)) == "A"
                router, schedule = all_.storage.cacher.router, all_.storage.cacher._bookmarks
                assert isinstance(late, Watch)
                schedule.add(late, trio.current_time() + 20, None)  # as one that was opened 20 s later
                router.revision += 1  # as if there were something to say
                await trio.sleep(70)
                assert router.bookmarks == (0 if semantics is V1_22 else 1)
                router.revision -= 1
                await taken(early)
                all_.below.flow()
                other = await all_.elsewhere()
                told_early, told_late = await taken(early, 70), await taken(late)
                assert kinds(told_late) == "B"
                assert kinds(told_early) == ("" if semantics is V1_22 else "B")
                assert {event.revision for event in [*told_early, *told_late]} == {other}

    run(main)


def test_stopping_while_bookmarks_are_given_breaks_nothing():
    """[9.3 TestDispatchingBookmarkEventsWithConcurrentStop] Every watch comes to an end, whatever it was at."""

    async def main() -> None:
        async with layers("a/one") as all_:
            ended = 0

            async def watch(delay_s: float) -> None:
                nonlocal ended
                await trio.sleep(delay_s)
                options = ListOptions(resource_version="0", allow_bookmarks=True, deadline=trio.current_time() + 3)
                async with all_.storage.watch(ALL_PODS, options) as stream:
                    with pytest.raises(trio.EndOfChannel):
                        while True:
                            await stream.receive()
                    ended += 1

            async with trio.open_nursery() as nursery:
                for turn in range(50):
                    nursery.start_soon(watch, turn / 50)
                for turn in range(20):
                    await all_.put(f"a/p{turn}")
                    await trio.sleep(0.1)
                with trio.CancelScope(shield=True):
                    all_.storage.cacher.readiness.stop()
                    all_.storage.cacher.router.end_all()
                    await trio.sleep(2)
            assert ended == 50
            assert all_.storage.cacher.statistics().watches == 0

    run(main)


# ---- closing ---------------------------------------------------------------------------------------------------------


def test_a_stream_in_its_context_only():
    """Whatever kind of stream it is, it is closed with the context."""

    async def main(semantics: Semantics) -> None:
        async with layers("a/one", semantics=semantics) as all_:
            asked: list[tuple[str, ListOptions]] = [
                (ALL_PODS, ListOptions(resource_version="0")),
                ("/pods/one", ListOptions(resource_version="0", recursive=False)),
                (ALL_PODS, ListOptions(resource_version="0", send_initial_events=True, allow_bookmarks=True)),
                (ALL_PODS, ListOptions(resource_version="1")),
            ]
            for key, options in asked:
                async with all_.storage.watch(key, options) as stream:
                    pass
                for receive in (stream.receive, stream.receive_batch):
                    with pytest.raises(trio.ClosedResourceError):
                        with trio.testing.assert_checkpoints():
                            await receive()

    run(lambda: main(NEWEST))
    run(lambda: main(V1_22))


async def _collect(stream: EventStream, found: list[Event], seconds: float) -> None:
    with trio.move_on_after(seconds):
        while True:
            found.append(await stream.receive())
