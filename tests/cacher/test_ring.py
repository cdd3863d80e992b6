"""The history ring against a list of all events that forgets nothing, and Kubernetes' rules of growing and shrinking."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cacher import Ring
from cacher._ring import CAPACITY_MAX, CAPACITY_MIN, FRESH_S, capacity_bound
from watch import Event, EventType, Expired, Object


def event(revision: int, key: str = "/pods/a") -> Event:
    return Event(EventType.ADDED, Object(key, revision, b"{}"), revision)


def filled(count: int, *, capacity: int, now: float = 0.0, capacity_max: int = 1000, first: int = 1) -> Ring:
    ring = Ring(capacity_min=capacity, capacity_max=capacity_max)
    for revision in range(first, first + count):
        ring.append(event(revision), now)
    ring._check()
    return ring


def revisions(ring: Ring) -> list[int]:
    return [each.revision for each in ring]


# ---- what can be read ------------------------------------------------------------------------------------------------


class Model:
    """Every event since the last `clear` with its time, and the capacity by the rules, written out."""

    def __init__(self, capacity_min: int, capacity_max: int, fresh_s: float) -> None:
        self.capacity_min, self.capacity_max, self.fresh_s = capacity_min, capacity_max, fresh_s
        self.capacity = capacity_min
        self.all: list[tuple[Event, float]] = []
        self.kept: list[tuple[Event, float]] = []
        self.list_revision = 0

    def append(self, new: Event, now: float) -> None:
        if len(self.kept) == self.capacity:
            age_of_oldest = now - self.kept[0][1]
            age_of_last_quarter = now - self.kept[len(self.kept) - self.capacity // 4 if self.capacity >= 4 else 0][1]
            if age_of_oldest < self.fresh_s and self.capacity < self.capacity_max:
                self.capacity = min(2 * self.capacity, self.capacity_max)
            elif age_of_last_quarter > self.fresh_s and self.capacity > self.capacity_min:
                self.capacity = max(self.capacity // 2, self.capacity_min)
        self.all.append((new, now))
        self.kept = [*self.kept, (new, now)][-self.capacity :]

    def clear(self, revision: int) -> None:
        self.all, self.kept, self.list_revision = [], [], revision

    @property
    def dropped(self) -> list[Event]:
        return [event for event, _ in self.all[: len(self.all) - len(self.kept)]]


STEPS = st.one_of(
    st.tuples(st.just("append"), st.integers(0, 2), st.integers(1, 5), st.sampled_from([0, 0, 1, 5, 60, 80])),
    st.tuples(st.just("append"), st.integers(0, 2), st.integers(1, 5), st.sampled_from([0, 1])),
    st.tuples(st.just("clear"), st.integers(0, 3)),
)


@pytest.mark.slow
@settings(max_examples=200)
@given(
    capacity_min=st.integers(1, 9), more=st.integers(0, 30), fresh_s=st.sampled_from([0, 10, 75]),
    steps=st.lists(STEPS, max_size=40),
)  # fmt: skip
def test_a_ring_of_any_capacity_agrees_with_a_list_of_everything(capacity_min, more, fresh_s, steps):
    """[9.3 TestEvents] [9.3 TestCacheIntervalNextFromWatchCache] Goal: nothing is missing.

    What it keeps, what it gives since any revision, and where it says Expired: only, and always, where an event is gone.
    """
    ring = Ring(capacity_min=capacity_min, capacity_max=capacity_min + more, fresh_s=fresh_s)
    model = Model(capacity_min, capacity_min + more, fresh_s)
    revision, now = 10, 0.0
    ring.clear(revision)
    model.clear(revision)
    for what, gap, *details in steps:
        revision += gap
        if what == "clear":
            ring.clear(revision)
            model.clear(revision)
        else:
            events, seconds = details
            now += seconds
            revision += 1
            for number in range(events):  # all of one revision
                ring.append(event(revision, f"/pods/{number}"), now)
                model.append(event(revision, f"/pods/{number}"), now)
        ring._check()
        assert list(ring) == [kept for kept, _ in model.kept]
        assert ring.capacity == model.capacity
        oldest = model.dropped[-1].revision if model.dropped else model.list_revision
        assert ring.oldest_watchable == oldest
        assert ring.oldest_kept == (oldest + 1 if model.dropped else 0)
        for start in range(oldest - 2, revision + 3):
            if start < oldest:
                with pytest.raises(Expired) as caught:
                    ring.since(start)
                assert (caught.value.asked, caught.value.oldest) == (start, oldest)
            else:
                assert ring.since(start) == [kept for kept, _ in model.all if kept.revision > start]


def test_a_revision_that_is_in_the_ring_in_part_cannot_be_read_from_before_it():
    ring = Ring(capacity_min=2, capacity_max=2)
    ring.append(event(5, "a"), 0)
    ring.append(event(5, "b"), 0)
    assert len(ring.since(4)) == 2
    ring.append(event(6, "c"), 0)
    with pytest.raises(Expired):
        ring.since(4)
    assert [each.revision for each in ring.since(5)] == [6]
    assert ring.oldest_kept == 6, "the other half of revision 5 is of no use to anybody"


def test_an_empty_ring_reaches_back_to_its_list_and_no_further():
    """[9.3 TestMarker]"""
    ring = Ring()
    ring.clear(10)
    assert ring.since(10) == ring.since(11) == []
    with pytest.raises(Expired, match="too old resource version: 9"):
        ring.since(9)
    assert ring.oldest_kept == 0


def test_clearing_forgets_the_events_and_keeps_the_capacity():
    ring = filled(150, capacity=100)
    assert ring.capacity == 200
    ring.clear(500)
    ring._check()
    assert (len(ring), ring.capacity, ring.oldest_watchable) == (0, 200, 500)
    ring.append(event(501), 0)
    ring._check()
    assert ring.since(500) == [event(501)]


# ---- capacity --------------------------------------------------------------------------------------------------------


def test_the_bounds_are_those_of_kubernetes():
    """[9.3 TestCapacityUpperBound]"""
    ring = Ring()
    assert (ring.capacity, ring.capacity_min, ring.capacity_max, ring.fresh_s) == (100, 100, 102_400, 75)
    assert (CAPACITY_MIN, CAPACITY_MAX, FRESH_S) == (100, 102_400, 75)
    for bounds in ((0, 5), (5, 4), (-1, 4)):
        with pytest.raises(ValueError, match="capacity_min"):
            Ring(capacity_min=bounds[0], capacity_max=bounds[1])


@pytest.mark.parametrize(
    ("fresh_s", "doublings"),
    [(0, 0), (75, 0), (75.1, 1), (150, 1), (151, 2), (300, 2), (600, 3), (1_228_800, 14), (1e12, 14)],
)
def test_the_upper_bound_doubles_with_the_time_that_events_should_stay(fresh_s, doublings):
    """[9.3 TestCapacityUpperBound] Up to what fits 32 bits."""
    assert capacity_bound(fresh_s) == Ring(fresh_s=fresh_s).capacity_max == CAPACITY_MAX * 2**doublings < 2**31


@pytest.mark.parametrize("first", range(1, 9))
def test_it_doubles_where_it_is_full_and_its_oldest_event_is_fresh_wherever_that_lies(first):
    """[9.3 TestDynamicCache] Source of the case: kubernetes watch_cache_test.go, TestDynamicCache."""
    ring = filled(5 + first, capacity=5, capacity_max=5, now=0)  # turns the ring by `first` slots
    ring.capacity_max = 10
    before = revisions(ring)
    ring.append(event(100), FRESH_S - 1)
    ring._check()
    assert (ring.capacity, revisions(ring)) == (10, [*before, 100])


@pytest.mark.parametrize(("age", "capacity"), [(FRESH_S - 0.001, 10), (FRESH_S, 5), (FRESH_S + 1, 5)])
def test_an_event_is_fresh_for_less_than_75_s(age, capacity):
    ring = filled(5, capacity=5)
    ring.append(event(6), age)
    assert ring.capacity == capacity


def test_it_does_not_grow_before_it_is_full_nor_beyond_its_upper_bound():
    ring = filled(4, capacity=5, capacity_max=12)
    ring.append(event(5), 0)
    assert (ring.capacity, ring.resizes) == (5, 0)
    for revision in range(6, 40):
        ring.append(event(revision), 0)
        ring._check()
    assert (ring.capacity, ring.resizes) == (12, 2)
    assert revisions(ring) == list(range(28, 40))
    assert ring.evictions == 39 - 12


@pytest.mark.parametrize("turns", range(9))
def test_it_halves_where_all_but_its_newest_quarter_is_stale_wherever_that_lies(turns):
    """[9.3 TestDynamicCache]"""
    ring = filled(8, capacity=8)
    ring.capacity_min = 4
    for revision in range(9, 9 + turns):
        ring.append(event(revision), FRESH_S)  # neither fresh nor stale: the oldest goes
    newest = 8 + turns
    assert ring.capacity == 8
    ring.append(event(newest + 1), 3 * FRESH_S)
    ring._check()
    assert (ring.capacity, revisions(ring)) == (4, list(range(newest - 2, newest + 2)))
    assert ring.oldest_watchable == newest - 3


@pytest.mark.parametrize(("fresh", "capacity"), [(1, 4), (2, 8)])
def test_the_first_event_of_the_newest_quarter_decides(fresh, capacity):
    """Eight slots: a quarter is two events. With only the newest one fresh it halves."""
    ring = filled(8 - fresh, capacity=8)
    ring.capacity_min = 4
    for revision in range(9 - fresh, 9):
        ring.append(event(revision), 100)
    ring.append(event(9), 101)
    assert ring.capacity == capacity


def test_it_does_not_shrink_below_its_lower_bound():
    ring = filled(20, capacity=5, capacity_max=20)
    ring.capacity_min = 15
    ring.append(event(21), 1000)
    ring._check()
    assert ring.capacity == 15
    ring.append(event(22), 9000)
    ring._check()
    assert ring.capacity == 15


def test_a_quiet_ring_is_not_touched_by_time():
    """Rules are applied when an event comes to a full ring, never before."""
    ring = filled(7, capacity=8)
    ring.capacity_min = 4
    ring.append(event(8), 1_000_000)
    assert (ring.capacity, len(ring)) == (8, 8)


def test_growing_does_not_bring_back_the_revision_of_the_list():
    """[9.3 TestCacheIncreaseDoesNotBreakWatch] Room to spare brings nothing back.

    The ring began at a list at 10; revision 20 was dropped; room to spare must not make 15 watchable again.

    Source of the case: kubernetes watch_cache_test.go, TestCacheIncreaseDoesNotBreakWatch.
    """
    ring = Ring(capacity_min=2, capacity_max=8)
    ring.clear(10)
    for revision, now in ((20, 0), (30, 100), (40, 200)):
        ring.append(event(revision), now)
    assert revisions(ring) == [30, 40]
    for revision in (50, 60, 70):
        ring.append(event(revision), 200)
        ring._check()
    assert ring.capacity > 2
    with pytest.raises(Expired, match="too old resource version: 15"):
        ring.since(15)
    assert ring.since(ring.oldest_watchable)[0].revision > ring.oldest_watchable


def test_shrinking_takes_what_it_drops_out_of_the_watchable():
    ring = filled(8, capacity=8, first=11)
    ring.capacity_min = 4
    ring.append(event(19), 1000)
    assert ring.oldest_watchable == 15
    with pytest.raises(Expired):
        ring.since(14)


# ---- _check finds what is broken -------------------------------------------------------------------------------------


def test_the_self_check_finds_events_out_of_order_and_slots_that_were_not_emptied():
    ring = filled(3, capacity=5)
    ring._events[1] = event(9)
    with pytest.raises(AssertionError, match="oldest first"):
        ring._check()
    ring = filled(3, capacity=5)
    ring._events[4] = event(9)
    with pytest.raises(AssertionError, match="free slots"):
        ring._check()


# ---- a limit from outside --------------------------------------------------------------------------------------------


def test_a_ring_that_is_limited_keeps_its_newest_events_and_never_more_again():
    ring = filled(10, capacity=16, capacity_max=64)
    ring.limit(3)
    ring._check()
    assert revisions(ring) == [8, 9, 10]
    assert ring.oldest_watchable == 7
    for revision in range(11, 40):
        ring.append(event(revision), 0.0)  # all of them fresh: without the limit it would grow
    ring._check()
    assert revisions(ring) == [37, 38, 39]


def test_a_ring_that_is_smaller_than_its_limit_stays_as_it_is():
    ring = filled(3, capacity=4)
    ring.limit(8)
    assert (revisions(ring), ring.capacity, ring.capacity_max) == ([1, 2, 3], 4, 8)


def test_a_ring_keeps_at_least_one_event():
    with pytest.raises(ValueError, match="at least one"):
        filled(3, capacity=4).limit(0)
