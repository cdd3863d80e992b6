"""Ring, objects and revision moved together; and who waits until they have come far enough."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from cacher import Ring, WatchCache
from cacher import _watch_cache as module
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


def test_a_revision_from_the_past_does_not_turn_the_cache_back():
    cache = listed(10)
    cache.advance(15)
    cache.advance(12)
    assert cache.revision == 15


def test_a_replacement_starts_history_anew():
    cache = listed(10, pod("a", 3))
    apply(cache, put(pod("b", 11)))
    cache.replace(Replacement((pod("c", 15),), 20, (pod("a", 3), pod("b", 11))))
    cache._check()
    assert cache.objects(ALL, prefix=PREFIX) == [pod("c", 15)]
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
