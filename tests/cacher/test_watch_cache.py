"""Ring, objects and revision moved together; and who waits until they have come far enough."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from cacher import Ring, WatchCache
from cacher import _watch_cache as module
from cacher._watch_cache import Reading
from reflector import Changes, Replacement
from tests.cacher.upstream import PREFIX, pod, run, settle
from watch import Event, EventType, Expired, Object, Selector, TooLargeResourceVersion

ALL = Selector()
ADDED, MODIFIED, DELETED = EventType.ADDED, EventType.MODIFIED, EventType.DELETED


def listed(revision: int, *objects: Object, ring: Ring | None = None) -> WatchCache:
    cache = WatchCache(ring=ring, clock=lambda: 0.0)
    cache.replace(Replacement(objects, revision, ()))
    cache._check()
    return cache


def put(*objects: Object) -> Changes:
    return Changes(tuple(Event(MODIFIED, each, each.revision) for each in objects), objects[-1].revision)


def gone(revision: int, name: str) -> Changes:
    return Changes((Event(DELETED, pod(name, revision), revision),), revision)


def apply(cache: WatchCache, *changes: Changes) -> list[Event]:
    events = [event for each in changes for event in cache.apply(each)]
    cache._check()
    return events


# ---- moving forward --------------------------------------------------------------------------------------------------


def test_changes_become_events_that_know_what_was_there_before():
    """[9.3 TestWatchCacheBasic]"""
    cache = listed(10, pod("a", 3))
    first, second, third = pod("b", 11), pod("a", 12), pod("b", 13)
    events = apply(cache, put(first), put(second), put(third), gone(14, "a"), gone(15, "never there"))
    assert [(event.type, event.revision, event.previous) for event in events] == [
        (ADDED, 11, None), (MODIFIED, 12, pod("a", 3)), (MODIFIED, 13, first), (DELETED, 14, second),
    ]  # fmt: skip
    assert list(cache.ring) == events
    assert cache.objects(ALL, prefix=PREFIX) == [third]
    assert cache.revision == 15


def test_several_changes_of_one_key_in_one_step_know_each_other():
    cache = listed(10)
    events = apply(cache, put(pod("a", 11), pod("a", 12)))
    assert events[1].previous == pod("a", 11)


def test_events_since_a_revision_as_far_as_the_ring_reaches():
    """[9.3 TestEvents] Too old below it; each event knows the one before; a deletion has its own revision.

    Source of the case: kubernetes watch_cache_test.go, TestEvents. There the first event comes to a cache that never listed.
    """
    cache = listed(2, ring=Ring(capacity_min=5, capacity_max=5))

    def since(revision: int) -> list[tuple[EventType, int, int]]:
        events = cache.history(ALL, revision)
        return [(each.type, each.object.revision, each.previous.revision if each.previous else 0) for each in events]

    def expires(revision: int) -> None:
        with pytest.raises(Expired):
            cache.history(ALL, revision)

    apply(cache, put(pod("a", 3)))
    expires(1)
    assert since(2) == [(ADDED, 3, 0)]
    apply(cache, put(pod("a", 4)), put(pod("a", 5)))
    expires(1)
    assert since(3) == [(MODIFIED, 4, 3), (MODIFIED, 5, 4)]
    apply(cache, *(put(pod("a", revision)) for revision in range(6, 10)))
    expires(3)
    assert since(4) == [(MODIFIED, revision, revision - 1) for revision in range(5, 10)]
    apply(cache, gone(10, "a"))
    assert since(9) == [(DELETED, 10, 9)]


def test_a_revision_from_the_past_does_not_turn_the_cache_back():
    cache = listed(10)
    cache.advance(15)
    cache.advance(12)
    assert cache.revision == 15


def test_a_replacement_starts_history_anew():
    """[9.3 TestWatchCacheBasic] Nothing but what it brings is there, by a list and by key."""
    cache = listed(10, pod("a", 3))
    apply(cache, put(pod("b", 11)))
    assert cache.snapshot.get(f"{PREFIX}default/b") == pod("b", 11)
    cache.replace(Replacement((pod("c", 15),), 20, (pod("a", 3), pod("b", 11))))
    cache._check()
    assert cache.objects(ALL, prefix=PREFIX) == [pod("c", 15)]
    assert [cache.snapshot.get(f"{PREFIX}default/{name}") for name in "abc"] == [None, None, pod("c", 15)]
    assert (cache.revision, cache.list_revision, len(cache.ring)) == (20, 20, 0)
    with pytest.raises(Expired):
        cache.history(ALL, 19)
    assert cache.history(ALL, 20) == ()


# ---- reading ---------------------------------------------------------------------------------------------------------


def test_the_history_is_told_as_a_watcher_of_the_selector_is_to_see_it():
    cache = listed(10, pod("a", 3, app="web"))
    events = apply(cache, put(pod("a", 11, app="db")), put(pod("a", 12, app="web")), put(pod("b", 13, app="db")))
    web = cache.history(Selector.of(labels="app=web"), 10)
    assert [(event.type, event.revision) for event in web] == [(DELETED, 11), (ADDED, 12)]
    assert web[0].object == pod("a", 3, app="web").at_revision(11)
    assert cache.history(ALL, 11) == tuple(events[1:])


def test_a_list_at_any_revision_in_the_history_shows_it_as_it_was():
    """[9.3 TestWatchCacheStorageSnapshots]"""
    cache = listed(10, pod("a", 3), pod("z", 4, "other"))
    apply(cache, put(pod("b", 12)), gone(14, "a"), put(pod("b", 15)))
    shown = {revision: cache.objects(ALL, prefix=PREFIX, revision=revision) for revision in range(10, 16)}
    z = pod("z", 4, "other")
    assert shown == {
        10: [pod("a", 3), z], 11: [pod("a", 3), z], 12: [pod("a", 3), pod("b", 12), z],
        13: [pod("a", 3), pod("b", 12), z], 14: [pod("b", 12), z], 15: [pod("b", 15), z],
    }  # fmt: skip
    assert cache.objects(Selector.of("other"), prefix=PREFIX + "other/", revision=12) == [z]
    with pytest.raises(Expired):
        cache.objects(ALL, prefix=PREFIX, revision=9)
    with pytest.raises(TooLargeResourceVersion) as caught:
        cache.objects(ALL, prefix=PREFIX, revision=16)
    assert (caught.value.asked, caught.value.current) == (16, 15)


def test_a_list_that_would_undo_too_much_is_left_to_the_store(monkeypatch):
    monkeypatch.setattr(module, "UNDO_EVENTS_MAX", 3)
    cache = listed(10)
    apply(cache, *(put(pod("a", revision)) for revision in range(11, 16)))
    assert cache.objects(ALL, prefix=PREFIX, revision=12) == [pod("a", 12)]
    with pytest.raises(Expired):
        cache.objects(ALL, prefix=PREFIX, revision=11)


def test_a_list_at_the_floor_of_the_ring_is_the_oldest_that_there_is():
    cache = listed(10, ring=Ring(capacity_min=2, capacity_max=2))
    apply(cache, *(put(pod("a", revision)) for revision in range(11, 15)))
    assert cache.objects(ALL, prefix=PREFIX, revision=12) == [pod("a", 12)]
    with pytest.raises(Expired) as caught:
        cache.objects(ALL, prefix=PREFIX, revision=11)
    assert caught.value.oldest == 12


# ---- a reading, in steps ---------------------------------------------------------------------------------------------


def read(cache: WatchCache, selector: Selector = ALL, **options) -> Reading:
    reading = Reading(cache, selector, prefix=PREFIX, **options)
    while not reading.is_complete:
        reading.step()
    return reading


def test_a_reading_shows_one_revision_whatever_happens_between_its_steps(monkeypatch):
    """[9.3 TestLatestSnapshot] What was begun before a write does not show it."""
    monkeypatch.setattr(module, "STEP_KEYS_MAX", 2)
    cache = listed(10, *(pod(name, 3) for name in "abdefg"))
    reading = Reading(cache, ALL, prefix=PREFIX)
    reading.step()
    apply(cache, put(pod("a", 11)), put(pod("c", 12)), gone(13, "g"), put(pod("d", 14)), gone(15, "a"))
    while not reading.is_complete:
        reading.step()
    assert [(each.name, each.revision) for each in reading.objects] == [(name, 3) for name in "abdefg"]
    assert (reading.revision, reading.following) == (10, 0)


def test_a_reading_that_the_history_overtakes_is_expired(monkeypatch):
    monkeypatch.setattr(module, "STEP_KEYS_MAX", 2)
    for overtake in (lambda cache: apply(cache, *(put(pod("z", at)) for at in range(11, 15))),
                     lambda cache: cache.replace(Replacement((), 20, ()))):  # fmt: skip
        cache = listed(10, *(pod(name, 3) for name in "abcd"), ring=Ring(capacity_min=2, capacity_max=2))
        reading = Reading(cache, ALL, prefix=PREFIX)
        reading.step()
        overtake(cache)
        with pytest.raises(Expired):
            reading.step()


def test_a_reading_does_not_go_on_in_another_history_also_where_its_revision_is_in_that_too(monkeypatch):
    """A store that was put back to a backup tells other things of the same revisions."""
    monkeypatch.setattr(module, "STEP_KEYS_MAX", 2)
    cache = listed(10, *(pod(name, 3) for name in "abcd"))
    reading = Reading(cache, ALL, prefix=PREFIX)
    reading.step()
    cache.replace(Replacement(tuple(pod(name, 4) for name in "abcd"), 8, ()))
    apply(cache, put(pod("d", 11)))
    with pytest.raises(Expired):
        reading.step()


def test_a_reading_that_keeps_up_needs_no_more_history_than_a_step_unless_a_watch_is_to_go_on_from_it(monkeypatch):
    monkeypatch.setattr(module, "STEP_KEYS_MAX", 2)
    for is_joined in (False, True):
        cache = listed(10, *(pod(name, 3) for name in "abcdefgh"), ring=Ring(capacity_min=2, capacity_max=2))
        reading = Reading(cache, ALL, prefix=PREFIX, is_joined=is_joined)
        for revision in range(11, 14):
            reading.step()
            apply(cache, put(pod("gha"[revision - 11], revision)))
        if is_joined:
            with pytest.raises(Expired):
                reading.step()
            continue
        while not reading.is_complete:
            reading.step()
        assert [(each.name, each.revision) for each in reading.objects] == [(name, 3) for name in "abcdefgh"]


def test_what_is_undone_is_counted_over_all_steps(monkeypatch):
    monkeypatch.setattr(module, "STEP_KEYS_MAX", 1)
    monkeypatch.setattr(module, "UNDO_EVENTS_MAX", 3)
    cache = listed(10, *(pod(name, 3) for name in "abcdefgh"))
    reading = Reading(cache, ALL, prefix=PREFIX)
    for revision in range(11, 14):
        reading.step()
        apply(cache, put(pod("h", revision)))
    reading.step()
    apply(cache, put(pod("h", 14)))
    with pytest.raises(Expired):
        reading.step()


def test_what_one_look_did_not_find_is_read_on_from_there(monkeypatch):
    monkeypatch.setattr(module, "STEP_KEYS_MAX", 2)
    cache = listed(10, *(pod(name, 3) for name in "abcde"))
    begun = cache.look(cache.selection_of(ALL), prefix=PREFIX)
    assert [each.name for each in begun.objects] == ["a", "b"]
    reading = Reading(cache, ALL, prefix=PREFIX, begun=begun)
    reading.step()
    apply(cache, gone(11, "e"), put(pod("a", 12)))
    reading.step()
    assert reading.is_complete
    assert [(each.name, each.revision) for each in reading.objects] == [(name, 3) for name in "abcde"]
    assert reading.looked_at == 5


@pytest.mark.parametrize("steps_of", [1, 2, 100])
def test_a_page_is_full_wherever_its_objects_are_and_says_what_follows(monkeypatch, steps_of):
    """[9.3 TestStoreListPrefix] With and without a selector, now and then, in any steps."""
    monkeypatch.setattr(module, "STEP_KEYS_MAX", steps_of)
    cache = listed(10, *(pod(name, 3, app="web" if name in "bdf" else "db") for name in "abcdef"))
    page = read(cache, limit=2)
    assert ([each.name for each in page.objects], page.following) == (["a", "b"], 4)
    web = Selector.of(labels="app=web")
    page = read(cache, web, limit=2)
    assert ([each.name for each in page.objects], page.following) == (["b", "d"], 2)
    page = read(cache, web, limit=3)
    assert ([each.name for each in page.objects], page.following) == (["b", "d", "f"], 0)
    apply(cache, gone(11, "e"), gone(12, "f"), put(pod("aa", 13, app="web")))
    page = read(cache, web, limit=2, start=PREFIX + "default/b\0", revision=10)
    assert ([each.name for each in page.objects], page.following, page.revision) == (["d", "f"], 0, 10)
    page = read(cache, limit=4, revision=10)
    assert ([each.name for each in page.objects], page.following) == (["a", "b", "c", "d"], 2)
    assert read(cache, start=PREFIX + "default/x").objects == []


def test_what_was_there_at_each_revision_is_known_from_the_list_on():
    """[9.3 TestStoreSnapshotter] [9.3 TestLatestSnapshot] [9.3 TestWatchCacheStorageSnapshots] The newest state not above the
    revision, also where all was deleted; nothing below the first list, and after a second one nothing below that."""
    cache = listed(100, pod("a", 90))
    apply(cache, put(pod("b", 200)), gone(300, "a"), gone(400, "b"))
    cache.advance(500)
    shown = {at: [each.name for each in read(cache, revision=at).objects] for at in (100, 199, 200, 299, 300, 400, 500)}
    assert shown == {100: ["a"], 199: ["a"], 200: ["a", "b"], 299: ["a", "b"], 300: ["b"], 400: [], 500: []}
    assert (cache.oldest_exact, cache.revision) == (100, 500)
    with pytest.raises(Expired):
        read(cache, revision=99)
    with pytest.raises(TooLargeResourceVersion):
        read(cache, revision=501)
    cache.advance(501)
    assert read(cache, revision=501).objects == []
    cache.replace(Replacement((pod("c", 600),), 700, ()))
    assert cache.oldest_exact == 700
    assert [each.name for each in read(cache, revision=700).objects] == ["c"]
    with pytest.raises(Expired):
        read(cache, revision=699)


def test_a_cache_that_was_found_wrong_shows_no_past():
    """[9.3 TestMarkConsistent] It shows the present, and after it was found right what follows."""
    cache = listed(10, pod("a", 3))
    assert WatchCache(clock=lambda: 0.0).oldest_exact is None
    apply(cache, put(pod("b", 11)))
    cache.mark_consistent(False)
    assert cache.oldest_exact is None
    with pytest.raises(Expired):
        read(cache, revision=10)
    assert len(read(cache).objects) == len(read(cache, revision=11).objects) == 2
    cache.replace(Replacement((pod("a", 3),), 12, ()))
    assert cache.oldest_exact is None, "a list makes nothing right"
    apply(cache, put(pod("b", 13)))
    cache.mark_consistent(True)
    apply(cache, put(pod("c", 14)))
    assert cache.oldest_exact == 13
    assert [each.name for each in read(cache, revision=13).objects] == ["a", "b"]
    with pytest.raises(Expired):
        read(cache, revision=12)


# ---- v1.22 -----------------------------------------------------------------------------------------------------------


def test_v1_22_counts_events_from_zero_after_a_replacement():
    for is_v1_22, starts_at in ((True, 0), (False, 3)):
        cache = WatchCache(clock=lambda: 0.0, is_v1_22=is_v1_22)
        cache.replace(Replacement((), 10, ()))
        apply(cache, *(put(pod("a", at)) for at in (11, 12, 13)))
        cache.replace(Replacement((), 20, ()))
        cache._check()
        assert cache.ring._start == cache.ring._end == starts_at
        apply(cache, put(pod("a", 21)))
        assert [event.revision for event in cache.history(ALL, 20)] == [21]


def test_v1_22_wakes_nobody_for_progress_and_everybody_for_an_event():
    async def main() -> None:
        cache = WatchCache(is_v1_22=True)
        cache.replace(Replacement((), 10, ()))
        async with trio.open_nursery() as nursery:
            for revision in (11, 12):
                nursery.start_soon(cache.wait_until_fresh, revision)
            await settle()
            cache.progress(12)
            await trio.sleep(1)
            assert cache.is_awaited
            cache.apply(put(pod("a", 13)))
            await settle()
            assert not cache.is_awaited
            nursery.start_soon(cache.wait_until_fresh, 14)
            await settle()
            cache.progress(14)
        assert trio.current_time() == 4, "when its time was up it found what had come meanwhile"

    run(main)


# ---- waiting ---------------------------------------------------------------------------------------------------------


def test_what_is_here_is_not_waited_for_and_is_still_a_checkpoint():
    async def main() -> None:
        cache = listed(10)
        for revision in (0, 9, 10):
            with trio.testing.assert_checkpoints():
                await cache.wait_until_fresh(revision)
        assert trio.current_time() == 0

    run(main)


@pytest.mark.parametrize("way", ["change", "bookmark", "replacement"])
def test_a_reader_waits_until_its_revision_is_in_whichever_way_it_comes(way):
    """[9.3 TestWaitUntilFreshAndGetList]"""

    async def main() -> None:
        cache = listed(10)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cache.wait_until_fresh, 12)
            await settle()
            cache.advance(11)
            await settle()
            assert cache.is_awaited
            if way == "change":
                cache.apply(put(pod("a", 12)))
            elif way == "bookmark":
                cache.advance(13)
            else:
                cache.replace(Replacement((), 12, ()))
            cache._check()
            assert not cache.is_awaited
        assert trio.current_time() == 0

    run(main)


def test_a_reader_waits_three_seconds_and_is_told_how_far_the_cache_is():
    """[9.3 TestWaitUntilFreshAndListTimeout]"""

    async def main() -> None:
        cache = listed(10)
        with pytest.raises(TooLargeResourceVersion) as caught:
            await cache.wait_until_fresh(12)
        assert trio.current_time() == 3
        error = caught.value
        assert (error.asked, error.current, error.retry_after_s, error.code) == (12, 10, 1.0, 504)
        assert not cache.is_awaited

    run(main)


def test_a_revision_that_comes_at_the_last_moment_is_in_time():
    async def main() -> None:
        cache = listed(10)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cache.wait_until_fresh, 12)
            await trio.sleep(2.999)
            cache.advance(12)

    run(main)


def test_each_reader_wakes_when_its_own_revision_is_in_and_not_before():
    async def main() -> None:
        cache = listed(10)
        woken: list[str] = []

        async def reader(name: str, revision: int) -> None:
            await cache.wait_until_fresh(revision)
            woken.append(name)

        async with trio.open_nursery() as nursery:
            for name, revision in (("c", 15), ("a", 11), ("d", 15), ("b", 12)):
                nursery.start_soon(reader, name, revision)
            for revision, expected in ((10, []), (11, ["a"]), (14, ["a", "b"]), (15, ["a", "b", "c", "d"])):
                cache.advance(revision)
                await settle()
                cache._check()
                assert sorted(woken) == expected
        assert trio.current_time() == 0

    run(main)


def test_a_reader_that_is_cancelled_leaves_no_trace_and_the_others_wait_on():
    async def main() -> None:
        cache = listed(10)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cache.wait_until_fresh, 13)
            for revision in (11, 12, 14):
                with trio.move_on_after(0.5):
                    await cache.wait_until_fresh(revision)
                cache._check()
            assert [entry[0] for entry in cache._waiting] == [13]
            cache.advance(13)
        assert trio.current_time() == 1.5

    run(main)
